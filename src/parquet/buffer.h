// Bytes that are not cleared before they are written, from a pool that keeps them for the next
// page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace varve::parquet {

// Owns a block of the process's page pool; moved, never copied. Growing keeps the bytes in use.
class Buffer {
 public:
  // Bytes behind the last that may be read and written, though not what they are: short values are
  // copied without a look at their length.
  static constexpr size_t kSlack = 32;

  Buffer() = default;
  ~Buffer() { Free(); }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  template <typename T>
  T* As() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* As() const {
    return reinterpret_cast<const T*>(data_);
  }

  void Resize(size_t size) {
    if (size > capacity_) Grow(size);
    size_ = size;
  }
  // Room for count more bytes; the caller writes them.
  uint8_t* Extend(size_t count) {
    const size_t at = size_;
    if (count > capacity_ - size_) Grow(size_ + count);
    size_ += count;
    return data_ + at;
  }
  void Append(const void* bytes, size_t count) {  // none may be at nullptr
    if (count > 0) std::memcpy(Extend(count), bytes, count);
  }
  void Free();

 private:
  void Grow(size_t size);  // throws std::bad_alloc

  uint8_t* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

}  // namespace varve::parquet

#include "parquet/buffer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

namespace varve::parquet {

namespace {

constexpr int kKeptMin = 14, kKeptMax = 24;  // log2 of the sizes that are kept
constexpr size_t kKeptBytesMax = 64 << 20;
constexpr size_t kAlignment = 64;

// Blocks that were given back. The system would clear the memory it hands out again: a sixth of
// the time of writing a file.
class FreeBlocks {
 public:
  ~FreeBlocks() {
    for (auto& blocks : free_) {
      for (void* block : blocks) std::free(block);
    }
  }
  uint8_t* Take(int log2) {
    if (log2 >= kKeptMin && log2 <= kKeptMax) {
      const std::lock_guard lock(mutex_);
      auto& blocks = free_[log2];
      if (!blocks.empty()) {
        void* block = blocks.back();
        blocks.pop_back();
        bytes_ -= size_t{1} << log2;
        return static_cast<uint8_t*>(block);
      }
    }
    void* block = std::aligned_alloc(kAlignment, size_t{1} << log2);
    if (block == nullptr) throw std::bad_alloc();
    return static_cast<uint8_t*>(block);
  }
  void Give(void* block, int log2) {
    if (log2 >= kKeptMin && log2 <= kKeptMax) {
      const std::lock_guard lock(mutex_);
      if (bytes_ + (size_t{1} << log2) <= kKeptBytesMax) {
        free_[log2].push_back(block);
        bytes_ += size_t{1} << log2;
        return;
      }
    }
    std::free(block);
  }

 private:
  std::mutex mutex_;
  std::vector<void*> free_[kKeptMax + 1];
  size_t bytes_ = 0;
};

FreeBlocks& Blocks() {
  static FreeBlocks blocks;
  return blocks;
}

int Log2Of(size_t size) { return std::max(6, static_cast<int>(std::bit_width(size - 1))); }

}  // namespace

void Buffer::Grow(size_t size) {
  const int log2 = Log2Of(size);
  uint8_t* moved = Blocks().Take(log2);
  if (size_ > 0) std::memcpy(moved, data_, size_);
  const size_t kept = size_;
  Free();
  data_ = moved;
  size_ = kept;
  capacity_ = size_t{1} << log2;
}

void Buffer::Free() {
  if (data_ != nullptr) Blocks().Give(data_, Log2Of(capacity_));
  data_ = nullptr;
  size_ = capacity_ = 0;
}

}  // namespace varve::parquet

// Values as bytes between the server and its SQL workers: two processes of one build on one
// machine, so that the order of bytes and the layout of plain structs are the same. A message says
// which fields it has once, in a function Visit(wire, message) that both directions use.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/result.h"

namespace varve::query {

class WireWriter {
 public:
  template <typename... T>
  void operator()(T&... values) {
    (Put(values), ...);
  }
  std::string Take() && { return std::move(bytes_); }

 private:
  template <typename T>
  void Put(T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else {
      Visit(*this, value);
    }
  }
  void Put(std::string& text) {
    PutSize(text.size());
    bytes_ += text;
  }
  template <typename T>
  void Put(std::vector<T>& list) {
    PutSize(list.size());
    if constexpr (std::is_trivially_copyable_v<T>) {
      bytes_.append(reinterpret_cast<const char*>(list.data()), list.size() * sizeof(T));
    } else {
      for (T& item : list) Put(item);
    }
  }
  void PutSize(uint64_t size) { Put(size); }

  std::string bytes_;
};

// Reads what may be wrong: ok() is false for good once something did not fit.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <typename... T>
  void operator()(T&... values) {
    (Get(values), ...);
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  template <typename T>
  void Get(T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      GetBytes(&value, sizeof value);
    } else {
      Visit(*this, value);
    }
  }
  void Get(std::string& text) {
    text.resize(GetCount(1));
    GetBytes(text.data(), text.size());
  }
  template <typename T>
  void Get(std::vector<T>& list) {
    if constexpr (std::is_trivially_copyable_v<T>) {
      list.resize(GetCount(sizeof(T)));
      GetBytes(list.data(), list.size() * sizeof(T));
    } else {
      const size_t count = GetCount(1);
      for (size_t i = 0; i < count && ok_; ++i) Get(list.emplace_back());
    }
  }
  // Of things that take at least so many bytes each; 0 where as many cannot follow.
  size_t GetCount(size_t item_bytes) {
    uint64_t count = 0;
    Get(count);
    ok_ = ok_ && count <= rest_.size() / item_bytes;
    return ok_ ? count : 0;
  }
  void GetBytes(void* to, size_t size) {
    ok_ = ok_ && size <= rest_.size();
    if (!ok_ || size == 0) return;
    std::memcpy(to, rest_.data(), size);
    rest_.remove_prefix(size);
  }

  std::string_view rest_;
  bool ok_ = true;
};

template <typename T>
std::string Encode(T&& message) {
  WireWriter writer;
  writer(message);
  return std::move(writer).Take();
}

template <typename T>
Result<T> Decode(std::string_view bytes) {
  T message;
  WireReader reader(bytes);
  reader(message);
  if (reader.done()) return message;
  return MakeError(ErrorKind::kInternal, "a message between server and SQL worker is malformed");
}

}  // namespace varve::query

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

constexpr size_t kAlignment = 64;
constexpr size_t kBlockMin = 512;
constexpr size_t kKeptMin = 16 << 10, kKeptMax = 16 << 20;  // sizes that are kept
constexpr size_t kKeptBytesMax = 32 << 20;
constexpr int kClasses = 64 * 4;

// Blocks are 5, 6, 7 or 8 times a power of two: at most a fifth of one is not used.
int ClassOf(size_t size) {
  const size_t last = std::max(size, kBlockMin) - 1;
  const int shift = static_cast<int>(std::bit_width(last)) - 3;
  return shift * 4 + static_cast<int>(last >> shift) - 4;
}

size_t BytesOf(int size_class) {
  return static_cast<size_t>(size_class % 4 + 5) << (size_class / 4);
}

// Blocks that were given back. The system would clear the memory it hands out again: a sixth of
// the time of writing a file.
class FreeBlocks {
 public:
  ~FreeBlocks() {
    for (auto& blocks : free_) {
      for (void* block : blocks) std::free(block);
    }
  }
  uint8_t* Take(int size_class) {
    const size_t bytes = BytesOf(size_class);
    if (bytes >= kKeptMin && bytes <= kKeptMax) {
      const std::lock_guard lock(mutex_);
      auto& blocks = free_[size_class];
      if (!blocks.empty()) {
        void* block = blocks.back();
        blocks.pop_back();
        bytes_ -= bytes;
        return static_cast<uint8_t*>(block);
      }
    }
    void* block = std::aligned_alloc(kAlignment, bytes);
    if (block == nullptr) throw std::bad_alloc();
    return static_cast<uint8_t*>(block);
  }
  void Give(void* block, int size_class) {
    const size_t bytes = BytesOf(size_class);
    if (bytes >= kKeptMin && bytes <= kKeptMax) {
      const std::lock_guard lock(mutex_);
      if (bytes_ + bytes <= kKeptBytesMax) {
        free_[size_class].push_back(block);
        bytes_ += bytes;
        return;
      }
    }
    std::free(block);
  }

 private:
  std::mutex mutex_;
  std::vector<void*> free_[kClasses];
  size_t bytes_ = 0;
};

FreeBlocks& Blocks() {
  static FreeBlocks blocks;
  return blocks;
}

}  // namespace

void Buffer::Grow(size_t size) {
  // What grows by and by grows by half at least.
  const int size_class = ClassOf(size_ == 0 ? size : std::max(size, capacity_ + capacity_ / 2));
  uint8_t* moved = Blocks().Take(size_class);
  if (size_ > 0) std::memcpy(moved, data_, size_);
  const size_t kept = size_;
  Free();
  data_ = moved;
  size_ = kept;
  capacity_ = BytesOf(size_class);
}

void Buffer::Free() {
  if (data_ != nullptr) Blocks().Give(data_, ClassOf(capacity_));
  data_ = nullptr;
  size_ = capacity_ = 0;
}

}  // namespace varve::parquet

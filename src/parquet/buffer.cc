#include "parquet/buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "core/huge_pages.h"

namespace varve::parquet {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kBlockMin = 512;
constexpr size_t kSmallMax = 16 << 10;  // malloc's
constexpr size_t kReservedBytes = size_t{16} << 30;
constexpr int kClasses = 64 * 8;
constexpr int kLargerClasses = 8;  // a block of up to twice the size will do
constexpr size_t kKeptBytes = 4 << 20;

// Blocks are 9, 10, … 16 times a power of two: at most a ninth of one is not used.
int ClassOf(size_t size) {
  const size_t last = std::max(size, kBlockMin) - 1;
  const int shift = static_cast<int>(std::bit_width(last)) - 4;
  return shift * 8 + static_cast<int>(last >> shift) - 8;
}

size_t BytesOf(int size_class) {
  return static_cast<size_t>(size_class % 8 + 9) << (size_class / 8);
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

// Blocks for pages, cut from one range of addresses that has huge pages. A general allocator gives
// such memory back to the system, which clears it, 4 KiB at a time, when it is asked for again: a
// tenth of the time of a merge. Here it is kept until no block is out any more, or for good if it
// is little: many small files are looked at one after the other.
class Arena {
 public:
  void* Take(size_t size, size_t* got) {
    const int size_class = ClassOf(size);
    *got = BytesOf(size_class);
    if (*got > kSmallMax && !kSanitized) {
      const std::lock_guard lock(mutex_);
      if (void* block = TakeFree(size_class, got); block != nullptr) return block;
      if (void* block = Cut(*got); block != nullptr) return block;
    }
    return std::aligned_alloc(kAlignment, *got);
  }

  void Give(void* block, size_t size) {
    const std::lock_guard lock(mutex_);
    const auto at = reinterpret_cast<uintptr_t>(block) - reinterpret_cast<uintptr_t>(begin_);
    if (begin_ == nullptr || at >= kReservedBytes) return std::free(block);
    free_[ClassOf(size)].push_back(block);
    if (--blocks_out_ > 0 || cut_bytes_ <= kKeptBytes) return;
    for (auto& free : free_) free.clear();
    madvise(begin_, cut_bytes_, MADV_DONTNEED);
    cut_bytes_ = 0;
  }

 private:
  void* TakeFree(int size_class, size_t* got) {
    for (int larger = size_class; larger <= size_class + kLargerClasses; ++larger) {
      auto& blocks = free_[larger];
      if (blocks.empty()) continue;
      void* block = blocks.back();
      blocks.pop_back();
      *got = BytesOf(larger);
      ++blocks_out_;
      return block;
    }
    return nullptr;
  }

  void* Cut(size_t bytes) {
    if (begin_ == nullptr) {
      void* reserved = mmap(nullptr, kReservedBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (reserved == MAP_FAILED) return nullptr;
      AdviseHugePages(reserved, kReservedBytes);
      begin_ = static_cast<char*>(reserved);
    }
    if (kReservedBytes - cut_bytes_ < bytes) return nullptr;
    void* block = begin_ + cut_bytes_;
    cut_bytes_ += bytes;
    ++blocks_out_;
    return block;
  }

  std::mutex mutex_;
  std::vector<void*> free_[kClasses + kLargerClasses];
  char* begin_ = nullptr;
  size_t cut_bytes_ = 0, blocks_out_ = 0;
};

Arena& Blocks() {
  static Arena arena;
  return arena;
}

}  // namespace

void Buffer::Grow(size_t size) {
  // What grows by and by grows by half at least.
  const size_t wanted = size_ == 0 ? size : std::max(size, capacity_ + capacity_ / 2);
  size_t bytes = 0;
  auto* moved = static_cast<uint8_t*>(Blocks().Take(wanted + kSlack, &bytes));
  if (moved == nullptr) throw std::bad_alloc();
  if (size_ > 0) std::memcpy(moved, data_, size_);
  const size_t kept = size_;
  Free();
  data_ = moved;
  size_ = kept;
  capacity_ = bytes - kSlack;
}

void Buffer::Free() {
  if (data_ != nullptr) Blocks().Give(data_, capacity_ + kSlack);
  data_ = nullptr;
  size_ = capacity_ = 0;
}

}  // namespace varve::parquet

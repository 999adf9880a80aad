#include "parquet/page_pool.h"

#include <arrow/status.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/huge_pages.h"

namespace varve::parquet {

namespace {
constexpr size_t kAlignment = 64;
constexpr int kClassMin = 6;    // 64 bytes
constexpr int kClassKept = 15;  // smaller blocks go back to malloc
constexpr size_t kSlabBytes = 2 * kHugePageBytes;
}  // namespace

PagePool::~PagePool() {
  for (void* slab : slabs_) std::free(slab);
}

// Blocks are of 2^k bytes, so what is left of a slab that is too small for one is at most the half.
void* PagePool::TakeKept(int size_class) {
  const std::lock_guard lock(mutex_);
  auto& blocks = free_[size_class];
  if (!blocks.empty()) {
    void* block = blocks.back();
    blocks.pop_back();
    return block;
  }
  const size_t bytes = size_t{1} << size_class;
  if (slab_rest_bytes_ >= bytes) {
    slab_rest_bytes_ -= bytes;
    return std::exchange(slab_rest_, slab_rest_ + bytes);
  }
  const size_t slab_bytes = std::max(bytes, kSlabBytes);
  auto* slab = static_cast<char*>(AllocateHugePages(slab_bytes));
  if (slab == nullptr) return nullptr;
  slabs_.push_back(slab);
  if (slab_bytes - bytes > slab_rest_bytes_) {
    slab_rest_ = slab + bytes;
    slab_rest_bytes_ = slab_bytes - bytes;
  }
  return slab;
}

int PagePool::ClassOf(int64_t size) {
  return std::max(kClassMin, static_cast<int>(std::bit_width(static_cast<uint64_t>(size) - 1)));
}

arrow::Status PagePool::Allocate(int64_t size, int64_t alignment, uint8_t** out) {
  static uint8_t empty;
  CHECK(static_cast<size_t>(alignment) <= kAlignment);
  if (size == 0) {
    *out = &empty;
    return arrow::Status::OK();
  }
  const int size_class = ClassOf(size);
  if (size < 0 || size_class >= kClasses) return arrow::Status::OutOfMemory("size");
  void* block = size_class >= kClassKept ? TakeKept(size_class)
                                         : std::aligned_alloc(kAlignment, size_t{1} << size_class);
  if (block == nullptr) return arrow::Status::OutOfMemory("a page buffer");
  allocated_ += size;
  total_ += size;
  ++count_;
  *out = static_cast<uint8_t*>(block);
  return arrow::Status::OK();
}

arrow::Status PagePool::Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                                   uint8_t** ptr) {
  if (old_size > 0 && new_size > 0 && ClassOf(old_size) == ClassOf(new_size)) {
    allocated_ += new_size - old_size;
    return arrow::Status::OK();
  }
  uint8_t* moved = nullptr;
  ARROW_RETURN_NOT_OK(Allocate(new_size, alignment, &moved));
  const int64_t kept = std::min(old_size, new_size);
  if (kept > 0) std::memcpy(moved, *ptr, static_cast<size_t>(kept));
  Free(*ptr, old_size, alignment);
  *ptr = moved;
  return arrow::Status::OK();
}

void PagePool::Free(uint8_t* buffer, int64_t size, int64_t) {
  if (size == 0) return;
  allocated_ -= size;
  const int size_class = ClassOf(size);
  if (size_class < kClassKept) {
    std::free(buffer);
    return;
  }
  const std::lock_guard lock(mutex_);
  free_[size_class].push_back(buffer);
}

}  // namespace varve::parquet

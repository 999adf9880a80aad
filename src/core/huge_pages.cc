#include "core/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>

#include "core/check.h"

namespace varve {

void AdviseHugePages(void* begin, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = (at + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  const uintptr_t end = (at + bytes) / kHugePageBytes * kHugePageBytes;
  if (first >= end) return;
  [[maybe_unused]] const int only_advice =
      madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
}

void* AllocateHugePages(size_t bytes) {
  CHECK(bytes % kHugePageBytes == 0);
  void* memory = std::aligned_alloc(kHugePageBytes, bytes);
  if (memory != nullptr) AdviseHugePages(memory, bytes);
  return memory;
}

}  // namespace varve

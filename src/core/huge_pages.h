// Large memory that is written at once: a page fault for each 2 MiB of it, not for each 4 KiB.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace varve {

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// Asks the kernel (madvise) for huge pages in [begin, begin + bytes), as far as whole ones fit.
// Where it has none the memory is as it was.
void AdviseHugePages(void* begin, size_t bytes);

// bytes, a multiple of kHugePageBytes, so advised; freed by std::free. Null where there is no
// memory.
void* AllocateHugePages(size_t bytes);

}  // namespace varve

#include <cstddef>
#include <cstdint>

#include "fuzz/merge_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::merge::FuzzMergeInput({reinterpret_cast<const char*>(data), size});
  return 0;
}

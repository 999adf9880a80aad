#include <cstddef>
#include <cstdint>

#include "fuzz/table_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::table::FuzzCheckpoint({reinterpret_cast<const char*>(data), size});
  return 0;
}

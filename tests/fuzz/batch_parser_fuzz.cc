#include <cstddef>
#include <cstdint>

#include "fuzz/record_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::record::FuzzBatchParser({reinterpret_cast<const char*>(data), size});
  return 0;
}

#include "fuzz/parquet_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::parquet::FuzzPage({reinterpret_cast<const char*>(data), size});
  return 0;
}

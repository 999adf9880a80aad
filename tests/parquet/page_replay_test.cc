// The fuzzer's target on bytes from a seed, with any compiler.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "fuzz/parquet_targets.h"

namespace varve::parquet {
namespace {

TEST(PageReplayTest, BytesByChanceAreAPageOrAnError) {
  std::mt19937_64 engine(20261121);
  for (int round = 0; round < 100'000; ++round) {
    std::string input(8 + engine() % 64, '\0');
    // Small numbers make lengths and counts that fit now and then.
    const uint64_t below = engine() % 2 == 0 ? 256 : 6;
    for (char& c : input) c = static_cast<char>(engine() % below);
    FuzzPage(input);
  }
}

}  // namespace
}  // namespace varve::parquet

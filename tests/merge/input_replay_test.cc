// The fuzzer's target on its corpus, with bytes changed from a seed, with any compiler.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>

#include "fuzz/merge_targets.h"
#include "merge/random_tables.h"

namespace varve::merge {
namespace {

TEST(InputReplayTest, AFileWithChangedBytesIsReadOrRefused) {
  const std::string corpus = VARVE_SOURCE_DIR "/tests/fuzz/corpus/merge_input";
  std::mt19937_64 engine(20261121);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    ++files;
    const std::string whole = BytesOf(entry.path());
    for (int round = 0; round < 3'000; ++round) {
      std::string changed = whole;
      for (uint64_t i = engine() % 4; i-- > 0;) {
        changed[engine() % changed.size()] = static_cast<char>(engine() % (round % 2 ? 8 : 256));
      }
      if (engine() % 8 == 0) changed.erase(engine() % changed.size(), engine() % 16);
      FuzzMergeInput(changed);
    }
  }
  EXPECT_GE(files, 3);
}

}  // namespace
}  // namespace varve::merge

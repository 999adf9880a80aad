// Delta checkpoints are read from tables that anybody may have written.
#include <gtest/gtest.h>

#include "core/clock.h"
#include "fuzz/table_targets.h"

namespace varve::table {
namespace {

TEST(DeltaCheckpoint, ThatIsDamagedIsAnErrorOrAStateAndNothingElse) {
  const std::string good = FuzzCheckpointSeed();
  ASSERT_TRUE(delta::ReadCheckpoint(good, 3).ok());
  FuzzCheckpoint(good);
  const auto random = SeededRandom(20'260'203);
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    for (uint64_t n = 1 + random->Below(4); n > 0; --n) {
      const size_t at = random->Below(bad.size());
      if (random->Below(8) == 0) {
        bad.erase(at, 1 + random->Below(8));
      } else {
        bad[at] = static_cast<char>(random->Next());
      }
    }
    FuzzCheckpoint(bad);
  }
}

TEST(DeltaCheckpoint, ThatIsCutShortIsAnError) {
  const std::string good = FuzzCheckpointSeed();
  for (size_t size = 0; size < good.size(); size += 7) FuzzCheckpoint(good.substr(0, size));
}

}  // namespace
}  // namespace varve::table

// Writers and compactors on one table, with a store that fails in every way it may: no update is
// lost, none is done twice, and both formats end with the same files.
#include <map>

#include "catalog/maintenance.h"
#include "catalog/snapshot_files.h"
#include "simulation.h"

namespace varve::catalog {
namespace {

using store::FaultKind;
using store::StoreCall;

constexpr int kRounds = 1000, kSteps = 8, kDepthMax = 2, kRepeatsMax = 200;

class Round {
 public:
  explicit Round(uint64_t seed) : lab_(seed, Both()), random_(SeededRandom(seed + 2)) {}

  void Play(uint32_t faults_per_mille) {
    Break(faults_per_mille);
    lab_.racing.before_commit = [this] {
      if (depth_ >= kDepthMax || steps_left_ == 0 || random_->Below(4) != 0) return;
      ++depth_;
      Step();
      --depth_;
    };
    while (steps_left_ > 0) Step();
    lab_.racing.before_commit = nullptr;
    Break(0);
    CheckEnd();
  }

  uint64_t races = 0, lost_replies = 0;

 private:
  void Break(uint32_t per_mille) {
    const std::pair<StoreCall, FaultKind> all[] = {
        {StoreCall::kPut, FaultKind::kFailBefore},
        {StoreCall::kPut, FaultKind::kUnknownNotDone},
        {StoreCall::kPut, FaultKind::kSucceedThenUnknown},
        {StoreCall::kPut, FaultKind::kConflictOnOwnWrite},
        {StoreCall::kGet, FaultKind::kThrottle},
        {StoreCall::kGet, FaultKind::kTruncatedGet},
        {StoreCall::kGet, FaultKind::kBitFlippedGet},
        {StoreCall::kHead, FaultKind::kStaleHead},
        {StoreCall::kDelete, FaultKind::kSucceedThenUnknown},
    };
    for (const auto& [call, kind] : all) lab_.faulty.SetChance(call, kind, per_mille);
  }

  // Repeats one change until its outcome is known, as a workflow does. True: it is done.
  bool Settle(const FileChanges& changes) {
    for (int i = 0; i < kRepeatsMax; ++i) {
      const auto done = lab_.tables.Commit("t", changes);
      if (done.ok()) {
        races += done->iceberg->attempts > 1 || done->delta->attempts > 1 ? 1 : 0;
        lost_replies += done->iceberg->already_done ? 1 : 0;
        return true;
      }
      const ErrorKind kind = done.error().kind;
      if (kind == ErrorKind::kConflict && done.error().code != "TOO_MANY_CONFLICTS") {
        EXPECT_EQ(done.error().code, "SOURCE_NOT_LIVE") << done.error().message;
        return false;
      }
      EXPECT_TRUE(kind == ErrorKind::kConflict || kind == ErrorKind::kUnknown ||
                  kind == ErrorKind::kRetryable || kind == ErrorKind::kExhausted ||
                  kind == ErrorKind::kCorrupt)
          << done.error().message;
    }
    ADD_FAILURE() << "a change was never settled";
    return false;
  }

  void Step() {
    if (steps_left_ == 0) return;
    --steps_left_;
    const std::string name = "f" + std::to_string(++names_);
    const auto rows = static_cast<int64_t>(1 + random_->Below(50));
    const auto hour = static_cast<int32_t>(491'000 + random_->Below(3));
    if (live_.size() < 2 || random_->Below(3) > 0) {
      const table::DataFile file = lab_.File(name, rows, hour);
      if (Settle(lab_.Append({file}))) live_[file.path] = file;
      return;
    }
    // A compaction of two files, which another may take first.
    auto first = live_.begin();
    std::advance(first, static_cast<long>(random_->Below(live_.size() - 1)));
    const table::DataFile a = first->second, b = std::next(first)->second;
    const table::DataFile merged = lab_.File(name, a.rows + b.rows, hour);
    FileChanges changes = lab_.Append({merged});
    changes.removed = {Lab::Removed(a), Lab::Removed(b)};
    changes.same_rows = true;
    changes.mark = table::iceberg::Mark{"shard-" + name, 1};
    if (!Settle(changes)) return;
    EXPECT_EQ(live_.erase(a.path) + live_.erase(b.path), 2u);
    live_[merged.path] = merged;
  }

  void CheckEnd() {
    const auto now = FilesAsOf(lab_.tables, "t", {});
    ASSERT_TRUE(now.ok()) << now.error().message;
    std::set<std::string> expected, iceberg, delta;
    for (const auto& item : live_) expected.insert(item.first);
    for (const auto& file : now->files) {
      EXPECT_TRUE(iceberg.insert(file.path).second) << file.path << " is live twice";
      EXPECT_EQ(file.rows, live_[file.path].rows);
    }
    EXPECT_EQ(iceberg, expected);
    const auto state = lab_.delta.Load("t");
    ASSERT_TRUE(state.ok()) << state.error().message;
    for (const auto& item : state->files) delta.insert("catalog/t/" + item.first);
    EXPECT_EQ(delta, expected);
    // Every retained snapshot is whole, and the hint is the head's.
    const auto needed = Maintenance(lab_.tables).References("t");
    ASSERT_TRUE(needed.ok()) << needed.error().message;
    for (const std::string& key : *needed) {
      if (key.find("/data/") != std::string::npos) continue;
      EXPECT_TRUE(lab_.memory.Head(key).ok()) << key;
    }
    const auto head = lab_.iceberg.Load("t");
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(table::iceberg::CheckMetadata(head->metadata, nullptr).ok(), true);
    EXPECT_LE(lab_.memory.Get("catalog/t/metadata/version-hint.text", std::nullopt).value(),
              std::to_string(head->version));
  }

  Lab lab_;
  std::unique_ptr<Random> random_;
  std::map<std::string, table::DataFile> live_;
  int steps_left_ = kSteps, depth_ = 0, names_ = 0;
};

TEST(CatalogRaces, NoUpdateIsLostInAThousandRoundsOfRacingWritersOnAFailingStore) {
  uint64_t races = 0, lost_replies = 0;
  for (uint64_t seed = 1; seed <= kRounds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Round round(seed * 7919);
    round.Play(seed % 4 == 0 ? 0 : 20);
    races += round.races;
    lost_replies += round.lost_replies;
  }
  EXPECT_GT(races, 300u);        // commits that others came before
  EXPECT_GT(lost_replies, 20u);  // that found themselves done
}

}  // namespace
}  // namespace varve::catalog

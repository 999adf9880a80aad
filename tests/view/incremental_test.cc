// A view that is kept incrementally has the rows that a full refresh would give, whatever happened
// to its table's files in between.
#include "lab.h"

namespace varve::view {
namespace {

class IncrementalTest : public ViewLab {
 protected:
  void MakeIncremental() {
    Make(R"(,"refresh":"incremental","mode":"manual")");
    RefreshNow();
    lake_.full = lake_.incremental = 0;
  }
  // Refreshes; how it was done.
  std::string Refreshed() {
    const uint32_t full = lake_.full, incremental = lake_.incremental;
    RefreshNow();
    EXPECT_EQ(Output(), Expected());
    if (lake_.full > full) return "full";
    return lake_.incremental > incremental ? "incremental" : "nothing";
  }
};

TEST_F(IncrementalTest, NewFilesAloneAreRead) {
  lake_.Append({"x1", "y"});
  MakeIncremental();
  lake_.Append({"x2"});
  lake_.Append({"x2", "y"});
  EXPECT_EQ(Refreshed(), "incremental");
  EXPECT_EQ(Output(), (Rows{"x1", "x2", "x2"}));
  const std::string etag = Now().output->etag;
  EXPECT_EQ(Refreshed(), "nothing");
  EXPECT_EQ(Now().output->etag, etag);
}

TEST_F(IncrementalTest, CompactionChangesNothing) {
  const std::string a = lake_.Append({"x1"}), b = lake_.Append({"x2"});
  MakeIncremental();
  const std::string c = lake_.Append({"x3"});  // compacted before it was seen
  lake_.Compact({a, b, c});
  EXPECT_EQ(Refreshed(), "incremental");
  for (const std::string& key : {a, b, c}) lake_.Delete(key);
  EXPECT_EQ(Refreshed(), "nothing");
  lake_.Append({"x4"});
  EXPECT_EQ(Refreshed(), "incremental");
  EXPECT_EQ(Output(), (Rows{"x1", "x2", "x3", "x4"}));
}

TEST_F(IncrementalTest, AFileThatWasCompactedAndWentUnseenIsFoundInTheTable) {
  lake_.Append({"x1"});
  MakeIncremental();
  const std::string unseen = lake_.Append({"x2"});
  lake_.Compact({unseen});
  lake_.Delete(unseen);
  EXPECT_EQ(Refreshed(), "full");
  EXPECT_EQ(Refreshed(), "nothing");
}

TEST_F(IncrementalTest, WhatIsNotAnAppendIsAFullRefresh) {
  const std::string a = lake_.Append({"x1"}), b = lake_.Append({"x2"}), c = lake_.Append({"x3"});
  const std::string file = lake_.Compact({c});
  MakeIncremental();
  lake_.Write(a, {"x1", "x1-replaced"});
  EXPECT_EQ(Refreshed(), "full");
  lake_.Delete(b);
  EXPECT_EQ(Refreshed(), "full");
  lake_.table.erase(file);  // expiry
  EXPECT_EQ(Refreshed(), "full");
  lake_.Write("catalog/users/data/by-another-program.parquet", {"x9"});
  lake_.table.insert("catalog/users/data/by-another-program.parquet");
  EXPECT_EQ(Refreshed(), "full");
  lake_.columns = "2";
  EXPECT_EQ(Refreshed(), "full");
  lake_.Delete("_views/v/data.parquet");
  EXPECT_EQ(Refreshed(), "full");
  lake_.Write("_views/v/data.parquet", {"by another hand"});
  EXPECT_EQ(Refreshed(), "full");
  EXPECT_EQ(Refreshed(), "nothing");
  for (int i = 0; i < 11; ++i) lake_.Append({"x"});
  EXPECT_EQ(Refreshed(), "full");
  RefreshNow(/*full=*/true);
  EXPECT_EQ(Refreshed(), "nothing");
}

// A compacted file that goes from the table before the view has seen it takes rows with it.
TEST_F(IncrementalTest, RowsThatCameAndWentWithATableFileGo) {
  const std::string a = lake_.Append({"x1"});
  MakeIncremental();
  const std::string file = lake_.Compact({a});
  lake_.table.erase(file);
  EXPECT_EQ(Refreshed(), "full");
  EXPECT_TRUE(Output().empty());
}

TEST_F(IncrementalTest, RandomHistoriesGiveWhatAFullRefreshGives) {
  uint32_t incremental = 0, nothing = 0, full = 0;
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    const auto random = SeededRandom(seed);
    MakeIncremental();
    forgetful_->forgets = [&](std::string_view) { return random->Below(6) == 0; };
    for (int step = 0; step < 60; ++step) {
      clock_.AdvanceMs(5'000);
      std::vector<std::string> fresh, done;
      for (const std::string& key : lake_.Sources()) {
        (lake_.IsCompacted(key) ? done : fresh).push_back(key);
      }
      const uint64_t dice = random->Below(12);
      const bool rarely = random->Below(4) == 0;
      if (dice <= 4) {
        lake_.Append({fmt::format("x{}", random->Below(5)), "y", "x"});
      } else if (dice <= 6 && !fresh.empty()) {
        fresh.resize(std::min<size_t>(fresh.size(), 1 + random->Below(4)));
        lake_.Compact(fresh);
      } else if (dice == 7) {
        for (const std::string& key : done) lake_.Delete(key);
      } else if (dice == 8 && rarely && !fresh.empty()) {
        lake_.Delete(fresh.front());
      } else if (dice == 9 && rarely && !fresh.empty()) {
        lake_.Write(fresh.back(), {fmt::format("x-again-{}", step)});
      } else if (dice == 10 && rarely && !lake_.table.empty()) {
        lake_.table.erase(lake_.table.begin());
      } else if (dice == 11) {
        const std::string how = Refreshed();
        ++(how == "full" ? full : how == "nothing" ? nothing : incremental);
        if (Output() != Expected()) return;  // said above
      }
    }
    forgetful_->forgets = nullptr;
    Refreshed();
    // Compacted without end, so that the next history begins with little.
    for (const std::string& key : lake_.Sources()) lake_.Delete(key);
    lake_.table.clear();
  }
  EXPECT_GT(incremental, 20u);
  EXPECT_GT(nothing, 5u);
  EXPECT_GT(full, 5u);
}

}  // namespace
}  // namespace varve::view

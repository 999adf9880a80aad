// What becomes of announced files: each file's bytes once, late ones later, none lost.
#include <gtest/gtest.h>

#include "windows.h"

namespace varve::compact {
namespace {

class WindowTrackerTest : public ::testing::Test {
 protected:
  WindowTrackerTest() {
    WindowOptions options;
    options.min_files = 1;
    options.concurrency_max = 10;
    options.sources_max = 5;
    options.bytes_max = 1'000'000;
    windows_ = std::make_unique<Windows>(":memory:", clock_, options);
  }
  void Over() { clock_.AdvanceMs(2 * kWindowMs); }

  ManualClock clock_{kTen};
  std::unique_ptr<Windows> windows_;
  const std::string key_ = "data/users/1795255200001-w1-0.parquet";
  const Arrival file_ = FileOf("users", kTen + 1, "w1", 0);
};

TEST_F(WindowTrackerTest, AnAnnouncementThatComesAgainChangesNothing) {
  EXPECT_EQ(windows_->Note({file_, file_}).added, 1u);
  EXPECT_EQ(windows_->Note({file_}).known, 1u);
  EXPECT_EQ(windows_->StatusOf("users").pending_files, 1u);
  Over();
  const std::string id = windows_->Dispatch()->window.workflow_id;
  EXPECT_EQ(windows_->Note({file_}).known, 1u);
  windows_->SettleAll(id);
  EXPECT_EQ(windows_->Note({file_}).already_compacted, 1u);
  windows_->End(id);
  EXPECT_EQ(windows_->Note({file_}).already_compacted, 1u);
  EXPECT_EQ(windows_->StatusOf("users").windows_total, 0u);
  EXPECT_EQ(windows_->ViewOf(key_, "e1").standing, SourceStanding::kCompacted);
  EXPECT_EQ(windows_->ViewOf(key_, "e1").workflow_id, id);
  EXPECT_EQ(windows_->ViewOf(key_, "e2").standing, SourceStanding::kUnknown);
}

TEST_F(WindowTrackerTest, OtherBytesTakeThePlaceOfThoseThatWait) {
  windows_->Note({file_});
  const NoteCounts counts = windows_->Note({FileOf("users", kTen + 1, "w1", 0, "e2", 2'500)});
  EXPECT_EQ(counts.replaced, 1u);
  const NamespaceStatus status = windows_->StatusOf("users");
  EXPECT_EQ(status.pending_files, 1u);
  EXPECT_EQ(status.pending_bytes, 2'500u);
  windows_->Note({file_});  // an old message
  EXPECT_EQ(windows_->ViewOf(key_, "e2").standing, SourceStanding::kPending);
  EXPECT_EQ(windows_->ViewOf(key_, "e1").standing, SourceStanding::kChanged);
}

TEST_F(WindowTrackerTest, BytesThatComeBackAreTakenOnceTheStoreSaysSo) {
  windows_->Note({file_});
  windows_->Note({FileOf("users", kTen + 1, "w1", 0, "e2")});
  windows_->Note({file_});
  const auto asked = windows_->tracker->Rechecks(10).value();
  ASSERT_EQ(asked, (std::vector<SourceId>{{key_, "e1"}}));
  Arrival there = file_;
  there.current = true;
  ASSERT_TRUE(windows_->tracker->Recheck(asked[0], there).ok());
  EXPECT_EQ(windows_->ViewOf(key_, "e1").standing, SourceStanding::kPending);
  EXPECT_EQ(windows_->ViewOf(key_, "e2").standing, SourceStanding::kChanged);
  EXPECT_EQ(windows_->StatusOf("users").pending_files, 1u);
  EXPECT_TRUE(windows_->tracker->Rechecks(10)->empty());
}

TEST_F(WindowTrackerTest, AFileThatIsDeletedBeforeItIsTakenIsForgotten) {
  windows_->Note({file_, FileOf("users", kTen + 1, "w1", 1)});
  Arrival gone = file_;
  gone.gone = true;
  EXPECT_EQ(windows_->Note({gone}).removed, 1u);
  EXPECT_EQ(windows_->StatusOf("users").pending_files, 1u);
  gone = FileOf("users", kTen + 1, "w1", 1);
  gone.gone = true;
  windows_->Note({gone});
  EXPECT_EQ(windows_->StatusOf("users").windows_total, 0u);
  EXPECT_EQ(windows_->Note({file_}).late, 0u);
  Over();
  const std::string id = windows_->Dispatch()->window.workflow_id;
  windows_->SettleAll(id);
  gone = file_;
  gone.gone = true;
  EXPECT_EQ(windows_->Note({gone}).removed, 0u);
  EXPECT_EQ(windows_->ViewOf(key_, "e1").standing, SourceStanding::kCompacted);
}

TEST_F(WindowTrackerTest, ALateFileGoesIntoALaterRoundOfItsWindow) {
  windows_->Note({file_});
  Over();
  const auto first = windows_->Dispatch();
  const Arrival late = FileOf("users", kTen + 2, "w2", 0);
  EXPECT_EQ(windows_->Note({late}).late, 1u);
  NamespaceStatus status = windows_->StatusOf("users");
  ASSERT_EQ(status.windows.size(), 2u);
  EXPECT_EQ(status.windows[1].window.round, 2);
  EXPECT_EQ(status.windows[1].late_files, 1);
  ASSERT_EQ(status.windows[1].holds.size(), 1u) << "the round before it has not committed";
  EXPECT_EQ(status.windows[1].holds[0].kind, HoldKind::kRound);
  EXPECT_FALSE(windows_->Dispatch().has_value());
  windows_->SettleAll(first->window.workflow_id);
  const auto second = windows_->Dispatch();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(windows_->workflows->last.sources[0].key, late.key);
  windows_->End(first->window.workflow_id);
  windows_->SettleAll(second->window.workflow_id);
  windows_->End(second->window.workflow_id);
  windows_->Note({FileOf("users", kTen + 3, "w2", 0)});
  EXPECT_EQ(windows_->StatusOf("users").windows.at(0).window.round, 3);
}

TEST_F(WindowTrackerTest, WhatIsTooMuchForOneWorkflowIsTheNextRound) {
  for (int i = 0; i < 12; ++i) windows_->Note({FileOf("users", kTen + 20 - i, "w", 0)});
  windows_->Note({FileOf("users", kTen + 30, "w", 0, "e", 999'999)});
  Over();
  std::vector<size_t> sizes;
  int64_t last_ms = 0;
  while (const auto dispatched = windows_->Dispatch()) {
    sizes.push_back(windows_->workflows->last.sources.size());
    for (const SourceFile& source : windows_->workflows->last.sources) {
      EXPECT_GT(source.time_ms, last_ms) << "by time";
      last_ms = source.time_ms;
    }
    windows_->SettleAll(dispatched->window.workflow_id);
    windows_->End(dispatched->window.workflow_id);
  }
  EXPECT_EQ(sizes, (std::vector<size_t>{5, 5, 2, 1})) << "the last one is too large beside others";
}

TEST_F(WindowTrackerTest, AStartThatFailsLeavesEverythingAsItWas) {
  windows_->Note({file_});
  Over();
  windows_->workflows->fail_next = true;
  EXPECT_FALSE(windows_->tracker->Dispatch({}, windows_->workflows->Start()).ok());
  EXPECT_EQ(windows_->ViewOf(key_, "e1").standing, SourceStanding::kPending);
  EXPECT_TRUE(windows_->workflows->All().empty());
  EXPECT_TRUE(windows_->Dispatch().has_value());
}

TEST_F(WindowTrackerTest, ACancelledWorkflowGivesItsFilesBackToWaitAgain) {
  windows_->Note({file_});
  Over();
  const std::string id = windows_->Dispatch()->window.workflow_id;
  windows_->Note({FileOf("users", kTen + 2, "w2", 0)});
  windows_->End(id);
  windows_->End(id);
  const NamespaceStatus status = windows_->StatusOf("users");
  ASSERT_EQ(status.windows.size(), 1u) << "with those that came meanwhile";
  EXPECT_EQ(status.pending_files, 2u);
  EXPECT_EQ(status.pending_bytes, 2'000u);
  EXPECT_EQ(status.windows[0].holds.at(0).kind, HoldKind::kPause);
  EXPECT_FALSE(windows_->Dispatch().has_value());
  EXPECT_TRUE(windows_->Dispatch({.ns = "users", .force = true}).has_value());
}

TEST_F(WindowTrackerTest, EachOutcomeLeavesItsMark) {
  for (int i = 0; i < 4; ++i) windows_->Note({FileOf("users", kTen, "w", i)});
  Over();
  const std::string id = windows_->Dispatch()->window.workflow_id;
  const auto sources = windows_->workflows->Of(id);
  ASSERT_EQ(sources.size(), 4u);
  const std::vector<SourceOutcome> outcomes = {
      {sources[0].key, "e1", SourceEnd::kCompacted, ""},
      {sources[1].key, "e1", SourceEnd::kQuarantined, "not Parquet"},
      {sources[2].key, "e1", SourceEnd::kChanged, "other bytes"},
      {sources[3].key, "e1", SourceEnd::kGivenBack, ""}};
  windows_->Settle(id, outcomes);
  windows_->Settle(id, outcomes);  // the step is done again
  windows_->End(id);
  EXPECT_EQ(windows_->ViewOf(sources[0].key, "e1").standing, SourceStanding::kCompacted);
  EXPECT_EQ(windows_->ViewOf(sources[1].key, "e1").standing, SourceStanding::kQuarantined);
  EXPECT_EQ(windows_->ViewOf(sources[2].key, "e1").standing, SourceStanding::kChanged);
  EXPECT_EQ(windows_->ViewOf(sources[3].key, "e1").standing, SourceStanding::kPending);
  EXPECT_EQ(windows_->tracker->Rechecks(10)->size(), 1u);
  const NamespaceStatus status = windows_->StatusOf("users");
  EXPECT_EQ(status.quarantined_files, 1u);
  EXPECT_EQ(status.issues.size(), 1u);
  const CompactionStatus all = ReadStatus(*windows_->tracker, {}).value();
  EXPECT_EQ(all.compacted_files, 1u);
  EXPECT_TRUE(all.bytes_per_second.has_value());
}

TEST_F(WindowTrackerTest, WhatIsQuarantinedIsTriedAgainWhenItIsAskedFor) {
  windows_->Note({FileOf("users", kTen, "w", 0)});
  Over();
  for (int round = 0; round < 2; ++round) {
    const auto dispatched = windows_->Dispatch({.ns = "users", .force = true});
    ASSERT_TRUE(dispatched.has_value()) << round;
    const std::string id = dispatched->window.workflow_id;
    const auto sources = windows_->workflows->Of(id);
    ASSERT_EQ(sources.size(), 1u);
    windows_->Settle(id, {{sources[0].key, "e1", SourceEnd::kQuarantined, "no column ts"}});
    windows_->End(id);
    const NamespaceStatus status = windows_->StatusOf("users");
    ASSERT_EQ(status.quarantined.size(), 1u);
    EXPECT_EQ(status.quarantined[0].key, sources[0].key);
    EXPECT_EQ(status.quarantined[0].why, "no column ts");
    EXPECT_FALSE(windows_->Dispatch({.ns = "users", .force = true}).has_value());
    if (round == 0) {
      ASSERT_TRUE(windows_->tracker->Reconsider({}, "users").ok());
    }
  }
  ASSERT_TRUE(windows_->tracker->Configure({}, "users", R"({"sortBy":"at"})").ok());
  const NamespaceStatus status = windows_->StatusOf("users");
  EXPECT_EQ(status.quarantined_files, 0u);
  EXPECT_EQ(status.pending_files, 1u);
  EXPECT_TRUE(windows_->tracker->Reconsider({}, "unknown").ok());
}

TEST_F(WindowTrackerTest, ManySourcesAreViewedAsFewAre) {
  for (int i = 0; i < 600; i += 2) windows_->Note({FileOf("users", kTen + i, "w", i)});
  Over();
  const std::string id = windows_->Dispatch()->window.workflow_id;
  std::vector<SourceId> sorted;
  for (int i = 0; i < 600; ++i) {
    sorted.push_back({FileOf("users", kTen + i, "w", i).key, i % 4 == 2 ? "other" : "e1"});
  }
  std::sort(sorted.begin(), sorted.end());
  sorted.push_back(sorted.back());
  const auto scanned = windows_->tracker->View(sorted).value();
  for (size_t i = 0; i < sorted.size(); ++i) {
    const SourceView one = windows_->ViewOf(sorted[i].key, sorted[i].etag);
    EXPECT_EQ(scanned[i].standing, one.standing) << sorted[i].key;
    EXPECT_EQ(scanned[i].workflow_id, one.workflow_id) << sorted[i].key;
  }
  EXPECT_EQ(std::count_if(scanned.begin(), scanned.end(),
                          [&](const SourceView& view) { return view.workflow_id == id; }),
            3);  // of five, two are asked about with other bytes
}

TEST_F(WindowTrackerTest, SettledRowsGoWhenTheyAreOldAndTheirObjectsGone) {
  windows_->Note({file_, FileOf("users", kTen + 1, "w1", 1)});
  Over();
  const std::string id = windows_->Dispatch()->window.workflow_id;
  windows_->SettleAll(id);
  windows_->End(id);
  EXPECT_TRUE(windows_->tracker->Prunable(10)->empty());
  clock_.AdvanceMs(7 * 24 * kWindowMs + 1);
  auto old = windows_->tracker->Prunable(10).value();
  ASSERT_EQ(old.size(), 2u);
  ASSERT_TRUE(windows_->tracker->Prune(std::span(old).first(1), std::span(old).last(1)).ok());
  ASSERT_TRUE(windows_->tracker->PruneWindows().ok());
  EXPECT_TRUE(windows_->tracker->Prunable(10)->empty());
  EXPECT_EQ(windows_->ViewOf(old[0].key, "e1").standing, SourceStanding::kUnknown);
  EXPECT_EQ(windows_->ViewOf(old[1].key, "e1").standing, SourceStanding::kCompacted);
  EXPECT_TRUE(windows_->StatusOf("users").known_writers.empty());
}

TEST_F(WindowTrackerTest, SettingsAreCheckedWholeAndKept) {
  const NamespaceId none;
  WindowTracker& tracker = *windows_->tracker;
  for (const char* bad :
       {"[]", "7", R"({"priority":4})", R"({"priority":-1})", R"({"priority":"1"})",
        R"({"priority":1.5})", R"({"targetFormat":"hudi"})", R"({"partitionBy":"week"})",
        R"({"compression":"rar"})", R"({"minFilesToCompact":0})", R"({"deleteSources":1})",
        R"({"maxWaitTimeMs":-1})", R"({"maxWaitTimeMs":86400001})", R"({"sortBy":"a,,b"})",
        R"({"nonsense":1})", R"({"priority":1,"sortBy":7})"}) {
    const auto refused = tracker.Configure(none, "users", bad);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid) << bad;
  }
  EXPECT_EQ(ToJson(tracker.Overrides(none, "users").value()), "{}");
  ASSERT_TRUE(tracker
                  .Configure(none, "users",
                             R"({"priority":0,"targetFormat":"iceberg+delta","sortBy":"ts, id desc",
                                 "partitionBy":"day","compression":"zstd:9"})")
                  .ok());
  EXPECT_EQ(windows_->StatusOf("users").settings.wait_ms, 60'000u);
  ASSERT_TRUE(tracker.Configure(none, "users", R"({"maxWaitTimeMs":1500})").ok());
  EXPECT_EQ(windows_->StatusOf("users").settings.wait_ms, 1500u);
  ASSERT_TRUE(tracker.Configure(none, "users", R"({"maxWaitTimeMs":null})").ok());
  ASSERT_TRUE(tracker.Configure(none, "users", R"({"priority":null})").ok());
  EXPECT_EQ(ToJson(tracker.Overrides(none, "users").value()),
            R"({"targetFormat":"iceberg+delta","sortBy":"ts, id desc","partitionBy":"day",)"
            R"("compression":"zstd:9"})");
  windows_->Note({file_});
  Over();
  ASSERT_TRUE(windows_->Dispatch().has_value());
  const CompactionSettings& settings = windows_->workflows->last.settings;
  EXPECT_TRUE(settings.target.tables.iceberg && settings.target.tables.delta);
  EXPECT_TRUE(settings.sort_by.at(1).descending);
}

TEST(WindowStates, OnlyTheKnownChangesApply) {
  using Kind = WindowChange::Kind;
  const std::map<std::pair<WindowState, Kind>, WindowState> allowed = {
      {{WindowState::kPending, Kind::kTake}, WindowState::kProcessing},
      {{WindowState::kProcessing, Kind::kConfirm}, WindowState::kDispatched},
      {{WindowState::kProcessing, Kind::kGiveBack}, WindowState::kPending},
      {{WindowState::kDispatched, Kind::kGiveBack}, WindowState::kPending},
      {{WindowState::kDispatched, Kind::kFinish}, WindowState::kGone}};
  for (int s = 0; s < 4; ++s) {
    for (int k = 0; k < 4; ++k) {
      Window window;
      window.state = static_cast<WindowState>(s);
      const auto kind = static_cast<Kind>(k);
      const auto found = allowed.find({window.state, kind});
      const Status applied = Apply(window, {.kind = kind, .now_ms = 5});
      ASSERT_EQ(applied.ok(), found != allowed.end()) << s << " " << k;
      if (applied.ok()) {
        EXPECT_EQ(window.state, found->second);
      } else {
        EXPECT_EQ(applied.error().code, "INVALID_TRANSITION");
        EXPECT_EQ(applied.error().kind, ErrorKind::kConflict);
        EXPECT_EQ(window.state, static_cast<WindowState>(s));
      }
    }
  }
  Window window;
  window.state = WindowState::kDispatched;
  window.workflow_id = "w1";
  EXPECT_EQ(Apply(window, {.kind = Kind::kFinish, .workflow_id = "w2"}).error().code,
            "WORKFLOW_MISMATCH");
}

}  // namespace
}  // namespace varve::compact

// When a view is refreshed, whose changes a refresh has, and what a crash at any step leaves.
#include "lab.h"

namespace varve::view {
namespace {

using RefreshTest = ViewLab;

TEST_F(RefreshTest, AStreamingViewIsRefreshedOnceItsTableWasQuiet) {
  lake_.Append({"x1", "y1"});
  Make();
  EXPECT_EQ(Dispatch(), 0u);
  clock_.AdvanceMs(1'000);
  EXPECT_EQ(Dispatch(), 1u);
  EXPECT_EQ(StateOf(Now()), "dispatched");
  RunAll();
  EXPECT_EQ(StateOf(Now()), "idle");
  EXPECT_EQ(Output(), (Rows{"x1"}));

  for (int i = 0; i < 3; ++i) {
    Tell(lake_.Append({fmt::format("x-later-{}", i)}));
    clock_.AdvanceMs(900);
    EXPECT_EQ(Dispatch(), 0u) << "not quiet yet";
  }
  EXPECT_EQ(Now().changes, 3u);
  EXPECT_EQ(StateOf(Now()), "pending");
  EXPECT_EQ(DueAt(Now()), clock_.NowMs() + 100);
  EXPECT_EQ(views_->NextDue(), clock_.NowMs() + 100);
  clock_.AdvanceMs(100);
  EXPECT_EQ(Dispatch(), 1u) << "no further message is needed";
  RunAll();
  EXPECT_EQ(Output(), Expected());
  EXPECT_EQ(Now().refreshes, 2u);
  EXPECT_EQ(Now().changes, 0u);
}

TEST_F(RefreshTest, ATableThatIsNeverQuietIsWaitedForSoLong) {
  lake_.Append({"x"});
  Make(R"(,"debounceMs":1000,"maxWaitMs":3000)");
  clock_.AdvanceMs(1'000);
  Dispatch();
  RunAll();
  const int64_t first = clock_.NowMs();
  while (Dispatch() == 0) {
    Tell(lake_.Append({"x"}));
    clock_.AdvanceMs(500);
    ASSERT_LE(clock_.NowMs(), first + 3'000);
  }
  EXPECT_EQ(clock_.NowMs(), first + 3'000);
  RunAll();
  EXPECT_EQ(Output(), Expected());
}

TEST_F(RefreshTest, ChangesDuringARefreshAreTheNextOnes) {
  lake_.Append({"x1"});
  Make();
  clock_.AdvanceMs(1'000);
  EXPECT_EQ(Dispatch(), 1u);
  // Its statement has read the lake when they come.
  lake_.during = [this] {
    lake_.during = nullptr;
    EXPECT_EQ(StateOf(Now()), "processing");
    Tell(lake_.Append({"x2"}));
    EXPECT_EQ(Dispatch(), 0u) << "one at a time";
    const auto second = service_->Refresh(NamespaceId(), "v", false);
    EXPECT_EQ(second.error().code, "ALREADY_RUNNING");
    EXPECT_EQ(second.error().kind, ErrorKind::kConflict);
  };
  RunAll();
  EXPECT_EQ(Output(), (Rows{"x1"}));
  EXPECT_EQ(Now().changes, 1u);
  EXPECT_EQ(StateOf(Now()), "pending");
  clock_.AdvanceMs(1'000);
  EXPECT_EQ(Dispatch(), 1u);
  RunAll();
  EXPECT_EQ(Output(), (Rows{"x1", "x2"}));
}

TEST_F(RefreshTest, AFailedRefreshKeepsTheOutputAndItsChangesWait) {
  Tell(lake_.Append({"x1"}));
  Make();
  clock_.AdvanceMs(1'000);
  Dispatch();
  RunAll();
  const std::string etag = store_.Head("_views/v/data.parquet")->etag;
  Tell(lake_.Append({"x2"}));
  clock_.AdvanceMs(1'000);
  lake_.fail = MakeError(ErrorKind::kInvalid, "SQL_ERROR", "Binder Error: no column");
  for (uint64_t failures = 1; failures <= 3; ++failures) {
    EXPECT_EQ(Dispatch(), 1u);
    RunAll();
    EXPECT_EQ(Now().failures, failures);
    EXPECT_EQ(Now().error_code, "SQL_ERROR");
    EXPECT_EQ(Now().changes, 1u);
    EXPECT_EQ(Now().not_before_ms, clock_.NowMs() + (10'000 << (failures - 1)));
    clock_.AdvanceMs((10'000 << (failures - 1)) - 1);
    EXPECT_EQ(Dispatch(), 0u);
    clock_.AdvanceMs(1);
  }
  EXPECT_EQ(store_.Head("_views/v/data.parquet")->etag, etag);
  lake_.fail.reset();
  EXPECT_EQ(Dispatch(), 1u);
  RunAll();
  EXPECT_EQ(Output(), Expected());
  EXPECT_EQ(Now().failures, 0u);
  EXPECT_TRUE(Now().error.empty());
}

TEST_F(RefreshTest, ACancelledRefreshLeavesNothingAndItsChangesWait) {
  lake_.Append({"x1"});
  Make();
  clock_.AdvanceMs(1'000);
  Dispatch();
  const std::string id = Now().workflow_id;
  ASSERT_TRUE(engine_->RunOnce().value());  // plan
  ASSERT_TRUE(engine_->RunOnce().value());  // run
  ASSERT_TRUE(workflows_->Operate(id, workflow::Operation::kCancel).ok());
  RunAll();
  EXPECT_EQ(workflows_->Get(id)->state, workflow::WorkflowState::kCancelled);
  EXPECT_FALSE(HasOutput());
  EXPECT_TRUE(store::ListAll(store_, "_views/").value().empty());
  EXPECT_EQ(StateOf(Now()), "pending");
  clock_.AdvanceMs(10'000);
  EXPECT_EQ(Dispatch(), 1u);
  RunAll();
  EXPECT_EQ(Output(), Expected());
}

TEST_F(RefreshTest, ARefreshWhoseProcessEndedAfterAnyStepGoesOn) {
  for (const std::string lost : {"plan", "run", "publish", "done"}) {
    for (const char* refresh : {"full", "incremental"}) {
      SCOPED_TRACE(lost + " of a refresh that is " + refresh);
      Make(fmt::format(R"(,"refresh":"{}")", refresh));
      RefreshNow();
      lake_.Append({"x" + lost, "x" + lost});
      int times = 2;
      forgetful_->forgets = [&](std::string_view step) { return step == lost && times-- > 0; };
      RefreshNow();
      forgetful_->forgets = nullptr;
      EXPECT_LT(times, 1);
      EXPECT_EQ(Output(), Expected());
      EXPECT_EQ(StateOf(Now()) == "processing", false);
      EXPECT_EQ(store_.Head("_views/v/data.parquet")->etag, Now().output->etag);
      EXPECT_EQ(store_.Head(GenerationKey(Now(), Now().output->workflow_id))->etag,
                Now().output->etag);
    }
  }
}

TEST_F(RefreshTest, AStatementThatIsReplacedDuringARefreshIsTheOneThatIsPublished) {
  lake_.Append({"x1", "y1"});
  Make();
  lake_.during = [this] {
    lake_.during = nullptr;
    Make("", "y");
  };
  RefreshNow();
  EXPECT_EQ(Output(), (Rows{"y1"}));
  EXPECT_EQ(Now().revision, 2);
}

TEST_F(RefreshTest, ADroppedViewLeavesNothing) {
  lake_.Append({"x1"});
  Make();
  RefreshNow();
  ASSERT_TRUE(service_->Drop(NamespaceId(), "v").ok());
  EXPECT_TRUE(store::ListAll(store_, "_views/").value().empty());
  EXPECT_EQ(views_->Get(NamespaceId(), "v").error().code, "VIEW_NOT_FOUND");
  EXPECT_EQ(service_->Drop(NamespaceId(), "v").error().code, "VIEW_NOT_FOUND");
  EXPECT_EQ(service_->Refresh(NamespaceId(), "v", false).error().code, "VIEW_NOT_FOUND");

  Make();
  lake_.during = [this] {
    ASSERT_TRUE(service_->Drop(NamespaceId(), "v").ok());
    EXPECT_EQ(service_->Register(NamespaceId(), R"({"name":"v","sql":"x"})").error().code,
              "VIEW_BUSY");
  };
  RefreshNow();
  RunAll();
  EXPECT_TRUE(store::ListAll(store_, "_views/").value().empty());
  lake_.during = nullptr;
  Make();
  RefreshNow();
  EXPECT_EQ(Output(), Expected());
}

TEST_F(RefreshTest, ReplacedGenerationsAreKeptForTheirReaders) {
  lake_.Append({"x1"});
  Make();
  std::vector<std::string> generations;
  for (int i = 0; i < 3; ++i) generations.push_back(GenerationKey(Now(), RefreshNow()));
  for (const std::string& key : generations) EXPECT_TRUE(store_.Head(key).ok());
  clock_.AdvanceMs(60'000);
  RefreshNow();
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(store_.Head(generations[i]).ok());
  EXPECT_TRUE(store_.Head(generations[2]).ok()) << "it was just replaced";
}

TEST_F(RefreshTest, ARefreshWaitsWhereTooManyGenerationsAreKept) {
  lake_.Append({"x1"});
  Make();
  for (int i = 0; i < 21; ++i) RefreshNow();
  lake_.Append({"x2"});
  const std::string id = RefreshNow();
  EXPECT_EQ(workflows_->Get(id)->step, "plan");
  EXPECT_EQ(Output(), (Rows{"x1"}));
  clock_.AdvanceMs(60'000);
  RunAll();
  EXPECT_EQ(Output(), Expected());
  EXPECT_LE(store::ListAll(store_, "_views/v/generations/").value().size(), 2u);
}

TEST_F(RefreshTest, AMessageIsAckedWithItsNoteAndNonsenseIsADeadLetter) {
  Make();
  const std::string key = lake_.Append({"x"});
  lake_.Compact({key});
  lake_.Delete(key);
  Tell(key, "DeleteObject");
  EXPECT_EQ(Now().changes, 0u) << "its rows are there as before";
  Tell("data/users/export.parquet.tmp", "DeleteObject");
  ASSERT_TRUE(queue_->Send(kViewQueue, R"({"hello":1})", {}).ok());
  ASSERT_TRUE(service_->TakeOnce().ok());
  EXPECT_EQ(queue_->Stats(kViewQueue)->backlog, 0u);
  EXPECT_EQ(queue_->Stats("dead")->backlog, 1u);
}

TEST_F(RefreshTest, AScheduledViewIsDueByTheClockAndAManualOneNever) {
  lake_.Append({"x"});
  Make(R"(,"mode":"scheduled","intervalMs":60000)");
  EXPECT_EQ(Dispatch(), 1u);
  RunAll();
  Tell(lake_.Append({"x"}));
  EXPECT_EQ(Dispatch(), 0u);
  clock_.AdvanceMs(60'000);
  EXPECT_EQ(Dispatch(), 1u);
  RunAll();
  EXPECT_EQ(Output().size(), 2u);
  Make(R"(,"mode":"manual")");
  clock_.AdvanceMs(600'000);
  EXPECT_EQ(Dispatch(), 0u);
}

}  // namespace
}  // namespace varve::view

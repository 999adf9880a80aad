#include "workflow/engine.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

namespace varve::workflow {
namespace {

// Steps a, b, c; each does what the test has laid down for it.
class Abc : public Definition {
 public:
  std::string_view kind() const override { return "abc"; }
  std::string_view first_step() const override { return "a"; }
  Result<Next> Run(std::string_view step, StepRun& run) override {
    ran.emplace_back(step);
    if (!shows.empty()) run.report(shows);
    if (during) during();
    auto& errors = failures[std::string(step)];
    if (!errors.empty()) {
      Error error = errors.front();
      errors.pop_front();
      return error;
    }
    run.data_json = R"({"last":")" + std::string(step) + R"("})";
    run.detail_json = R"({"rows":1})";
    if (with_end) run.with_end = with_end;
    if (step == "a") return Next{"b", pause_ms};
    if (step == "b") return Next{"c"};
    return Next{};
  }
  Status Undo(std::string_view step, StepRun&) override {
    undone.emplace_back(step);
    if (step == "c") return MakeError(ErrorKind::kConflict, "it is committed");
    return {};
  }

  std::vector<std::string> ran, undone;
  std::map<std::string, std::deque<Error>> failures;
  std::function<void()> during;
  std::function<Status(state::Session&)> with_end;
  uint64_t pause_ms = 0;
  std::string shows;  // of a step that runs
};

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() {
    database_ = state::Database::Open(":memory:").value();
    store_ = WorkflowStore::Open(*database_, clock_, *random_, 3).value();
    NewEngine();
  }
  void NewEngine() {
    engine_ =
        Engine::Open({.attempts_max = 3, .retry_min_ms = 100, .retry_max_ms = 150, .report_ms = 0},
                     *store_, {&abc_}, clock_)
            .value();
  }
  std::string Make() { return store_->Create("abc", "thing", R"({"x":1})", "a").value(); }
  int RunAll() {
    int steps = 0;
    while (engine_->RunOnce().value()) ++steps;
    return steps;
  }
  Workflow Get(const std::string& id) { return store_->Get(id).value(); }

  ManualClock clock_{1'700'000'000'000};
  std::unique_ptr<Random> random_ = SeededRandom(7);
  std::unique_ptr<state::Database> database_;
  std::unique_ptr<WorkflowStore> store_;
  Abc abc_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, RunsItsStepsInOrderAndKeepsWhatTheyFound) {
  const std::string id = Make();
  EXPECT_EQ(RunAll(), 3);
  EXPECT_EQ(abc_.ran, (std::vector<std::string>{"a", "b", "c"}));
  const Workflow workflow = Get(id);
  EXPECT_EQ(workflow.state, WorkflowState::kSucceeded);
  EXPECT_EQ(workflow.data_json, R"({"last":"c"})");
  EXPECT_EQ(workflow.params_json, R"({"x":1})");
  const auto steps = store_->Steps(id).value();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[1].step, "b");
  EXPECT_EQ(steps[1].attempts, 1u);
  EXPECT_EQ(steps[1].detail_json, R"({"rows":1})");
  EXPECT_GT(steps[1].ended_ms, 0);
}

TEST_F(EngineTest, AStepIsShownWhileItRunsAndEndsInTheSameRecord) {
  const std::string id = Make();
  std::vector<StepRecord> seen;
  abc_.shows = R"({"rows":5})";
  abc_.during = [&] { seen.push_back(store_->Steps(id).value().back()); };
  clock_.AdvanceMs(1);
  RunAll();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1].step, "b");
  EXPECT_EQ(seen[1].ended_ms, 0);
  EXPECT_EQ(seen[1].detail_json, R"({"rows":5})");
  const auto steps = store_->Steps(id).value();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_GT(steps[1].ended_ms, 0);
  EXPECT_EQ(steps[1].detail_json, R"({"rows":1})");
}

TEST_F(EngineTest, AFailedStepIsTriedAgainAfterAPauseThatDoubles) {
  abc_.failures["b"] = {MakeError(ErrorKind::kRetryable, "one"),
                        MakeError(ErrorKind::kUnknown, "two")};
  const std::string id = Make();
  EXPECT_EQ(RunAll(), 2);
  EXPECT_EQ(Get(id).error, "one");
  EXPECT_EQ(Get(id).next_ms, clock_.NowMs() + 100);
  clock_.AdvanceMs(100);
  EXPECT_EQ(RunAll(), 1);
  EXPECT_EQ(Get(id).next_ms, clock_.NowMs() + 150);
  clock_.AdvanceMs(150);
  EXPECT_EQ(RunAll(), 2);
  EXPECT_EQ(Get(id).state, WorkflowState::kSucceeded);
  EXPECT_EQ(Get(id).error, "");
  const auto steps = store_->Steps(id).value();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[1].attempts, 3u);
  EXPECT_EQ(steps[1].error, "two");
}

TEST_F(EngineTest, TooManyFailuresAndFinalErrorsEndItUntilItIsTriedAgain) {
  for (int i = 0; i < 3; ++i) {
    abc_.failures["a"].push_back(MakeError(ErrorKind::kRetryable, "again"));
  }
  const std::string id = Make();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(RunAll(), 1);
    clock_.AdvanceMs(1000);
  }
  EXPECT_EQ(Get(id).state, WorkflowState::kFailed);
  EXPECT_EQ(RunAll(), 0);
  abc_.failures["b"] = {MakeError(ErrorKind::kCorrupt, "BAD_FILE", "a file is damaged")};
  EXPECT_EQ(store_->Operate(id, Operation::kRetry).value().state, WorkflowState::kActive);
  EXPECT_EQ(RunAll(), 2);
  EXPECT_EQ(Get(id).state, WorkflowState::kFailed);
  EXPECT_EQ(Get(id).error_code, "BAD_FILE");
  EXPECT_EQ(Get(id).step, "b");
}

TEST_F(EngineTest, APauseBetweenStepsIsKept) {
  abc_.pause_ms = 5000;
  Make();
  EXPECT_EQ(RunAll(), 1);
  clock_.AdvanceMs(4999);
  EXPECT_EQ(RunAll(), 0);
  clock_.AdvanceMs(1);
  EXPECT_EQ(RunAll(), 2);
}

TEST_F(EngineTest, AnEarlierEnginesWorkflowGoesOnAndTheEarlierOneWritesNothing) {
  const std::string id = Make();
  const int64_t old_epoch = store_->NewEpoch().value();
  Workflow taken = store_->Take(old_epoch).value().value();  // and then its process is silent
  NewEngine();
  EXPECT_EQ(RunAll(), 3);
  Workflow after = taken;
  after.step = "nonsense";
  const Status late = store_->Save(old_epoch, taken, after, {.step = "a"});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, "WORKFLOW_LOST");
  EXPECT_EQ(Get(id).state, WorkflowState::kSucceeded);
}

TEST_F(EngineTest, WhatIsDoneWithAStepsEndIsOneTransactionWithIt) {
  ASSERT_TRUE(
      database_->Run([](state::Session& s) { return s.Execute("CREATE TABLE t (x)"); }).ok());
  abc_.with_end = [](state::Session& session) -> Status {
    TRY(session.Execute("INSERT INTO t VALUES (1)"));
    return MakeError(ErrorKind::kInternal, "no");
  };
  const std::string id = Make();
  EXPECT_FALSE(engine_->RunOnce().ok());
  EXPECT_EQ(Get(id).step, "a");
  int64_t rows = -1;
  ASSERT_TRUE(database_
                  ->Run([&](state::Session& s) {
                    return s.Query("SELECT count(*) FROM t", std::span<const state::Value>(),
                                   [&](const state::Row& row) {
                                     rows = row.Int(0);
                                     return false;
                                   });
                  })
                  .ok());
  EXPECT_EQ(rows, 0);
}

TEST_F(EngineTest, PauseAndCancelDuringAStepStandWhenItHasEnded) {
  const std::string id = Make();
  abc_.during = [&] {
    if (abc_.ran.size() == 1) (void)store_->Operate(id, Operation::kPause);
  };
  EXPECT_EQ(RunAll(), 1);
  EXPECT_EQ(Get(id).state, WorkflowState::kPaused);
  EXPECT_EQ(Get(id).step, "b");
  EXPECT_TRUE(store_->Operate(id, Operation::kResume).ok());
  abc_.during = [&] { (void)store_->Operate(id, Operation::kCancel); };
  EXPECT_EQ(RunAll(), 3);  // b; to undo it, refused before c; c, which ends it
  EXPECT_EQ(abc_.undone, (std::vector<std::string>{"c"}));
  EXPECT_EQ(Get(id).state, WorkflowState::kSucceeded);
}

TEST_F(EngineTest, ACancelledWorkflowIsUndone) {
  const std::string id = Make();
  ASSERT_TRUE(engine_->RunOnce().value());
  EXPECT_EQ(store_->Operate(id, Operation::kCancel).value().state, WorkflowState::kCancelling);
  EXPECT_EQ(RunAll(), 1);
  EXPECT_EQ(abc_.undone, (std::vector<std::string>{"b"}));
  EXPECT_EQ(Get(id).state, WorkflowState::kCancelled);
  const auto refused = store_->Operate(id, Operation::kPause);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "WORKFLOW_STATE");
}

TEST_F(EngineTest, AnUnknownKindFailsByName) {
  const std::string id = store_->Create("xyz", "thing", "{}", "a").value();
  EXPECT_EQ(RunAll(), 1);
  EXPECT_EQ(Get(id).error_code, "WORKFLOW_KIND");
}

TEST_F(EngineTest, EndedWorkflowsAreBoundedAndFailedOnesStayLongest) {
  abc_.failures["a"] = {MakeError(ErrorKind::kInvalid, "no")};
  const std::string failed = Make();
  RunAll();
  std::vector<std::string> others;
  for (int i = 0; i < 5; ++i) {
    clock_.AdvanceMs(1);
    others.push_back(Make());
    RunAll();
  }
  EXPECT_EQ(store_->List({}).value().size(), 3u);
  EXPECT_EQ(Get(failed).state, WorkflowState::kFailed);
  EXPECT_EQ(store_->Get(others[0]).error().code, "WORKFLOW_NOT_FOUND");
  EXPECT_EQ(store_->Counts().value().succeeded, 2u);
}

TEST_F(EngineTest, ListsArePagedAndFiltered) {
  for (int i = 0; i < 3; ++i) Make();
  ListFilter filter{.rows_max = 2};
  const auto first = store_->List(filter).value();
  ASSERT_EQ(first.size(), 2u);
  filter.before = first.back().id;
  EXPECT_EQ(store_->List(filter).value().size(), 1u);
  EXPECT_EQ(store_->List({.kind = "xyz"}).value().size(), 0u);
  EXPECT_EQ(store_->List({.state = WorkflowState::kActive}).value().size(), 3u);
}

TEST_F(EngineTest, ThreadsRunWhatComes) {
  auto system_store = WorkflowStore::Open(*database_, SystemClock(), SystemRandom()).value();
  Abc abc;
  auto engine = Engine::Open({.threads = 2}, *system_store, {&abc}, SystemClock()).value();
  std::mutex mutex;
  std::condition_variable done;
  int ended = 0;
  abc.during = [&] {
    const std::lock_guard lock(mutex);
    ++ended;
    done.notify_all();
  };
  engine->Start();
  ASSERT_TRUE(system_store->Create("abc", "thing", "{}", "c").ok());
  engine->Wake();
  std::unique_lock lock(mutex);
  EXPECT_TRUE(done.wait_for(lock, std::chrono::seconds(30), [&] { return ended == 1; }));
  lock.unlock();
  engine->Stop();
}

TEST(WorkflowState, EveryNameIsReadBack) {
  for (const auto state :
       {WorkflowState::kActive, WorkflowState::kPaused, WorkflowState::kCancelling,
        WorkflowState::kSucceeded, WorkflowState::kFailed, WorkflowState::kCancelled}) {
    EXPECT_EQ(ParseWorkflowState(ToString(state)), state);
  }
  EXPECT_FALSE(ParseWorkflowState("gone").has_value());
}

}  // namespace
}  // namespace varve::workflow

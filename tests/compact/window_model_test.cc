// The tracker beside a simple model, under any order of announcements, duplicates, replacements,
// deletions, late files, workflows that succeed, fail half-way or are cancelled, and reopened
// databases; several at once on one database; a process that dies inside its transactions.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "core/crash_point.h"
#include "temp_dir.h"
#include "windows.h"

namespace varve::compact {
namespace {

using Standing = SourceStanding;
using Key = std::pair<std::string, std::string>;  // key, etag

struct ModelSource {
  Standing standing = Standing::kUnknown;
  std::string workflow;
};

class Model {
 public:
  void Note(const Arrival& a) {
    ModelSource& source = sources[{a.key, a.etag}];
    const bool fresh = source.standing == Standing::kUnknown;
    const bool revived = source.standing == Standing::kChanged && a.current;
    if (!fresh && !revived) return;
    for (auto& [key, other] : sources) {
      if (key.first == a.key && key.second != a.etag && other.standing == Standing::kPending) {
        other.standing = Standing::kChanged;
      }
    }
    source = {Standing::kPending, ""};
  }
  void Delete(const std::string& name) {
    for (auto& [key, source] : sources) {
      const bool stays =
          source.standing == Standing::kTaken || source.standing == Standing::kCompacted;
      if (key.first == name && !stays) source = {};
    }
  }
  void Take(const SourceId& id, const std::string& workflow) {
    ModelSource& source = sources[{id.key, id.etag}];
    EXPECT_EQ(source.standing, Standing::kPending) << id.key;
    source = {Standing::kTaken, workflow};
  }
  void Settle(const SourceOutcome& outcome, const std::string& workflow) {
    ModelSource& source = sources[{outcome.key, outcome.etag}];
    if (source.standing != Standing::kTaken || source.workflow != workflow) return;
    if (outcome.end == SourceEnd::kCompacted) source.standing = Standing::kCompacted;
    if (outcome.end == SourceEnd::kQuarantined) source.standing = Standing::kQuarantined;
    if (outcome.end == SourceEnd::kChanged) source.standing = Standing::kChanged;
  }
  void End(const std::string& workflow) {
    for (auto& [key, source] : sources) {
      if (source.standing != Standing::kTaken || source.workflow != workflow) continue;
      source = {OtherBytesWait(key) ? Standing::kChanged : Standing::kPending, ""};
    }
  }
  bool OtherBytesWait(const Key& key) const {
    return std::any_of(sources.begin(), sources.end(), [&](const auto& other) {
      return other.first.first == key.first && other.first.second != key.second &&
             other.second.standing == Standing::kPending;
    });
  }
  std::map<Key, ModelSource> sources;
};

// What must hold of the tables at any moment.
void ExpectConsistent(Windows& windows) {
  const Status read = windows.database->Run([&](state::Session& session) -> Status {
    int64_t faults = 0;
    const auto count = [&](std::string_view sql) {
      return session.Query(sql, {}, [&](const state::Row& row) {
        faults += row.Int(0);
        if (row.Int(0) != 0) ADD_FAILURE() << sql;
        return true;
      });
    };
    TRY(
        count("SELECT count(*) FROM windows w WHERE state = 'pending' AND (files, bytes) <>"
              " (SELECT count(*), COALESCE(sum(size), 0) FROM window_sources s"
              "  WHERE s.state = 'pending' AND s.ns_id = w.ns_id AND s.start_ms = w.start_ms)"));
    TRY(
        count("SELECT count(*) FROM window_sources s WHERE state = 'pending' AND NOT EXISTS"
              " (SELECT 1 FROM windows w WHERE w.state = 'pending' AND w.ns_id = s.ns_id"
              "  AND w.start_ms = s.start_ms)"));
    TRY(
        count("SELECT count(*) FROM window_sources s WHERE state = 'taken' AND NOT EXISTS"
              " (SELECT 1 FROM windows w WHERE w.state = 'dispatched'"
              "  AND w.workflow_id = s.workflow_id)"));
    TRY(count("SELECT count(*) FROM windows WHERE state = 'processing' OR files < 1"));
    return count(
        "SELECT count(*) FROM (SELECT key FROM window_sources WHERE state = 'pending'"
        " GROUP BY key HAVING count(*) > 1)");
  });
  EXPECT_TRUE(read.ok());
}

class Walk {
 public:
  Walk(const std::string& path, uint64_t seed) : path_(path), random_(SeededRandom(seed)) {
    options_.min_files = 1;
    options_.concurrency_max = 3;
    options_.sources_max = 4;
    Reopen();
  }

  void Step() {
    switch (random_->Below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return Note();
      case 5:
        return Delete();
      case 6:
      case 7:
        return Dispatch();
      case 8:
      case 9:
        return Settle();
      case 10:
        return End();
      default:
        clock_.AdvanceMs(static_cast<int64_t>(random_->Below(30 * kMinute)));
        if (random_->Below(5) == 0) Reopen();
    }
  }

  void Check() {
    std::vector<SourceId> asked;
    for (const auto& [key, source] : model_.sources) asked.push_back({key.first, key.second});
    const auto views = windows_->tracker->View(asked).value();
    for (size_t i = 0; i < asked.size(); ++i) {
      const ModelSource& source = model_.sources[{asked[i].key, asked[i].etag}];
      ASSERT_EQ(views[i].standing, source.standing) << asked[i].key << " " << asked[i].etag;
      if (source.standing == Standing::kTaken) {
        ASSERT_EQ(views[i].workflow_id, source.workflow);
      }
    }
    ExpectConsistent(*windows_);
  }

  // Everything that waits is compacted in the end.
  void Finish() {
    while (!running_.empty()) End();
    clock_.AdvanceMs(48 * kWindowMs);
    while (const auto dispatched = windows_->Dispatch()) {
      Took(*dispatched);
      const std::string& id = dispatched->window.workflow_id;
      windows_->SettleAll(id);
      for (const SourceId& source : windows_->workflows->Of(id)) {
        model_.Settle({source.key, source.etag, SourceEnd::kCompacted, ""}, id);
      }
      windows_->End(id);
    }
    running_.clear();
    EXPECT_EQ(windows_->StatusOf("users").windows_total, 0u);
    const auto workflows = windows_->workflows->All();
    EXPECT_GT(workflows.size(), 5u);
  }

 private:
  void Reopen() {
    windows_.reset();
    windows_ = std::make_unique<Windows>(path_, clock_, options_);
  }
  Arrival AnyFile() {
    const auto minute = static_cast<int64_t>(random_->Below(4)) * 20;
    Arrival file =
        FileOf("users", kTen + minute * kMinute, fmt::format("w{}", random_->Below(3)),
               random_->Below(3), fmt::format("e{}", random_->Below(3)), 1 + random_->Below(100));
    file.current = random_->Below(4) == 0;
    return file;
  }
  void Note() {
    std::vector<Arrival> batch;
    for (uint64_t n = 1 + random_->Below(6); n > 0; --n) batch.push_back(AnyFile());
    windows_->Note(batch);
    for (const Arrival& arrival : batch) model_.Note(arrival);
  }
  void Delete() {
    Arrival gone = AnyFile();
    gone.gone = true;
    windows_->Note({gone});
    model_.Delete(gone.key);
  }
  void Took(const Dispatched& dispatched) {
    const std::string& id = dispatched.window.workflow_id;
    const auto sources = windows_->workflows->Of(id);
    ASSERT_EQ(static_cast<int64_t>(sources.size()), dispatched.window.files);
    for (const SourceId& source : sources) model_.Take(source, id);
    running_.push_back(id);
  }
  void Dispatch() {
    if (random_->Below(6) == 0) windows_->workflows->fail_next = true;
    auto made = windows_->tracker->Dispatch({.force = random_->Below(2) == 0},
                                            windows_->workflows->Start());
    windows_->workflows->fail_next = false;
    if (made.ok() && made->has_value()) Took(**made);
  }
  void Settle() {
    if (running_.empty()) return;
    const std::string id = running_[random_->Below(running_.size())];
    std::vector<SourceOutcome> outcomes;
    for (const SourceId& source : windows_->workflows->Of(id)) {
      const auto end = static_cast<SourceEnd>(random_->Below(4));
      if (random_->Below(5) > 0) outcomes.push_back({source.key, source.etag, end, ""});
    }
    windows_->Settle(id, outcomes);
    for (const SourceOutcome& outcome : outcomes) model_.Settle(outcome, id);
  }
  void End() {
    if (running_.empty()) return;
    const size_t at = random_->Below(running_.size());
    const std::string id = running_[at];
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(at));
    windows_->End(id);
    model_.End(id);
  }

  const std::string path_;
  std::unique_ptr<Random> random_;
  ManualClock clock_{kTen};
  WindowOptions options_;
  Model model_;
  std::unique_ptr<Windows> windows_;
  std::vector<std::string> running_;
};

TEST(WindowModel, TheTrackerAgreesWithTheModelAfterEveryStep) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const TempDir dir;
    Walk walk(dir.File("state.db"), seed);
    for (int step = 0; step < 200 && !::testing::Test::HasFatalFailure(); ++step) {
      SCOPED_TRACE(fmt::format("seed {} step {}", seed, step));
      walk.Step();
      walk.Check();
    }
    walk.Finish();
    walk.Check();
  }
}

TEST(WindowRaces, SeveralTrackersTakeEachFileOnce) {
  const TempDir dir;
  const std::string path = dir.File("state.db");
  constexpr int kFiles = 600;
  constexpr int kThreads = 4;
  WindowOptions options;
  options.min_files = 1;
  options.sources_max = 7;
  options.concurrency_max = 5;
  const std::shared_ptr<state::Database> shared = state::Database::Open(path).value();
  { Windows made(shared, SystemClock(), options); }
  const int64_t now_ms = SystemClock().NowMs();
  const int64_t long_ago = now_ms / kWindowMs * kWindowMs - 48 * kWindowMs;
  std::atomic<int> compacted{0};
  const auto run = [&](int number) {
    Windows windows(shared, SystemClock(), options);
    const auto random = SeededRandom(static_cast<uint64_t>(number));
    for (int i = 0; i < kFiles; ++i) {  // all of them announce everything
      windows.Note({FileOf(fmt::format("n{}", i % 3), long_ago + i * 60'000, "w", i)});
      if (i % 3 == 0) {
        const auto dispatched = windows.Dispatch();
        if (!dispatched) continue;
        const std::string& id = dispatched->window.workflow_id;
        if (random->Below(4) > 0) windows.SettleAll(id);
        windows.End(id);
      }
    }
    while (compacted.load() < kFiles) {
      const auto dispatched = windows.Dispatch({.force = true});
      if (dispatched) {
        windows.SettleAll(dispatched->window.workflow_id);
        windows.End(dispatched->window.workflow_id);
      }
      const CompactionStatus status = ReadStatus(*windows.tracker, {}).value();
      compacted = static_cast<int>(status.compacted_files);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(run, i);
  for (std::thread& thread : threads) thread.join();
  Windows windows(path, SystemClock(), options);
  ExpectConsistent(windows);
  EXPECT_EQ(ReadStatus(*windows.tracker, {})->compacted_files, static_cast<uint64_t>(kFiles));
  for (int i = 0; i < kFiles; ++i) {
    const Arrival file = FileOf(fmt::format("n{}", i % 3), long_ago + i * 60'000, "w", i);
    EXPECT_EQ(windows.ViewOf(file.key, "e1").standing, Standing::kCompacted) << file.key;
  }
}

// Announces six files, compacts what is there, twice.
void Work(Windows& windows, ManualClock& clock) {
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 3; ++i) windows.Note({FileOf("users", kTen + round, "w", i)});
    clock.AdvanceMs(2 * kWindowMs);
    for (const Window& window : windows.tracker->Running().value()) {  // an earlier process's
      windows.SettleAll(window.workflow_id);
      windows.End(window.workflow_id);
    }
    while (const auto dispatched = windows.Dispatch()) {
      windows.SettleAll(dispatched->window.workflow_id);
      windows.End(dispatched->window.workflow_id);
    }
  }
}

TEST(WindowCrash, AtEveryPointNothingIsLostAndNothingIsTakenTwice) {
  WindowOptions options;
  options.min_files = 1;
  int reached = 0;
  for (const std::string_view point : CrashPoint::Names()) {
    if (!point.starts_with("windows.") && !point.starts_with("state.transact.")) continue;
    for (int hit = 1; hit <= 12; ++hit) {
      const TempDir dir;
      const std::string armed = std::string(point) + ":" + std::to_string(hit);
      const pid_t child = fork();
      if (child == 0) {
        ManualClock clock(kTen);
        Windows windows(dir.File("state.db"), clock, options);
        CHECK(CrashPoint::Arm(armed));
        Work(windows, clock);
        _exit(0);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      if (!WIFSIGNALED(status)) break;  // it has no further passage
      ++reached;
      ManualClock clock(kTen + 10 * kWindowMs);
      Windows windows(dir.File("state.db"), clock, options);
      ExpectConsistent(windows);
      Work(windows, clock);
      ExpectConsistent(windows);
      EXPECT_EQ(ReadStatus(*windows.tracker, {})->compacted_files, 6u) << armed;
      EXPECT_EQ(windows.StatusOf("users").windows_total, 0u) << armed;
      std::set<std::pair<std::string, std::string>> taken;
      for (const auto& [id, sources] : windows.workflows->All()) {
        for (const SourceId& source : sources) {
          EXPECT_TRUE(taken.emplace(source.key, source.etag).second) << armed << " " << source.key;
        }
      }
      EXPECT_EQ(taken.size(), 6u) << armed;
    }
  }
  EXPECT_GE(reached, 20);
}

}  // namespace
}  // namespace varve::compact

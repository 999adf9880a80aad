// Compactions of one table on an engine's threads, with a publication, an expiry and appends at
// the same time: whoever comes second builds on who came first, and no row is lost or doubled.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "catalog/maintenance.h"
#include "catalog/publication.h"
#include "compact/migration.h"
#include "compaction_lab.h"
#include "store/memory_store.h"
#include "temp_dir.h"
#include "windows.h"

namespace varve::compact {
namespace {

using workflow::WorkflowState;

constexpr int kWindows = 6;
constexpr uint32_t kThreads = 4;
constexpr int kAppends = 5;

// Expires what is old, over and over: a step of it may come between any two of the others.
class ExpiryWorkflow : public workflow::Definition {
 public:
  explicit ExpiryWorkflow(catalog::LakeTables& tables) : tables_(tables) {}

  std::string_view kind() const override { return "expiry"; }
  std::string_view first_step() const override { return "expire"; }
  Result<workflow::Next> Run(std::string_view, workflow::StepRun&) override {
    catalog::CleanOptions options;
    options.older_than_ms = INT64_MAX;
    options.keep_last = 2;
    options.dry_run = false;
    const auto done = catalog::Maintenance(tables_).Expire("users", options);
    const bool later =
        !done.ok() && (done.error().code == "LEASED" || done.error().kind == ErrorKind::kNotFound);
    if (!done.ok() && !later) return done.error();
    expired += done.ok();
    return ++runs < kRuns || expired == 0 ? workflow::Next{"expire", 1} : workflow::Next{};
  }
  Status Undo(std::string_view, workflow::StepRun&) override { return {}; }

  static constexpr int kRuns = 20;
  std::atomic<int> runs = 0, expired = 0;

 private:
  catalog::LakeTables& tables_;
};

// The time as it is, for an engine whose threads wait.
class LiveClock : public ManualClock {
 public:
  LiveClock() : ManualClock(0) {}
  int64_t NowMs() const override { return SystemClock().NowMs(); }
  int64_t MonotonicNs() const override { return SystemClock().MonotonicNs(); }
};

// One table that many workflows commit to at once.
struct Race {
  explicit Race(store::ObjectStore& store, const std::string& directory, ManualClock& clock)
      : lab(store, directory, clock, true),
        windows(std::shared_ptr<state::Database>(lab.database.get(), [](auto*) {}), clock),
        expiry(lab.tables),
        unseen(clock),
        migration(
            {unseen}, *windows.tracker, *lab.workflows,
            [this](const NamespaceId&) -> catalog::LakeTables& { return lab.tables; },
            windows.workflows->Start(), nullptr) {
    engine = workflow::Engine::Open(
                 {.threads = kThreads, .attempts_max = 1000, .retry_min_ms = 1, .retry_max_ms = 5},
                 *lab.workflows, {lab.definition.get(), &expiry, &migration}, SystemClock())
                 .value();
  }

  // Rows of a window of its own, some of them in the hour that all windows share.
  std::string StartWindow(int window, catalog::Formats formats) {
    std::vector<SourceFile> sources;
    for (int file = 0; file < 3; ++file) {
      TestFile made;
      for (int row = 0; row < 20; ++row) {
        const int64_t hour = row % 2 == 0 ? 0 : window + 1;
        made.rows.push_back({kWindow + hour * kHourMs + file * 1000 + row,
                             fmt::format("{}-{}", window, file), row});
        ++expected[TextOf(made.rows.back())];
      }
      const std::string key =
          fmt::format("data/users/{}-w{}-{}.parquet", kWindow + window * kHourMs, window, file);
      sources.push_back(lab.Put(key, made));
    }
    CompactionRequest request = lab.Request(std::move(sources), formats);
    request.window_start_ms += window * kHourMs;
    request.window_end_ms += window * kHourMs;
    request.settings.grace_ms = 0;
    return lab.Start(request);
  }

  // Registers files of the table, as another program's commits would come.
  void Append(int number, catalog::Formats formats) {
    TestFile file;
    file.micros = true;
    file.rows.push_back({kWindow + number, "appended", number});
    ++expected[TextOf(file.rows.back())];
    const std::string key = fmt::format("catalog/users/data/appended-{}.parquet", number);
    lab.Put(key, file);
    appended.push_back(key);
    formats_ = formats;
  }

  void CommitAppended() {
    for (const std::string& key : appended) {
      auto options = InPlace(formats_, "hour(ts)");
      while (true) {
        const auto done = catalog::RegisterFiles(lab.tables, "users", {key}, options);
        if (done.ok() || done.error().code == "FILE_ALREADY_LIVE") break;
        if (done.error().kind == ErrorKind::kConflict) continue;
        if (done.error().kind == ErrorKind::kRetryable) continue;
        ADD_FAILURE() << done.error().message;
        break;
      }
    }
  }

  void Wait(const std::vector<std::string>& ids) {
    for (const std::string& id : ids) {
      while (!workflow::HasEnded(lab.Get(id).state)) std::this_thread::yield();
      EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << lab.Get(id).error;
    }
  }

  CompactionLab lab;
  Windows windows;
  ExpiryWorkflow expiry;
  store::MemoryStore unseen;  // the windows are not to know of what the lab has
  MigrationWorkflow migration;
  std::unique_ptr<workflow::Engine> engine;
  Multiset expected;
  std::vector<std::string> appended;
  catalog::Formats formats_;
};

class CompactionRaces : public testing::TestWithParam<catalog::Formats> {};

INSTANTIATE_TEST_SUITE_P(Into, CompactionRaces, testing::Values(Iceberg(), Delta(), BothFormats()),
                         [](const auto& info) {
                           if (info.param == BothFormats()) return "Both";
                           return info.param.iceberg ? "Iceberg" : "Delta";
                         });

TEST_P(CompactionRaces, OfManyWindowsOnOneTableLoseNoRow) {
  const TempDir dir;
  LiveClock clock;
  store::MemoryStore memory(clock);
  Race race(memory, dir.path(), clock);
  std::vector<std::string> ids;
  for (int i = 0; i < kWindows; ++i) ids.push_back(race.StartWindow(i, GetParam()));
  for (int i = 0; i < kAppends; ++i) race.Append(i, GetParam());
  race.engine->Start();
  std::jthread appends([&] { race.CommitAppended(); });
  race.Wait(ids);
  appends.join();
  race.engine->Stop();
  EXPECT_EQ(race.lab.Rows(), race.expected);
  if (GetParam().iceberg) {
    EXPECT_EQ(race.lab.IcebergRows(), race.expected);
  }
  if (GetParam().delta) {
    EXPECT_EQ(race.lab.DeltaRows(), race.expected);
  }
  EXPECT_TRUE(race.lab.Keys("data/users/").empty());
}

TEST_P(CompactionRaces, WithAMigrationAndAnExpiryLoseNoRow) {
  const TempDir dir;
  LiveClock clock;
  store::MemoryStore memory(clock);
  Race race(memory, dir.path(), clock);
  const std::string first = race.StartWindow(0, GetParam());
  while (!workflow::HasEnded(race.lab.Get(first).state)) race.lab.RunOnce();
  std::vector<std::string> ids;
  for (int i = 1; i < kWindows; ++i) ids.push_back(race.StartWindow(i, GetParam()));
  for (int i = 0; i < kAppends; ++i) race.Append(i, GetParam());
  MigrationRequest request;
  request.to = "iceberg+delta";
  request.namespaces = {"users"};
  const auto migration = StartMigration(*race.lab.workflows, request);
  ASSERT_TRUE(migration.ok()) << migration.error().message;
  ids.push_back(*migration);
  if (GetParam().iceberg) {
    ids.push_back(race.lab.workflows->Create("expiry", "users", "{}", "expire").value());
  }
  race.engine->Start();
  std::jthread appends([&] { race.CommitAppended(); });
  race.Wait(ids);
  appends.join();
  race.engine->Stop();
  const auto state = ParseMigrationState(race.lab.Get(*migration).data_json);
  EXPECT_EQ(state->namespaces[0].error, "");
  ASSERT_EQ(*race.lab.tables.FormatsOf("users"), BothFormats());
  ASSERT_TRUE(race.lab.tables.Level("users").ok());
  EXPECT_EQ(race.lab.Rows(), race.expected);
  EXPECT_EQ(race.lab.IcebergRows(), race.expected);
  EXPECT_EQ(race.lab.DeltaRows(), race.expected);
}

}  // namespace
}  // namespace varve::compact

// A lake in few words for the tests of views: a table `users` of text files, each line a row, which
// are appended, compacted, deleted, replaced; views over it whose statement is "each row that has
// this in it"; a clock that stands still.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/clock.h"
#include "queue/sqlite_queue.h"
#include "state/database.h"
#include "store/memory_store.h"
#include "temp_dir.h"
#include "view/refresh_workflow.h"
#include "view/view_service.h"
#include "workflow/engine.h"

namespace varve::view {

inline constexpr int64_t kStart = 1'795'255'200'000;  // 2026-11-21T10:00:00Z
inline constexpr char kViewQueue[] = "varve-view-events";

using Rows = std::vector<std::string>;

inline Rows RowsIn(const std::string& text) {
  Rows rows;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) rows.push_back(line);
  return rows;
}

inline std::string TextOf(const Rows& rows) {
  std::string text;
  for (const std::string& row : rows) text += row + "\n";
  return text;
}

inline Rows Sorted(Rows rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}

class LabLake : public ViewData {
 public:
  explicit LabLake(store::ObjectStore& store) : store_(store) {}

  std::string Append(const Rows& rows) {
    const std::string key =
        fmt::format("data/users/{}-w-{}.parquet", kStart + appended_, appended_);
    ++appended_;
    Write(key, rows);
    return key;
  }
  void Write(const std::string& key, const Rows& rows) {
    ASSERT_TRUE(store_.Put(key, TextOf(rows), {}).ok());
  }
  std::vector<std::string> Sources() {
    std::vector<std::string> keys;
    for (const auto& object : store::ListAll(store_, "data/users/").value()) {
      keys.push_back(object.key);
    }
    return keys;
  }
  bool IsCompacted(const std::string& key) {
    return compacted.contains({key, store_.Head(key).value().etag});
  }
  // Those sources' rows are a table file's from now on.
  std::string Compact(const std::vector<std::string>& keys) {
    const std::string file = fmt::format("catalog/users/data/{}.parquet", ++files_made_);
    Rows rows;
    for (const std::string& key : keys) {
      const FileId id{key, store_.Head(key).value().etag};
      for (const std::string& row : RowsIn(store_.Get(key).value())) rows.push_back(row);
      compacted.insert(id);
      made_of[file].push_back(id);
    }
    Write(file, rows);
    table.insert(file);
    return file;
  }
  void Delete(const std::string& key) { ASSERT_TRUE(store_.Delete(key).ok()); }

  // What a full refresh has to give.
  Rows Answer(const std::string& sql) {
    Rows all;
    for (const std::string& file : table) Add(file, sql, all);
    for (const std::string& key : Sources()) {
      if (!IsCompacted(key)) Add(key, sql, all);
    }
    return Sorted(all);
  }

  Result<CheckedSql> Check(const NamespaceId&, std::string_view sql) override {
    if (sql == "bad") return MakeError(ErrorKind::kInvalid, "SQL_ERROR", "Parser Error: bad");
    CheckedSql checked{std::string(sql), {"users"}, ""};
    if (sql == "nothing") checked.sources.clear();
    if (sql == "sum") checked.not_incremental = "sum is an aggregate";
    return checked;
  }
  Result<std::unique_ptr<ViewInput>> Open(const View& view) override {
    return std::unique_ptr<ViewInput>(std::make_unique<Input>(*this, view));
  }

  std::set<std::string> table;
  std::set<FileId> compacted;
  std::map<std::string, std::vector<FileId>> made_of;
  std::string columns = "1";
  std::function<void()> during;        // a statement
  std::optional<Error> fail;           // each statement
  uint32_t incremental = 0, full = 0;  // statements

 private:
  class Input : public ViewInput {
   public:
    Input(LabLake& lake, const View& view) : lake_(lake), view_(view) {
      for (const std::string& key : lake.Sources()) {
        contents_.sources.push_back(
            {{key, lake.store_.Head(key).value().etag}, lake.IsCompacted(key)});
      }
      contents_.files = lake.table;
      contents_.basis = view.request.sql + lake.columns;
    }
    const Contents& contents() const override { return contents_; }
    Result<std::optional<std::vector<FileId>>> MadeOf(const std::string& file) override {
      const auto found = lake_.made_of.find(file);
      if (found == lake_.made_of.end()) return std::optional<std::vector<FileId>>();
      return std::optional(found->second);
    }
    Result<varve::view::Answer> Run(const Wanted& wanted, const std::string& path,
                                    std::stop_token) override {
      if (lake_.during) lake_.during();
      if (lake_.fail) return *lake_.fail;
      Rows rows;
      if (!wanted.base.empty()) rows = RowsIn(TRY(lake_.store_.Get(wanted.base)));
      ++(wanted.only ? lake_.incremental : lake_.full);
      if (wanted.only) {
        for (const std::string& key : *wanted.only) lake_.Add(key, view_.request.sql, rows);
      } else {
        for (const std::string& file : contents_.files) lake_.Add(file, view_.request.sql, rows);
        for (const Contents::Source& source : contents_.sources) {
          if (!source.in_table) lake_.Add(source.id.key, view_.request.sql, rows);
        }
      }
      const std::string text = TextOf(rows);
      std::ofstream(path, std::ios::binary) << text;
      return varve::view::Answer{rows.size(), text.size(), {}};
    }

   private:
    LabLake& lake_;
    const View view_;
    Contents contents_;
  };

  void Add(const std::string& key, const std::string& has, Rows& rows) {
    for (std::string& row : RowsIn(store_.Get(key).value())) {
      if (row.find(has) != std::string::npos) rows.push_back(std::move(row));
    }
  }

  store::ObjectStore& store_;
  int64_t appended_ = 0;
  int files_made_ = 0;
};

// A refresh whose steps are done and whose ends are lost now and then: what a crash leaves.
class Forgetful : public workflow::Definition {
 public:
  explicit Forgetful(workflow::Definition& inner) : inner_(inner) {}
  std::string_view kind() const override { return inner_.kind(); }
  std::string_view first_step() const override { return inner_.first_step(); }
  Result<workflow::Next> Run(std::string_view step, workflow::StepRun& run) override {
    auto next = inner_.Run(step, run);
    if (!next.ok() || !forgets || !forgets(step)) return next;
    run.data_json = run.workflow.data_json;
    return MakeError(ErrorKind::kRetryable, "the process has ended");
  }
  Status Undo(std::string_view step, workflow::StepRun& run) override {
    return inner_.Undo(step, run);
  }
  std::function<bool(std::string_view step)> forgets;

 private:
  workflow::Definition& inner_;
};

class ViewLab : public ::testing::Test {
 protected:
  ViewLab() : memory_(clock_), lake_(memory_) {
    database_ = state::Database::Open(":memory:").value();
    queue_ = queue::SqliteQueue::Open(*database_, clock_, *random_).value();
    EXPECT_TRUE(queue_->Declare({.name = "dead", .dead_letter_queue = ""}).ok());
    EXPECT_TRUE(queue_->Declare({.name = kViewQueue, .dead_letter_queue = "dead"}).ok());
    workflows_ = workflow::WorkflowStore::Open(*database_, clock_, *random_).value();
    views_ = ViewStore::Open({.retry_ms = 10'000}, *database_, clock_).value();
    ServiceOptions options;
    options.source_of = [](std::string_view key) -> std::optional<SourceKey> {
      if (!key.starts_with("data/users/")) return std::nullopt;
      return SourceKey{NamespaceId(), "users"};
    };
    options.was_compacted = [this](const std::string& key) -> Result<bool> {
      return std::any_of(lake_.compacted.begin(), lake_.compacted.end(),
                         [&](const FileId& id) { return id.key == key; });
    };
    service_ = std::make_unique<ViewService>(options, *views_, lake_, *workflows_, store_, *queue_);
    refreshes_ = std::make_unique<RefreshWorkflow>(
        RefreshOptions{
            .work_directory = directory_.File("work"), .keep_ms = 60'000, .generations_max = 20},
        *views_, lake_, store_, nullptr);
    EXPECT_TRUE(refreshes_->SweepWork().ok());
    forgetful_ = std::make_unique<Forgetful>(*refreshes_);
    engine_ = workflow::Engine::Open({.attempts_max = 50, .retry_min_ms = 1, .retry_max_ms = 1},
                                     *workflows_, {forgetful_.get()}, clock_)
                  .value();
  }

  View Make(const std::string& more = {}, const std::string& sql = "x") {
    return service_
        ->Register(NamespaceId(), fmt::format(R"({{"name":"v","sql":"{}"{}}})", sql, more))
        .value();
  }
  View Now() { return views_->Get(NamespaceId(), "v").value(); }
  void Tell(const std::string& key, const char* action = "PutObject") {
    const auto there = store_.Head(key);
    const std::string etag =
        there.ok() ? fmt::format(R"(,"size":1,"eTag":"{}")", there->etag) : std::string();
    ASSERT_TRUE(queue_
                    ->Send(kViewQueue,
                           fmt::format(R"({{"account":"a","action":"{}","bucket":"b","object":)"
                                       R"({{"key":"{}"{}}},"eventTime":"2026-11-21T10:00:00Z"}})",
                                       action, key, etag),
                           {})
                    .ok());
    ASSERT_TRUE(service_->TakeOnce().ok());
  }
  uint64_t Dispatch() { return service_->DispatchOnce().value(); }
  // Steps until nothing is due, time passing as it must.
  void RunAll() {
    for (int i = 0; i < 200; ++i) {
      if (!engine_->RunOnce().value()) {
        clock_.AdvanceMs(1);
        if (!engine_->RunOnce().value()) break;
      }
    }
    ASSERT_TRUE(service_->Maintain().ok());
  }
  std::string RefreshNow(bool full = false) {
    const auto id = service_->Refresh(NamespaceId(), "v", full);
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().message);
    RunAll();
    return id.ok() ? *id : "";
  }
  Rows Output() { return Sorted(RowsIn(store_.Get("_views/v/data.parquet").value())); }
  bool HasOutput() { return store_.Head("_views/v/data.parquet").ok(); }
  Rows Expected() { return lake_.Answer(Now().request.sql); }

  TempDir directory_;
  ManualClock clock_{kStart};
  std::unique_ptr<Random> random_ = SeededRandom(11);
  store::MemoryStore memory_;
  store::ObjectStore& store_ = memory_;
  LabLake lake_;
  std::unique_ptr<state::Database> database_;
  std::unique_ptr<queue::SqliteQueue> queue_;
  std::unique_ptr<workflow::WorkflowStore> workflows_;
  std::unique_ptr<ViewStore> views_;
  std::unique_ptr<ViewService> service_;
  std::unique_ptr<RefreshWorkflow> refreshes_;
  std::unique_ptr<Forgetful> forgetful_;
  std::unique_ptr<workflow::Engine> engine_;
};

}  // namespace varve::view

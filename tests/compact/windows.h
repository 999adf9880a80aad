// Windows for the tests: a tracker on a database, arrivals in few words, and workflows that are
// rows of a table, made in the transaction that dispatches.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "compact/window_report.h"
#include "compact/window_tracker.h"
#include "core/clock.h"
#include "core/ulid.h"
#include "state/database.h"

namespace varve::compact {

inline constexpr int64_t kWindowMs = 3'600'000;
inline constexpr int64_t kTen = 1'795'255'200'000;  // 2026-11-21T10:00:00Z
inline constexpr int64_t kMinute = 60'000;

inline Arrival FileOf(std::string_view ns, int64_t time_ms, std::string_view writer,
                      uint64_t sequence, std::string etag = "e1", uint64_t size = 1'000) {
  Arrival arrival;
  arrival.key = fmt::format("data/{}/{}-{}-{}.parquet", ns, time_ms, writer, sequence);
  arrival.name = ParseSourceName(arrival.key, "data/").value();
  arrival.etag = std::move(etag);
  arrival.size = size;
  return arrival;
}

// What the workflows' table would hold.
struct Workflows {
  explicit Workflows(state::Database& database) : database(database) {
    const state::Migration made[] = {
        {1, "CREATE TABLE test_workflows (id INTEGER PRIMARY KEY, params TEXT NOT NULL) STRICT;"}};
    EXPECT_TRUE(database.Migrate("test_workflows", made).ok());
  }

  StartWorkflow Start() {
    return
        [this](state::Session& session, const CompactionRequest& request) -> Result<std::string> {
          if (fail_next) {
            fail_next = false;
            return MakeError(ErrorKind::kExhausted, "no more workflows");
          }
          std::string keys;
          for (const SourceFile& source : request.sources)
            keys += source.key + " " + source.etag + "\n";
          TRY(session.Execute("INSERT INTO test_workflows (params) VALUES (?)", {keys}));
          const std::string id = "w" + std::to_string(session.last_insert_id());
          last = request;
          return id;
        };
  }

  // Each workflow's sources, from the table.
  std::map<std::string, std::vector<SourceId>> All() {
    std::map<std::string, std::vector<SourceId>> all;
    const Status read = database.Run([&](state::Session& session) {
      return session.Query("SELECT id, params FROM test_workflows", {}, [&](const state::Row& row) {
        std::vector<SourceId>& sources = all["w" + std::to_string(row.Int(0))];
        const std::string text = row.Text(1);
        for (size_t at = 0; at < text.size();) {
          const size_t end = text.find('\n', at);
          const size_t space = text.find(' ', at);
          sources.push_back({text.substr(at, space - at), text.substr(space + 1, end - space - 1)});
          at = end + 1;
        }
        return true;
      });
    });
    EXPECT_TRUE(read.ok());
    return all;
  }

  std::vector<SourceId> Of(const std::string& id) { return All()[id]; }

  state::Database& database;
  CompactionRequest last;
  bool fail_next = false;
};

struct Windows {
  Windows(const std::string& path, const Clock& clock, WindowOptions options = {})
      : Windows(std::shared_ptr<state::Database>(state::Database::Open(path).value()), clock,
                std::move(options)) {}
  Windows(std::shared_ptr<state::Database> shared, const Clock& clock, WindowOptions options = {})
      : database(std::move(shared)) {
    tracker = WindowTracker::Open(std::move(options), *database, clock).value();
    workflows = std::make_unique<Workflows>(*database);
  }

  NoteCounts Note(const std::vector<Arrival>& arrivals) {
    auto noted = tracker->Note(arrivals);
    EXPECT_TRUE(noted.ok()) << (noted.ok() ? "" : noted.error().message);
    return noted.ok() ? *noted : NoteCounts();
  }
  std::optional<Dispatched> Dispatch(const DispatchWish& wish = {}) {
    auto dispatched = tracker->Dispatch(wish, workflows->Start());
    EXPECT_TRUE(dispatched.ok()) << (dispatched.ok() ? "" : dispatched.error().message);
    return dispatched.ok() ? *dispatched : std::nullopt;
  }
  void Settle(const std::string& id, const std::vector<SourceOutcome>& outcomes) {
    const Status done = database->Transact(
        [&](state::Session& session) { return tracker->Settle(session, id, outcomes); });
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message);
  }
  void SettleAll(const std::string& id, SourceEnd end = SourceEnd::kCompacted) {
    std::vector<SourceOutcome> outcomes;
    for (const SourceId& source : workflows->Of(id)) {
      outcomes.push_back({source.key, source.etag, end, ""});
    }
    Settle(id, outcomes);
  }
  void End(const std::string& id) {
    const Status done =
        database->Transact([&](state::Session& session) { return tracker->End(session, id); });
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message);
  }
  SourceView ViewOf(const std::string& key, const std::string& etag) {
    const SourceId asked[] = {{key, etag}};
    return tracker->View(asked).value()[0];
  }
  NamespaceStatus StatusOf(const std::string& ns) {
    auto status = ReadStatus(*tracker, {.ns = ns});
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    return status.ok() && !status->namespaces.empty() ? status->namespaces[0] : NamespaceStatus();
  }

  std::shared_ptr<state::Database> database;
  std::unique_ptr<WindowTracker> tracker;
  std::unique_ptr<Workflows> workflows;
};

}  // namespace varve::compact

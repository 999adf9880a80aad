// A store with a writer's files in it, and everything that compacts them, on a clock of its own.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catalog/lake_tables.h"
#include "catalog/registration.h"
#include "compact/compaction_request.h"
#include "compact/compaction_workflow.h"
#include "core/clock.h"
#include "state/database.h"
#include "store/object_store.h"
#include "workflow/engine.h"
#include "workflow/workflow_store.h"

namespace varve::compact {

inline constexpr int64_t kWindow = 1'770'040'800'000;  // 2026-02-02T14:00:00Z
inline constexpr int64_t kHourMs = 3'600'000;

// "ts|id|n" → how often.
using Multiset = std::map<std::string, int>;

struct TestRow {
  int64_t ts_ms = 0;
  std::string id;
  int64_t n = 0;
};
std::string TextOf(const TestRow& row);

enum class NColumn : uint8_t { kInt32, kInt64, kText, kNone };
struct TestFile {
  std::vector<TestRow> rows;
  NColumn n = NColumn::kInt64;
  bool has_ts = true;
  bool field_ids = false;
  bool micros = false;  // instead of milliseconds
};
std::string ParquetOf(const TestFile& file);
// As ParquetOf made it, ts in any unit.
void AddRows(const std::string& parquet, Multiset& counts);

// Keeps what it is told, in the transaction it is told in.
class TestAccount : public SourceAccount {
 public:
  explicit TestAccount(state::Database& database);
  Status Settle(state::Session& session, std::string_view workflow_id,
                const std::vector<SourceOutcome>& outcomes) override;
  Status Remember(state::Session& session, std::string_view workflow_id,
                  const std::vector<SourceContent>& contents) override;
  Status End(state::Session& session, std::string_view workflow_id) override;
  Result<bool> KeepsSources(const NamespaceId&, std::string_view) override { return keeps; }

  bool keeps = false;
  std::map<std::string, std::string> contents;       // by key
  std::map<std::string, SourceEnd> Settled() const;  // by key
  int Ended(const std::string& workflow_id) const;

 private:
  state::Database& database_;
};

struct CompactionLab {
  // directory: for the merges and, unless in_memory, the state.
  CompactionLab(store::ObjectStore& store, const std::string& directory, ManualClock& clock,
                bool in_memory, uint64_t seed = 1);

  SourceFile Put(const std::string& key, const TestFile& file);
  SourceFile PutBytes(const std::string& key, const std::string& bytes);
  // writers × files, of rows in two hours, some not sorted; what they have is added to expected.
  std::vector<SourceFile> PutWindow(int writers, int files, Multiset& expected);

  CompactionRequest Request(std::vector<SourceFile> sources, catalog::Formats formats);
  std::string Start(const CompactionRequest& request);
  // Until nothing is left to do, the clock put forward to what waits.
  void Drain();
  bool RunOnce();
  // Runs until the next step is this one.
  void RunUntil(const std::string& id, std::string_view step);

  Multiset Rows(const std::string& name = "users");  // of the format that is read
  Multiset IcebergRows(const std::string& name = "users");
  Multiset DeltaRows(const std::string& name = "users");
  std::vector<std::string> Keys(const std::string& prefix);
  workflow::Workflow Get(const std::string& id) { return workflows->Get(id).value(); }
  CompactionState State(const std::string& id) {
    return ParseCompactionState(Get(id).data_json).value();
  }

  store::ObjectStore& store;
  ManualClock& clock;
  std::unique_ptr<Random> random;
  catalog::IcebergTables iceberg;
  catalog::DeltaTables delta;
  catalog::LakeTables tables;
  std::unique_ptr<state::Database> database;
  std::unique_ptr<workflow::WorkflowStore> workflows;
  std::unique_ptr<TestAccount> account;
  std::unique_ptr<CompactionWorkflow> definition;
  std::unique_ptr<workflow::Engine> engine;
};

// Of a table of these files as they are.
catalog::RegisterOptions InPlace(catalog::Formats formats, const std::string& partitioning = "");

catalog::Formats Iceberg();
catalog::Formats Delta();
catalog::Formats BothFormats();

}  // namespace varve::compact

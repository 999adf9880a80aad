#include "compaction_lab.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>

#include <algorithm>
#include <mutex>

#include "catalog/snapshot_files.h"

namespace varve::compact {
namespace {

constexpr int kStepsMax = 500;

catalog::CatalogOptions Catalog() {
  catalog::CatalogOptions options;
  options.root = "memory://lake";
  return options;
}

catalog::DeltaOptions ForDelta() {
  catalog::DeltaOptions options;
  options.catalog = Catalog();
  return options;
}

std::shared_ptr<arrow::Field> WithId(std::shared_ptr<arrow::Field> field, bool ids, int id) {
  if (!ids) return field;
  return field->WithMetadata(arrow::key_value_metadata({{"PARQUET:field_id", std::to_string(id)}}));
}

template <typename Builder, typename Value>
std::shared_ptr<arrow::Array> Column(std::shared_ptr<arrow::DataType> type,
                                     const std::vector<TestRow>& rows, Value value) {
  std::unique_ptr<arrow::ArrayBuilder> builder;
  EXPECT_TRUE(arrow::MakeBuilder(arrow::default_memory_pool(), type, &builder).ok());
  for (const TestRow& row : rows) {
    EXPECT_TRUE(static_cast<Builder&>(*builder).Append(value(row)).ok());
  }
  return builder->Finish().ValueOrDie();
}

void AddFile(store::ObjectStore& store, const std::string& key, Multiset& counts) {
  const auto bytes = store.Get(key);
  ASSERT_TRUE(bytes.ok()) << key << ": " << bytes.error().message;
  AddRows(*bytes, counts);
}

// Of tables and workflows that are used by several threads.
class SharedRandom : public Random {
 public:
  explicit SharedRandom(std::unique_ptr<Random> inner) : inner_(std::move(inner)) {}
  void Fill(std::span<uint8_t> out) override {
    const std::lock_guard lock(mutex_);
    inner_->Fill(out);
  }

 private:
  std::mutex mutex_;
  const std::unique_ptr<Random> inner_;
};

}  // namespace

std::string TextOf(const TestRow& row) { return fmt::format("{}|{}|{}", row.ts_ms, row.id, row.n); }

std::string ParquetOf(const TestFile& file) {
  arrow::FieldVector fields;
  arrow::ArrayVector columns;
  const auto add = [&](const char* name, std::shared_ptr<arrow::Array> array, bool nullable) {
    fields.push_back(WithId(arrow::field(name, array->type(), nullable), file.field_ids,
                            7 - static_cast<int>(fields.size())));
    columns.push_back(std::move(array));
  };
  if (file.has_ts) {
    const auto unit = file.micros ? arrow::TimeUnit::MICRO : arrow::TimeUnit::MILLI;
    add("ts",
        Column<arrow::TimestampBuilder>(
            arrow::timestamp(unit, "UTC"), file.rows,
            [&](const TestRow& row) { return file.micros ? row.ts_ms * 1000 : row.ts_ms; }),
        false);
  }
  add("id",
      Column<arrow::StringBuilder>(arrow::utf8(), file.rows,
                                   [](const TestRow& row) { return row.id; }),
      true);
  const auto n = [](const TestRow& row) { return row.n; };
  const auto n32 = [](const TestRow& row) { return static_cast<int32_t>(row.n); };
  const auto text = [](const TestRow& row) { return std::to_string(row.n); };
  if (file.n == NColumn::kInt64) {
    add("n", Column<arrow::Int64Builder>(arrow::int64(), file.rows, n), true);
  } else if (file.n == NColumn::kInt32) {
    add("n", Column<arrow::Int32Builder>(arrow::int32(), file.rows, n32), true);
  } else if (file.n == NColumn::kText) {
    add("n", Column<arrow::StringBuilder>(arrow::utf8(), file.rows, text), true);
  }
  const auto rows = static_cast<int64_t>(file.rows.size());
  const auto table = arrow::Table::Make(arrow::schema(fields), columns, rows);
  auto sink = arrow::io::BufferOutputStream::Create().ValueOrDie();
  EXPECT_TRUE(
      ::parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), sink, 1 << 16).ok());
  return sink->Finish().ValueOrDie()->ToString();
}

void AddRows(const std::string& parquet, Multiset& counts) {
  auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(parquet));
  auto reader = ::parquet::arrow::OpenFile(input, arrow::default_memory_pool()).ValueOrDie();
  const auto table = reader->ReadTable().ValueOrDie()->CombineChunks().ValueOrDie();
  if (table->num_rows() == 0) return;
  const auto at = [&](const char* name, int64_t row) -> std::shared_ptr<arrow::Scalar> {
    const auto column = table->GetColumnByName(name);
    return column == nullptr ? nullptr : column->GetScalar(row).ValueOrDie();
  };
  for (int64_t i = 0; i < table->num_rows(); ++i) {
    const auto ts = at("ts", i);
    ASSERT_NE(ts, nullptr);
    const auto ms = ts->CastTo(arrow::timestamp(arrow::TimeUnit::MILLI, "UTC")).ValueOrDie();
    const auto n = at("n", i);
    const std::string number = n == nullptr || !n->is_valid ? "0" : n->ToString();
    const int64_t time = static_cast<const arrow::TimestampScalar&>(*ms).value;
    ++counts[fmt::format("{}|{}|{}", time, at("id", i)->ToString(), number)];
  }
}

TestAccount::TestAccount(state::Database& database) : database_(database) {
  EXPECT_TRUE(database_
                  .Run([](state::Session& session) -> Status {
                    TRY(session.Execute(
                        "CREATE TABLE IF NOT EXISTS settled (key TEXT PRIMARY KEY, end INTEGER)"));
                    return session.Execute(
                        "CREATE TABLE IF NOT EXISTS ended (workflow TEXT, count INTEGER)");
                  })
                  .ok());
}

Status TestAccount::Settle(state::Session& session, std::string_view,
                           const std::vector<SourceOutcome>& outcomes) {
  for (const SourceOutcome& outcome : outcomes) {
    TRY(session.Execute("INSERT INTO settled VALUES (?, ?)",
                        {outcome.key, static_cast<int64_t>(outcome.end)}));
  }
  return {};
}

Status TestAccount::Remember(state::Session&, std::string_view,
                             const std::vector<SourceContent>& told) {
  for (const SourceContent& source : told) contents[source.key] = source.content;
  return {};
}

Status TestAccount::End(state::Session& session, std::string_view workflow_id) {
  return session.Execute("INSERT INTO ended VALUES (?, 1)", {std::string(workflow_id)});
}

std::map<std::string, SourceEnd> TestAccount::Settled() const {
  std::map<std::string, SourceEnd> out;
  EXPECT_TRUE(database_
                  .Run([&](state::Session& session) {
                    return session.Query("SELECT key, end FROM settled",
                                         std::span<const state::Value>(),
                                         [&](const state::Row& row) {
                                           out[row.Text(0)] = static_cast<SourceEnd>(row.Int(1));
                                           return true;
                                         });
                  })
                  .ok());
  return out;
}

int TestAccount::Ended(const std::string& workflow_id) const {
  int ended = 0;
  EXPECT_TRUE(database_
                  .Run([&](state::Session& session) {
                    return session.Query("SELECT count FROM ended WHERE workflow = ?",
                                         {workflow_id}, [&](const state::Row&) {
                                           ++ended;
                                           return true;
                                         });
                  })
                  .ok());
  return ended;
}

CompactionLab::CompactionLab(store::ObjectStore& s, const std::string& directory, ManualClock& c,
                             bool in_memory, uint64_t seed)
    : store(s),
      clock(c),
      random(std::make_unique<SharedRandom>(SeededRandom(seed))),
      iceberg(store, clock, *random, Catalog()),
      delta(store, clock, *random, ForDelta()),
      tables(iceberg, delta),
      database(state::Database::Open(in_memory ? ":memory:" : directory + "/state.db").value()),
      workflows(workflow::WorkflowStore::Open(*database, clock, *random).value()),
      account(std::make_unique<TestAccount>(*database)) {
  CompactionOptions options;
  options.work_directory = directory + "/merges";
  options.threads = 1;
  options.sync = false;
  definition = std::make_unique<CompactionWorkflow>(
      options, store, [this](const NamespaceId&) -> catalog::LakeTables& { return tables; },
      account.get());
  engine =
      workflow::Engine::Open({.attempts_max = 20}, *workflows, {definition.get()}, clock).value();
}

SourceFile CompactionLab::PutBytes(const std::string& key, const std::string& bytes) {
  const auto put = store.Put(key, bytes, {});
  EXPECT_TRUE(put.ok()) << put.error().message;
  SourceFile source;
  source.key = key;
  source.etag = put->etag;
  source.size = put->size;
  source.writer = "w";
  source.time_ms = kWindow;
  return source;
}

SourceFile CompactionLab::Put(const std::string& key, const TestFile& file) {
  return PutBytes(key, ParquetOf(file));
}

std::vector<SourceFile> CompactionLab::PutWindow(int writers, int files, Multiset& expected) {
  std::vector<SourceFile> sources;
  for (int writer = 0; writer < writers; ++writer) {
    for (int file = 0; file < files; ++file) {
      TestFile made;
      made.n = writer == 0 ? NColumn::kInt32 : NColumn::kInt64;
      for (int row = 0; row < 20; ++row) {
        const int order = writer == 1 ? 19 - row : row;  // this one's are not sorted
        const int64_t ts = kWindow + file * 60'000 + order * 200'000 + writer;
        made.rows.push_back({ts, fmt::format("{}-{}-{}", writer, file, row), row});
        ++expected[TextOf(made.rows.back())];
      }
      sources.push_back(
          Put(fmt::format("data/users/{}-w{}-{}.parquet", kWindow, writer, file), made));
    }
  }
  return sources;
}

CompactionRequest CompactionLab::Request(std::vector<SourceFile> sources,
                                         catalog::Formats formats) {
  CompactionRequest request;
  request.ns = "users";
  request.window_start_ms = kWindow;
  request.window_end_ms = kWindow + kHourMs;
  request.sources = std::move(sources);
  request.settings.target.tables = formats;
  request.settings.target.parquet = !formats.any();
  return request;
}

std::string CompactionLab::Start(const CompactionRequest& request) {
  return workflows
      ->Create(kCompactionKind, SubjectOf(request), ToJson(request), kCompactionFirstStep)
      .value();
}

bool CompactionLab::RunOnce() {
  const auto ran = engine->RunOnce();
  EXPECT_TRUE(ran.ok()) << ran.error().message;
  return ran.ok() && *ran;
}

void CompactionLab::Drain() {
  for (int i = 0; i < kStepsMax; ++i) {
    if (RunOnce()) continue;
    const auto workflow_list = workflows->List({});
    const workflow::Workflow* waiting = nullptr;
    for (const auto& workflow : *workflow_list) {
      if (workflow.state != workflow::WorkflowState::kActive &&
          workflow.state != workflow::WorkflowState::kCancelling) {
        continue;
      }
      if (waiting == nullptr || workflow.next_ms < waiting->next_ms) waiting = &workflow;
    }
    if (waiting == nullptr) return;
    clock.AdvanceMs(std::max<int64_t>(1, waiting->next_ms - clock.NowMs()));
  }
  ADD_FAILURE() << "it does not come to an end";
}

void CompactionLab::RunUntil(const std::string& id, std::string_view step) {
  for (int i = 0; i < kStepsMax && Get(id).step != step; ++i) {
    ASSERT_TRUE(RunOnce()) << Get(id).step << ": " << Get(id).error;
  }
}

Multiset CompactionLab::IcebergRows(const std::string& name) {
  Multiset counts;
  const auto head = iceberg.Load(name);
  EXPECT_TRUE(head.ok()) << head.error().message;
  if (!head.ok() || head->metadata.current() == nullptr) return counts;
  const std::string& base = head->metadata.location;
  const auto add = [&](table::iceberg::ManifestEntry&& entry) -> Status {
    AddFile(store, TRY(iceberg.Place(name).KeyOf(entry.file.path, base)), counts);
    return {};
  };
  const Status read = table::iceberg::ForEachLive(head->metadata, *head->metadata.current(),
                                                  iceberg.Reader(name, base),
                                                  table::iceberg::EntryDetail::kAll, add);
  EXPECT_TRUE(read.ok()) << read.error().message;
  return counts;
}

Multiset CompactionLab::Rows(const std::string& name) {
  Multiset counts;
  const auto files = catalog::FilesAsOf(tables, name, {});
  EXPECT_TRUE(files.ok()) << files.error().message;
  for (const auto& file : files->files) AddFile(store, file.path, counts);
  return counts;
}

Multiset CompactionLab::DeltaRows(const std::string& name) {
  Multiset counts;
  const auto loaded = delta.Load(name);
  EXPECT_TRUE(loaded.ok()) << loaded.error().message;
  for (const auto& item : loaded->files) {
    AddFile(store, delta.Place(name).Key(*table::delta::DecodePath(item.first)), counts);
  }
  return counts;
}

std::vector<std::string> CompactionLab::Keys(const std::string& prefix) {
  std::vector<std::string> keys;
  for (const auto& object : store::ListAll(store, prefix).value()) keys.push_back(object.key);
  return keys;
}

catalog::RegisterOptions InPlace(catalog::Formats formats, const std::string& partitioning) {
  catalog::RegisterOptions options;
  options.formats = formats;
  options.partitioning = partitioning;
  options.accept_problems = true;
  return options;
}

catalog::Formats Iceberg() { return {.iceberg = true}; }
catalog::Formats Delta() { return {.delta = true}; }
catalog::Formats BothFormats() { return {.iceberg = true, .delta = true}; }

}  // namespace varve::compact

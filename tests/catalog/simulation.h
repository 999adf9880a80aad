// Writers of one table in a simulation: same seed, same run. The store fails by chance, and before
// a put another writer may do a whole commit of its own, so that every race is one of a seed.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "catalog/lake_tables.h"
#include "core/clock.h"
#include "store/faulty_store.h"
#include "store/memory_store.h"

namespace varve::catalog {

// Calls before_put in front of each put that decides a commit.
class RacingStore : public store::ObjectStore {
 public:
  explicit RacingStore(store::ObjectStore& inner) : inner_(inner) {}

  std::function<void()> before_commit;

  Result<store::ObjectMeta> Put(std::string_view key, std::string_view bytes,
                                const store::PutOptions& options) override {
    const bool commit =
        key.ends_with(".metadata.json") || (key.find("/_delta_log/") != std::string_view::npos);
    if (commit && before_commit) before_commit();
    return inner_.Put(key, bytes, options);
  }
  Result<std::string> Get(std::string_view key, std::optional<store::ByteRange> range) override {
    return inner_.Get(key, range);
  }
  Result<store::ObjectMeta> Head(std::string_view key) override { return inner_.Head(key); }
  Result<store::ListPage> List(std::string_view prefix, std::string_view start_after,
                               size_t objects_max) override {
    return inner_.List(prefix, start_after, objects_max);
  }
  Status Delete(std::string_view key) override { return inner_.Delete(key); }
  std::optional<std::string> LocalPath(std::string_view) const override { return std::nullopt; }
  void SetListener(store::ObjectListener*) override {}

 private:
  store::ObjectStore& inner_;
};

inline table::Schema EventSchema() {
  table::Schema schema;
  const auto add = [&](const char* name, table::TypeId type, bool required) {
    table::Field field;
    field.name = name;
    field.type.id = type;
    field.required = required;
    schema.fields.push_back(std::move(field));
  };
  add("ts", table::TypeId::kTimestamptz, true);
  add("id", table::TypeId::kString, false);
  table::AssignIds(schema, 0);
  return schema;
}

inline table::Schema EventSchemaWith(const char* name, table::TypeId type) {
  table::Schema schema = EventSchema();
  schema.fields.emplace_back().name = name;
  schema.fields.back().type.id = type;
  return schema;
}

// A table "t" in memory, and all that a test wants to reach of it.
struct Lab {
  explicit Lab(uint64_t seed, Formats formats, const std::string& partitioning = "hour(ts)")
      : random(SeededRandom(seed)),
        faults(SeededRandom(seed + 1)),
        memory(clock),
        faulty(memory, *faults),
        racing(faulty) {
    TableShape shape;
    shape.schema = EventSchema();
    shape.spec = table::ParsePartitioning(partitioning, shape.schema).value();
    const Status created = tables.Create("t", shape, formats);
    EXPECT_TRUE(created.ok()) << created.error().message;
  }

  static CatalogOptions Options() {
    CatalogOptions options;
    options.root = "memory://lake";
    return options;
  }
  static DeltaOptions ForDelta() {
    DeltaOptions options;
    options.catalog = Options();
    return options;
  }

  // catalog/t/data/{name}.parquet, in an hour of 2026.
  table::DataFile File(const std::string& name, int64_t rows, int32_t hour = 491'000) {
    table::DataFile file;
    file.path = "catalog/t/data/" + name + ".parquet";
    file.bytes = 1000 + static_cast<uint64_t>(rows);
    file.rows = rows;
    std::string value;
    value.append(reinterpret_cast<const char*>(&hour), sizeof hour);
    file.partition = {value};
    table::ColumnStats stats;
    stats.field_id = 1;
    stats.values = rows;
    stats.nulls = 0;
    const int64_t low = int64_t{hour} * 3'600'000'000, high = low + rows;
    stats.lower.emplace(reinterpret_cast<const char*>(&low), sizeof low);
    stats.upper.emplace(reinterpret_cast<const char*>(&high), sizeof high);
    file.columns.push_back(std::move(stats));
    return file;
  }
  static table::iceberg::RemovedFile Removed(const table::DataFile& file) {
    table::iceberg::RemovedFile removed;
    removed.path = file.path;
    removed.partition = file.partition;
    return removed;
  }
  FileChanges Append(std::vector<table::DataFile> files) {
    FileChanges changes = tables.NewChanges();
    changes.added = std::move(files);
    return changes;
  }

  ManualClock clock{1'770'040'800'000};
  std::unique_ptr<Random> random, faults;
  store::MemoryStore memory;
  store::FaultyStore faulty;
  RacingStore racing;
  IcebergTables iceberg{racing, clock, *random, Options()};
  DeltaTables delta{racing, clock, *random, ForDelta()};
  LakeTables tables{iceberg, delta};
};

template <typename T>
void ExpectCode(const Result<T>& result, const std::string& code) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, code) << result.error().message;
}

inline Formats Both() {
  Formats formats;
  formats.iceberg = formats.delta = true;
  return formats;
}
inline Formats OnlyIceberg() {
  Formats formats;
  formats.iceberg = true;
  return formats;
}

}  // namespace varve::catalog

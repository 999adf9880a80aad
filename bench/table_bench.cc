// What planning and committing cost on a table of very many files, in memory: the store's own time
// is not in it. table_bench [FILES]: one line a measurement.
#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <chrono>
#include <functional>

#include "catalog/lake_tables.h"
#include "catalog/snapshot_files.h"
#include "store/memory_store.h"

namespace varve {
namespace {

int64_t MaxRssMiB() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

void Measure(const char* what, const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  fmt::print("{:<44} {:>9.1f} ms   max rss {} MiB\n", what, took.count(), MaxRssMiB());
}

table::DataFile File(size_t number, int32_t hour) {
  table::DataFile file;
  file.path = fmt::format("catalog/t/data/ts_hour={}/part-{:08}.parquet", hour, number);
  file.bytes = 1 << 20, file.rows = 20'000;
  file.partition = {std::string(reinterpret_cast<const char*>(&hour), sizeof hour)};
  file.split_offsets = {4};
  for (int32_t id = 1; id <= 13; ++id) {
    table::ColumnStats stats;
    stats.field_id = id;
    stats.bytes = 80'000, stats.values = 20'000, stats.nulls = 10;
    stats.lower = id == 1 ? std::string(8, '\1') : "aaaaaaaaaaaaaaaa";
    stats.upper = id == 1 ? std::string(8, '\2') : "zzzzzzzzzzzzzzzz";
    file.columns.push_back(std::move(stats));
  }
  return file;
}

void Run(size_t files) {
  store::MemoryStore store(SystemClock());
  catalog::DeltaOptions options;
  options.catalog.root = "memory://lake";
  catalog::IcebergTables iceberg(store, SystemClock(), SystemRandom(), options.catalog);
  catalog::DeltaTables delta(store, SystemClock(), SystemRandom(), options);
  catalog::LakeTables tables(iceberg, delta);
  catalog::TableShape shape;
  for (int i = 0; i < 13; ++i) {
    table::Field field;
    field.name = fmt::format("c{}", i);
    field.type.id = i == 0 ? table::TypeId::kTimestamptz : table::TypeId::kString;
    shape.schema.fields.push_back(std::move(field));
  }
  table::AssignIds(shape.schema, 0);
  shape.spec = table::ParsePartitioning("hour(c0)", shape.schema).value();
  catalog::Formats formats;
  formats.iceberg = true;
  CHECK(tables.Create("t", shape, formats).ok());
  const size_t hours = 1000;
  Measure("fill", [&] {
    for (size_t at = 0; at < files;) {
      catalog::FileChanges changes = tables.NewChanges();
      changes.paths_are_new = true;
      for (size_t i = 0; i < 10'000 && at < files; ++i, ++at) {
        changes.added.push_back(File(at, static_cast<int32_t>(490'000 + at * hours / files)));
      }
      CHECK(tables.Commit("t", changes).ok());
    }
  });
  Measure("append one file", [&] {
    catalog::FileChanges changes = tables.NewChanges();
    changes.added = {File(files + 1, 490'999)};
    CHECK(tables.Commit("t", changes).ok());
  });
  Measure("replace 100 files of an hour by one", [&] {
    catalog::FileChanges changes = tables.NewChanges();
    changes.same_rows = true;
    table::DataFile merged = File(files + 2, 490'500);
    merged.rows = 0;
    const size_t first = files / 2;
    for (size_t i = 0; i < std::min<size_t>(100, files / hours); ++i) {
      const table::DataFile source = File(first + i, 490'500);
      merged.rows += source.rows;
      table::iceberg::RemovedFile removed;
      removed.path = source.path;
      removed.partition = source.partition;
      changes.removed.push_back(std::move(removed));
    }
    changes.added = {merged};
    CHECK(tables.Commit("t", changes).ok());
  });
  Measure("every live file (plan)",
          [&] { CHECK(catalog::FilesAsOf(tables, "t", {})->files.size() > files / 2); });
}

}  // namespace
}  // namespace varve

int main(int argc, char** argv) {
  size_t files = 100'000;
  if (argc > 1) std::from_chars(argv[1], argv[1] + std::string_view(argv[1]).size(), files);
  varve::Run(files);
  return 0;
}

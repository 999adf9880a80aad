#include "catalog/table_check.h"

#include <fmt/format.h>

#include <map>

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

using Files = std::map<std::string, uint64_t>;  // bytes, by key

Status AddIceberg(LakeTables& tables, const std::string& name, Files& files) {
  const IcebergHead head = TRY(tables.iceberg().Load(name));
  const ice::Snapshot* snapshot = head.metadata.current();
  if (snapshot == nullptr) return {};
  const std::string& base = head.metadata.location;
  const TablePlace place = tables.iceberg().Place(name);
  const auto add = [&](ice::ManifestEntry&& entry) -> Status {
    files[TRY(place.KeyOf(entry.file.path, base))] = entry.file.bytes;
    return {};
  };
  return ice::ForEachLive(head.metadata, *snapshot, tables.iceberg().Reader(name, base),
                          ice::EntryDetail::kPathsOnly, add, add);
}

Status AddDelta(LakeTables& tables, const std::string& name, Files& files) {
  const dl::State state = TRY(tables.delta().Load(name));
  const TablePlace place = tables.delta().Place(name);
  for (const auto& [path, file] : state.files) {
    const auto decoded = dl::DecodePath(path);
    const bool elsewhere =
        !decoded || decoded->find("://") != std::string::npos || decoded->starts_with("/");
    if (!elsewhere) files[place.Key(*decoded)] = static_cast<uint64_t>(file.bytes);
  }
  return {};
}

// What is wrong with what the table says of itself; files: what it says it has.
Result<std::vector<std::string>> ReadTable(LakeTables& tables, const std::string& name,
                                           Files& files) {
  const Formats formats = TRY(tables.FormatsOf(name));
  std::vector<std::string> problems;
  const auto note = [&](const char* format, const Status& read) {
    if (!read.ok()) problems.push_back(fmt::format("{}: {}", format, read.error().message));
  };
  if (formats.iceberg) note("Iceberg", AddIceberg(tables, name, files));
  if (formats.delta) note("Delta", AddDelta(tables, name, files));
  return problems;
}

}  // namespace

Result<TableCheck> CheckTable(LakeTables& tables, const std::string& name,
                              const std::function<bool()>& go_on) {
  TableCheck check;
  Files files;
  check.problems = TRY(ReadTable(tables, name, files));
  Files missing;
  for (const auto& [key, bytes] : files) {
    if (!go_on()) return check;
    ++check.files;
    const auto head = tables.iceberg().store().Head(key);
    if (!head.ok() && head.error().kind != ErrorKind::kNotFound) return head.error();
    if (!head.ok()) {
      missing[key] = bytes;
    } else if (head->size != bytes) {
      check.problems.push_back(
          fmt::format("'{}' has {} bytes, the table says {}", key, head->size, bytes));
    }
  }
  if (missing.empty()) return check;
  Files now;  // others may have replaced them meanwhile
  TRY(ReadTable(tables, name, now));
  for (const auto& item : missing) {
    if (now.contains(item.first)) check.problems.push_back("'" + item.first + "' is missing");
  }
  return check;
}

}  // namespace varve::catalog

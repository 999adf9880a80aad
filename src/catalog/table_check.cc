#include "catalog/table_check.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
namespace dl = table::delta;

using Files = std::map<std::string, uint64_t>;  // bytes, by key

// What the table says of itself.
struct Told {
  Formats formats;
  Files iceberg, delta;
  std::vector<std::string> problems;
  std::string lost_checkpoint, way_out, not_read, not_changed;

  Files all() const {
    Files files = iceberg;
    files.insert(delta.begin(), delta.end());
    return files;
  }
  // Files that one format has and the other has not.
  std::set<std::string> Apart() const {
    std::set<std::string> apart;
    if (!formats.iceberg || !formats.delta || !problems.empty()) return apart;
    for (const auto& item : iceberg) apart.insert(item.first);
    for (const auto& item : delta) {
      if (!apart.insert(item.first).second) apart.erase(item.first);
    }
    return apart;
  }
};

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

void AddLost(const TablePlace& place, const LostCheckpoint& lost, Told& told) {
  const std::string pointer = DeltaPointerKey(place);
  told.lost_checkpoint = fmt::format(
      "'{}' names '{}', which {}; the log has all that it had, and other programs cannot open the "
      "Delta table",
      pointer, lost.key, lost.is_there ? "cannot be read" : "is missing");
  const std::string remove = lost.is_there ? fmt::format("remove '{}' and '{}'", pointer, lost.key)
                                           : fmt::format("remove '{}'", pointer);
  told.way_out = told.not_changed.empty()
                     ? "the next commit to it, by a registration or a compaction, writes a new "
                       "one; until then, " +
                           remove
                     : remove + ": the log is read without";
}

Status AddDelta(LakeTables& tables, const std::string& name, Told& told) {
  const DeltaHead head = TRY(tables.delta().LoadHead(name));
  const dl::State& state = head.state;
  const TablePlace place = tables.delta().Place(name);
  for (const auto& [path, file] : state.files) {
    const auto key = DeltaFileKey(place, path);
    if (key) told.delta[*key] = static_cast<uint64_t>(file.bytes);
  }
  const Status ours = dl::CheckWriterProtocol(state.protocol);
  if (!ours.ok()) told.not_changed = ours.error().message;
  if (head.lost) AddLost(place, *head.lost, told);
  return {};
}

Result<Told> ReadTable(LakeTables& tables, const std::string& name) {
  Told told;
  told.formats = TRY(tables.FormatsOf(name));
  const auto note = [&](const char* format, const Status& read) {
    if (read.ok()) return;
    if (read.error().code == "UNSUPPORTED_PROTOCOL") {
      told.not_read = read.error().message;
    } else {
      told.problems.push_back(fmt::format("{}: {}", format, read.error().message));
    }
  };
  if (told.formats.iceberg) note("Iceberg", AddIceberg(tables, name, told.iceberg));
  if (told.formats.delta) note("Delta", AddDelta(tables, name, told));
  return told;
}

}  // namespace

Result<TableCheck> CheckTable(LakeTables& tables, const std::string& name,
                              const std::function<bool()>& go_on) {
  TableCheck check;
  const Told told = TRY(ReadTable(tables, name));
  check.problems = told.problems;
  check.not_read = told.not_read;
  check.not_changed = told.not_changed;
  Files missing;
  for (const auto& [key, bytes] : told.all()) {
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
  const std::set<std::string> apart = told.Apart();
  if (missing.empty() && apart.empty() && told.lost_checkpoint.empty()) return check;
  const Told again = TRY(ReadTable(tables, name));  // others may have committed meanwhile
  check.lost_checkpoint = again.lost_checkpoint;
  check.way_out = again.way_out;
  const Files now = again.all();
  for (const auto& item : missing) {
    if (now.contains(item.first)) check.problems.push_back("'" + item.first + "' is missing");
  }
  for (const std::string& key : again.Apart()) {
    if (!apart.contains(key)) continue;
    check.problems.push_back(fmt::format(
        "'{}' is in {} alone, as after a commit that was cut short: the next one makes up for it, "
        "or: varve table publish {} --to iceberg+delta",
        key, again.iceberg.contains(key) ? "Iceberg" : "Delta", name));
  }
  return check;
}

}  // namespace varve::catalog

#include "app/snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/clock.h"

namespace varve::app {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kPrunedDaysMax = 31;  // a longer range is one listing of everything

int64_t DayOf(int64_t ms) { return (ms >= 0 ? ms : ms - kDayMs + 1) / kDayMs; }

// The listing prefixes that hold every event file with rows of the range: its days, or everything.
// Files of a month's own (…/Y/M/_compact_…) lie outside the days' folders.
std::vector<std::string> EventPrefixes(const std::string& root, const query::TimeRange& range) {
  if (!range.start_ms || !range.end_ms || *range.end_ms <= *range.start_ms) return {root};
  const int64_t first = DayOf(*range.start_ms);
  const int64_t last = DayOf(*range.end_ms - 1);
  if (last - first >= kPrunedDaysMax) return {root};
  std::vector<std::string> prefixes;
  int month_seen = 0;
  for (int64_t day = first; day <= last; ++day) {
    CivilTime t = CivilFromMs(day * kDayMs);
    std::string month = fmt::format("{}{:04}/{:02}/", root, t.year, t.month);
    if (t.month != month_seen) prefixes.push_back(month + "_compact_");
    month_seen = t.month;
    prefixes.push_back(fmt::format("{}{:02}/", month, t.day));
  }
  return prefixes;
}

}  // namespace

query::FileRef LakeSnapshots::RefOf(const store::ObjectMeta& object) const {
  return {object.key, store_.LocalPath(object.key).value_or(""), object.size, object.modified_ms};
}

Result<query::Snapshot> LakeSnapshots::Take(const NamespaceId& ns, const query::TimeRange& range) {
  const compact::LedgerView ledger = TRY(ledger_.View({}));
  auto view = std::make_shared<ingest::FlushView>(flushes_.CurrentView(ns));
  query::Snapshot snapshot;
  for (const journal::Record& record : view->hot.records) {
    bool tail = record.kind == record::RecordKind::kTail;
    (tail ? snapshot.logs : snapshot.events)
        .hot.push_back({record.kind, record.received_ms, record.events, record.body, record.file});
  }
  for (const journal::RecordFile& file : view->hot.files) {
    snapshot.hot_files.push_back({file.fd, file.base, file.bytes});
  }
  TRY(AddEventFiles(ns, range, *view, &snapshot.events));
  TRY(AddLogFiles(ns, ledger, *view, &snapshot.logs));
  snapshot.pins = std::move(view);
  return snapshot;
}

Result<std::vector<query::LakeTable>> LakeSnapshots::TakeTables(
    const NamespaceId& ns, std::span<const query::TableRef> refs) {
  std::vector<query::LakeTable> out;
  for (const query::TableRef& ref : refs) {
    if (auto table = TRY(tables_.Take(ns, ref))) out.push_back(std::move(*table));
  }
  return out;
}

Result<std::vector<std::string>> LakeSnapshots::TableNames(const NamespaceId& ns,
                                                           size_t names_max) {
  return tables_.Names(ns, names_max);
}

Status LakeSnapshots::AddEventFiles(const NamespaceId& ns, const query::TimeRange& range,
                                    const ingest::FlushView& view, query::TableSnapshot* events) {
  for (const std::string& prefix : EventPrefixes(ns.StorePrefix() + "events/", range)) {
    for (const store::ObjectMeta& object : TRY(store::ListAll(store_, prefix))) {
      if (object.key.ends_with(".jsonl")) {
        events->ndjson.push_back(RefOf(object));
      } else if (object.key.ends_with(".parquet") && view.SeesEventFile(object.key)) {
        events->parquet.push_back(RefOf(object));
      }
    }
  }
  return {};
}

Status LakeSnapshots::AddLogFiles(const NamespaceId& ns, const compact::LedgerView& ledger,
                                  const ingest::FlushView& view, query::TableSnapshot* logs) {
  std::vector<store::ObjectMeta> raw =
      TRY(store::ListAll(store_, ns.StorePrefix() + paths_.raw_events_prefix + "/"));
  std::erase_if(raw, [&](const store::ObjectMeta& object) {
    return !object.key.ends_with(".ndjson") || !view.SeesRawFile(object.key);
  });
  for (size_t index : TRY(ledger_.Unprocessed(ledger, raw))) {
    logs->ndjson.push_back(RefOf(raw[index]));
  }
  for (const store::ObjectMeta& object :
       TRY(store::ListAll(store_, ns.StorePrefix() + paths_.parquet_prefix + "/"))) {
    if (object.key.ends_with(".parquet") && ledger.Shows(object.key)) {
      logs->parquet.push_back(RefOf(object));
    }
  }
  return {};
}

}  // namespace varve::app

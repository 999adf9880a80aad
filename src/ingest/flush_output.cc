#include "ingest/flush_output.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "core/clock.h"
#include "core/crash_point.h"
#include "core/namespace_id.h"
#include "core/ulid.h"
#include "record/event_file.h"
#include "record/log_row.h"

namespace varve::ingest {
namespace {

const CrashPoint kBeforePut{"flush.before_put"};
const CrashPoint kAfterPut{"flush.after_put"};

constexpr int64_t kHourMs = 3'600'000;

int64_t HourOf(int64_t ts_ms) { return ts_ms / kHourMs - (ts_ms % kHourMs < 0 ? 1 : 0); }

// Done also when the object is there already: only this unit has this name.
Status PutOnce(store::ObjectStore& store, const std::string& key, std::string_view bytes,
               store::PutOptions options) {
  options.precondition = store::Precondition::kIfAbsent;
  kBeforePut.Hit();
  Result<store::ObjectMeta> put = store.Put(key, bytes, options);
  kAfterPut.Hit();
  if (put.ok() || put.error().kind == ErrorKind::kConflict) return {};
  if (put.error().kind == ErrorKind::kUnknown && store.Head(key).ok()) return {};
  return std::move(put).error();
}

std::string StorePrefixOf(std::string_view ns) {
  return NamespaceId::Parse(ns).value().StorePrefix();  // checked before it was journalled
}

}  // namespace

void AddPartitions(const journal::Record& record, Partitions* partitions) {
  const int64_t* last = nullptr;
  for (const record::EventRef& event : record.events) {
    int64_t hour = HourOf(event.ts_ms);
    if (last == nullptr || *last != hour)
      last = &partitions->insert({record.ns, hour}).first->second;
  }
}

Result<FlushedObjects> PutEventObjects(store::ObjectStore& store, const Instance& instance,
                                       const FlushUnit& unit,
                                       const std::vector<journal::Record>& records) {
  std::map<Partition, std::vector<record::EventSlice>> partitions;
  for (const journal::Record& record : records) {
    std::vector<record::EventSlice>* slices = nullptr;
    int64_t hour = 0;
    for (const record::EventRef& event : record.events) {
      if (int64_t own = HourOf(event.ts_ms); slices == nullptr || own != hour) {
        hour = own;
        slices = &partitions[{record.ns, hour}];
      }
      slices->push_back({event.ts_ms, record.body.data() + event.offset, event.size, record.kind});
    }
  }
  FlushedObjects done;
  for (const auto& [partition, slices] : partitions) {
    record::EventFile file = TRY(record::WriteEventFile(slices, {}));
    CivilTime t = CivilFromMs(partition.second * kHourMs);
    // A folder holds one file of a unit, so the part only has to be the same each time.
    Ulid id = Ulid::MakeTagged(unit.created_ms, instance.tag, unit.id, 0);
    std::string key =
        fmt::format("{}events/{:04}/{:02}/{:02}/{:02}/{}.parquet", StorePrefixOf(partition.first),
                    t.year, t.month, t.day, t.hour, id.ToString());
    store::PutOptions options;
    options.content_type = "application/vnd.apache.parquet";
    options.metadata = std::move(file.metadata);
    TRY(PutOnce(store, key, file.bytes, std::move(options)));
    done.files += 1;
    done.rows += file.rows;
    done.bytes += file.bytes.size();
  }
  return done;
}

Result<FlushedObjects> PutRawObject(store::ObjectStore& store, const Instance& instance,
                                    const FlushUnit& unit, const std::string& raw_events_prefix,
                                    const std::vector<journal::Record>& records) {
  std::vector<std::string_view> items;
  for (const journal::Record& record : records) {
    for (const record::EventRef& item : record.events) {
      items.push_back(record.body.substr(item.offset, item.size));
    }
  }
  CHECK(!items.empty());
  std::string key = fmt::format("{}{}/{}-{}-{}.ndjson", StorePrefixOf(records.front().ns),
                                raw_events_prefix, unit.created_ms, instance.do_id, unit.raw_seq);
  std::string bytes = record::WriteRawFile({instance.do_id, unit.created_ms, unit.raw_seq}, items);
  store::PutOptions options;
  options.content_type = "application/x-ndjson";
  options.metadata = {{"doId", instance.do_id},
                      {"batchSeq", std::to_string(unit.raw_seq)},
                      {"eventCount", std::to_string(items.size())}};
  TRY(PutOnce(store, key, bytes, std::move(options)));
  return FlushedObjects{1, items.size(), bytes.size()};
}

}  // namespace varve::ingest

// What the fuzzers of the record module run on each input; also replayed, from a seed, by the
// tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/check.h"
#include "record/event.h"
#include "record/event_columns.h"
#include "record/event_reader.h"
#include "record/log_row.h"

namespace varve::record {

// What the parser takes, the decoder must read, and each slice is an event by itself.
inline void FuzzBatchParser(std::string_view input) {
  static BatchParser parser, again;
  static EventDecoder decoder;
  for (const BodyFormat format : {BodyFormat::kJson, BodyFormat::kNdjson}) {
    EventBatch batch, one;
    if (!parser.Parse(input, format, 0, {}, &batch).ok()) continue;
    for (const EventRef& ref : batch.events) {
      CHECK(uint64_t{ref.offset} + ref.size <= input.size());
      const std::string event(input.substr(ref.offset, ref.size));
      EventRow row;
      CHECK(decoder.Decode(event, RecordKind::kEvents, ref.ts_ms, kAllEventColumns, &row).ok());
      CHECK(!row.type.empty() && row.payload == event);
      CHECK(decoder.Decode(event, RecordKind::kWebhook, ref.ts_ms, kAllEventColumns, &row).ok());
      CHECK(again.Parse("[" + event + "]", BodyFormat::kJson, 0, {}, &one).ok());
      CHECK(one.events.size() == 1 && one.events[0].ts_ms == ref.ts_ms);
    }
    decoder.ResetArena();
  }
}

// A normalised item is valid, and stays the same when it is normalised again.
inline void FuzzTraceItems(std::string_view input) {
  const auto batch = ParseTraceItems(input, 1);
  if (!batch.ok()) return;
  CHECK(batch->items.size() == batch->event_ms.size());
  for (const std::string& item : batch->items) {
    CHECK(item.find('\n') == std::string::npos);
    const auto again = ParseTraceItems("[" + item + "]", 1);
    CHECK(again.ok() && again->items.size() == 1 && again->items[0] == item);
    const auto rows = LogRowsOf(item, "fuzz");
    CHECK(!rows.ok() || !rows->empty());
  }
}

inline void FuzzRawFile(std::string_view input) {
  const auto file = ReadRawFile(input);
  if (!file.ok()) return;
  for (const std::string_view item : file->items) {
    const auto rows = LogRowsOf(item, "fuzz");
    CHECK(!rows.ok() || !rows->empty());
  }
}

inline void FuzzParquetCheck(std::string_view input) {
  const auto check = CheckParquetBytes(input);
  CHECK(check.ok() || check.error().kind == ErrorKind::kCorrupt);
}

}  // namespace varve::record

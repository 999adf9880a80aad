#include "ingest/lake.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>

#include "record/log_row.h"

namespace varve::ingest {
namespace {

constexpr int64_t kFirstHourMs = 1'769'990'400'000;  // 2026-02-02T00:00:00Z

// The value of "n" in {"type":"t","n":"name-3",…}.
std::string NameOf(std::string_view json) {
  size_t from = json.find("\"n\":\"");
  CHECK(from != std::string_view::npos);
  from += 5;
  return std::string(json.substr(from, json.find('"', from) - from));
}

void AddParquet(const std::string& bytes, Rows* rows) {
  auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes));
  auto reader = parquet::arrow::OpenFile(input, arrow::default_memory_pool()).ValueOrDie();
  std::shared_ptr<arrow::Table> table = reader->ReadTable().ValueOrDie();
  for (const auto& chunk : table->GetColumnByName("payload")->chunks()) {
    const auto& column = static_cast<const arrow::StringArray&>(*chunk);
    for (int64_t i = 0; i < column.length(); ++i) ++(*rows)[NameOf(column.GetView(i))];
  }
}

std::string Prefix(std::string_view ns) { return NamespaceId::Parse(ns).value().StorePrefix(); }

}  // namespace

Result<std::unique_ptr<Lake>> OpenLake(const std::string& directory, LakeOptions options,
                                       const Clock& clock, store::ObjectStore* store) {
  auto lake = std::make_unique<Lake>();
  if (store == nullptr) {
    lake->owned_store = TRY(store::OpenLocalStore({.root = directory + "/objects"}, clock));
    store = lake->owned_store.get();
  }
  lake->store = store;
  lake->database = TRY(state::Database::Open(directory + "/state.db"));
  Instance instance = TRY(LoadInstance(*lake->database, SystemRandom()));
  options.journal.directory = directory + "/journal";
  options.journal.flushed_lsn = TRY(FlushedUpTo(*lake->database));
  lake->journal = TRY(journal::OpenJournal(options.journal, clock));
  options.flusher.dedup_window_ms = options.ingest.dedup_window_ms;
  lake->flusher =
      TRY(Flusher::Open(options.flusher, instance, *lake->journal, *store, *lake->database, clock));
  SpentEventsOptions spent{directory + "/event-ids", options.ingest.event_ids_max,
                           options.ingest.dedup_window_ms, instance.id_key};
  lake->ingest = std::make_unique<EventIngest>(
      options.ingest, *lake->journal, *lake->flusher,
      TRY(SpentEvents::Open(spent, *lake->journal, lake->flusher->EventsDone(), clock)),
      *lake->database, clock, nullptr);
  lake->flusher->Start();
  return lake;
}

std::string WithPadding(std::string body) {
  body.reserve(body.size() + record::kJsonPaddingBytes);
  return body;
}

Result<BatchReply> Send(Ingest& ingest, const std::string& body, std::string_view ns) {
  Reply<BatchReply> reply;
  ingest.SubmitBatch(NamespaceId::Parse(ns).value(), WithPadding(body), record::BodyFormat::kJson,
                     reply.done());
  return reply.Wait();
}

Result<TailReply> SendTail(Ingest& ingest, const std::string& items, std::string_view ns) {
  Reply<TailReply> reply;
  ingest.SubmitTail(NamespaceId::Parse(ns).value(), WithPadding(items), reply.done());
  return reply.Wait();
}

std::string BatchJson(const std::string& name, int count, int hours) {
  std::string json = "{\"batchId\":\"" + name + "\",\"events\":[";
  for (int i = 0; i < count; ++i) {
    if (i > 0) json += ',';
    json += "{\"type\":\"t\",\"n\":\"" + name + "-" + std::to_string(i) +
            "\",\"ts\":" + std::to_string(kFirstHourMs + i % hours * 3'600'000) + "}";
  }
  return json + "]}";
}

std::string TailJson(const std::string& name, int count) {
  std::string json = "[";
  for (int i = 0; i < count; ++i) {
    if (i > 0) json += ',';
    json +=
        "{\"scriptName\":\"s\",\"outcome\":\"ok\",\"eventTimestamp\":1770000000000,"
        "\"event\":null,\"exceptions\":[],\"logs\":[{\"level\":\"log\",\"timestamp\":"
        "1770000000000,\"message\":[{\"n\":\"" +
        name + "-" + std::to_string(i) + "\"}]}]}";
  }
  return json + "]";
}

std::vector<std::string> Keys(Lake& lake, std::string_view prefix) {
  std::vector<std::string> keys;
  for (const store::ObjectMeta& object : store::ListAll(*lake.store, prefix).value()) {
    keys.push_back(object.key);
  }
  return keys;
}

Rows EventsInObjects(Lake& lake, std::string_view ns) {
  Rows rows;
  for (const std::string& key : Keys(lake, Prefix(ns) + "events/")) {
    AddParquet(lake.store->Get(key).value(), &rows);
  }
  return rows;
}

Rows ItemsInObjects(Lake& lake, std::string_view ns) {
  Rows rows;
  for (const std::string& key : Keys(lake, Prefix(ns) + "raw-events/")) {
    std::string bytes = lake.store->Get(key).value();
    record::RawFile file = record::ReadRawFile(bytes).value();
    for (std::string_view item : file.items) ++rows[NameOf(item)];
  }
  return rows;
}

Rows Visible(Lake& lake, std::string_view ns) {
  FlushView view = lake.flusher->CurrentView(NamespaceId::Parse(ns).value());
  Rows rows;
  for (const journal::Record& record : view.hot.records) {
    if (record.kind == record::RecordKind::kTail) continue;
    for (const record::EventRef& event : record.events) {
      ++rows[NameOf(record.body.substr(event.offset, event.size))];
    }
  }
  for (const std::string& key : Keys(lake, Prefix(ns) + "events/")) {
    if (view.SeesEventFile(key)) AddParquet(lake.store->Get(key).value(), &rows);
  }
  return rows;
}

}  // namespace varve::ingest

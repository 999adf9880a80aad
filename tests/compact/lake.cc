#include "lake.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>

#include "core/bytes.h"
#include "record/event.h"

namespace varve::compact {
namespace {

notify::NotifierOptions NotifyOptions() {
  notify::NotifierOptions options;
  options.bucket = "b";
  options.rules = {{"raw-events/", ".ndjson", {"object-create"}, kQueueName, true}};
  options.stable_ms = 0;
  return options;
}

void CountLogFile(store::ObjectStore& store, const std::string& key,
                  std::map<std::string, int>& counts) {
  const std::string bytes = store.Get(key).value();
  for (const std::string& message : MessagesOf(bytes)) ++counts[message];
}

void CountRawFile(store::ObjectStore& store, const std::string& key,
                  std::map<std::string, int>& counts) {
  std::string bytes = store.Get(key).value();
  bytes.reserve(bytes.size() + record::kJsonPaddingBytes);
  const auto raw = record::ReadRawFile(bytes);
  if (!raw.ok()) return;
  for (const std::string_view item : raw->items) {
    const auto rows = record::LogRowsOf(item, key);
    if (!rows.ok()) continue;
    for (const record::LogRow& row : *rows) ++counts[row.message];
  }
}

bool IsLogFile(const std::string& key) {
  return key.find("logs/workers/") != std::string::npos && key.ends_with(".parquet");
}
bool IsRawFile(const std::string& key) { return ParseRawKey(key, "raw-events").has_value(); }

}  // namespace

std::string Item(int64_t ms, std::string_view message, std::string_view outcome) {
  const std::string at = std::to_string(ms);
  return R"({"scriptName":"w","outcome":)" + JsonQuote(outcome) + R"(,"eventTimestamp":)" + at +
         R"(,"event":null,"logs":[{"timestamp":)" + at + R"(,"level":"info","message":[)" +
         JsonQuote(message) + R"(]}],"exceptions":[],"diagnosticsChannelEvents":[]})";
}

std::string RawBytes(const std::vector<std::string>& items) {
  std::vector<std::string_view> views(items.begin(), items.end());
  return record::WriteRawFile({"do1", kNoon, 0}, views);
}

std::vector<std::string> MessagesOf(const std::string& parquet_bytes) {
  auto file = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(parquet_bytes));
  auto reader = ::parquet::arrow::OpenFile(file, arrow::default_memory_pool()).ValueOrDie();
  const std::shared_ptr<arrow::Table> table = reader->ReadTable().ValueOrDie();
  const auto column = table->GetColumnByName("message");
  CHECK(column != nullptr);
  std::vector<std::string> messages;
  for (int64_t i = 0; i < column->length(); ++i) {
    messages.push_back(column->GetScalar(i).ValueOrDie()->ToString());
  }
  return messages;
}

std::map<std::string, int> VisibleMessages(store::ObjectStore& store, RawLedger& ledger) {
  std::vector<store::ObjectMeta> raw = store::ListAll(store, "").value();
  std::erase_if(raw, [](const store::ObjectMeta& object) { return !IsRawFile(object.key); });
  const LedgerView view = ledger.View(raw).value();
  std::map<std::string, int> counts;
  for (const size_t i : view.unprocessed) CountRawFile(store, raw[i].key, counts);
  for (const store::ObjectMeta& object : store::ListAll(store, "").value()) {
    if (IsLogFile(object.key) && view.Shows(object.key)) CountLogFile(store, object.key, counts);
  }
  return counts;
}

std::map<std::string, int> GlobbedMessages(store::ObjectStore& store) {
  std::map<std::string, int> counts;
  for (const store::ObjectMeta& object : store::ListAll(store, "").value()) {
    if (IsLogFile(object.key)) CountLogFile(store, object.key, counts);
  }
  return counts;
}

Lake::Lake(store::ObjectStore& lake_store, const std::string& state_path, const Clock& clock,
           Random& random, RawConsumerOptions options)
    : store(lake_store) {
  database = state::Database::Open(state_path).value();
  queue = queue::SqliteQueue::Open(*database, clock, random).value();
  queue::QueueConfig config;
  config.name = kQueueName;
  config.dead_letter_queue = kDeadLetters;
  queue->Declare(config).value();
  if (!options.downstream_queue.empty()) {
    config.name = options.downstream_queue;
    queue->Declare(config).value();
  }
  ledger = RawLedger::Open(*database, 7).value();
  notifier = notify::Notifier::Open(NotifyOptions(), *database, *queue, clock).value();
  options.queue = kQueueName;
  consumer = std::make_unique<RawConsumer>(options, store, *queue, *ledger, clock);
}

std::string Lake::PutRaw(std::string_view key, const std::vector<std::string>& items) {
  return store.Put(key, RawBytes(items), {}).value().etag;
}

void Lake::Announce(std::string_view key, std::string_view etag) {
  store::ObjectMeta object;
  object.key = key;
  object.etag = etag;
  queue->Send(kQueueName, notify::WriteCreated("a", "b", "PutObject", object, kNoon), {}).value();
}

}  // namespace varve::compact

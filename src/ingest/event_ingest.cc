#include "ingest/event_ingest.h"

#include <algorithm>
#include <utility>

#include "core/bytes.h"
#include "record/event.h"
#include "record/log_row.h"

namespace varve::ingest {
namespace {

constexpr size_t kInvalidItemsShown = 10;
constexpr uint32_t kWebhookBytesMax = (1 << 20) + 4'096;  // a body, and what is put around it

std::string InvalidItemsJson(const std::vector<record::InvalidTraceItem>& items) {
  std::string json = "[";
  for (size_t i = 0; i < std::min(items.size(), kInvalidItemsShown); ++i) {
    if (i > 0) json += ',';
    json += "{\"index\":" + std::to_string(items[i].index) + ",\"errors\":[";
    for (size_t j = 0; j < items[i].errors.size(); ++j) {
      if (j > 0) json += ',';
      json += JsonQuote(items[i].errors[j]);
    }
    json += "]}";
  }
  return json + "]";
}

}  // namespace

EventIngest::EventIngest(IngestOptions options, journal::Journal& journal, Flusher& flusher,
                         std::unique_ptr<SpentEvents> spent_events, state::Database& database,
                         const Clock& clock, OnDurable on_durable)
    : options_(options),
      journal_(journal),
      flusher_(flusher),
      clock_(clock),
      on_durable_(std::move(on_durable)),
      spent_(database, clock, options.dedup_window_ms),
      spent_events_(std::move(spent_events)) {
  spent_.Restore(journal_, flusher_.EventsDone());
  flusher_.SetBeforeEventsEnd([this](const std::vector<journal::Record>& records) {
    return spent_events_->Flushed(records);
  });
  flusher_.SetOnEventsDone([this](journal::Lsn upto) { spent_.Flushed(upto); });
}

void EventIngest::SubmitBatch(const NamespaceId& ns, std::string body, record::BodyFormat format,
                              Done<BatchReply> done) {
  thread_local record::BatchParser parser;
  CHECK(body.capacity() >= body.size() + record::kJsonPaddingBytes);
  journal::AppendRequest request;
  request.received_ms = clock_.NowMs();
  record::EventBatch batch;
  Status parsed = parser.Parse(body, format, request.received_ms, options_.limits, &batch);
  if (!parsed.ok()) {
    refused_ += 1;
    return done(std::move(parsed).error());
  }
  if (batch.events.empty()) return done(BatchReply{});
  request.kind = record::RecordKind::kEvents;
  request.ns = ns;
  request.event_ids = spent_events_->Identify(ns, body, batch);
  request.batch_id = std::move(batch.batch_id);
  request.events = std::move(batch.events);
  request.body = std::move(body);
  Submit(std::move(request), std::move(done));
}

void EventIngest::SubmitWebhook(const NamespaceId& ns, std::string event_json,
                                std::string delivery_key, Done<BatchReply> done) {
  thread_local record::BatchParser parser;
  journal::AppendRequest request;
  request.kind = record::RecordKind::kWebhook;
  request.ns = ns;
  request.received_ms = clock_.NowMs();
  request.batch_id = std::move(delivery_key);
  event_json.reserve(event_json.size() + record::kJsonPaddingBytes);
  // Checked as every event is: what the journal takes, the flusher must be able to write.
  record::EventLimits limits = options_.limits;
  limits.event_bytes_max = std::max(limits.event_bytes_max, kWebhookBytesMax);
  record::EventBatch batch;
  Status parsed =
      parser.Parse(event_json, record::BodyFormat::kJson, request.received_ms, limits, &batch);
  if (parsed.ok() && batch.events.size() != 1) {
    parsed = MakeError(ErrorKind::kInvalid, "INVALID_EVENT", "a webhook is one event");
  }
  if (!parsed.ok()) {
    refused_ += 1;
    return done(std::move(parsed).error());
  }
  request.events = std::move(batch.events);
  request.body = std::move(event_json);
  webhooks_ += 1;
  Submit(std::move(request), std::move(done));
}

void EventIngest::SubmitTail(const NamespaceId& ns, std::string events_json, Done<TailReply> done) {
  const int64_t now_ms = clock_.NowMs();
  Result<record::TraceBatch> batch = record::ParseTraceItems(events_json, now_ms);
  if (!batch.ok()) {
    refused_ += 1;
    return done(std::move(batch).error());
  }
  TailReply reply;
  reply.accepted = batch->items.size();
  reply.invalid = batch->invalid.size();
  reply.invalid_json = InvalidItemsJson(batch->invalid);
  tail_items_ += reply.accepted;
  tail_items_invalid_ += reply.invalid;
  if (batch->items.empty()) return done(std::move(reply));
  journal::AppendRequest request;
  request.kind = record::RecordKind::kTail;
  request.ns = ns;
  request.received_ms = now_ms;
  for (size_t i = 0; i < batch->items.size(); ++i) {
    request.events.push_back({batch->event_ms[i], static_cast<uint32_t>(request.body.size()),
                              static_cast<uint32_t>(batch->items[i].size())});
    request.body += batch->items[i];
  }
  request.body.reserve(request.body.size() + record::kJsonPaddingBytes);
  Append(std::move(request),
         [reply = std::move(reply), done = std::move(done)](Result<Stored> appended) mutable {
           if (!appended.ok()) return done(std::move(appended).error());
           done(std::move(reply));
         });
}

void EventIngest::Submit(journal::AppendRequest request, Done<BatchReply> done) {
  const uint64_t count = request.events.size();
  if (request.batch_id.empty()) {
    return Append(std::move(request),
                  [this, count, done = std::move(done)](Result<Stored> appended) {
                    if (!appended.ok()) return done(std::move(appended).error());
                    Count(*appended);
                    done(BatchReply{count, false, appended->duplicates});
                  });
  }
  SpentBatches::BatchKey key(request.ns.name(), request.batch_id);
  auto duplicate = [this, count, done] {
    duplicates_ += 1;
    done(BatchReply{count, true});
  };
  auto claim = spent_.TryClaim(key, [done, duplicate](const Status& first) {
    if (first.ok()) return duplicate();
    done(first.error());
  });
  if (!claim.ok()) return done(std::move(claim).error());
  if (*claim == SpentBatches::Claim::kWaiting) return;
  if (*claim == SpentBatches::Claim::kSpent) return duplicate();
  Append(std::move(request), [this, key, count, done = std::move(done)](Result<Stored> appended) {
    if (!appended.ok()) {
      spent_.Failed(key, appended.error());
      return done(std::move(appended).error());
    }
    Count(*appended);
    spent_.Spent(key, appended->lsn);
    done(BatchReply{count, false, appended->duplicates});
  });
}

void EventIngest::Count(const Stored& stored) {
  batches_ += 1;
  events_ += stored.events;
  duplicate_events_ += stored.duplicates;
}

void EventIngest::Append(journal::AppendRequest request, Finished finished) {
  const record::RecordKind kind = request.kind;
  const std::string ns = request.ns.name();
  const uint64_t rows = request.events.size();
  const uint64_t body_bytes = request.body.size();
  auto shared = std::make_shared<Finished>(std::move(finished));
  auto durable = [this, kind, ns, body_bytes, shared](const Stored& stored) {
    if (stored.has_record) {
      const uint64_t bytes =
          stored.events > 0 ? body_bytes + stored.events * sizeof(record::EventRef) : 0;
      flusher_.NoteAppended(kind, ns, stored.lsn, bytes, stored.events);
      if (on_durable_) on_durable_(stored.lsn);
    }
    if (options_.durability == Durability::kFsync) return (*shared)(stored);
    flusher_.WhenDone(kind, ns, stored.lsn, [shared, stored] { (*shared)(stored); });
  };
  Status appended = request.event_ids.empty()
                        ? journal_.Append(std::move(request),
                                          [rows, durable = std::move(durable)](journal::Lsn lsn) {
                                            durable({lsn, rows, 0, true});
                                          })
                        : spent_events_->Append(std::move(request), std::move(durable));
  if (appended.ok()) return;
  refused_ += 1;
  (*shared)(std::move(appended).error());
}

IngestStats EventIngest::stats() const {
  return {batches_,  events_,           duplicates_,
          refused_,  tail_items_,       tail_items_invalid_,
          webhooks_, duplicate_events_, spent_events_->stats()};
}

}  // namespace varve::ingest

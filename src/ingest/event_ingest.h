// Ingest on a journal and a flusher.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "ingest/flusher.h"
#include "ingest/ingest.h"
#include "ingest/spent_batches.h"
#include "ingest/spent_events.h"
#include "journal/journal.h"
#include "state/database.h"

namespace varve::ingest {

struct IngestStats {
  uint64_t batches = 0, events = 0, duplicates = 0, refused = 0;
  uint64_t tail_items = 0, tail_items_invalid = 0, webhooks = 0;
  uint64_t duplicate_events = 0;
  SpentEventsStats event_ids;
};

class EventIngest : public Ingest {
 public:
  // Hears of each durable record, in LSN order, on the committer's thread. May be empty.
  using OnDurable = std::function<void(journal::Lsn)>;

  // All are borrowed and outlive it, but for spent_events. Before flusher.Start().
  EventIngest(IngestOptions options, journal::Journal& journal, Flusher& flusher,
              std::unique_ptr<SpentEvents> spent_events, state::Database& database,
              const Clock& clock, OnDurable on_durable);

  void SubmitBatch(const NamespaceId& ns, std::string body, record::BodyFormat format,
                   Done<BatchReply> done) override;
  void SubmitTail(const NamespaceId& ns, std::string events_json, Done<TailReply> done) override;
  void SubmitWebhook(const NamespaceId& ns, std::string event_json, std::string delivery_key,
                     Done<BatchReply> done) override;
  void TailIdle(const NamespaceId& ns) override { flusher_.FlushTail(ns); }

  IngestStats stats() const;

 private:
  using Finished = std::function<void(Result<Stored>)>;
  // Claims the batch id if there is one, journals, and finishes as the durability asks.
  void Submit(journal::AppendRequest request, Done<BatchReply> done);
  // finished runs once.
  void Append(journal::AppendRequest request, Finished finished);
  void Count(const Stored& stored);

  const IngestOptions options_;
  journal::Journal& journal_;
  Flusher& flusher_;
  const Clock& clock_;
  const OnDurable on_durable_;
  SpentBatches spent_;
  const std::unique_ptr<SpentEvents> spent_events_;
  std::atomic<uint64_t> batches_{0}, events_{0}, duplicates_{0}, duplicate_events_{0}, refused_{0};
  std::atomic<uint64_t> tail_items_{0}, tail_items_invalid_{0}, webhooks_{0};
};

}  // namespace varve::ingest

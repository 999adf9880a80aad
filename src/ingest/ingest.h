// Where input becomes durable: check, deduplicate, journal, answer. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/namespace_id.h"
#include "core/result.h"
#include "record/event.h"

namespace varve::ingest {

enum class Durability : uint8_t {
  kFsync,   // a reply means: in the journal, fdatasync done
  kObject,  // a reply means: in an object on the store
};

struct IngestOptions {
  record::EventLimits limits;
  Durability durability = Durability::kFsync;
  uint64_t dedup_window_ms = 86'400'000;
  uint64_t event_ids_max = 2'000'000;  // remembered; 0: an event's own id means nothing
};

struct BatchReply {
  uint64_t received = 0;
  bool deduplicated = false;  // the batch id was spent: none of it was stored now
  uint64_t duplicates = 0;    // events of a batch that were left out, their own ids being spent
};

struct TailReply {
  uint64_t accepted = 0;
  uint64_t invalid = 0;
  std::string invalid_json;  // JSON array [{index, errors}], at most 10
};

template <typename T>
using Done = std::function<void(Result<T>)>;

class Ingest {
 public:
  virtual ~Ingest() = default;
  // body is moved in and must have capacity for record::kJsonPaddingBytes more. done runs once, on
  // this thread (refused, empty batch, duplicate) or on the committer's; it must not block.
  virtual void SubmitBatch(const NamespaceId& ns, std::string body, record::BodyFormat format,
                           Done<BatchReply> done) = 0;
  // events_json: the `events` array of a tail_events message.
  virtual void SubmitTail(const NamespaceId& ns, std::string events_json, Done<TailReply> done) = 0;
  // event_json: the composed webhook event (webhook.h). delivery_key: what a redelivery repeats;
  // it works as a batchId does. Empty: none.
  virtual void SubmitWebhook(const NamespaceId& ns, std::string event_json,
                             std::string delivery_key, Done<BatchReply> done) = 0;
  // The last tail connection of a namespace has gone: its tail rows are flushed now.
  virtual void TailIdle(const NamespaceId& ns) = 0;
};

}  // namespace varve::ingest

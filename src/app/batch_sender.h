// Gets one batch acknowledged: waits where the server asks to, tries again where nobody answers,
// and where events are refused tells their lines and sends the others. One per thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/batch_reader.h"
#include "app/http_client.h"
#include "core/result.h"

namespace varve::app {

struct BadEvent {
  uint64_t line;
  std::string reason;
};

struct SendOutcome {
  uint64_t stored = 0;        // acknowledged now
  uint64_t deduplicated = 0;  // acknowledged by an earlier run
  std::vector<BadEvent> bad;
};

struct SenderOptions {
  std::string url;  // of POST /ingest, with its parameters
  std::string identity;
  uint64_t patience_ms = 60'000;  // how long an unreachable or busy server is asked again
  bool stop_on_bad = false;       // a refused event fails the batch before anything of it is stored
};

class BatchSender {
 public:
  explicit BatchSender(SenderOptions options) : options_(std::move(options)) {}

  // Errors end the run: kCancelled by the user, kInvalid BAD_EVENT with stop_on_bad, what the
  // server says otherwise. Sent again by a later run, a batch that was stored is not stored twice.
  Result<SendOutcome> Send(const InputBatch& batch);

 private:
  Result<HttpResponse> Post(const InputBatch& batch);
  Status SendPart(const InputBatch& batch, SendOutcome* outcome);
  Status SendHalves(const InputBatch& batch, SendOutcome* outcome);

  SenderOptions options_;
  HttpClient client_;
};

}  // namespace varve::app

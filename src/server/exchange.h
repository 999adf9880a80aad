// One request and its answer: what a route is given. A route reads the request, makes one call, and
// answers from whatever thread the call comes back on: either Reply, or Write…Write, FinishStream.
//
// The connection's thread takes the answer out by steps. Between the two is one mutex and, for
// streams, a bounded buffer: Write waits for room, Offer drops instead of waiting.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespace_id.h"
#include "server/auth.h"
#include "server/http_head.h"
#include "server/rate_limit.h"
#include "server/response.h"

namespace varve::server {

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // The request. Set by the connection, not changed while a route has it.
  RequestHead head;
  std::vector<std::string> path_params;  // decoded, in the pattern's order
  QueryParams query;
  std::string body;  // decompressed; capacity for 64 bytes more
  Principal principal;
  NamespaceId ns;
  std::optional<RateState> rate;
  std::string rate_sender;
  std::string correlation_id;
  std::string peer;
  int64_t received_ns = 0;  // monotonic, when the body was complete
  std::string ping;         // of a stream that waits for events: sent now and then

  std::string_view Param(std::string_view name) const;  // of the query string; "" if absent

  // --- any thread ---
  void Reply(Response response);  // the first answer counts; further ones are dropped
  // A stream's status and headers; before the first Write. Trailers named here may follow.
  void BeginStream(Response head, size_t buffer_bytes_max, bool eager);
  bool Write(std::string_view bytes);  // waits for room; false: the client has gone
  bool Offer(std::string_view bytes);  // false: no room (nothing was taken), or it has gone
  void FinishStream(std::vector<std::pair<std::string, std::string>> trailers = {});
  void AbortStream(Response if_nothing_sent);  // cuts the connection where bytes have gone out
  bool stream_sent() const;                    // whether the head can no longer be changed

  // Becomes true when the client has gone or the server must stop at once.
  const std::atomic<bool>* cancelled() const { return &cancelled_; }
  // Called once when that happens, or at once if it has; for routes that wait for events.
  void OnCancel(std::function<void()> callback);

  // --- the connection's thread ---
  enum class Step : uint8_t { kWait, kReply, kStreamHead, kChunk, kEnd, kAbort };
  struct Output {
    Response response;                                          // kReply, kStreamHead
    std::string bytes;                                          // kChunk
    std::vector<std::pair<std::string, std::string>> trailers;  // kEnd
  };
  Step Take(Output* output);
  // wake runs once, on any thread, as soon as Take would give something. False: it does already.
  bool WakeWhenReady(std::function<void()> wake);
  void Cancel();

 private:
  bool ReadyLocked() const;
  std::function<void()> TakeWakeLocked();

  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::function<void()> wake_;
  std::function<void()> on_cancel_;
  std::optional<Response> reply_;
  Response stream_head_;
  bool answered_ = false;  // Reply or BeginStream was called
  bool streaming_ = false, head_sent_ = false, eager_ = false, finished_ = false, aborted_ = false;
  size_t buffer_bytes_max_ = 0;
  std::string buffer_;
  std::vector<std::pair<std::string, std::string>> trailers_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace varve::server

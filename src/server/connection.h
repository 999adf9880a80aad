// One TCP connection: requests read, handed to their route, answers written, one after another.
//
// A request's way:
//  1. head: read into a fixed buffer, parsed strictly in place;
//  2. admission, before a byte of the body is taken: route, principal, scope, namespace, rate
//  limit,
//     declared size. What is refused here is answered and, where a body follows, the connection
//     ends;
//  3. body: from the socket straight into the string that the route will get, whose capacity comes
//     from Content-Length (chunked bodies go through the decoder), then decompressed;
//  4. the route, then its answer: whole, or chunked as it comes.
// Bytes behind the request (pipelining) wait in the head buffer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/exchange.h"
#include "server/io_thread.h"
#include "server/server_state.h"

namespace varve::server {

class Connection final : public Session, public std::enable_shared_from_this<Connection> {
 public:
  Connection(ServerState& state, IoThread& io, Socket socket);
  ~Connection() override;

  void Start();  // on the I/O thread

  void OnTick(int64_t now_ns) override;
  void OnStop() override;
  void OnForceClose() override;

 private:
  enum class Phase : uint8_t { kIdle, kHead, kBody, kRoute, kWrite, kLinger };
  enum class Next : uint8_t { kKeepAlive, kClose, kLinger };

  Task<void> Run();
  Task<Next> ServeOne();
  Task<bool> ReadHead();  // false: answered or gone; *problem_ says which
  Task<bool> ReadBody(Exchange& exchange, uint64_t bytes_max);
  Task<bool> ReadSizedBody(Exchange& exchange);
  Task<bool> ReadChunkedBody(Exchange& exchange, uint64_t bytes_max);
  Task<size_t> ReadSome(char* data, size_t size);  // 0: the end, an error or a timeout
  Task<bool> WriteAll(std::string_view bytes);
  Task<bool> WriteBoth(std::string_view head, std::string_view body);
  Task<Next> WriteAnswer(std::shared_ptr<Exchange> exchange);
  Task<bool> WriteResponse(Exchange& exchange, Response response);
  Task<bool> WriteChunk(std::string_view bytes);
  Task<void> Linger();
  Task<void> Upgrade(std::shared_ptr<Exchange> exchange);

  std::optional<Response> Admit(Exchange& exchange);
  std::optional<Response> AdmitPrincipal(Exchange& exchange);
  std::optional<Response> AdmitRate(Exchange& exchange);
  std::optional<Response> AdmitBody(const Exchange& exchange);
  std::optional<Response> AdmitUpgrade();
  bool HoldBody(const RequestHead& head, bool encoded);
  void LetBodyGo();
  Response NoRoute(const Exchange& exchange, const RouteMatch& match);
  bool Preflight(const Exchange& exchange, Response* response);
  std::optional<Response> DecodeBody(Exchange& exchange);
  void RunRoute(const std::shared_ptr<Exchange>& exchange);
  void WatchClient(const std::shared_ptr<Exchange>& exchange);
  void BuildHead(const Exchange& exchange, const Response& response, bool chunked);
  void AddCors(const Exchange& exchange);
  void SetPhase(Phase phase, uint32_t ms);
  void Account(const Exchange& exchange, int status);
  std::string NewCorrelationId();
  std::string_view Received() const {
    return std::string_view(in_.data() + in_begin_, in_end_ - in_begin_);
  }

  ServerState& state_;
  IoThread& io_;
  Socket socket_;
  std::string peer_;
  bool peer_is_loopback_ = false;

  std::string in_;  // head_bytes_max and a little; [in_begin_, in_end_) has been received
  size_t in_begin_ = 0, in_end_ = 0;
  size_t head_bytes_ = 0;  // of the request being served, at in_begin_
  std::string carry_;      // read behind a chunked body, for the next request
  std::string out_;
  HeadProblem problem_;
  bool problem_found_ = false;
  bool body_left_ = false;  // the request's body was not read: the connection cannot go on
  bool upgraded_ = false;
  bool timed_out_ = false;
  bool write_failed_ = false;
  Phase phase_ = Phase::kIdle;
  int64_t deadline_ns_ = 0;  // 0: none
  int64_t request_ns_ = 0;   // the request's first byte
  int64_t body_deadline_ns_ = 0;
  int64_t ping_ns_ = 0;
  uint64_t body_bytes_held_ = 0;  // of state_.bodies_bytes
  Route* route_ = nullptr;
  std::shared_ptr<Exchange> exchange_;  // while a route has it
};

}  // namespace varve::server

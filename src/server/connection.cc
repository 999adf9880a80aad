#include "server/connection.h"

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "core/log.h"
#include "record/event.h"
#include "server/decompress.h"
#include "server/websocket.h"

namespace varve::server {
namespace {

constexpr size_t kInSlackBytes = 1024;
constexpr uint32_t kLingerMs = 1'000;
constexpr uint64_t kLingerBytesMax = 4 << 20;

}  // namespace

Connection::Connection(ServerState& state, IoThread& io, Socket socket)
    : state_(state), io_(io), socket_(std::move(socket)) {
  in_.resize(state.options.limits.head_bytes_max + kInSlackBytes);
  ErrorCode error;
  const auto endpoint = socket_.remote_endpoint(error);
  if (!error) {
    auto address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
      address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    }
    peer_ = address.to_string();
    peer_is_loopback_ = address.is_loopback();
  }
  socket_.set_option(asio::ip::tcp::no_delay(true), error);
  socket_.non_blocking(true, error);
  state_.metrics.connections.fetch_add(1, std::memory_order_relaxed);
}

Connection::~Connection() { state_.metrics.connections.fetch_sub(1, std::memory_order_relaxed); }

void Connection::Start() {
  io_.Register(this);
  auto self = shared_from_this();
  asio::co_spawn(
      io_.executor(), [self]() -> Task<void> { return self->Run(); },
      [self](std::exception_ptr) { self->io_.Unregister(self.get()); });
}

void Connection::SetPhase(Phase phase, uint32_t ms) {
  phase_ = phase;
  deadline_ns_ = ms == 0 ? 0 : io_.NowNs() + int64_t{ms} * 1'000'000;
}

void Connection::OnTick(int64_t now_ns) {
  if (upgraded_) return;
  if (deadline_ns_ != 0 && now_ns > deadline_ns_) {
    timed_out_ = true;
    deadline_ns_ = 0;
    ErrorCode ignored;
    socket_.cancel(ignored);
  }
  if (exchange_ != nullptr && !exchange_->ping.empty() && now_ns > ping_ns_) {
    ping_ns_ = now_ns + int64_t{state_.options.limits.live_ping_ms} * 1'000'000;
    exchange_->Offer(exchange_->ping);
  }
}

void Connection::OnStop() {
  if (upgraded_) return;
  ErrorCode ignored;
  if (phase_ == Phase::kIdle) socket_.cancel(ignored);
  if (exchange_ != nullptr && !exchange_->ping.empty()) exchange_->Cancel();
}

void Connection::OnForceClose() {
  if (upgraded_) return;
  if (exchange_ != nullptr) exchange_->Cancel();
  ErrorCode ignored;
  socket_.close(ignored);
}

Task<void> Connection::Run() {
  Next next = Next::kKeepAlive;
  while (next == Next::kKeepAlive) {
    next = co_await ServeOne();
    LetBodyGo();
  }
  if (upgraded_) co_return;
  ErrorCode ignored;
  if (next == Next::kLinger) co_await Linger();
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

// Closing with unread bytes makes the kernel send a reset, which can overtake the answer. So what
// still comes is read and thrown away for a moment.
Task<void> Connection::Linger() {
  ErrorCode ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  SetPhase(Phase::kLinger, kLingerMs);
  const int64_t until_ns = deadline_ns_;
  uint64_t thrown = 0;
  while (thrown < kLingerBytesMax && io_.NowNs() < until_ns) {
    const size_t got = co_await ReadSome(in_.data(), in_.size());
    if (got == 0) break;
    thrown += got;
  }
}

Task<Connection::Next> Connection::ServeOne() {
  route_ = nullptr;
  problem_found_ = body_left_ = timed_out_ = false;
  const bool have_head = co_await ReadHead();
  if (!have_head && !problem_found_) co_return Next::kClose;

  auto exchange = std::make_shared<Exchange>();
  exchange->peer = peer_;
  if (!have_head || !ParseHead(Received().substr(0, head_bytes_),
                               HeadLimits{state_.options.limits.head_bytes_max,
                                          state_.options.limits.uri_bytes_max,
                                          state_.options.limits.header_fields_max},
                               &exchange->head, &problem_)) {
    if (!timed_out_) state_.metrics.bad_requests.fetch_add(1, std::memory_order_relaxed);
    exchange->head.method = Method::kOther;
    exchange->correlation_id = NewCorrelationId();
    Response refusal = ErrorResponse(
        problem_.status, problem_.status == 408 ? "REQUEST_TIMEOUT" : "BAD_REQUEST", problem_.what);
    refusal.close = true;
    co_await WriteResponse(*exchange, std::move(refusal));
    co_return Next::kLinger;
  }

  std::optional<Response> refusal = Admit(*exchange);
  if (!refusal && route_->websocket != WebSocketKind::kNone && exchange->head.upgrade_websocket) {
    co_await Upgrade(std::move(exchange));
    co_return Next::kClose;
  }
  if (!refusal && exchange->head.has_body()) {
    const bool read = co_await ReadBody(*exchange, route_->body_bytes_max);
    if (!read && !problem_found_) co_return Next::kClose;
    if (!read) {
      refusal = ErrorResponse(problem_.status,
                              problem_.status == 413   ? "PAYLOAD_TOO_LARGE"
                              : problem_.status == 408 ? "REQUEST_TIMEOUT"
                                                       : "BAD_REQUEST",
                              problem_.what);
      refusal->close = body_left_ = true;
    } else {
      refusal = DecodeBody(*exchange);
    }
  } else if (refusal && exchange->head.has_body()) {
    refusal->close = body_left_ = true;
  } else {
    in_begin_ += head_bytes_;
  }
  exchange->received_ns = io_.NowNs();
  if (refusal) {
    exchange->Reply(std::move(*refusal));
  } else {
    RunRoute(exchange);
  }
  co_return co_await WriteAnswer(std::move(exchange));
}

Task<size_t> Connection::ReadSome(char* data, size_t size) {
  ErrorCode now;
  const size_t at_once = socket_.read_some(asio::buffer(data, size), now);
  if (!now) co_return at_once;
  if (now != asio::error::would_block) co_return 0;
  const auto [error, got] = co_await socket_.async_read_some(asio::buffer(data, size), kAwait);
  co_return error ? 0 : got;
}

Task<bool> Connection::ReadHead() {
  // Bytes behind the last request move to the front; usually there are none.
  if (!carry_.empty()) {
    std::copy(carry_.begin(), carry_.end(), in_.begin());
    in_begin_ = 0;
    in_end_ = carry_.size();
    carry_.clear();
  } else if (in_begin_ == in_end_) {
    in_begin_ = in_end_ = 0;
  } else if (in_begin_ > 0) {
    std::copy(in_.begin() + in_begin_, in_.begin() + in_end_, in_.begin());
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
  const Limits& limits = state_.options.limits;
  const HeadLimits head_limits{limits.head_bytes_max, limits.uri_bytes_max,
                               limits.header_fields_max};
  if (in_end_ == 0) {
    if (state_.stopping) co_return false;
    SetPhase(Phase::kIdle, limits.idle_ms_max);
    const auto [error, got] =
        co_await socket_.async_read_some(asio::buffer(in_.data(), in_.size()), kAwait);
    if (error || got == 0) co_return false;
    in_end_ = got;
  }
  request_ns_ = io_.NowNs();
  phase_ = Phase::kHead;
  deadline_ns_ = request_ns_ + int64_t{limits.head_ms_max} * 1'000'000;
  size_t scanned = 0;
  while (true) {
    const HeadState found = ScanHead(Received(), head_limits, &scanned, &problem_);
    if (found == HeadState::kComplete) {
      head_bytes_ = scanned;
      co_return true;
    }
    if (found == HeadState::kBad) {
      problem_found_ = true;
      co_return false;
    }
    const size_t got = co_await ReadSome(in_.data() + in_end_, in_.size() - in_end_);
    if (got == 0) {
      if (timed_out_) {
        state_.metrics.timeouts.fetch_add(1, std::memory_order_relaxed);
        problem_found_ = true;
        problem_ = {408, "the request's head took too long"};
      }
      co_return false;
    }
    in_end_ += got;
  }
}

Task<bool> Connection::ReadBody(Exchange& exchange, uint64_t bytes_max) {
  body_deadline_ns_ = io_.NowNs() + int64_t{state_.options.limits.body_ms_max} * 1'000'000;
  if (exchange.head.expect_continue && Received().size() == head_bytes_) {
    const bool sent = co_await WriteAll("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return false;
  }
  SetPhase(Phase::kBody, state_.options.limits.body_idle_ms_max);
  const bool whole = exchange.head.chunked ? co_await ReadChunkedBody(exchange, bytes_max)
                                           : co_await ReadSizedBody(exchange);
  deadline_ns_ = 0;
  if (whole) {
    state_.metrics.request_body_bytes.fetch_add(exchange.body.size(), std::memory_order_relaxed);
    co_return true;
  }
  if (problem_found_) co_return false;
  problem_found_ = true;
  if (timed_out_ || io_.NowNs() > body_deadline_ns_) {
    state_.metrics.timeouts.fetch_add(1, std::memory_order_relaxed);
    problem_ = {408, "the request's body took too long"};
  } else {
    problem_ = {400, "the connection ended inside the request's body"};
  }
  co_return false;
}

Task<bool> Connection::ReadSizedBody(Exchange& exchange) {
  const uint64_t size = exchange.head.content_length;
  const std::string_view received = Received().substr(head_bytes_).substr(0, size);
  std::string& body = exchange.body;
  body.reserve(size + record::kJsonPaddingBytes);
  body.assign(received);
  in_begin_ += head_bytes_ + received.size();
  size_t filled = body.size();
  body.resize(size);
  while (filled < size) {
    const size_t got = co_await ReadSome(body.data() + filled, size - filled);
    if (got == 0 || io_.NowNs() > body_deadline_ns_) co_return false;
    filled += got;
    SetPhase(Phase::kBody, state_.options.limits.body_idle_ms_max);
  }
  co_return true;
}

Task<bool> Connection::ReadChunkedBody(Exchange& exchange, uint64_t bytes_max) {
  ChunkDecoder decoder(bytes_max);
  std::string step;
  std::string_view fresh = Received().substr(head_bytes_);
  in_begin_ += head_bytes_;
  bool from_head_buffer = true;
  while (true) {
    size_t used = 0;
    const ChunkDecoder::State state = decoder.Feed(fresh, &exchange.body, &used);
    if (from_head_buffer) in_begin_ += used;
    if (state == ChunkDecoder::State::kDone) {
      // What follows the body in this read belongs to the next request.
      if (!from_head_buffer) {
        const std::string_view rest = fresh.substr(used);
        carry_.assign(rest);  // the head buffer still holds this request's head
      }
      exchange.body.reserve(exchange.body.size() + record::kJsonPaddingBytes);
      co_return true;
    }
    if (state != ChunkDecoder::State::kNeedMore) {
      problem_found_ = true;
      problem_ = state == ChunkDecoder::State::kTooLarge
                     ? HeadProblem{413, "the request's body is larger than is taken"}
                     : HeadProblem{400, "the chunked body is malformed"};
      co_return false;
    }
    from_head_buffer = false;
    step.resize(in_.size());  // so that what is left over fits the head buffer
    const size_t got = co_await ReadSome(step.data(), step.size());
    if (got == 0 || io_.NowNs() > body_deadline_ns_) co_return false;
    fresh = std::string_view(step).substr(0, got);
    SetPhase(Phase::kBody, state_.options.limits.body_idle_ms_max);
  }
}

}  // namespace varve::server

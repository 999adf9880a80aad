// Running the route and writing what it answers.
#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <exception>

#include "core/log.h"
#include "server/connection.h"
#include "server/iceberg_error.h"
#include "server/websocket.h"

namespace varve::server {
namespace {

constexpr size_t kGatherBytes = 8 * 1024;  // a smaller body is copied behind its head
constexpr size_t kOutKeptBytes = 64 * 1024;

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (char c : value) out.push_back(c == '\r' || c == '\n' ? ' ' : c);
  out.append("\r\n");
}

}  // namespace

void Connection::RunRoute(const std::shared_ptr<Exchange>& exchange) {
  try {
    route_->handler(exchange);
  } catch (const std::exception& error) {
    LogError("handler_threw", {{"route", route_->pattern}, {"what", error.what()}});
    exchange->AbortStream(ErrorResponse(MakeError(ErrorKind::kInternal, error.what())));
  }
}

// While a query runs the client may go: the socket becomes readable and a peek finds its end. Bytes
// of a next request end the watch; the next write will tell then.
void Connection::WatchClient(const std::shared_ptr<Exchange>& exchange) {
  if (in_begin_ != in_end_ || !carry_.empty()) return;
  auto self = shared_from_this();
  socket_.async_wait(Socket::wait_read, [self, exchange](const ErrorCode& error) {
    if (error) return;
    char byte = 0;
    const ssize_t got = ::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) exchange->Cancel();
  });
}

Task<Connection::Next> Connection::WriteAnswer(std::shared_ptr<Exchange> exchange) {
  exchange_ = exchange;
  write_failed_ = false;
  bool watching = false, chunked = false, close = body_left_;
  int status = 0;
  Exchange::Output output;
  while (true) {
    const Exchange::Step step = exchange->Take(&output);
    if (step == Exchange::Step::kWait) {
      SetPhase(Phase::kRoute, 0);
      if (!watching && route_ != nullptr && route_->watch_client) {
        watching = true;
        WatchClient(exchange);
      }
      co_await Suspend(io_.executor(), [&exchange](std::function<void()> resume) {
        return exchange->WakeWhenReady(std::move(resume));
      });
      continue;
    }
    if (step == Exchange::Step::kReply) {
      status = output.response.status;
      if (status >= 400 && exchange->head.path.starts_with(kIcebergPath)) {
        ToIcebergForm(output.response);
      }
      close = close || output.response.close;
      output.response.close = close;
      co_await WriteResponse(*exchange, std::move(output.response));
      break;
    }
    if (step == Exchange::Step::kStreamHead) {
      status = output.response.status;
      chunked = exchange->head.version_minor == 1;
      close = close || !chunked;
      output.response.close = close;
      BuildHead(*exchange, output.response, chunked);
      co_await WriteAll(out_);
      if (exchange->head.method == Method::kHead) exchange->Cancel();
    } else if (step == Exchange::Step::kChunk) {
      if (chunked)
        co_await WriteChunk(output.bytes);
      else
        co_await WriteAll(output.bytes);
    } else if (step == Exchange::Step::kEnd) {
      if (!chunked) break;
      out_ = "0\r\n";
      for (const auto& [name, value] : output.trailers) AppendHeader(out_, name, value);
      out_ += "\r\n";
      co_await WriteAll(out_);
      break;
    } else {  // cut off: the client must not take what it has for the whole
      close = true;
      write_failed_ = true;
      break;
    }
    if (write_failed_) exchange->Cancel();
  }
  exchange->Cancel();  // whoever still works on it may stop
  exchange_.reset();
  ErrorCode ignored;
  if (watching) socket_.cancel(ignored);
  Account(*exchange, status);
  if (out_.capacity() > kOutKeptBytes) std::string().swap(out_);
  if (write_failed_) co_return Next::kClose;
  close = close || !exchange->head.keep_alive || state_.stopping;
  if (body_left_) co_return Next::kLinger;
  co_return close ? Next::kClose : Next::kKeepAlive;
}

void Connection::Account(const Exchange& exchange, int status) {
  const int64_t took_ns = io_.NowNs() - request_ns_;
  if (route_ != nullptr) {
    route_->metrics.duration.ObserveNs(took_ns);
    const size_t status_class = static_cast<size_t>(status) / 100;
    route_->metrics.by_class[status_class < 6 ? status_class : 0].fetch_add(
        1, std::memory_order_relaxed);
  }
  if (!LogEnabled(LogLevel::kDebug)) return;
  Log(LogLevel::kDebug, "request",
      {{"method", ToString(exchange.head.method)},
       {"path", exchange.head.path},
       {"status", status},
       {"us", took_ns / 1000},
       {"peer", peer_},
       {"key", exchange.principal.name},
       {"namespace", exchange.ns.name()},
       {"correlation_id", exchange.correlation_id}});
}

void Connection::AddCors(const Exchange& exchange) {
  const std::string_view origin = exchange.head.Find("origin");
  if (origin.empty()) return;
  const bool open = route_ != nullptr && route_->open_cors;
  if (open) {
    out_ += "Access-Control-Allow-Origin: *\r\n";
  } else if (state_.auth->OriginAllowed(origin)) {
    AppendHeader(out_, "Access-Control-Allow-Origin", origin);
    out_ += "Vary: Origin\r\n";
  } else {
    return;
  }
  out_ += "Access-Control-Expose-Headers: X-Correlation-Id, X-Next-Cursor, Retry-After\r\n";
}

void Connection::BuildHead(const Exchange& exchange, const Response& response, bool chunked) {
  out_.clear();
  out_ += exchange.head.version_minor == 1 ? "HTTP/1.1 " : "HTTP/1.0 ";
  out_ += std::to_string(response.status);
  out_ += ' ';
  out_ += ReasonPhrase(response.status);
  out_ += "\r\n";
  if (chunked) {
    out_ += "Transfer-Encoding: chunked\r\n";
  } else if (exchange.head.version_minor == 1 || !response.close) {
    if (response.status != 204) {
      out_ += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    }
  }
  if (!response.content_type.empty()) AppendHeader(out_, "Content-Type", response.content_type);
  out_ += io_.date_line();
  AppendHeader(out_, "X-Correlation-Id", exchange.correlation_id);
  out_ += "X-Content-Type-Options: nosniff\r\n";
  AddCors(exchange);
  if (exchange.rate) {
    Response limits;
    AddRateHeaders(*exchange.rate, &limits);
    for (const auto& [name, value] : limits.headers) AppendHeader(out_, name, value);
  }
  for (const auto& [name, value] : response.headers) AppendHeader(out_, name, value);
  const bool close = response.close || !exchange.head.keep_alive || state_.stopping;
  if (close)
    out_ += "Connection: close\r\n";
  else if (exchange.head.version_minor == 0)
    out_ += "Connection: keep-alive\r\n";
  out_ += "\r\n";
}

Task<bool> Connection::WriteResponse(Exchange& exchange, Response response) {
  if (response.status == 499) {  // nobody is there to read it
    write_failed_ = true;
    co_return false;
  }
  BuildHead(exchange, response, false);
  if (exchange.head.method == Method::kHead) response.body.clear();
  if (response.body.size() <= kGatherBytes) {
    out_ += response.body;
    co_return co_await WriteAll(out_);
  }
  co_return co_await WriteBoth(out_, response.body);
}

Task<bool> Connection::WriteBoth(std::string_view head, std::string_view body) {
  const bool sent = co_await WriteAll(head);
  if (!sent) co_return false;
  co_return co_await WriteAll(body);
}

Task<bool> Connection::WriteChunk(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out_.clear();
  std::array<char, 16> digits;
  size_t used = digits.size();
  for (size_t left = bytes.size(); left != 0; left >>= 4) digits[--used] = kHex[left & 15];
  out_.append(digits.data() + used, digits.size() - used);
  out_.append("\r\n").append(bytes).append("\r\n");
  co_return co_await WriteAll(out_);
}

Task<bool> Connection::WriteAll(std::string_view bytes) {
  if (write_failed_) co_return false;
  SetPhase(Phase::kWrite, state_.options.limits.write_idle_ms_max);
  while (!bytes.empty()) {
    ErrorCode now;
    size_t sent = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), now);
    if (now == asio::error::would_block) {
      const auto [error, later] =
          co_await socket_.async_write_some(asio::buffer(bytes.data(), bytes.size()), kAwait);
      now = error;
      sent = later;
    }
    if (now) {
      if (timed_out_) state_.metrics.timeouts.fetch_add(1, std::memory_order_relaxed);
      write_failed_ = true;
      co_return false;
    }
    bytes.remove_prefix(sent);
    if (!bytes.empty()) SetPhase(Phase::kWrite, state_.options.limits.write_idle_ms_max);
  }
  deadline_ns_ = 0;
  co_return true;
}

Task<void> Connection::Upgrade(std::shared_ptr<Exchange> exchange) {
  const std::string head(Received().substr(0, head_bytes_));
  if (Received().size() > head_bytes_) {  // frames before the handshake was answered
    Response refusal = ErrorResponse(400, "BAD_REQUEST", "data before the WebSocket handshake");
    refusal.close = true;
    co_await WriteResponse(*exchange, std::move(refusal));
    co_return;
  }
  upgraded_ = true;
  io_.Unregister(this);
  route_->metrics.by_class[1].fetch_add(1, std::memory_order_relaxed);
  co_await ServeWebSocket(state_, io_, std::move(socket_), head, *exchange, route_->websocket);
}

}  // namespace varve::server

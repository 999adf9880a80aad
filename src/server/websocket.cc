// Two coroutines a socket, both on its I/O thread: the reader takes messages and hands them on, the
// writer sends answers in the order of their messages, each once it is there. A sender that does
// not wait for its acknowledgements is read no further when tail_in_flight_max of them are owed.
#include "server/websocket.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <mutex>

#include "core/clock.h"
#include "ingest/ingest.h"
#include "record/event.h"
#include "server/live_feed.h"
#include "server/tail_message.h"

namespace varve::server {
namespace {

namespace beast = boost::beast;
namespace websocket = beast::websocket;
using Stream = websocket::stream<Socket>;

// For the peer to take the answer to its handshake, and at the end to close its side.
constexpr std::chrono::milliseconds kHandshakeMs{2'000};

// What all sockets share: the stream, its options, its end.
class SocketSession : public Session {
 public:
  SocketSession(ServerState& state, IoThread& io, Socket socket)
      : state_(state), io_(io), stream_(std::move(socket)), changed_(io.executor()) {
    const Limits& limits = state.options.limits;
    websocket::stream_base::timeout timeouts;
    timeouts.handshake_timeout = kHandshakeMs;
    timeouts.idle_timeout = std::chrono::milliseconds(limits.websocket_idle_ms);
    timeouts.keep_alive_pings = true;
    stream_.set_option(timeouts);
    stream_.read_message_max(limits.tail_body_bytes_max);
    stream_.auto_fragment(false);
    stream_.text(true);
    state_.metrics.websockets.fetch_add(1, std::memory_order_relaxed);
    io_.Register(this);
  }
  ~SocketSession() override {
    state_.metrics.websockets.fetch_sub(1, std::memory_order_relaxed);
    io_.Unregister(this);
  }

  Task<bool> Accept(const std::string& head) {
    beast::http::request_parser<beast::http::empty_body> parser;
    ErrorCode error;
    parser.eager(false);
    parser.put(asio::buffer(head), error);
    if (error || !parser.is_header_done()) co_return false;
    const auto request = parser.release();
    const auto [refused] = co_await stream_.async_accept(request, kAwait);
    co_return !refused;
  }

  void OnTick(int64_t) override {}
  void OnStop() override {
    stopping_ = true;
    changed_.Set();
  }
  void OnForceClose() override {
    stopping_ = closed_ = true;
    ErrorCode ignored;
    stream_.next_layer().close(ignored);
    changed_.Set();
  }

 protected:
  Task<void> CloseGently(websocket::close_code code) {
    if (!stream_.is_open()) co_return;
    co_await stream_.async_close(websocket::close_reason(code), kAwait);
  }

  ServerState& state_;
  IoThread& io_;
  Stream stream_;
  LocalEvent changed_;  // an answer, a freed place, the end of the reader, a stop
  bool stopping_ = false;
  bool closed_ = false;  // the reader has ended
};

// The way back from the committer's thread. It outlives the session, which is only ever touched,
// and ended, on its own I/O thread.
class Mailbox {
 public:
  explicit Mailbox(Executor executor) : executor_(executor) {}
  void Post(std::function<void()> call) {
    std::lock_guard lock(mutex_);
    if (open_) asio::post(executor_, std::move(call));
  }
  void Close() {  // the I/O thread may be gone after this
    std::lock_guard lock(mutex_);
    open_ = false;
  }

 private:
  std::mutex mutex_;
  bool open_ = true;
  Executor executor_;
};

class TailSession final : public SocketSession, public std::enable_shared_from_this<TailSession> {
 public:
  TailSession(ServerState& state, IoThread& io, Socket socket, const Exchange& exchange)
      : SocketSession(state, io, std::move(socket)),
        ns_(exchange.ns),
        rate_sender_(exchange.rate_sender),
        room_(io.executor()),
        mailbox_(std::make_shared<Mailbox>(io.executor())) {
    state_.tail_sockets.Opened(ns_);
  }
  ~TailSession() override { state_.tail_sockets.Closed(ns_); }

  Task<void> Run() {
    auto self = shared_from_this();
    asio::co_spawn(
        io_.executor(), [self]() -> Task<void> { return self->Read(); }, asio::detached);
    co_await Write();
    mailbox_->Close();
  }

 private:
  struct Answer {
    bool ready = false;
    std::string text;
  };

  Task<void> Read() {
    auto self = shared_from_this();
    std::string message;
    while (true) {
      message.clear();
      auto buffer = asio::dynamic_buffer(message);
      const auto [error, bytes] = co_await stream_.async_read(buffer, kAwait);
      if (error) break;
      message.reserve(message.size() + record::kJsonPaddingBytes);
      Take(message);
      while (answers_.size() >= state_.options.limits.tail_in_flight_max && !closed_) {
        co_await room_.Wait();
      }
    }
    closed_ = true;
    changed_.Set();
  }

  void Take(std::string_view text) {
    const int64_t now_ms = state_.services.clock->NowMs();
    auto message = ParseTailMessage(text, false);
    if (message.ok() && message->empty) return;
    auto answer = std::make_shared<Answer>();
    answers_.push_back(answer);
    if (!message.ok()) return Give(*answer, TailErrorJson(message.error(), now_ms));
    if (const auto refusal = Refusal()) return Give(*answer, TailErrorJson(*refusal, now_ms));
    const int64_t from_ns = io_.NowNs();
    state_.services.ingest->SubmitTail(
        ns_, std::move(message->events_json),
        [mailbox = mailbox_, session = weak_from_this(), answer,
         from_ns](Result<ingest::TailReply> reply) {
          mailbox->Post([session, answer, from_ns, reply = std::move(reply)] {
            if (auto self = session.lock()) self->Answered(*answer, reply, from_ns);
          });
        });
  }

  std::optional<Error> Refusal() {
    if (stopping_) {
      return MakeError(ErrorKind::kRetryable, "STOPPING", "the server is stopping");
    }
    const RateLimits& limits = state_.options.rate_limits;
    if (rate_sender_.empty()) return std::nullopt;
    const RateState rate =
        state_.limiter.Admit(rate_sender_, limits.requests_per_minute, limits.events_per_minute);
    if (rate.allowed) return std::nullopt;
    return MakeError(ErrorKind::kExhausted, "RATE_LIMITED", "Too Many Requests");
  }

  void Answered(Answer& answer, const Result<ingest::TailReply>& reply, int64_t from_ns) {
    const int64_t now_ms = state_.services.clock->NowMs();
    if (!reply.ok()) return Give(answer, TailErrorJson(reply.error(), now_ms));
    state_.metrics.Ingested(EventSource::kTail, reply->accepted, io_.NowNs() - from_ns);
    if (!rate_sender_.empty()) state_.limiter.ChargeEvents(rate_sender_, reply->accepted);
    Give(answer, TailAckJson(*reply, now_ms));
  }

  void Give(Answer& answer, std::string text) {
    answer.ready = true;
    answer.text = std::move(text);
    changed_.Set();
  }

  // Ends when everything that was owed has been sent, or cannot be.
  Task<void> Write() {
    bool failed = false;
    while (true) {
      while (!answers_.empty() && answers_.front()->ready) {
        const std::shared_ptr<Answer> answer = answers_.front();
        if (!failed) {
          const auto [error, sent] =
              co_await stream_.async_write(asio::buffer(answer->text), kAwait);
          failed = static_cast<bool>(error);
        }
        answers_.pop_front();
        room_.Set();
      }
      const bool idle = answers_.empty();
      if (closed_ && idle) break;
      if (stopping_ && idle && !closing_) {
        closing_ = true;  // the peer's answer to it ends the reader
        co_await CloseGently(websocket::close_code::going_away);
        continue;
      }
      co_await changed_.Wait();
    }
  }

  const NamespaceId ns_;
  const std::string rate_sender_;
  LocalEvent room_;
  std::deque<std::shared_ptr<Answer>> answers_;  // in the order of their messages
  bool closing_ = false;
  const std::shared_ptr<Mailbox> mailbox_;
};

class LiveSession final : public SocketSession, public std::enable_shared_from_this<LiveSession> {
 public:
  LiveSession(ServerState& state, IoThread& io, Socket socket, const Exchange& exchange)
      : SocketSession(state, io, std::move(socket)), feed_(std::make_shared<Exchange>()) {
    filter_ = {exchange.ns, std::string(exchange.Param("type")),
               std::string(exchange.Param("source"))};
  }

  Task<void> Run() {
    auto self = shared_from_this();
    if (stopping_) co_return co_await CloseGently(websocket::close_code::going_away);
    feed_->BeginStream({}, state_.options.limits.live_buffer_bytes_max, true);
    const uint64_t id = state_.services.live_feed->Subscribe(
        filter_,
        [feed = feed_](std::string_view event) { return feed->Offer(std::string(event) + "\n"); });
    if (id == 0) co_return co_await CloseGently(websocket::close_code::try_again_later);
    asio::co_spawn(
        io_.executor(), [self]() -> Task<void> { return self->Read(); }, asio::detached);
    co_await Write();
    state_.services.live_feed->Unsubscribe(id);
    co_await CloseGently(websocket::close_code::going_away);
  }

  void OnStop() override {
    SocketSession::OnStop();
    feed_->Cancel();
  }
  void OnForceClose() override {
    SocketSession::OnForceClose();
    feed_->Cancel();
  }

 private:
  Task<void> Read() {  // what is sent here means nothing; its end does
    auto self = shared_from_this();
    beast::flat_buffer buffer;
    while (true) {
      const auto [error, bytes] = co_await stream_.async_read(buffer, kAwait);
      if (error) break;
      buffer.consume(bytes);
    }
    feed_->Cancel();
  }

  Task<void> Write() {
    Exchange::Output output;
    while (true) {
      const Exchange::Step step = feed_->Take(&output);
      // A stop that came before the stream began is a reply.
      if (step == Exchange::Step::kAbort || step == Exchange::Step::kReply) co_return;
      if (step == Exchange::Step::kWait) {
        co_await Suspend(io_.executor(), [this](std::function<void()> resume) {
          return feed_->WakeWhenReady(std::move(resume));
        });
      }
      if (step != Exchange::Step::kChunk) continue;
      std::string_view lines = output.bytes;
      while (!lines.empty()) {
        const size_t end = lines.find('\n');
        const auto [error, sent] =
            co_await stream_.async_write(asio::buffer(lines.data(), end), kAwait);
        if (error) co_return;
        lines.remove_prefix(end + 1);
      }
    }
  }

  LiveFilter filter_;
  const std::shared_ptr<Exchange> feed_;  // as the bounded buffer between publisher and socket
};

template <typename Kind>
Task<void> Serve(std::shared_ptr<Kind> session, std::string head) {
  const bool accepted = co_await session->Accept(head);
  if (accepted) co_await session->Run();
}

}  // namespace

Task<void> ServeWebSocket(ServerState& state, IoThread& io, Socket socket, std::string head,
                          const Exchange& exchange, WebSocketKind kind) {
  if (kind == WebSocketKind::kTail) {
    co_await Serve(std::make_shared<TailSession>(state, io, std::move(socket), exchange),
                   std::move(head));
  } else {
    co_await Serve(std::make_shared<LiveSession>(state, io, std::move(socket), exchange),
                   std::move(head));
  }
}

}  // namespace varve::server

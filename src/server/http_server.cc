#include "server/http_server.h"

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "server/connection.h"

namespace varve::server {
namespace {

using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

constexpr std::chrono::milliseconds kSweepMaxMs{250};
constexpr std::chrono::milliseconds kSweepMinMs{5};
constexpr std::chrono::milliseconds kAcceptRetryMs{50};

constexpr std::string_view kTooManyConnections =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    "Content-Length: 64\r\nConnection: close\r\n\r\n"
    "{\"error\":\"too many connections\",\"code\":\"TOO_MANY_CONNECTIONS\"}   ";

std::chrono::milliseconds SweepEvery(const Limits& limits) {
  const uint32_t shortest =
      std::min({limits.head_ms_max, limits.body_idle_ms_max, limits.body_ms_max, limits.idle_ms_max,
                limits.write_idle_ms_max, limits.live_ping_ms});
  return std::clamp(std::chrono::milliseconds(shortest / 4), kSweepMinMs, kSweepMaxMs);
}

}  // namespace

struct HttpServer::Impl {
  Impl(ServerOptions options, Services services, std::unique_ptr<Auth> auth)
      : state(std::move(options), std::move(services), std::move(auth)) {
    const auto sweep_every = SweepEvery(state.options.limits);
    for (uint32_t i = 0; i < std::max(1u, state.options.io_threads); ++i) {
      threads.push_back(std::make_unique<IoThread>(*state.services.clock, sweep_every));
    }
    acceptor = std::make_unique<Acceptor>(threads[0]->executor());
    accept_retry = std::make_unique<SteadyTimer>(threads[0]->executor());
  }

  Status Listen();
  Task<void> Accept();
  void Take(Socket socket, IoThread& thread);

  ServerState state;
  std::vector<std::unique_ptr<IoThread>> threads;
  std::unique_ptr<Acceptor> acceptor;  // threads[0]'s, as the next one
  std::unique_ptr<SteadyTimer> accept_retry;
  uint16_t port = 0;
  bool stopped = false;
};

Status HttpServer::Impl::Listen() {
  ErrorCode error;
  const auto address = asio::ip::make_address(state.options.address, error);
  if (error) {
    return MakeError(ErrorKind::kInvalid,
                     "listen on " + state.options.address + ": not an address; give an IP");
  }
  const asio::ip::tcp::endpoint endpoint(address, state.options.port);
  const std::string doing =
      "listen on " + state.options.address + ":" + std::to_string(state.options.port) + ": ";
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(Acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(1024, error);
  if (error) return MakeError(ErrorKind::kInternal, doing + error.message());
  port = acceptor->local_endpoint().port();
  return {};
}

void HttpServer::Impl::Take(Socket socket, IoThread& thread) {
  const auto open = state.metrics.connections.load(std::memory_order_relaxed);
  if (open >= static_cast<int64_t>(state.options.limits.connections_max)) {
    state.metrics.connections_refused.fetch_add(1, std::memory_order_relaxed);
    ErrorCode ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kTooManyConnections), ignored);
    return;
  }
  auto connection = std::make_shared<Connection>(state, thread, std::move(socket));
  asio::post(thread.executor(), [connection] { connection->Start(); });
}

Task<void> HttpServer::Impl::Accept() {
  size_t next = 0;
  while (!state.stopping) {
    IoThread& thread = *threads[next++ % threads.size()];
    Socket socket(thread.executor());
    const auto [error] = co_await acceptor->async_accept(socket, kAwait);
    if (state.stopping) break;
    if (error) {  // out of descriptors: a place may become free
      LogWarn("accept_failed", {{"error", error.message()}});
      accept_retry->expires_after(kAcceptRetryMs);
      co_await accept_retry->async_wait(kAwait);
      continue;
    }
    Take(std::move(socket), thread);
  }
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(ServerOptions options, Services services) {
  auto auth = TRY(Auth::Make(options.keys, options.cors_origins));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(services), std::move(auth));
  AddIngestRoutes(impl->state);
  AddTailRoutes(impl->state);
  AddQueryRoutes(impl->state);
  AddEventRoutes(impl->state);
  AddQueueRoutes(impl->state);
  AddCompactionRoutes(impl->state);
  AddStoreRoutes(impl->state);
  AddWorkflowRoutes(impl->state);
  AddMigrationRoutes(impl->state);
  AddViewRoutes(impl->state);
  AddOperationRoutes(impl->state);
  AddIcebergRoutes(impl->state);
  TRY(impl->Listen());
  Impl* raw = impl.get();
  asio::co_spawn(
      impl->threads[0]->executor(), [raw]() -> Task<void> { return raw->Accept(); },
      asio::detached);
  for (auto& thread : impl->threads) thread->Start();
  LogInfo("listening", {{"address", impl->state.options.address}, {"port", impl->port}});
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { Stop(); }

uint16_t HttpServer::port() const { return impl_->port; }

void HttpServer::Stop() {
  if (std::exchange(impl_->stopped, true)) return;
  ServerState& state = impl_->state;
  state.stopping = true;
  Impl* raw = impl_.get();
  asio::post(impl_->threads[0]->context(), [raw] {
    ErrorCode ignored;
    raw->acceptor->close(ignored);
    raw->accept_retry->cancel();
  });
  for (auto& thread : impl_->threads) thread->StopSessions();
  const auto all_gone = [&] {
    return state.metrics.connections.load() == 0 && state.metrics.websockets.load() == 0;
  };
  constexpr std::chrono::milliseconds kLookEvery{2};
  const auto wait = [&](std::chrono::milliseconds at_most) {
    for (auto waited = kLookEvery; !all_gone() && waited < at_most; waited += kLookEvery) {
      std::this_thread::sleep_for(kLookEvery);
    }
  };
  wait(std::chrono::milliseconds(state.options.limits.stop_ms_max));
  if (!all_gone()) {
    LogWarn("stop_closes_connections", {{"open", state.metrics.connections.load()}});
    for (auto& thread : impl_->threads) thread->CloseSessions();
    wait(std::chrono::milliseconds(1'000));
  }
  for (auto& thread : impl_->threads) thread->Join();
}

}  // namespace varve::server

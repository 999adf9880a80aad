// One I/O thread: an io_context of its own, the sessions that live on it, and the sweep that ends
// the ones whose deadline has passed. A session never leaves its thread, so nothing on it is
// locked; other threads reach it by posting. Private to the server: it brings in Asio.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>

#include "core/clock.h"

namespace varve::server {

namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using SteadyTimer =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, Executor>;
template <typename T>
using Task = asio::awaitable<T, Executor>;
inline constexpr asio::use_awaitable_t<Executor> kUseTask{};
inline const auto kAwait = asio::as_tuple(kUseTask);  // errors as values
using ErrorCode = boost::system::error_code;

class Session {
 public:
  virtual ~Session() = default;
  virtual void OnTick(int64_t now_ns) = 0;
  virtual void OnStop() = 0;        // finish what is in flight, then go
  virtual void OnForceClose() = 0;  // go
};

class IoThread {
 public:
  IoThread(const Clock& clock, std::chrono::milliseconds sweep_every);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  void Start();
  void StopSessions();   // any thread
  void CloseSessions();  // any thread
  void Join();           // after its sessions have gone

  asio::io_context& context() { return context_; }
  Executor executor() { return context_.get_executor(); }
  int64_t NowNs() const { return clock_.MonotonicNs(); }
  const std::string& date_line() const { return date_line_; }  // "Date: …\r\n"
  void Register(Session* session);
  void Unregister(Session* session) { sessions_.erase(session); }

 private:
  void ArmSweep();
  void Sweep();
  void ForEachSession(void (Session::*call)());

  const Clock& clock_;
  const std::chrono::milliseconds sweep_every_;
  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_;
  SteadyTimer sweep_timer_;
  std::unordered_set<Session*> sessions_;
  bool stopping_ = false;
  int64_t date_second_ = 0;
  std::string date_line_;
  std::thread thread_;
};

// Suspends the coroutine until `resume`, which arm is given, is called, once, from any thread. arm
// returns false where there is nothing to wait for.
template <typename Arm>
auto Suspend(Executor executor, Arm arm) {
  return asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
      [executor](auto handler, Arm arm_now) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        std::function<void()> resume = [executor, shared] {
          asio::post(executor, [shared] { std::move (*shared)(); });
        };
        if (!arm_now(resume)) resume();
      },
      kUseTask, std::move(arm));
}

// Something a coroutine of this thread waits for and another one of it sets.
class LocalEvent {
 public:
  explicit LocalEvent(Executor executor) : executor_(executor) {}
  void Set() {
    set_ = true;
    if (auto resume = std::exchange(resume_, nullptr)) resume();
  }
  Task<void> Wait() {
    co_await Suspend(executor_, [this](std::function<void()> resume) {
      if (set_) return false;
      resume_ = std::move(resume);
      return true;
    });
    set_ = false;
  }

 private:
  Executor executor_;
  bool set_ = false;
  std::function<void()> resume_;
};

}  // namespace varve::server

#include "server/io_thread.h"

#include <fmt/format.h>

#include <vector>

#include "journal/thread_priority.h"

namespace varve::server {
namespace {

std::string HttpDate(int64_t ms) {
  constexpr const char* kDays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const CivilTime t = CivilFromMs(ms);
  const int64_t days = ms / 86'400'000;
  return fmt::format("Date: {}, {:02} {} {} {:02}:{:02}:{:02} GMT\r\n", kDays[days % 7], t.day,
                     kMonths[t.month - 1], t.year, t.hour, t.minute, t.second);
}

}  // namespace

IoThread::IoThread(const Clock& clock, std::chrono::milliseconds sweep_every)
    : clock_(clock),
      sweep_every_(sweep_every),
      work_(context_.get_executor()),
      sweep_timer_(context_.get_executor()) {}

IoThread::~IoThread() { Join(); }

void IoThread::Start() {
  Sweep();
  thread_ = std::thread([this] {
    journal::PreferWakeup();  // a commit's answers wait for this thread
    context_.run();
  });
}

void IoThread::Join() {
  if (!thread_.joinable()) return;
  asio::post(context_, [this] {
    work_.reset();
    stopping_ = true;
    sweep_timer_.cancel();
  });
  thread_.join();
}

void IoThread::Register(Session* session) {
  sessions_.insert(session);
  if (stopping_) session->OnStop();
}

void IoThread::ForEachSession(void (Session::*call)()) {
  const std::vector<Session*> sessions(sessions_.begin(), sessions_.end());
  for (Session* session : sessions) {
    if (sessions_.contains(session)) (session->*call)();
  }
}

void IoThread::StopSessions() {
  asio::post(context_, [this] {
    stopping_ = true;
    ForEachSession(&Session::OnStop);
  });
}

void IoThread::CloseSessions() {
  asio::post(context_, [this] { ForEachSession(&Session::OnForceClose); });
}

void IoThread::ArmSweep() {
  sweep_timer_.expires_after(sweep_every_);
  sweep_timer_.async_wait([this](const ErrorCode& error) {
    if (!error && work_.owns_work()) Sweep();
  });
}

void IoThread::Sweep() {
  const int64_t now_ms = clock_.NowMs();
  if (now_ms / 1000 != date_second_) {
    date_second_ = now_ms / 1000;
    date_line_ = HttpDate(date_second_ * 1000);
  }
  const int64_t now_ns = clock_.MonotonicNs();
  const std::vector<Session*> sessions(sessions_.begin(), sessions_.end());
  for (Session* session : sessions) {
    if (sessions_.contains(session)) session->OnTick(now_ns);
  }
  ArmSweep();
}

}  // namespace varve::server

#include "server/exchange.h"

#include <algorithm>
#include <utility>

namespace varve::server {
namespace {

// A stream's first bytes are held back until there are this many, so that an answer that turns out
// to be small, or an error, is sent whole with its length.
constexpr size_t kHeldBytes = 64 * 1024;

}  // namespace

std::string_view Exchange::Param(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}

std::function<void()> Exchange::TakeWakeLocked() {
  if (wake_ == nullptr || !ReadyLocked()) return nullptr;
  return std::exchange(wake_, nullptr);
}

bool Exchange::ReadyLocked() const {
  if (reply_.has_value() || finished_ || aborted_) return true;
  if (!streaming_) return false;
  if (eager_ && !head_sent_) return true;
  return buffer_.size() >= (eager_ || head_sent_ ? 1 : kHeldBytes);
}

void Exchange::Reply(Response response) {
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    if (answered_) return;
    answered_ = true;
    reply_ = std::move(response);
    wake = TakeWakeLocked();
  }
  if (wake) wake();
}

void Exchange::BeginStream(Response head, size_t buffer_bytes_max, bool eager) {
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    if (answered_) return;
    answered_ = streaming_ = true;
    eager_ = eager;
    buffer_bytes_max_ = std::max(buffer_bytes_max, 2 * kHeldBytes);
    stream_head_ = std::move(head);
    wake = TakeWakeLocked();
  }
  if (wake) wake();
}

bool Exchange::Write(std::string_view bytes) {
  std::function<void()> wake;
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] {
      return cancelled_ || !streaming_ || buffer_.empty() ||
             buffer_.size() + bytes.size() <= buffer_bytes_max_;
    });
    if (cancelled_ || !streaming_) return false;
    buffer_.append(bytes);
    wake = TakeWakeLocked();
  }
  if (wake) wake();
  return true;
}

bool Exchange::Offer(std::string_view bytes) {
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    if (cancelled_ || !streaming_ || buffer_.size() + bytes.size() > buffer_bytes_max_) {
      return false;
    }
    buffer_.append(bytes);
    wake = TakeWakeLocked();
  }
  if (wake) wake();
  return true;
}

void Exchange::FinishStream(std::vector<std::pair<std::string, std::string>> trailers) {
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    finished_ = true;
    trailers_ = std::move(trailers);
    wake = TakeWakeLocked();
  }
  if (wake) wake();
}

void Exchange::AbortStream(Response if_nothing_sent) {
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    if (head_sent_) {
      aborted_ = true;
    } else {
      streaming_ = false;
      answered_ = true;
      reply_ = std::move(if_nothing_sent);
    }
    wake = TakeWakeLocked();
  }
  if (wake) wake();
}

bool Exchange::stream_sent() const {
  std::lock_guard lock(mutex_);
  return head_sent_;
}

void Exchange::OnCancel(std::function<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    if (!cancelled_) {
      on_cancel_ = std::move(callback);
      return;
    }
  }
  callback();
}

Exchange::Step Exchange::Take(Output* output) {
  std::lock_guard lock(mutex_);
  if (!ReadyLocked()) return Step::kWait;
  if (reply_) {
    output->response = std::move(*reply_);
    reply_.reset();
    return Step::kReply;
  }
  if (aborted_) return Step::kAbort;
  if (!head_sent_) {
    head_sent_ = true;
    output->response = std::move(stream_head_);
    if (!finished_) return Step::kStreamHead;
    // All of it is here: an answer with a length, and the trailers among its headers.
    output->response.body = std::move(buffer_);
    for (auto& trailer : trailers_) output->response.headers.push_back(std::move(trailer));
    return Step::kReply;
  }
  if (!buffer_.empty()) {
    output->bytes.clear();
    output->bytes.swap(buffer_);
    room_.notify_all();
    return Step::kChunk;
  }
  output->trailers = std::move(trailers_);
  return Step::kEnd;
}

bool Exchange::WakeWhenReady(std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  if (ReadyLocked()) return false;
  wake_ = std::move(wake);
  return true;
}

void Exchange::Cancel() {
  std::function<void()> on_cancel, wake;
  {
    std::lock_guard lock(mutex_);
    if (cancelled_.exchange(true)) return;
    on_cancel = std::exchange(on_cancel_, nullptr);
    if (!answered_) {
      answered_ = true;
      reply_ = ErrorResponse(499, "CANCELLED", "the client has gone");
      reply_->close = true;
    } else if (streaming_) {
      aborted_ = true;
    }
    wake = TakeWakeLocked();
  }
  room_.notify_all();
  if (wake) wake();
  if (on_cancel) on_cancel();
}

}  // namespace varve::server

#include "server/seams.h"

#include <gtest/gtest.h>

#include <charconv>

namespace varve::server {

SteeredIngest::SteeredIngest() : thread_([this] { Run(); }) {}

SteeredIngest::~SteeredIngest() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void SteeredIngest::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closed_ || (!held_ && !answers_.empty()); });
    if (answers_.empty()) return;
    auto answer = std::move(answers_.front());
    answers_.pop_front();
    lock.unlock();
    answer();
    answer = nullptr;
    lock.lock();
  }
}

std::optional<Error> SteeredIngest::refusal() {
  std::lock_guard lock(mutex_);
  return refusal_;
}

void SteeredIngest::Enqueue(const NamespaceId& ns, uint64_t events, std::string text,
                            std::function<void()> answer) {
  {
    std::lock_guard lock(mutex_);
    events_[ns.name()] += events;
    if (!text.empty()) texts_.push_back(std::move(text));
    answers_.push_back(std::move(answer));
    ++submitted_;
  }
  changed_.notify_all();
}

void SteeredIngest::SubmitBatch(const NamespaceId& ns, std::string body, record::BodyFormat format,
                                ingest::Done<ingest::BatchReply> done) {
  if (auto error = refusal()) return done(*error);
  EXPECT_GE(body.capacity(), body.size() + record::kJsonPaddingBytes);
  record::BatchParser parser;
  record::EventBatch batch;
  const Status parsed = parser.Parse(body, format, 1, {}, &batch);
  if (!parsed.ok()) return done(parsed.error());
  const ingest::BatchReply reply{batch.events.size(), batch.batch_id == "again"};
  Enqueue(ns, reply.received, "", [done = std::move(done), reply] { done(reply); });
}

void SteeredIngest::SubmitTail(const NamespaceId& ns, std::string events_json,
                               ingest::Done<ingest::TailReply> done) {
  if (auto error = refusal()) return done(*error);
  ingest::TailReply reply;
  for (char c : events_json) reply.accepted += c == '{';
  Enqueue(ns, reply.accepted, events_json, [done = std::move(done), reply] { done(reply); });
}

void SteeredIngest::SubmitWebhook(const NamespaceId& ns, std::string event_json, std::string,
                                  ingest::Done<ingest::BatchReply> done) {
  if (auto error = refusal()) return done(*error);
  Enqueue(ns, 1, event_json, [done = std::move(done)] { done(ingest::BatchReply{1, false}); });
}

void SteeredIngest::TailIdle(const NamespaceId& ns) {
  std::lock_guard lock(mutex_);
  ++idle_[ns.name()];
  changed_.notify_all();
}

void SteeredIngest::Hold() {
  std::lock_guard lock(mutex_);
  held_ = true;
}

void SteeredIngest::Release() {
  {
    std::lock_guard lock(mutex_);
    held_ = false;
  }
  changed_.notify_all();
}

void SteeredIngest::Refuse(std::optional<Error> error) {
  std::lock_guard lock(mutex_);
  refusal_ = std::move(error);
}

void SteeredIngest::AwaitSubmitted(uint64_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return submitted_ >= count; });
}

void SteeredIngest::AwaitIdle(const std::string& ns) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return idle_[ns] > 0; });
}

std::map<std::string, uint64_t> SteeredIngest::EventsByNamespace() {
  std::lock_guard lock(mutex_);
  return events_;
}

std::vector<std::string> SteeredIngest::Texts() {
  std::lock_guard lock(mutex_);
  return texts_;
}

Result<query::QuerySummary> SteeredEngine::Cancelled() {
  {
    std::lock_guard lock(mutex_);
    ++cancelled_;
  }
  changed_.notify_all();
  return MakeError(ErrorKind::kCancelled, "QUERY_CANCELLED", "cancelled");
}

void SteeredEngine::AwaitCancelled(uint32_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return cancelled_ >= count; });
}

query::QueryRequest SteeredEngine::last() {
  std::lock_guard lock(mutex_);
  return last_;
}

Result<query::QuerySummary> SteeredEngine::Run(const query::QueryRequest& request,
                                               const query::ByteSink& sink,
                                               const std::atomic<bool>* cancelled) {
  {
    std::lock_guard lock(mutex_);
    last_ = request;
  }
  const std::string& sql = request.sql;
  ++running;
  query::QuerySummary summary;
  if (sql.starts_with("rows ")) {
    std::from_chars(sql.data() + 5, sql.data() + sql.size(), summary.rows);
    for (uint64_t i = 0; i < summary.rows; ++i) {
      const std::string line = "row " + std::to_string(i) + "\n";
      if (!sink(line)) return Cancelled();
    }
    if (request.rows_max != 0) summary.next_cursor = "cursor-1";
    return summary;
  }
  if (sql == "wait") {
    while (!*cancelled) std::this_thread::yield();
    return Cancelled();
  }
  if (sql == "flood") {
    const std::string block(100'000, 'x');
    while (sink(block)) bytes_given += block.size();
    return Cancelled();
  }
  if (sql == "break") {
    for (int i = 0; i < 8; ++i) {  // more than is held back before it is sent
      if (!sink(std::string(1 << 20, 'b'))) return Cancelled();
    }
    return MakeError(ErrorKind::kCorrupt, "CORRUPT_OBJECT", "a page is damaged");
  }
  if (sql.starts_with("fail ")) {
    const std::string code = sql.substr(5);
    const ErrorKind kind = code == "SQL_FORBIDDEN"   ? ErrorKind::kForbidden
                           : code == "QUERY_TIMEOUT" ? ErrorKind::kCancelled
                           : code == "QUERY_MEMORY"  ? ErrorKind::kExhausted
                           : code == "BUSY"          ? ErrorKind::kExhausted
                           : code == "INTERNAL"      ? ErrorKind::kInternal
                                                     : ErrorKind::kInvalid;
    return MakeError(kind, code, "the words of " + code);
  }
  if (!sink("{\"data\":[]}")) return Cancelled();
  return summary;
}

Result<query::QuerySummary> SteeredEngine::Next(const NamespaceId&, std::string_view cursor,
                                                const query::ByteSink& sink,
                                                const std::atomic<bool>*) {
  if (cursor != "cursor-1") {
    return MakeError(ErrorKind::kNotFound, "CURSOR_EXPIRED", "no such cursor");
  }
  if (!sink("the rest")) return Cancelled();
  return query::QuerySummary{.rows = 1, .next_cursor = "", .warnings = {}};
}

}  // namespace varve::server

// What stands behind the server in these tests: an Ingest and an Engine that the test steers, and
// the real queue and store in memory.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ingest/ingest.h"
#include "query/engine.h"
#include "record/event.h"

namespace varve::server {

// Checks batches with the real parser, answers from a thread of its own as the committer does. Hold
// keeps answers back; Refuse answers everything with an error.
class SteeredIngest final : public ingest::Ingest {
 public:
  SteeredIngest();
  ~SteeredIngest() override;

  void SubmitBatch(const NamespaceId& ns, std::string body, record::BodyFormat format,
                   ingest::Done<ingest::BatchReply> done) override;
  void SubmitTail(const NamespaceId& ns, std::string events_json,
                  ingest::Done<ingest::TailReply> done) override;
  void SubmitWebhook(const NamespaceId& ns, std::string event_json, std::string delivery_key,
                     ingest::Done<ingest::BatchReply> done) override;
  void TailIdle(const NamespaceId& ns) override;

  void Hold();
  void Release();
  void Refuse(std::optional<Error> error);
  void AwaitSubmitted(uint64_t count);  // calls so far, of all kinds
  void AwaitIdle(const std::string& ns);

  std::map<std::string, uint64_t> EventsByNamespace();
  std::vector<std::string> Texts();  // what tails and webhooks submitted

 private:
  void Enqueue(const NamespaceId& ns, uint64_t events, std::string text,
               std::function<void()> answer);
  std::optional<Error> refusal();
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> answers_;
  std::optional<Error> refusal_;
  std::map<std::string, uint64_t> events_;
  std::map<std::string, uint32_t> idle_;
  std::vector<std::string> texts_;
  uint64_t submitted_ = 0;
  bool held_ = false, closed_ = false;
  std::thread thread_;
};

// Its SQL is a few words: "rows N" gives N numbered lines, "wait" gives nothing until it is
// cancelled, "flood" writes until the sink refuses, "fail CODE" fails at once, "break" after eight
// megabytes; anything else answers {"data":[]}.
class SteeredEngine final : public query::Engine {
 public:
  Result<query::QuerySummary> Run(const query::QueryRequest& request, const query::ByteSink& sink,
                                  const std::atomic<bool>* cancelled) override;
  Result<query::QuerySummary> Next(const NamespaceId& ns, std::string_view cursor,
                                   const query::ByteSink& sink,
                                   const std::atomic<bool>* cancelled) override;
  void AwaitCancelled(uint32_t count);
  query::QueryRequest last();
  std::atomic<uint64_t> bytes_given{0};
  std::atomic<uint32_t> running{0};

 private:
  Result<query::QuerySummary> Cancelled();
  std::mutex mutex_;
  std::condition_variable changed_;
  uint32_t cancelled_ = 0;
  query::QueryRequest last_;
};

// A lake without files or hot rows.
class EmptyLake final : public query::SnapshotSource {
 public:
  Result<query::Snapshot> Take(const NamespaceId&, const query::TimeRange&) override {
    return query::Snapshot{};
  }
};

}  // namespace varve::server

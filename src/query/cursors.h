// Results that wait for their next page. Thread-safe; a cursor is used by one caller at a time,
// because who takes it has it alone.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/clock.h"
#include "query/worker.h"

namespace varve::query {

// A statement in its worker, between its check and its last row. The worker goes first: it reads
// what the plan pins.
struct OpenQuery {
  QueryPlan plan;
  uint64_t page_rows = 0;
  std::unique_ptr<Worker> worker;
};

class Cursors {
 public:
  Cursors(const EngineOptions& options, const Clock& clock, Random& random)
      : options_(options), clock_(clock), random_(random) {}

  std::string NewId();
  // Room for one more, made by dropping the namespace's own oldest if need be; kExhausted BUSY.
  Status MakeRoom(const NamespaceId& ns);
  void Put(std::string id, const NamespaceId& ns, std::unique_ptr<OpenQuery> query);
  Result<std::unique_ptr<OpenQuery>> Take(const NamespaceId& ns, std::string_view id);
  void DropIdle();

 private:
  struct Entry {
    NamespaceId ns;
    std::unique_ptr<OpenQuery> query;
    int64_t used_ns = 0;
  };
  bool IsIdle(const Entry& entry) const;

  const EngineOptions& options_;
  const Clock& clock_;
  Random& random_;
  std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace varve::query

// Results that wait for their next page. Thread-safe; a cursor is used by one caller at a time,
// because who takes it has it alone.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/clock.h"
#include "query/execution.h"

namespace varve::query {

class Cursors {
 public:
  Cursors(const EngineOptions& options, const Clock& clock, Random& random)
      : options_(options), clock_(clock), random_(random) {}

  std::string NewId();
  // Room for one more, made by dropping the namespace's own oldest if need be; kExhausted BUSY.
  Status MakeRoom(const NamespaceId& ns);
  void Put(std::string id, const NamespaceId& ns, std::unique_ptr<Execution> execution);
  Result<std::unique_ptr<Execution>> Take(const NamespaceId& ns, std::string_view id);
  void DropIdle();

 private:
  struct Entry {
    NamespaceId ns;
    std::unique_ptr<Execution> execution;
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

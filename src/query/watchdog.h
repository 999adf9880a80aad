// Ends queries whose time is over or whose caller has gone: one thread that looks at all of them.
#pragma once

#include <duckdb.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "core/clock.h"
#include "core/result.h"

namespace varve::query {

class Watchdog {
 public:
  // idle runs about once a second on the watchdog's thread.
  Watchdog(const Clock& clock, std::function<void()> idle);
  ~Watchdog();

  enum class End : int { kNone, kTimeout, kCancelled };

  // A connection under watch, for as long as this object lives.
  class Watch {
   public:
    Watch(Watchdog& watchdog, duckdb_connection connection, int64_t deadline_ns,
          const std::atomic<bool>* cancelled);
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch();
    // Why the query was ended, asked anew: true also for what the thread has not seen yet.
    End end() const;
    // kCancelled QUERY_TIMEOUT | QUERY_CANCELLED in place of an error that the end caused.
    Error Explain(Error error, uint64_t query_ms_max) const;

   private:
    friend class Watchdog;
    Watchdog& watchdog_;
    const duckdb_connection connection_;
    const int64_t deadline_ns_;
    const std::atomic<bool>* cancelled_;
    std::list<Watch*>::iterator place_;
  };

 private:
  void Loop();

  const Clock& clock_;
  const std::function<void()> idle_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<Watch*> watches_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace varve::query

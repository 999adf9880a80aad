// A whole way of the data on one real directory: store, state, journal, flusher, ingest.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/ulid.h"
#include "ingest/event_ingest.h"
#include "store/local_store.h"

namespace varve::ingest {

class TempDir {
 public:
  TempDir() {
    path_ = (std::filesystem::temp_directory_path() /
             ("varve-" + Ulid::Make(SystemClock().NowMs(), SystemRandom()).ToString()))
                .string();
    std::filesystem::create_directories(path_);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class TestClock : public Clock {  // may be moved on while threads read it
 public:
  int64_t NowMs() const override { return now_ms_; }
  int64_t MonotonicNs() const override { return SystemClock().MonotonicNs(); }
  void AdvanceMs(int64_t ms) { now_ms_ += ms; }

 private:
  std::atomic<int64_t> now_ms_{1'770'000'000'000};
};

struct LakeOptions {
  IngestOptions ingest;
  FlusherOptions flusher;
  journal::JournalOptions journal;

  LakeOptions() {
    journal.segment_bytes = 256 << 10;
    journal.bytes_max = 16 << 20;
    journal.ready_segments = 2;
    flusher.events_flush_ms = 3'600'000;  // only what a test asks for
    flusher.flush_interval_ms = 3'600'000;
    flusher.retry_ms_max = 100;
  }
};

// Members go in the order that a process ends in; without Stop it is as if it had been killed, but
// for what the journal still had in line.
struct Lake {
  std::unique_ptr<store::ObjectStore> owned_store;
  store::ObjectStore* store = nullptr;
  std::unique_ptr<state::Database> database;
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<Flusher> flusher;
  std::unique_ptr<EventIngest> ingest;

  ~Lake() {
    if (journal != nullptr) journal->Close();
    flusher.reset();
  }
  // As a graceful stop: everything that is in the journal goes into objects.
  Status Stop() {
    journal->Close();
    return flusher->Stop();
  }
};

// store: instead of the directory's own.
Result<std::unique_ptr<Lake>> OpenLake(const std::string& directory, LakeOptions options,
                                       const Clock& clock, store::ObjectStore* store = nullptr);
inline std::unique_ptr<Lake> MustOpen(const TempDir& dir, const Clock& clock,
                                      LakeOptions options = {},
                                      store::ObjectStore* store = nullptr) {
  auto lake = OpenLake(dir.path(), options, clock, store);
  CHECK(lake.ok());
  return std::move(lake).value();
}

std::string WithPadding(std::string body);

template <typename T>
struct Reply {  // of one call, waited for
  std::promise<Result<T>> promise;
  Done<T> done() {
    return [this](Result<T> result) { promise.set_value(std::move(result)); };
  }
  Result<T> Wait() { return promise.get_future().get(); }
};

Result<BatchReply> Send(Ingest& ingest, const std::string& body, std::string_view ns = "default");
Result<TailReply> SendTail(Ingest& ingest, const std::string& items,
                           std::string_view ns = "default");

// {"events":[…],"batchId":…}: events named {name}-{i}, `hours` hours of event time.
std::string BatchJson(const std::string& name, int count, int hours = 1);
std::string TailJson(const std::string& name, int count);

using Rows = std::map<std::string, int>;  // an event's or item's name: how often it is there

Rows EventsInObjects(Lake& lake, std::string_view ns = "default");
Rows ItemsInObjects(Lake& lake, std::string_view ns = "default");
Rows Visible(Lake& lake, std::string_view ns = "default");  // events of one view, as a query
std::vector<std::string> Keys(Lake& lake, std::string_view prefix);

}  // namespace varve::ingest

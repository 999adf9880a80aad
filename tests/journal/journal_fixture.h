// A journal on a real directory, with small segments, and the few moves that its tests share.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/ulid.h"
#include "journal/journal.h"

namespace varve::journal {

constexpr uint32_t kEverything = ~0u;

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

inline JournalOptions SmallOptions(const std::string& directory) {
  JournalOptions options;
  options.directory = directory;
  options.segment_bytes = 256 << 10;
  options.bytes_max = 64 << 20;
  options.ready_segments = 2;
  options.spare_segments = 3;
  return options;
}

inline AppendRequest EventsRequest(std::string body, std::string ns = "default",
                                   std::string batch_id = {}) {
  AppendRequest request;
  request.ns = NamespaceId::Parse(ns).value();
  request.received_ms = 1'770'000'000'000;
  request.batch_id = std::move(batch_id);
  request.events.push_back({request.received_ms + 7, 0, static_cast<uint32_t>(body.size())});
  request.body = std::move(body);
  return request;
}

// Counts the records that the journal has said are durable.
class Acks {
 public:
  std::function<void(Lsn)> Expect(std::string body) {
    std::lock_guard lock(mutex_);
    ++expected_;
    return [this, body = std::move(body)](Lsn lsn) {
      std::lock_guard inner(mutex_);
      EXPECT_TRUE(acked_.emplace(lsn, body).second) << "LSN " << lsn << " given twice";
      --expected_;
      changed_.notify_all();
    };
  }
  void Withdraw() {
    std::lock_guard lock(mutex_);
    --expected_;
  }
  std::map<Lsn, std::string> Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return expected_ == 0; });
    return acked_;
  }
  std::map<Lsn, std::string> WaitFor(size_t records) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return acked_.size() >= records; });
    return acked_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int expected_ = 0;
  std::map<Lsn, std::string> acked_;
};

inline Lsn AppendAndWait(Journal& journal, AppendRequest request) {
  Acks acks;
  std::string body = request.body;
  Status appended = journal.Append(std::move(request), acks.Expect(body));
  EXPECT_TRUE(appended.ok()) << (appended.ok() ? "" : appended.error().message);
  return acks.Wait().begin()->first;
}

inline std::map<Lsn, std::string> Bodies(const Journal& journal, Lsn after = 0, Lsn upto = ~0ull,
                                         uint32_t kinds = kEverything) {
  std::map<Lsn, std::string> bodies;
  HotRecords hot = journal.Read(after, upto, kinds);
  for (const Record& record : hot.records) bodies[record.lsn] = std::string(record.body);
  return bodies;
}

inline std::vector<std::string> SegmentFiles(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".segment") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace varve::journal

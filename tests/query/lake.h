// A small lake on a real directory for the query tests: Parquet files written by record, NDJSON
// files, journal records in mapped files; and what is in it, as a snapshot.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/clock.h"
#include "query/engine.h"
#include "record/event_file.h"

namespace varve::query::testing {

using Json = nlohmann::json;

inline constexpr int64_t kNoon = 1'770'033'600'000;  // 2026-02-02T12:00:00Z

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "varve-query-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string path(const std::string& name = {}) const {
    return name.empty() ? path_ : path_ + "/" + name;
  }

 private:
  std::string path_;
};

// A batch as the journal holds it: in a file that is mapped.
class HotBatch {
 public:
  HotBatch(const std::vector<std::string>& events, const std::vector<int64_t>& times,
           record::RecordKind kind = record::RecordKind::kEvents)
      : kind_(kind), count_(events.size()) {
    std::vector<record::EventRef> refs;
    std::string body;
    for (size_t i = 0; i < events.size(); ++i) {
      refs.push_back(
          {times[i], static_cast<uint32_t>(body.size()), static_cast<uint32_t>(events[i].size())});
      body += events[i] + "\n";
    }
    body_bytes_ = body.size();
    const std::string bytes =
        std::string(reinterpret_cast<const char*>(refs.data()), refs_bytes()) + body +
        std::string(record::kJsonPaddingBytes, '\0');
    file_.bytes = bytes.size();
    file_.fd = memfd_create("hot", MFD_CLOEXEC);
    CHECK(write(file_.fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    void* base = mmap(nullptr, bytes.size(), PROT_READ, MAP_SHARED, file_.fd, 0);
    CHECK(base != MAP_FAILED);
    file_.base = static_cast<const char*>(base);
  }
  HotBatch(const HotBatch&) = delete;
  HotBatch& operator=(const HotBatch&) = delete;
  ~HotBatch() {
    munmap(const_cast<char*>(file_.base), file_.bytes);
    close(file_.fd);
  }

  void AddTo(TableSnapshot* table, Snapshot* snapshot) const {
    table->hot.push_back({kind_,
                          kNoon,
                          {reinterpret_cast<const record::EventRef*>(file_.base), count_},
                          std::string_view(file_.base + refs_bytes(), body_bytes_),
                          static_cast<uint32_t>(snapshot->hot_files.size())});
    snapshot->hot_files.push_back(file_);
  }

 private:
  size_t refs_bytes() const { return count_ * sizeof(record::EventRef); }

  record::RecordKind kind_;
  size_t count_;
  size_t body_bytes_ = 0;
  HotFile file_;
};

inline std::string EventJson(int64_t n, const std::string& type, int64_t ts_ms) {
  return Json{{"type", type},
              {"ts", ts_ms},
              {"n", n},
              {"method", n % 2 == 0 ? "GET" : "POST"},
              {"url", "https://example.com/" + std::to_string(n % 7)},
              {"status_code", 200 + n % 3},
              {"duration_ms", n + 0.5}}
      .dump();
}

class Lake : public SnapshotSource {
 public:
  Result<Snapshot> Take(const NamespaceId& ns, const TimeRange&) override {
    ++taken;
    Snapshot snapshot;
    if (ns.name() != "default") return snapshot;
    snapshot.events.parquet = event_files;
    snapshot.events.ndjson = event_lines;
    snapshot.logs.parquet = log_files;
    snapshot.logs.ndjson = raw_files;
    for (const auto& batch : *hot) batch.AddTo(&snapshot.events, &snapshot);
    for (const auto& batch : *hot_tail) batch.AddTo(&snapshot.logs, &snapshot);
    snapshot.pins = std::make_shared<std::pair<decltype(hot), decltype(hot_tail)>>(hot, hot_tail);
    return snapshot;
  }

  Result<std::vector<LakeTable>> TakeTables(const NamespaceId& ns,
                                            std::span<const TableRef> refs) override {
    std::vector<LakeTable> found;
    for (const TableRef& ref : refs) {
      refs_asked.push_back(ref);
      for (const LakeTable& table : tables) {
        if (ns.name() == "default" && table.ref == ref) found.push_back(table);
      }
    }
    return found;
  }
  Result<std::vector<std::string>> TableNames(const NamespaceId&, size_t) override {
    std::vector<std::string> names;
    for (const LakeTable& table : tables) {
      if (table.ref.at == TableRef::At::kNow) names.push_back(table.ref.name);
    }
    return names;
  }

  FileRef WriteText(const std::string& key, const std::string& bytes) {
    const std::filesystem::path path = dir.path(key);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return {key, path.string(), bytes.size(), kNoon};
  }

  // Events first … first + count, a second apart, of two types.
  void AddEventFile(const std::string& key, int64_t first, int64_t count) {
    std::string body;
    std::vector<std::pair<size_t, size_t>> places;
    for (int64_t n = first; n < first + count; ++n) {
      const std::string event = EventJson(n, TypeOf(n), kNoon + n * 1000);
      places.emplace_back(body.size(), event.size());
      body += event;
    }
    body.append(record::kJsonPaddingBytes, '\0');
    std::vector<record::EventSlice> slices;
    for (int64_t n = 0; n < count; ++n) {
      slices.push_back({kNoon + (first + n) * 1000, body.data() + places[n].first,
                        static_cast<uint32_t>(places[n].second), record::RecordKind::kEvents});
    }
    auto file = record::WriteEventFile(slices, {});
    ASSERT_TRUE(file.ok()) << file.error().message;
    event_files.push_back(WriteText(key, file->bytes));
  }

  void AddHot(int64_t first, int64_t count) {
    std::vector<std::string> events;
    std::vector<int64_t> times;
    for (int64_t n = first; n < first + count; ++n) {
      times.push_back(kNoon + n * 1000);
      events.push_back(EventJson(n, TypeOf(n), times.back()));
    }
    hot->emplace_back(events, times);
  }

  static std::string TypeOf(int64_t n) { return n % 3 == 0 ? "rpc.call" : "collection.update"; }

  TempDir dir;
  std::vector<FileRef> event_files, event_lines, log_files, raw_files;
  std::shared_ptr<std::deque<HotBatch>> hot = std::make_shared<std::deque<HotBatch>>();
  std::shared_ptr<std::deque<HotBatch>> hot_tail = std::make_shared<std::deque<HotBatch>>();
  std::vector<LakeTable> tables;
  std::vector<TableRef> refs_asked;
  std::atomic<int> taken{0};
};

struct Answer {
  Result<QuerySummary> summary;
  std::string bytes;

  Json json() const { return Json::parse(bytes, nullptr, false); }
  Json data() const { return json()["data"]; }
  std::string code() const { return summary.ok() ? "OK" : summary.error().code; }
};

inline Answer Ask(Engine& engine, const std::string& sql, ResultFormat format = ResultFormat::kJson,
                  uint64_t rows_max = 0) {
  QueryRequest request;
  request.sql = sql;
  request.format = format;
  request.rows_max = rows_max;
  std::string bytes;
  auto summary = engine.Run(
      request,
      [&](std::string_view part) {
        bytes += part;
        return true;
      },
      nullptr);
  return {std::move(summary), std::move(bytes)};
}

inline std::unique_ptr<Engine> OpenEngine(Lake& lake, EngineOptions options = {}) {
  auto engine = Engine::Open(std::move(options), &lake);
  CHECK(engine.ok());
  return std::move(engine).value();
}

}  // namespace varve::query::testing

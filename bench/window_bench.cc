// What it costs to note announcements of writers' files, and to hand their windows over. On a
// database file, with its fsyncs. window_bench FILE [NOTIFICATIONS] [BATCH]: one line a
// measurement.
#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <functional>

#include "compact/window_report.h"
#include "compact/window_tracker.h"
#include "notify/notification.h"

namespace varve {
namespace {

constexpr int64_t kStartMs = 1'795'255'200'000;
constexpr size_t kNamespaces = 10, kWriters = 20;

struct Took {
  double seconds = 0, cpu_seconds = 0;
};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Took Measure(const std::function<void()>& work) {
  const double cpu_before = CpuSeconds();
  const auto begin = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return {took.count(), CpuSeconds() - cpu_before};
}

void Line(const char* what, size_t count, Took took) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{:<32} {:>8} in {:>7.2f} s ({:>6.2f} s of CPU) {:>8.0f} /s   max rss {} MiB\n", what,
             count, took.seconds, took.cpu_seconds, static_cast<double>(count) / took.seconds,
             usage.ru_maxrss / 1024);
}

// A day of files: every writer of every namespace, in order of time.
std::string KeyOf(size_t number, size_t of) {
  const size_t step = number / (kNamespaces * kWriters);
  const size_t steps = std::max<size_t>(1, of / (kNamespaces * kWriters));
  const int64_t ms = kStartMs + static_cast<int64_t>(step * 86'400'000 / steps);
  return fmt::format("data/tenant{}/events/{}-writer{}-{}.parquet", number % kNamespaces, ms,
                     number / kNamespaces % kWriters, step);
}

compact::Arrival ArrivalOf(const std::string& key, std::string etag, uint64_t size) {
  compact::Arrival arrival;
  arrival.name = compact::ParseSourceName(key, "data/").value();
  arrival.key = key;
  arrival.etag = std::move(etag);
  arrival.size = size;
  return arrival;
}

// As a store sends them, until they are arrivals: not the tracker's part.
void Read(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    store::ObjectMeta object;
    object.key = KeyOf(i, count);
    object.etag = fmt::format("{:032x}", i);
    object.size = 1 << 20;
    const std::string message =
        notify::WriteCreated("account", "bucket", "PutObject", object, kStartMs);
    for (const auto& told : notify::ParseNotifications(message).value()) {
      CHECK(ArrivalOf(told.key, told.etag, told.size.value_or(0)).size != 0);
    }
  }
}

void Note(compact::WindowTracker& tracker, size_t count, size_t batch_max) {
  std::vector<compact::Arrival> batch;
  for (size_t i = 0; i < count; ++i) {
    batch.push_back(ArrivalOf(KeyOf(i, count), fmt::format("{:032x}", i), 1 << 20));
    if (batch.size() < batch_max && i + 1 < count) continue;
    CHECK(tracker.Note(batch).ok());
    batch.clear();
  }
}

void Run(const std::string& path, size_t count, size_t batch_max) {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
  auto database = state::Database::Open(path).value();
  ManualClock clock(kStartMs + 48LL * 3'600'000);
  compact::WindowOptions options;
  options.settings.target.tables.iceberg = true;
  options.concurrency_max = 1'000;
  auto tracker = compact::WindowTracker::Open(options, *database, clock).value();
  Line("write and read messages", count, Measure([&] { Read(count); }));
  Line("note, first time", count, Measure([&] { Note(*tracker, count, batch_max); }));
  Line("note, announced again", count, Measure([&] { Note(*tracker, count, batch_max); }));
  clock.AdvanceMs(48LL * 3'600'000);
  size_t windows = 0;
  Line("read the status", 1, Measure([&] {
         const auto status = compact::ReadStatus(*tracker, {}).value();
         for (const auto& ns : status.namespaces) {
           windows += ns.windows_total;
         }
       }));
  size_t files = 0;
  const auto start = [&](state::Session&, const compact::CompactionRequest& request) {
    files += request.sources.size();
    return Result<std::string>(fmt::format("w{}", files));
  };
  const Took took = Measure([&] {
    for (size_t i = 0; i < 20; ++i) CHECK(tracker->Dispatch({}, start).ok());
  });
  Line("dispatch 20 windows: files pinned", files, took);
  fmt::print("{} windows; {} MiB of database\n", windows,
             std::filesystem::file_size(path) / (1 << 20));
}

}  // namespace
}  // namespace varve

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "window_bench FILE [NOTIFICATIONS] [BATCH]\n");
    return 2;
  }
  size_t numbers[] = {1'000'000, 1'000};
  for (int i = 2; i < argc && i < 4; ++i) {
    const std::string_view text = argv[i];
    std::from_chars(text.data(), text.data() + text.size(), numbers[i - 2]);
  }
  varve::Run(argv[1], numbers[0], numbers[1]);
}

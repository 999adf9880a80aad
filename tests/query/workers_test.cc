// Statements run in processes of their own: what one does to its process it does to nobody else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <charconv>
#include <fstream>
#include <future>
#include <map>
#include <sstream>
#include <thread>

#include "lake.h"

namespace varve::query::testing {
namespace {

constexpr const char* kEndless =
    "SELECT count(*) FROM range(10000000) a(x), range(10000000) b(y) WHERE (x * y) % 7 = 3";
// One call of a function: DuckDB looks at no interrupt before it returns.
constexpr const char* kDeaf =
    "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000 + i::INT)) FROM range(3) t(i)";

int64_t NowMs() { return SystemClock().MonotonicNs() / 1'000'000; }

struct Process {
  pid_t pid;
  int64_t cpu_ticks;
};

// This process's workers.
std::vector<Process> Workers() {
  std::vector<Process> workers;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    std::from_chars(name.data(), name.data() + name.size(), pid);
    std::string line;
    std::getline(std::ifstream(entry.path() / "stat"), line);
    const size_t end = line.rfind(')');
    if (pid == 0 || end == std::string::npos) continue;
    std::istringstream rest(line.substr(end + 1));
    std::vector<std::string> fields(std::istream_iterator<std::string>(rest), {});
    if (fields[1] != std::to_string(getpid())) continue;
    int64_t ticks = 0;
    std::from_chars(fields[11].data(), fields[11].data() + fields[11].size(), ticks);
    workers.push_back({pid, ticks});
  }
  return workers;
}

// The one that works: which has used more than a tenth of a second since it was first seen.
pid_t AwaitBusyWorker() {
  std::map<pid_t, int64_t> first;
  while (true) {
    for (const Process& worker : Workers()) {
      const auto [it, is_new] = first.emplace(worker.pid, worker.cpu_ticks);
      if (worker.cpu_ticks > it->second + sysconf(_SC_CLK_TCK) / 10) return worker.pid;
    }
    std::this_thread::yield();
  }
}

EngineOptions SmallMemory() {
  EngineOptions options;
  options.memory_bytes_max = 64 << 20;
  options.worker_overhead_bytes = 256 << 20;
  options.query_ms_max = 60'000;
  return options;
}

TEST(Workers, TextThatDuckDbDoesNotCountEndsItsOwnProcessOnly) {
  Lake lake;
  lake.AddEventFile("events/2026/02/02/12/a.parquet", 0, 100);
  auto engine = OpenEngine(lake, SmallMemory());
  std::string doubled = "SELECT length(s) FROM (SELECT s || s AS s FROM ";
  std::string inner = "(SELECT repeat('x', 1000) || i AS s FROM range(2000) t(i))";
  for (int i = 0; i < 12; ++i) inner = "(SELECT s || s AS s FROM " + inner + ")";
  for (const std::string& sql : std::vector<std::string>{
           "SELECT repeat('x', i::INT * 1000) FROM range(1000000) t(i)", doubled + inner + ")",
           "SELECT repeat('x', 400000000)", "SELECT lpad('x', 2000000000, 'y')",
           "SELECT list_transform(range(2000), x -> repeat('x', 1000000))"}) {
    auto bomb =
        std::async(std::launch::async, [&] { return Ask(*engine, sql, ResultFormat::kNdjson); });
    EXPECT_EQ(Ask(*engine, "SELECT count(*) AS n FROM events").data()[0]["n"], 100) << sql;
    const Answer answer = bomb.get();
    EXPECT_EQ(answer.code(), "QUERY_MEMORY") << sql;
    if (answer.summary.ok()) continue;
    EXPECT_EQ(answer.summary.error().kind, ErrorKind::kExhausted);
    EXPECT_THAT(answer.summary.error().message, ::testing::HasSubstr("memory")) << sql;
  }
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "OK");
}

TEST(Workers, TimeEndsWhatHearsNoInterrupt) {
  Lake lake;
  EngineOptions options;
  options.query_ms_max = 300;
  auto engine = OpenEngine(lake, options);
  const int64_t start = NowMs();
  const Answer answer = Ask(*engine, kDeaf);
  EXPECT_EQ(answer.code(), "QUERY_TIMEOUT");
  EXPECT_LT(NowMs() - start, 3000);
  EXPECT_EQ(engine->stats().workers_killed, 1u);
  const int64_t end = NowMs();
  engine.reset();
  EXPECT_LT(NowMs() - end, 2000);
  EXPECT_THAT(Workers(), ::testing::IsEmpty());
}

TEST(Workers, ACallerCanGiveUpWhatHearsNoInterrupt) {
  Lake lake;
  auto engine = OpenEngine(lake);
  std::atomic<bool> cancelled{false};
  QueryRequest request;
  request.sql = kDeaf;
  auto running = std::async(std::launch::async, [&] {
    return engine->Run(
        request, [](std::string_view) { return true; }, &cancelled);
  });
  AwaitBusyWorker();
  cancelled = true;
  const auto summary = running.get();
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, "QUERY_CANCELLED");
}

TEST(Workers, AKilledOneIsAnErrorOfItsQueryAlone) {
  Lake lake;
  auto engine = OpenEngine(lake);
  auto running = std::async(std::launch::async, [&] { return Ask(*engine, kEndless); });
  kill(AwaitBusyWorker(), SIGKILL);
  const Answer answer = running.get();
  EXPECT_EQ(answer.code(), "QUERY_FAILED");
  EXPECT_EQ(answer.summary.error().kind, ErrorKind::kInternal);
  EXPECT_THAT(answer.summary.error().message, ::testing::HasSubstr("SIGKILL"));
  EXPECT_EQ(engine->stats().workers_crashed, 1u);
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "OK");
}

TEST(Workers, ACrashIsAnErrorOfItsQueryAlone) {
  Lake lake;
  auto engine = OpenEngine(lake);
  auto running = std::async(std::launch::async, [&] { return Ask(*engine, kEndless); });
  kill(AwaitBusyWorker(), SIGSEGV);
  EXPECT_EQ(running.get().code(), "QUERY_FAILED");
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "OK");
}

TEST(Workers, OnesThatDiedWhileTheyWaitedAreReplaced) {
  Lake lake;
  lake.AddHot(0, 10);
  auto engine = OpenEngine(lake);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Ask(*engine, "SELECT count(*) AS n FROM events").data()[0]["n"], 10);
    for (const Process& worker : Workers()) kill(worker.pid, SIGKILL);
  }
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "OK");
}

TEST(Workers, SignalsOfTheServersGroupDoNotReachThem) {
  Lake lake;
  auto engine = OpenEngine(lake);
  auto running = std::async(std::launch::async, [&] {
    return Ask(*engine, "SELECT count(*) AS n FROM range(300000000) t(x) WHERE x % 7 = 3");
  });
  const pid_t pid = AwaitBusyWorker();
  EXPECT_NE(getpgid(pid), getpgid(0));
  kill(pid, SIGTERM);
  kill(pid, SIGINT);
  EXPECT_EQ(running.get().code(), "OK");
}

TEST(Workers, TheyHaveOneSocketAndNoEnvironment) {
  Lake lake;
  lake.AddHot(0, 10);
  auto engine = OpenEngine(lake);
  auto running = std::async(std::launch::async, [&] { return Ask(*engine, kEndless); });
  const std::string proc = "/proc/" + std::to_string(AwaitBusyWorker());
  std::string environment;
  std::getline(std::ifstream(proc + "/environ"), environment);
  EXPECT_EQ(environment, "");
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd")) {
    std::error_code gone;
    files.push_back(std::filesystem::read_symlink(entry, gone).string());
  }
  EXPECT_THAT(files, ::testing::UnorderedElementsAre("/dev/null", "/dev/null",
                                                     ::testing::StartsWith("pipe:"),
                                                     ::testing::StartsWith("socket:")));
  for (const Process& worker : Workers()) kill(worker.pid, SIGKILL);
  EXPECT_EQ(running.get().code(), "QUERY_FAILED");
}

TEST(Workers, APageAfterItsWorkerDiedIsAnError) {
  Lake lake;
  auto engine = OpenEngine(lake);
  const std::string cursor =
      Ask(*engine, "SELECT * FROM range(50) t(x)", ResultFormat::kNdjson, 10).summary->next_cursor;
  for (const Process& worker : Workers()) kill(worker.pid, SIGKILL);
  const auto next = engine->Next(
      {}, cursor, [](std::string_view) { return true; }, nullptr);
  ASSERT_FALSE(next.ok());
  EXPECT_EQ(next.error().code, "QUERY_FAILED");
}

TEST(Workers, ManyMappedFilesReachThem) {
  Lake lake;
  for (int i = 0; i < 600; ++i) lake.AddHot(i * 3, 3);
  auto engine = OpenEngine(lake);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Ask(*engine, "SELECT count(DISTINCT payload) AS n FROM events").data()[0]["n"], 1800);
  }
  EXPECT_EQ(engine->stats().workers_crashed, 0u);
}

TEST(Workers, AProgramThatIsNotThereIsAnError) {
  Lake lake;
  EngineOptions options;
  options.worker.argv = {lake.dir.path("nothing")};
  auto engine = OpenEngine(lake, options);
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "QUERY_FAILED");
  options.worker.argv = {"/bin/true"};
  engine = OpenEngine(lake, options);
  EXPECT_EQ(Ask(*engine, "SELECT 1").code(), "QUERY_FAILED");
}

}  // namespace
}  // namespace varve::query::testing

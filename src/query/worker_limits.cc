// RLIMIT_DATA is the wall: it counts private writable memory, so that neither the mapped journal
// nor the libraries' code take from it, as they would from RLIMIT_AS. DuckDB's own memory_limit
// lies below it and answers first wherever DuckDB counts; what it does not count (the text of a
// vector, a plan, the standard library's allocations) runs into the wall and ends as bad_alloc,
// which DuckDB turns into an error of the statement. Where nobody catches it, the process ends with
// an exit code that says so. The overhead between the two is for what honest statements need beyond
// DuckDB's count: an idle worker has 50 MB, spilling joins and sorts in 512 MiB were seen with 900.
#include "query/worker_limits.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <exception>
#include <new>
#include <string_view>

#include "store/unique_fd.h"

namespace varve::query {

namespace {

constexpr rlim_t kFilesMax = 65'536;
constexpr int kArenasMax = 4;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kShadowMemory = true;  // terabytes of private memory that is never touched
#else
constexpr bool kShadowMemory = false;
#endif

uint64_t g_memory_bytes_max = 0;

// A crash with the query's memory used up is a failed allocation that nobody looked at.
void OnCrash(int number) {
  if (g_memory_bytes_max > 0 && DataBytes() >= g_memory_bytes_max) _exit(kExitNoMemory);
  signal(number, SIG_DFL);
  raise(number);
}

// On a stack of its own: the other one may be what has run out.
void CatchCrashes() {
  static std::array<char, 64 << 10> stack;
  const stack_t alternative{stack.data(), 0, stack.size()};
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_handler = OnCrash;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT}) sigaction(number, &action, nullptr);
}

[[noreturn]] void OnTerminate() {
  try {
    if (std::current_exception() != nullptr) std::rethrow_exception(std::current_exception());
  } catch (const std::bad_alloc&) {
    _exit(kExitNoMemory);
  } catch (const std::exception& error) {
    const std::string_view words = error.what();
    if (words.find("bad alloc") != words.npos || words.find("Out of Memory") != words.npos) {
      _exit(kExitNoMemory);
    }
    [[maybe_unused]] const ssize_t ignored = write(2, words.data(), words.size());
  } catch (...) {
  }
  abort();
}

void WriteFile(const char* path, std::string_view text) {
  const store::UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  [[maybe_unused]] const ssize_t ignored = write(file.get(), text.data(), text.size());
}

Status Limit(decltype(RLIMIT_DATA) what, rlim_t value, const char* name) {
  rlimit limit{};
  getrlimit(what, &limit);
  limit.rlim_cur = limit.rlim_max = std::min(value, limit.rlim_max);
  if (setrlimit(what, &limit) == 0) return {};
  return ErrnoError(errno, std::string("limit a SQL worker's ") + name);
}

}  // namespace

void DetachWorker() {
  const pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // The server ends a worker by closing its socket or by SIGKILL, nobody else does.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ}) signal(number, SIG_IGN);
  WriteFile("/proc/self/oom_score_adj", "1000");
  std::set_terminate(OnTerminate);
  if (!kShadowMemory) CatchCrashes();
  mallopt(M_ARENA_MAX, kArenasMax);
}

Status LimitWorker(const SetupMessage& setup) {
  TRY(Limit(RLIMIT_CORE, 0, "core files"));
  TRY(Limit(RLIMIT_NOFILE, kFilesMax, "open files"));
  TRY(Limit(RLIMIT_FSIZE, setup.temp_directory.empty() ? 0 : setup.temp_bytes_max, "file sizes"));
  if (setup.nice > 0 && setpriority(PRIO_PROCESS, 0, setup.nice) != 0) {
    return ErrnoError(errno, "lower a SQL worker's priority");
  }
  if (kShadowMemory) return {};
  g_memory_bytes_max = setup.memory_bytes_max;
  return Limit(RLIMIT_DATA, setup.memory_bytes_max + setup.overhead_bytes, "memory");
}

uint64_t DataBytes() {
  if (kShadowMemory) return 0;
  const store::UniqueFd file(open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text{};
  const ssize_t got = read(file.get(), text.data(), text.size());
  std::string_view rest(text.data(), got > 0 ? static_cast<size_t>(got) : 0);
  for (int field = 0; field < 5; ++field) {  // size resident shared text lib data
    rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
  }
  uint64_t pages = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), pages);
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace varve::query

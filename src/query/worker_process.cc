#include "query/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace varve::query {

namespace {

constexpr size_t kLastWordsBytesMax = 2048;
constexpr int kDyingMsMax = 1000;

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Descriptors 0 to 3 and no others; its own process group, which a terminal's Ctrl-C does not
// reach; signals as they are at a program's start.
Result<pid_t> Spawn(const WorkerCommand& command, int socket, int errors) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  posix_spawn_file_actions_adddup2(&actions, socket, WorkerProcess::kSocketFd);
  posix_spawn_file_actions_addclosefrom_np(&actions, WorkerProcess::kSocketFd + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  pid_t pid = -1;
  const int failed =
      posix_spawn(&pid, command.argv[0].c_str(), &actions, &attributes,
                  Pointers(command.argv).data(), Pointers(command.environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return ErrnoError(failed, "start the SQL worker " + command.argv[0]);
  return pid;
}

// What lies in the pipe now, on one line.
std::string LastWords(int fd) {
  std::string words(kLastWordsBytesMax, '\0');
  const ssize_t got = read(fd, words.data(), words.size());
  words.resize(got > 0 ? static_cast<size_t>(got) : 0);
  for (char& c : words) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return words;
}

// Above the descriptors that the worker has, so that giving it one there overwrites no other.
store::UniqueFd Raised(store::UniqueFd fd) {
  if (fd.get() < 0 || fd.get() > WorkerProcess::kSocketFd) return fd;
  return store::UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, WorkerProcess::kSocketFd + 1));
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::Start(const WorkerCommand& command) {
  std::array<int, 2> sockets{}, pipes{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return ErrnoError(errno, "make a SQL worker's socket");
  }
  std::unique_ptr<WorkerProcess> process(new WorkerProcess);
  process->socket_ = store::UniqueFd(sockets[0]);
  const store::UniqueFd theirs = Raised(store::UniqueFd(sockets[1]));
  // Not blocking: a worker that says more than the pipe holds is not held up, what is more is lost.
  if (pipe2(pipes.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    return ErrnoError(errno, "make a SQL worker's pipe");
  }
  process->errors_ = store::UniqueFd(pipes[0]);
  const store::UniqueFd errors = Raised(store::UniqueFd(pipes[1]));
  process->pid_ = TRY(Spawn(command, theirs.get(), errors.get()));
  return process;
}

WorkerProcess::~WorkerProcess() { Kill(); }

WorkerDeath WorkerProcess::Kill() {
  if (pid_ > 0) kill(pid_, SIGKILL);
  return Reap();
}

WorkerDeath WorkerProcess::Bury() {
  if (pid_ <= 0) return {};
  // The socket closes early in a process's end; what the end was is known a moment later.
  const store::UniqueFd end(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  pollfd poll_for{end.get(), POLLIN, 0};
  if (end.ok()) poll(&poll_for, 1, kDyingMsMax);
  return Kill();
}

WorkerDeath WorkerProcess::Reap() {
  WorkerDeath death;
  if (pid_ <= 0) return death;
  int status = 0;
  pid_t reaped = -1;
  do {
    reaped = waitpid(pid_, &status, 0);
  } while (reaped < 0 && errno == EINTR);
  pid_ = -1;
  if (WIFSIGNALED(status)) death.signal = WTERMSIG(status);
  if (WIFEXITED(status)) death.exit_code = WEXITSTATUS(status);
  death.last_words = LastWords(errors_.get());
  return death;
}

}  // namespace varve::query

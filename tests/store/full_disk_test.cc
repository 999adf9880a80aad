// A disk that is full, a directory that may not be written, and an fsync that fails.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "store/file_io.h"
#include "stores.h"

namespace varve::store {
namespace {

int InChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

size_t FilesBelow(const std::string& path) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    files += entry.path().filename() != "store.lock" && !entry.is_directory() ? 1 : 0;
  }
  return files;
}

class FullDiskTest : public testing::TestWithParam<StoreKind> {};
INSTANTIATE_TEST_SUITE_P(Stores, FullDiskTest,
                         testing::Values(StoreKind::kLocal, StoreKind::kPortable),
                         [](const auto& info) { return NameOf(info.param); });

// A file size limit makes write() fail in the middle, as a full disk does.
TEST_P(FullDiskTest, APutThatDoesNotFitLeavesNothingBehind) {
  const TempDir dir;
  EXPECT_EQ(InChild([&] {
              signal(SIGXFSZ, SIG_IGN);
              auto store = OpenStore(GetParam(), dir.path(), SystemClock(), true);
              MustPut(*store, "kept", "x");
              const rlimit small{64 * 1024, 64 * 1024};
              if (setrlimit(RLIMIT_FSIZE, &small) != 0) return 1;
              const auto put = store->Put("a/b/c", std::string(1 << 20, 'x'), {});
              if (put.ok()) return 2;
              if (put.error().kind != ErrorKind::kExhausted) return 3;
              if (put.error().code != "DISK_FULL") return 4;
              return store->Put("kept", std::string(1 << 20, 'x'), {}).ok() ? 5 : 0;
            }),
            0);
  EXPECT_EQ(FilesBelow(dir.path()), GetParam() == StoreKind::kPortable ? 2u : 1u);
  EXPECT_FALSE(std::filesystem::exists(dir.File("a")));
  auto store = OpenStore(GetParam(), dir.path());
  EXPECT_EQ(MustGet(*store, "kept"), "x");
}

TEST_P(FullDiskTest, AReadOnlyDirectoryIsRefusedByName) {
  const TempDir dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0555));
  EXPECT_EQ(InChild([&] {
              if (getuid() == 0 && setuid(65534) != 0) return 1;
              LocalStoreOptions options;
              options.root = dir.path();
              options.portable_calls_only = GetParam() == StoreKind::kPortable;
              const auto opened = OpenLocalStore(options, SystemClock());
              if (opened.ok()) return 2;
              if (opened.error().code != "READ_ONLY") return 3;
              return opened.error().message.find(dir.path()) == std::string::npos ? 4 : 0;
            }),
            0);
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
}

TEST_P(FullDiskTest, ADirectoryThatBecomesReadOnlyRefusesPutsAndStillReads) {
  const TempDir dir;
  { MustPut(*OpenStore(GetParam(), dir.path()), "a/b", "x"); }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path())) {
    std::filesystem::permissions(entry, std::filesystem::perms(0777));
  }
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0777));
  EXPECT_EQ(InChild([&] {
              if (getuid() == 0 && setuid(65534) != 0) return 1;
              auto store = OpenStore(GetParam(), dir.path());
              if (MustGet(*store, "a/b") != "x") return 2;
              return store->Put("a/c", "y", {}).ok() ? 0 : 3;
            }),
            0);
  std::filesystem::permissions(dir.File("a"), std::filesystem::perms(0555));
  EXPECT_EQ(InChild([&] {
              if (getuid() == 0 && setuid(65534) != 0) return 1;
              auto store = OpenStore(GetParam(), dir.path());
              const auto put = store->Put("a/d", "y", {});
              if (put.ok() || put.error().code != "READ_ONLY") return 2;
              const auto deleted = store->Delete("a/b");
              if (deleted.ok() || deleted.error().code != "READ_ONLY") return 3;
              return MustGet(*store, "a/b") == "x" ? 0 : 4;
            }),
            0);
  std::filesystem::permissions(dir.File("a"), std::filesystem::perms(0755));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.File(".varve/tmp")), {}), 0);
}

TEST(FsyncDeathTest, AFailedFsyncEndsTheProcess) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  EXPECT_DEATH((void)SyncNewFile(pipe_fds[1], "put 'a'"), "store_fsync_failed");
  EXPECT_DEATH(SyncDirectory(-1, "sync the directory of 'a'"), "store_fsync_failed");
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

}  // namespace
}  // namespace varve::store

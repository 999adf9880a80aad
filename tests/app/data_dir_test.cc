#include "app/data_dir.h"

#include <gtest/gtest.h>

#include "app/temp_dir.h"

namespace varve::app {
namespace {

TEST(DataDir, OneServerOrSeveralReadersHaveIt) {
  TempDir dir;
  DataDirPaths paths(dir.path() + "/data");
  ASSERT_TRUE(MakeDataDir(paths).ok());
  {
    auto reader = DataDirLock::Take(paths, DataDirLock::Mode::kShared);
    ASSERT_TRUE(reader.ok());
    EXPECT_TRUE(DataDirLock::Take(paths, DataDirLock::Mode::kShared).ok());
    auto server = DataDirLock::Take(paths, DataDirLock::Mode::kExclusive);
    ASSERT_FALSE(server.ok());
    EXPECT_EQ(server.error().code, "DATA_DIR_BUSY");
  }
  EXPECT_TRUE(DataDirLock::Take(paths, DataDirLock::Mode::kExclusive).ok());
}

TEST(DataDir, ARunningServerIsFoundByItsLockNotByItsFile) {
  TempDir dir;
  DataDirPaths paths(dir.path());
  ASSERT_TRUE(MakeDataDir(paths).ok());
  ASSERT_TRUE(WriteServeInfo(paths, {"http://127.0.0.1:7777", 42, 1}).ok());
  // Left behind by a killed server: nobody holds the lock.
  EXPECT_FALSE(RunningServer(paths)->has_value());
  auto lock = DataDirLock::Take(paths, DataDirLock::Mode::kExclusive);
  ASSERT_TRUE(lock.ok());
  auto server = RunningServer(paths);
  ASSERT_TRUE(server.ok() && server->has_value());
  EXPECT_EQ((*server)->url, "http://127.0.0.1:7777");
  RemoveServeInfo(paths);
  EXPECT_EQ(RunningServer(paths).error().code, "SERVER_STARTING");
}

}  // namespace
}  // namespace varve::app

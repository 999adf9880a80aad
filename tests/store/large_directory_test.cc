// Paging through directories with many names: in order, none missed, and without reading the
// directory again for every page.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "store/directory_names.h"
#include "store/local_listing.h"
#include "stores.h"

namespace varve::store {
namespace {

// A clock that stands well behind every change of a directory, or before it.
class OffsetClock : public Clock {
 public:
  int64_t NowMs() const override { return SystemClock().NowMs() + offset_ms; }
  int64_t MonotonicNs() const override { return SystemClock().MonotonicNs(); }
  int64_t offset_ms = 3'600'000;
};

class LargeDirectoryTest : public testing::Test {
 protected:
  LargeDirectoryTest() {
    RootedDirOptions options;
    options.sync = false;
    root_ = RootedDir::Open(dir_.path(), options).value();
    reader_ = std::make_unique<DirectoryReader>(*root_, clock_);
  }

  void Touch(const std::string& name) {
    std::filesystem::create_directories(std::filesystem::path(dir_.File(name)).parent_path());
    std::ofstream(dir_.File(name)).put('x');
  }
  std::vector<std::string> Page(const std::string& prefix, const std::string& after, size_t max) {
    return LocalListing(*reader_, prefix, after).Keys(max).value();
  }
  std::vector<std::string> AllPages(const std::string& prefix, size_t page_max) {
    std::vector<std::string> all;
    for (std::string after;;) {
      const std::vector<std::string> page = Page(prefix, after, page_max);
      all.insert(all.end(), page.begin(), page.end());
      if (page.size() < page_max) return all;
      after = page.back();
    }
  }

  TempDir dir_;
  OffsetClock clock_;
  std::unique_ptr<RootedDir> root_;
  std::unique_ptr<DirectoryReader> reader_;
};

int64_t ChangedNs(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec;
}

std::string Name(int i) { return "raw/" + std::to_string(1'000'000 + i) + ".ndjson"; }

TEST_F(LargeDirectoryTest, ADirectoryThatRestsIsReadOnceForAllPages) {
  for (int i = 0; i < 5'000; ++i) Touch(Name(i));
  const std::vector<std::string> keys = AllPages("raw/", 100);
  ASSERT_EQ(keys.size(), 5'000u);
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(reader_->reads(), 1u);
  EXPECT_EQ(AllPages("raw/10049", 7).size(), 100u);
  EXPECT_EQ(reader_->reads(), 1u);
}

TEST_F(LargeDirectoryTest, EveryChangeIsSeenByTheNextPage) {
  std::set<std::string> expected;
  int next = 0;
  for (; next < 1'000; ++next) expected.insert(Name(next));
  for (const std::string& name : expected) Touch(name);
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(Page("raw/", Name(500), 50).size(), 50u);
    const int64_t remembered_ns = ChangedNs(dir_.File("raw"));
    // The clock here says that the directory has long been at rest, so its next change must really
    // be one of the file system's clock too.
    do {
      Touch(Name(next));
      expected.insert(Name(next++));
      const std::string gone = *expected.begin();
      ASSERT_EQ(unlink(dir_.File(gone).c_str()), 0);
      expected.erase(gone);
    } while (ChangedNs(dir_.File("raw")) == remembered_ns);
    const std::vector<std::string> keys = AllPages("raw/", 300);
    ASSERT_EQ(std::vector<std::string>(expected.begin(), expected.end()), keys) << round;
    // What those pages have remembered may be as young as the last change.
    reader_ = std::make_unique<DirectoryReader>(*root_, clock_);
  }
}

TEST_F(LargeDirectoryTest, ADirectoryThatHasChangedJustNowIsNotRemembered) {
  clock_.offset_ms = 0;
  for (int i = 0; i < 1'000; ++i) Touch(Name(i));
  EXPECT_EQ(AllPages("raw/", 400).size(), 1'000u);
  EXPECT_EQ(reader_->reads(), 3u);
}

TEST_F(LargeDirectoryTest, MoreNamesThanAreKeptAtOnceComeInStretches) {
  const int files = static_cast<int>(DirectoryReader::kNamesBytesMax / 200) + 5'000;
  const std::string folder = dir_.File("long");
  std::filesystem::create_directories(folder);
  for (int i = 0; i < files; ++i) {  // names of 150 bytes and more, in no order
    const std::string name =
        std::string(140, 'n') + std::to_string(1'000'000 + i * 7'919LL % files);
    std::ofstream(folder + "/" + name).put('x');
  }
  const std::vector<std::string> keys = AllPages("", 1'000);
  ASSERT_EQ(keys.size(), static_cast<size_t>(files));
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
  EXPECT_LE(reader_->reads(), 60u);  // the root once a page, the folder twice
}

TEST_F(LargeDirectoryTest, FoldersAndFilesSortAsKeysDo) {
  const std::vector<std::string> names = {"a-b", "a/b", "a/c/d", "a0", "ab/x", "b"};
  for (const std::string& name : names) Touch(name);
  for (int i = 0; i < 300; ++i) Touch("a-b-" + std::to_string(1'000 + i));
  std::vector<std::string> expected(names);
  for (int i = 0; i < 300; ++i) expected.push_back("a-b-" + std::to_string(1'000 + i));
  std::sort(expected.begin(), expected.end());
  for (size_t page_max : {1, 2, 3, 100, 1'000}) EXPECT_EQ(AllPages("", page_max), expected);
  for (const std::string prefix : {"a", "a/", "a-", "a-b", "a/c", "ab", "b", "c", "a/c/", "a0/"}) {
    std::vector<std::string> wanted;
    for (const std::string& key : expected) {
      if (key.starts_with(prefix)) wanted.push_back(key);
    }
    for (size_t page_max : {1, 3, 1'000}) EXPECT_EQ(AllPages(prefix, page_max), wanted) << prefix;
  }
}

TEST(ReadOnlyStore, LooksAtADirectoryWithoutTouchingIt) {
  const TempDir dir;
  { MustPut(*OpenStore(StoreKind::kLocal, dir.path()), "a/b", "x"); }
  std::ofstream(dir.File(".varve/tmp/left-over")).put('x');
  LocalStoreOptions options;
  options.root = dir.path();
  options.read_only = true;
  auto store = OpenLocalStore(options, SystemClock()).value();
  EXPECT_EQ(MustGet(*store, "a/b"), "x");
  EXPECT_EQ(ListAll(*store, "")->size(), 1u);
  EXPECT_EQ(store->Put("c", "x", {}).error().code, "READ_ONLY");
  EXPECT_EQ(store->Delete("a/b").error().code, "READ_ONLY");
  EXPECT_TRUE(std::filesystem::exists(dir.File(".varve/tmp/left-over")));

  options.root = dir.File("not-there");
  EXPECT_FALSE(OpenLocalStore(options, SystemClock()).ok());
  EXPECT_FALSE(std::filesystem::exists(dir.File("not-there")));
}

}  // namespace
}  // namespace varve::store

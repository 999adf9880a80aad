// What a store on a directory does besides the contract: it shares the directory with other
// programs.
#include "store/local_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/bytes.h"
#include "store/object_record.h"
#include "stores.h"

namespace varve::store {
namespace {

namespace fs = std::filesystem;

using LocalStoreTest = StoreTest;
INSTANTIATE_TEST_SUITE_P(Stores, LocalStoreTest,
                         testing::Values(StoreKind::kLocal, StoreKind::kPortable),
                         [](const auto& info) { return NameOf(info.param); });

void WriteFile(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

size_t FilesIn(const std::string& path) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(path), {}));
}

TEST_P(LocalStoreTest, AnObjectIsAFileThatAnyProgramReads) {
  MustPut(*store_, "events/2026/a.parquet", "PAR1");
  EXPECT_EQ(ReadFile(dir_.File("events/2026/a.parquet")), "PAR1");
  EXPECT_EQ(store_->LocalPath("events/2026/a.parquet"), dir_.File("events/2026/a.parquet"));
}

TEST_P(LocalStoreTest, AFileThatAnotherProgramPutsThereIsAnObject) {
  WriteFile(dir_.File("data/ns/x.parquet"), "PAR1...");
  const auto head = store_->Head("data/ns/x.parquet");
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(head->size, 7u);
  EXPECT_EQ(head->content_type, "application/vnd.apache.parquet");
  EXPECT_GT(head->modified_ms, 0);
  EXPECT_FALSE(head->etag.empty());
  EXPECT_EQ(MustGet(*store_, "data/ns/x.parquet"), "PAR1...");
  EXPECT_EQ(Keys(*store_), std::vector<std::string>{"data/ns/x.parquet"});
  EXPECT_FALSE(store_->Put("data/ns/x.parquet", "", IfAbsent()).ok());
  MustPut(*store_, "data/ns/x.parquet", "ours", IfMatch(head->etag));
  EXPECT_EQ(store_->Head("data/ns/x.parquet")->etag, Md5Hex("ours"));
}

TEST_P(LocalStoreTest, AFileWhoseDigestIsKnownIsNotRead) {
  const std::string path = dir_.File(".varve/tmp/made");
  WriteFile(path, "bytes");
  PutOptions options;
  options.digest = "x0123456789abcdef0123456789abcdef";
  EXPECT_EQ(store_->PutFile("a", path, options)->etag, options.digest);
  store_ = OpenStore(GetParam(), dir_.path());
  EXPECT_EQ(store_->Head("a")->etag, options.digest);
}

TEST_P(LocalStoreTest, TheEtagOfAForeignFileChangesWithIt) {
  WriteFile(dir_.File("x.csv"), "a,b\n");
  const std::string before = store_->Head("x.csv")->etag;
  EXPECT_EQ(store_->Head("x.csv")->etag, before);
  fs::remove(dir_.File("x.csv"));
  WriteFile(dir_.File("x.csv"), "a,c\n");
  EXPECT_NE(store_->Head("x.csv")->etag, before);
}

TEST_P(LocalStoreTest, AForeignFileThatIsCopiedWithItsTimeIsTheSame) {
  WriteFile(dir_.File("x.csv"), "a,b\n");
  const std::string before = store_->Head("x.csv")->etag;
  fs::copy(dir_.File("x.csv"), dir_.File("backup"));
  fs::last_write_time(dir_.File("backup"), fs::last_write_time(dir_.File("x.csv")));
  fs::rename(dir_.File("backup"), dir_.File("x.csv"));
  EXPECT_EQ(store_->Head("x.csv")->etag, before);
}

TEST_P(LocalStoreTest, AnObjectRewrittenByAnotherProgramIsThatPrograms) {
  PutOptions options;
  options.metadata = {{"writer", "varve"}};
  const std::string ours = MustPut(*store_, "a.json", "{}", options).etag;
  WriteFile(dir_.File("a.json"), "[]");
  const auto head = store_->Head("a.json");
  ASSERT_TRUE(head.ok());
  EXPECT_NE(head->etag, ours);
  EXPECT_TRUE(head->metadata.empty());
  EXPECT_ERROR(store_->Put("a.json", "x", IfMatch(ours)), ErrorKind::kConflict,
               "PRECONDITION_FAILED");
}

TEST_P(LocalStoreTest, RecordsAndObjectsSurviveReopening) {
  PutOptions options;
  options.metadata = {{"batchSeq", "4"}, {"large", std::string(6000, 'x')}};
  MustPut(*store_, "raw/1", "x", options);
  MustPut(*store_, "raw/2", "y");
  store_ = OpenStore(GetParam(), dir_.path());
  EXPECT_EQ(store_->Head("raw/1")->metadata, options.metadata);
  EXPECT_EQ(store_->Head("raw/2")->etag, Md5Hex("y"));
  EXPECT_EQ(Keys(*store_), (std::vector<std::string>{"raw/1", "raw/2"}));
}

TEST_P(LocalStoreTest, SidecarsGoWithTheirObjects) {
  PutOptions options;
  options.metadata = {{"large", std::string(6000, 'x')}};
  for (int i = 0; i < 5; ++i) MustPut(*store_, "a", std::to_string(i), options);
  EXPECT_EQ(FilesIn(dir_.File(".varve/meta")), 1u);
  ASSERT_FALSE(store_->Put("a", "x", IfAbsent()).ok());
  ASSERT_TRUE(store_->Delete("a").ok());
  EXPECT_EQ(FilesIn(dir_.File(".varve/meta")), 0u);
  EXPECT_EQ(FilesIn(dir_.File(".varve/tmp")), 0u);
}

TEST_P(LocalStoreTest, ADamagedRecordMakesTheFileForeignAndNothingWorse) {
  PutOptions options;
  options.metadata = {{"k", "v"}};
  MustPut(*store_, "a", "bytes", options);
  if (GetParam() == StoreKind::kLocal) {
    const std::string junk = "varve-object 1\n\xff\xff\xff\xff";
    ASSERT_EQ(setxattr(dir_.File("a").c_str(), "user.varve", junk.data(), junk.size(), 0), 0);
  } else {
    for (const auto& sidecar : fs::directory_iterator(dir_.File(".varve/meta"))) {
      fs::resize_file(sidecar.path(), 20);
    }
  }
  EXPECT_EQ(MustGet(*store_, "a"), "bytes");
  EXPECT_TRUE(store_->Head("a")->metadata.empty());
}

TEST_P(LocalStoreTest, UnfinishedFilesOfAKilledProcessAreSweptAtOpen) {
  store_.reset();
  WriteFile(dir_.File(".varve/tmp/123-0"), "half a file");
  WriteFile(dir_.File(".varve/meta/0123.4.5"), "half a record");
  store_ = OpenStore(GetParam(), dir_.path());
  EXPECT_EQ(FilesIn(dir_.File(".varve/tmp")), 0u);
  EXPECT_EQ(FilesIn(dir_.File(".varve/meta")), 0u);
}

TEST_P(LocalStoreTest, ASecondOpenerLeavesTheFirstOnesUnfinishedFilesAlone) {
  WriteFile(dir_.File(".varve/tmp/123-0"), "being written");
  auto second = OpenStore(GetParam(), dir_.path());
  EXPECT_EQ(FilesIn(dir_.File(".varve/tmp")), 1u);
}

TEST_P(LocalStoreTest, AnObjectCannotBeAFolderAndAFolderNoObject) {
  MustPut(*store_, "a/b", "x");
  for (const auto& options : {PutOptions{}, IfAbsent()}) {
    EXPECT_ERROR(store_->Put("a/b/c", "y", options), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_ERROR(store_->Put("a/b/c/d/e", "y", options), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_ERROR(store_->Put("a", "y", options), ErrorKind::kInvalid, "INVALID_PATH");
  }
  EXPECT_EQ(Keys(*store_), std::vector<std::string>{"a/b"});
  EXPECT_EQ(FilesIn(dir_.File(".varve/tmp")), 0u);
  EXPECT_EQ(FilesIn(dir_.File(".varve/meta")), GetParam() == StoreKind::kPortable ? 1u : 0u);
}

TEST_P(LocalStoreTest, EmptyFoldersAreInNobodysWay) {
  fs::create_directories(dir_.File("a/b/c"));
  fs::create_directories(dir_.File("a/d"));
  EXPECT_TRUE(Keys(*store_).empty());
  EXPECT_TRUE(Keys(*store_, "a/", 1).empty());
  MustPut(*store_, "a", "an object now", IfAbsent());
  EXPECT_EQ(MustGet(*store_, "a"), "an object now");
}

TEST_P(LocalStoreTest, DeletingTheLastObjectRemovesItsFolders) {
  MustPut(*store_, "a/b/c/d", "x");
  MustPut(*store_, "a/e", "y");
  ASSERT_TRUE(store_->Delete("a/b/c/d").ok());
  EXPECT_FALSE(fs::exists(dir_.File("a/b")));
  EXPECT_TRUE(fs::exists(dir_.File("a/e")));
  ASSERT_TRUE(store_->Delete("a/e").ok());
  EXPECT_FALSE(fs::exists(dir_.File("a")));
  MustPut(*store_, "a/b/c/d", "again");
  EXPECT_EQ(MustGet(*store_, "a/b/c/d"), "again");
}

TEST_P(LocalStoreTest, FoldersThatAreToStayDo) {
  store_.reset();
  LocalStoreOptions options;
  options.root = dir_.path();
  options.portable_calls_only = GetParam() == StoreKind::kPortable;
  options.keeps = [](std::string_view directory) { return directory == "data/users"; };
  store_ = OpenLocalStore(options, SystemClock()).value();
  for (const char* key : {"data/users/hour=1/a", "data/users/b", "data/others/c"}) {
    MustPut(*store_, key, "x");
    ASSERT_TRUE(store_->Delete(key).ok());
  }
  EXPECT_FALSE(fs::exists(dir_.File("data/users/hour=1")));
  EXPECT_FALSE(fs::exists(dir_.File("data/others")));
  EXPECT_TRUE(fs::exists(dir_.File("data/users")));
  MustPut(*store_, "data/users", "an object in its place");
  EXPECT_EQ(Keys(*store_), std::vector<std::string>{"data/users"});
}

TEST_P(LocalStoreTest, FoldersRemovedByAnotherProgramAreMadeAgain) {
  MustPut(*store_, "a/b/c", "x");
  fs::remove_all(dir_.File("a"));
  EXPECT_ERROR(store_->Get("a/b/c"), ErrorKind::kNotFound, "NO_SUCH_OBJECT");
  MustPut(*store_, "a/b/c", "y");
  EXPECT_EQ(MustGet(*store_, "a/b/c"), "y");
  fs::remove_all(dir_.File(".varve"));
  MustPut(*store_, "a/b/c", "z");
  EXPECT_EQ(MustGet(*store_, "a/b/c"), "z");
}

TEST_P(LocalStoreTest, LinksAreNeitherFollowedNorListed) {
  const TempDir outside;
  WriteFile(outside.File("secret"), "secret");
  fs::create_directory_symlink(outside.path(), dir_.File("link"));
  fs::create_symlink(outside.File("secret"), dir_.File("file-link"));
  fs::create_directories(dir_.File("sub"));
  fs::create_symlink("../../" + fs::path(outside.path()).filename().string() + "/secret",
                     dir_.File("sub/relative"));
  MustPut(*store_, "real", "x");
  fs::create_symlink(dir_.File("real"), dir_.File("inner-link"));
  for (const char* key : {"link/secret", "file-link", "sub/relative", "inner-link"}) {
    EXPECT_ERROR(store_->Get(key), ErrorKind::kNotFound, "NO_SUCH_OBJECT");
    EXPECT_ERROR(store_->Head(key), ErrorKind::kNotFound, "NO_SUCH_OBJECT");
    EXPECT_TRUE(store_->Delete(key).ok());
    EXPECT_ERROR(store_->Put(key, "evil", {}), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_ERROR(store_->Put(key, "evil", IfAbsent()), ErrorKind::kInvalid, "INVALID_PATH");
  }
  EXPECT_ERROR(store_->Put("link/new", "evil", {}), ErrorKind::kInvalid, "INVALID_PATH");
  EXPECT_EQ(ReadFile(outside.File("secret")), "secret");
  EXPECT_EQ(FilesIn(outside.path()), 1u);
  EXPECT_EQ(Keys(*store_), std::vector<std::string>{"real"});
  EXPECT_EQ(Keys(*store_, "link/"), std::vector<std::string>{});
}

TEST_P(LocalStoreTest, PipesAndNamesThatAreNoKeysAreNotListed) {
  ASSERT_EQ(mkfifo(dir_.File("pipe").c_str(), 0644), 0);
  WriteFile(dir_.File("bad\\name"), "x");
  WriteFile(dir_.File("bad\nname"), "x");
  WriteFile(dir_.File("bad\xff"), "x");
  WriteFile(dir_.File("upload.tmp"), "x");
  WriteFile(dir_.File(".dot"), "x");
  EXPECT_EQ(Keys(*store_), (std::vector<std::string>{".dot", "upload.tmp"}));
  EXPECT_ERROR(store_->Get("pipe"), ErrorKind::kNotFound, "NO_SUCH_OBJECT");
  EXPECT_ERROR(store_->Put("pipe", "x", {}), ErrorKind::kInvalid, "INVALID_PATH");
}

TEST_P(LocalStoreTest, TheRootMayBeALinkAndIsMadeWithAllAboveIt) {
  fs::create_directory(dir_.File("real"));
  fs::create_directory_symlink(dir_.File("real"), dir_.File("alias"));
  auto store = OpenStore(GetParam(), dir_.File("alias/x/y/z"));
  MustPut(*store, "a", "b");
  EXPECT_EQ(ReadFile(dir_.File("real/x/y/z/a")), "b");
  EXPECT_EQ(store->LocalPath("a"), fs::canonical(dir_.File("real/x/y/z")).string() + "/a");
}

TEST_P(LocalStoreTest, ARootThatIsAFileIsRefusedByName) {
  WriteFile(dir_.File("file"), "x");
  for (const std::string& root : {dir_.File("file"), dir_.File("file/below")}) {
    LocalStoreOptions options;
    options.root = root;
    const auto opened = OpenLocalStore(options, SystemClock());
    ASSERT_FALSE(opened.ok());
    EXPECT_NE(opened.error().message.find(dir_.File("file")), std::string::npos)
        << opened.error().message;
  }
}

TEST(ObjectRecordTest, EveryCutOrFlippedRecordIsRefused) {
  ObjectRecord record;
  record.key = "a/b";
  record.size = 5;
  record.mtime_ns = -7;
  record.etag = Md5Hex("x");
  record.content_type = "text/plain";
  record.metadata = {{"a", "1"}, {"b", ""}};
  const std::string encoded = EncodeRecord(record);
  const auto decoded = DecodeRecord(encoded);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->metadata, record.metadata);
  EXPECT_EQ(decoded->mtime_ns, -7);
  for (size_t i = 0; i < encoded.size(); ++i) {
    EXPECT_FALSE(DecodeRecord(std::string_view(encoded).substr(0, i)).has_value());
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = encoded;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      EXPECT_FALSE(DecodeRecord(flipped).has_value());
    }
  }
  // A count that the bytes cannot hold, with a right checksum.
  std::string greedy = encoded.substr(0, encoded.size() - 4);
  const size_t count_at = greedy.size() - (4 * 4 + 3) - 4;
  PutLe(greedy.data() + count_at, ~uint32_t{0});
  AppendLe(greedy, Crc32c(greedy));
  EXPECT_FALSE(DecodeRecord(greedy).has_value());
}

}  // namespace
}  // namespace varve::store

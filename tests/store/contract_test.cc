// What every store does alike.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/bytes.h"
#include "stores.h"

namespace varve::store {
namespace {

using ContractTest = StoreTest;
INSTANTIATE_TEST_SUITE_P(Stores, ContractTest,
                         testing::Values(StoreKind::kLocal, StoreKind::kPortable,
                                         StoreKind::kMemory),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(ContractTest, BytesComeBackAsTheyWentIn) {
  std::string all_bytes;
  for (int i = 0; i < 100'000; ++i) all_bytes += static_cast<char>(i * 7);
  for (const std::string& bytes : {std::string(), std::string("x"), all_bytes}) {
    const ObjectMeta put = MustPut(*store_, "a/b.bin", bytes);
    EXPECT_EQ(put.size, bytes.size());
    EXPECT_EQ(put.etag, Md5Hex(bytes));
    EXPECT_EQ(MustGet(*store_, "a/b.bin"), bytes);
  }
}

TEST_P(ContractTest, AFileOfTheMachineBecomesAnObjectAndIsGone) {
  const TempDir elsewhere;
  for (const size_t size : {size_t{0}, size_t{5}, (size_t{3} << 20) + 1}) {
    const std::string bytes(size, 'x');
    const std::string path = elsewhere.File("made");
    std::ofstream(path, std::ios::binary) << bytes;
    const auto put = store_->PutFile("a/b.bin", path, {});
    ASSERT_TRUE(put.ok()) << put.error().message;
    EXPECT_EQ(put->size, size);
    EXPECT_EQ(put->etag, Md5Hex(bytes));
    EXPECT_EQ(MustGet(*store_, "a/b.bin"), bytes);
    EXPECT_EQ(store_->Head("a/b.bin")->etag, put->etag);
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

TEST_P(ContractTest, WhoKnowsAFilesDigestNamesItsEtag) {
  const TempDir elsewhere;
  const std::string path = elsewhere.File("made");
  std::ofstream(path) << "bytes";
  PutOptions options;
  options.digest = "x0123456789abcdef0123456789abcdef";
  const auto put = store_->PutFile("a", path, options);
  ASSERT_TRUE(put.ok()) << put.error().message;
  // A store that has no files has its bytes at hand.
  EXPECT_TRUE(put->etag == options.digest || put->etag == Md5Hex("bytes")) << put->etag;
  EXPECT_EQ(store_->Head("a")->etag, put->etag);
  EXPECT_NE(MustPut(*store_, "a", "other bytes").etag, put->etag);
}

TEST_P(ContractTest, AFileThatIsRefusedStaysWhereItIs) {
  const TempDir elsewhere;
  const std::string path = elsewhere.File("made");
  std::ofstream(path) << "mine";
  MustPut(*store_, "a", "theirs");
  EXPECT_EQ(store_->PutFile("a", path, IfAbsent()).error().kind, ErrorKind::kConflict);
  EXPECT_EQ(store_->PutFile("../a", path, {}).error().code, "INVALID_PATH");
  EXPECT_EQ(MustGet(*store_, "a"), "theirs");
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(store_->PutFile("b", path, IfAbsent()).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(store_->PutFile("c", path, {}).ok());
}

TEST_P(ContractTest, MetadataComesBackOnHeadAndNotInLists) {
  PutOptions options;
  options.content_type = "application/x-ndjson";
  options.metadata = {{"batchSeq", "17"}, {"doId", "Å„€"}, {"empty", ""}};
  const ObjectMeta put = MustPut(*store_, "raw/1.ndjson", "{}\n", options);
  const auto head = store_->Head("raw/1.ndjson");
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(head->key, "raw/1.ndjson");
  EXPECT_EQ(head->size, 3u);
  EXPECT_EQ(head->etag, put.etag);
  EXPECT_EQ(head->modified_ms, put.modified_ms);
  EXPECT_EQ(head->content_type, options.content_type);
  EXPECT_EQ(head->metadata, options.metadata);
  const auto page = store_->List("", "", 10);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->objects.size(), 1u);
  EXPECT_EQ(page->objects[0].etag, put.etag);
  EXPECT_EQ(page->objects[0].size, 3u);
  EXPECT_EQ(page->objects[0].modified_ms, put.modified_ms);
  EXPECT_TRUE(page->objects[0].metadata.empty());
}

TEST_P(ContractTest, MetadataOfEveryAllowedSizeIsKept) {
  for (const size_t size : {size_t{1}, size_t{1000}, size_t{3900}, size_t{4090}, size_t{8191}}) {
    PutOptions options;
    options.metadata = {{"m", std::string(size, 'x')}};
    MustPut(*store_, "a", "bytes", options);
    const auto head = store_->Head("a");
    ASSERT_TRUE(head.ok());
    EXPECT_EQ(head->metadata, options.metadata) << size;
  }
  PutOptions many;
  for (int i = 0; i < 1000; ++i) many.metadata["n" + std::to_string(1000 + i)] = "v";
  MustPut(*store_, "many", "bytes", many);
  EXPECT_EQ(store_->Head("many")->metadata, many.metadata);
}

TEST_P(ContractTest, TooMuchOrUnprintableMetadataIsRefused) {
  PutOptions large;
  large.metadata = {{"m", std::string(8192, 'x')}};
  EXPECT_ERROR(store_->Put("a", "", large), ErrorKind::kInvalid, "METADATA_TOO_LARGE");
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string, std::string>>{
           {"", "v"}, {"n", "a\r\nX-Evil: 1"}, {"n\n", "v"}, {"n", "\xff"}}) {
    PutOptions options;
    options.metadata = {{name, value}};
    EXPECT_ERROR(store_->Put("a", "", options), ErrorKind::kInvalid, "INVALID_METADATA");
  }
  PutOptions type;
  type.content_type = "text/html\r\n";
  EXPECT_ERROR(store_->Put("a", "", type), ErrorKind::kInvalid, "INVALID_METADATA");
  EXPECT_TRUE(Keys(*store_).empty());
}

TEST_P(ContractTest, ARangeIsCutAtTheEnd) {
  MustPut(*store_, "a", "0123456789");
  EXPECT_EQ(MustGet(*store_, "a", ByteRange{0, 4}), "0123");
  EXPECT_EQ(MustGet(*store_, "a", ByteRange{8, 2}), "89");
  EXPECT_EQ(MustGet(*store_, "a", ByteRange{8, 100}), "89");
  EXPECT_EQ(MustGet(*store_, "a", ByteRange{3, 0}), "");
  EXPECT_EQ(MustGet(*store_, "a", ByteRange{10, 1}), "");
  EXPECT_EQ(MustGet(*store_, "a", ByteRange{~uint64_t{0}, ~uint64_t{0}}), "");
  EXPECT_EQ(MustGet(*store_, "a", ByteRange{1, ~uint64_t{0}}), "123456789");
}

TEST_P(ContractTest, WhatIsAbsentIsNotFound) {
  MustPut(*store_, "a/b", "x");
  for (const char* key : {"b", "a", "a/c", "a/b/c", "a/b/c/d"}) {
    EXPECT_ERROR(store_->Get(key), ErrorKind::kNotFound, "NO_SUCH_OBJECT");
    EXPECT_ERROR(store_->Head(key), ErrorKind::kNotFound, "NO_SUCH_OBJECT");
    EXPECT_TRUE(store_->Delete(key).ok());
  }
  EXPECT_EQ(MustGet(*store_, "a/b"), "x");
}

TEST_P(ContractTest, IfAbsentCreatesOnce) {
  MustPut(*store_, "a", "first", IfAbsent());
  EXPECT_ERROR(store_->Put("a", "second", IfAbsent()), ErrorKind::kConflict, "PRECONDITION_FAILED");
  EXPECT_EQ(MustGet(*store_, "a"), "first");
  ASSERT_TRUE(store_->Delete("a").ok());
  MustPut(*store_, "a", "third", IfAbsent());
  EXPECT_EQ(MustGet(*store_, "a"), "third");
}

TEST_P(ContractTest, IfMatchReplacesOnlyWhatWasRead) {
  EXPECT_ERROR(store_->Put("a", "x", IfMatch(Md5Hex("x"))), ErrorKind::kConflict,
               "PRECONDITION_FAILED");
  const std::string first = MustPut(*store_, "a", "first").etag;
  const std::string second = MustPut(*store_, "a", "second", IfMatch(first)).etag;
  EXPECT_ERROR(store_->Put("a", "lost", IfMatch(first)), ErrorKind::kConflict,
               "PRECONDITION_FAILED");
  EXPECT_ERROR(store_->Put("a", "lost", IfMatch("")), ErrorKind::kConflict, "PRECONDITION_FAILED");
  EXPECT_EQ(MustGet(*store_, "a"), "second");
  MustPut(*store_, "a", "third", IfMatch(second));
  EXPECT_EQ(MustGet(*store_, "a"), "third");
}

TEST_P(ContractTest, ARefusedPutLeavesTheObjectItsMetadata) {
  PutOptions options;
  options.metadata = {{"writer", "one"}};
  MustPut(*store_, "a", "first", options);
  PutOptions other = IfAbsent();
  other.metadata = {{"writer", "two"}};
  ASSERT_FALSE(store_->Put("a", "first", other).ok());
  EXPECT_EQ(store_->Head("a")->metadata, options.metadata);
}

TEST_P(ContractTest, TheSameBytesPutAgainBringTheirNewMetadata) {
  ManualClock clock(1'700'000'000'000);
  auto store = OpenStore(GetParam(), dir_.File("frozen"), clock);
  for (int i = 0; i < 10; ++i) {
    PutOptions options;
    options.metadata = {{"version", std::to_string(i)}};
    MustPut(*store, "a", "same", options);
    EXPECT_EQ(store->Head("a")->metadata, options.metadata);
    EXPECT_EQ(store->Head("a")->modified_ms, 1'700'000'000'000);
  }
}

TEST_P(ContractTest, KeysAreListedInTheOrderOfTheirBytes) {
  // In bytes '!' '-' '.' '/' '0' 'A' 'a' '~' 'é'. Folders: a/, a/c/, a/c/d/, a-c/, a0/, é/.
  const std::vector<std::string> keys = {"A",   "a!",   "a-",   "a-b",  "a-c/x", "a.txt",   "a/!",
                                         "a/b", "a/b-", "a/b0", "a/c-", "a/c/!", "a/c/d/e", "a/c0",
                                         "a/~", "a0/0", "a00",  "a~",   "b",     "é/ü"};
  ASSERT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  for (size_t i = 0; i < keys.size(); ++i) MustPut(*store_, keys[i * 7 % keys.size()], "");
  EXPECT_EQ(Keys(*store_), keys);
  for (const size_t page : {1, 2, 3, 5, 100}) EXPECT_EQ(Keys(*store_, "", page), keys) << page;
}

TEST_P(ContractTest, APrefixIsAPrefixOfTheKeyAndNotOfAFolder) {
  for (const char* key : {"ev/1", "events/2026/a", "events/2026/b", "events/2027/a", "eventsx"}) {
    MustPut(*store_, key, "");
  }
  using List = std::vector<std::string>;
  EXPECT_EQ(Keys(*store_, "events/2026/"), (List{"events/2026/a", "events/2026/b"}));
  EXPECT_EQ(Keys(*store_, "events/202").size(), 3u);
  EXPECT_EQ(Keys(*store_, "events").size(), 4u);
  EXPECT_EQ(Keys(*store_, "events/2026/b"), (List{"events/2026/b"}));
  EXPECT_EQ(Keys(*store_, "events/2026/b/"), List{});
  EXPECT_EQ(Keys(*store_, "events/2026/", 1, "events/2026/a"), (List{"events/2026/b"}));
  EXPECT_EQ(Keys(*store_, "events/", 10, "events/2026/"),
            (List{"events/2026/a", "events/2026/b", "events/2027/a"}));
  EXPECT_EQ(Keys(*store_, "events/", 10, "events/2026/az"),
            (List{"events/2026/b", "events/2027/a"}));
  EXPECT_EQ(Keys(*store_, "events/", 10, "a").size(), 3u);
  EXPECT_EQ(Keys(*store_, "events/", 10, "f"), List{});
  EXPECT_EQ(Keys(*store_, "zzz"), List{});
  for (const char* odd : {"../", "/", "//", "a//", "./", ".varve/", ".varve", "events\\", "\xff"}) {
    EXPECT_EQ(Keys(*store_, odd), List{}) << odd;
  }
}

TEST_P(ContractTest, APageThatIsExactlyFullIsTheLast) {
  for (const char* key : {"a", "b", "c", "d"}) MustPut(*store_, key, "");
  auto page = store_->List("", "", 4);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->objects.size(), 4u);
  EXPECT_EQ(page->next_start_after, "");
  page = store_->List("", "", 3);
  EXPECT_EQ(page->next_start_after, "c");
  EXPECT_ERROR(store_->List("", "", 0), ErrorKind::kInvalid, "INVALID_LIMIT");
  EXPECT_ERROR(store_->List("", "", 1001), ErrorKind::kInvalid, "INVALID_LIMIT");
}

TEST_P(ContractTest, MoreThanAThousandObjectsAreListedCompletely) {
  std::vector<std::string> expected;
  for (int i = 0; i < 1203; ++i) {
    const std::string key = "raw/" + std::to_string(10'000 + (i * 7919) % 1203);
    MustPut(*store_, key, "");
    expected.push_back(key);
  }
  std::sort(expected.begin(), expected.end());
  const auto all = ListAll(*store_, "raw/");
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ((*all)[i].key, expected[i]);
}

class RecordingListener : public ObjectListener {
 public:
  explicit RecordingListener(ObjectStore& store) : store_(store) {}
  void OnObjectCreated(const ObjectMeta& object) override {
    EXPECT_EQ(store_.Head(object.key)->etag, object.etag);
    heard.push_back("+" + object.key + " " + object.etag);
  }
  void OnObjectDeleted(std::string_view key) override {
    EXPECT_FALSE(store_.Head(key).ok());
    heard.push_back("-" + std::string(key));
  }
  std::vector<std::string> heard;

 private:
  ObjectStore& store_;
};

TEST_P(ContractTest, TheListenerHearsOfWhatHappenedAndOfNothingElse) {
  RecordingListener listener(*store_);
  store_->SetListener(&listener);
  MustPut(*store_, "a/b", "x", IfAbsent());
  ASSERT_FALSE(store_->Put("a/b", "y", IfAbsent()).ok());
  ASSERT_FALSE(store_->Put("../b", "y", {}).ok());
  ASSERT_TRUE(store_->Delete("a/c").ok());
  ASSERT_TRUE(store_->Delete("a/b").ok());
  ASSERT_TRUE(store_->Delete("a/b").ok());
  EXPECT_EQ(listener.heard, (std::vector<std::string>{"+a/b " + Md5Hex("x"), "-a/b"}));
  store_->SetListener(nullptr);
}

}  // namespace
}  // namespace varve::store

// Names that have opened other systems' disks: each is refused, or is a name like any other and
// stays below the root.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "stores.h"

namespace varve::store {
namespace {

std::vector<std::string> RefusedKeys() {
  using namespace std::string_literals;
  return {
      "",
      "/",
      "//",
      "/etc/passwd",
      "a/",
      "a//b",
      "..",
      ".",
      "../x",
      "a/../b",
      "a/..",
      "a/./b",
      "./a",
      "A/../B/key",
      "a\\b",
      "..\\x",
      "C:\\x",
      "a\0b"s,
      "\0"s,
      "a\nb",
      "a\rb",
      "a\tb",
      "a\x7f",
      "a\x1b[31m",
      "a\xc2\x85",      // NEL, a C1 control
      "a\xe2\x80\xa8",  // line separator
      "\xff",
      "a\xc3",  // cut short
      "a\xc0\xaf"
      "b",  // '/' in an overlong form
      "a\xe0\x80\xaf"
      "b",
      "\xed\xa0\x80",      // a surrogate
      "\xf4\x90\x80\x80",  // beyond U+10FFFF
      "\xf8\x88\x80\x80\x80",
      ".varve",
      ".varve/tmp/x",
      ".varve/meta/x",
      std::string(1025, 'a'),
      std::string(600, 'a') + "/" + std::string(600, 'b'),
  };
}

// Odd, but names.
std::vector<std::string> AcceptedKeys() {
  return {
      "%2e%2e",
      "%2e%2e/x",
      "%252e%252e%252f",
      "...",
      "..a",
      "a..",
      ".hidden",
      ".varve2",
      ".Varve",
      "a/.varve",
      "x.tmp",
      "*",
      "?",
      "[a-z]",
      "a*b?c[d]",
      "'; DROP TABLE events; --",
      "\"quoted\"",
      "$(touch x)",
      "`x`",
      "~root",
      "-rf",
      "CON",
      "NUL.txt",
      "a b",
      " ",
      "a:b",
      "a|b<c>d",
      "{x}",
      "caf\xc3\xa9",   // é as one code point
      "cafe\xcc\x81",  // and as two: another key
      "\xf0\x9f\x98\x80",
      std::string(255, 'a'),
      std::string(255, 'b') + "/" + std::string(255, 'c'),
      std::string(200, 'd') + "/" + std::string(200, 'e') + "/" + std::string(200, 'f') + "/" +
          std::string(200, 'g') + "/" + std::string(220, 'h'),
  };
}

using HostileKeysTest = StoreTest;
INSTANTIATE_TEST_SUITE_P(Stores, HostileKeysTest,
                         testing::Values(StoreKind::kLocal, StoreKind::kPortable,
                                         StoreKind::kMemory),
                         [](const auto& info) { return NameOf(info.param); });

std::set<std::string> FilesOutside(const std::string& parent, const std::string& root) {
  std::set<std::string> files;
  for (auto it = std::filesystem::recursive_directory_iterator(parent);
       it != std::filesystem::recursive_directory_iterator(); ++it) {
    if (it->path() == root) {
      it.disable_recursion_pending();
    } else {
      files.insert(it->path().string());
    }
  }
  return files;
}

TEST_P(HostileKeysTest, ARefusedKeyIsRefusedByEveryCallAndTouchesNothing) {
  const std::string root = dir_.File("deep/root");
  auto store = OpenStore(GetParam(), root);
  std::ofstream(dir_.File("x")) << "outside";
  std::ofstream(dir_.File("deep/x")) << "outside";
  const auto before = FilesOutside(dir_.path(), root);
  for (const std::string& key : RefusedKeys()) {
    EXPECT_ERROR(CheckKey(key), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_ERROR(store->Put(key, "evil", {}), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_ERROR(store->Put(key, "evil", IfAbsent()), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_ERROR(store->Get(key), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_ERROR(store->Head(key), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_ERROR(store->Delete(key), ErrorKind::kInvalid, "INVALID_PATH");
    EXPECT_FALSE(store->LocalPath(key).has_value());
  }
  EXPECT_TRUE(Keys(*store).empty());
  EXPECT_EQ(FilesOutside(dir_.path(), root), before);
}

TEST_P(HostileKeysTest, AnAcceptedKeyIsOneObjectOfThatName) {
  const std::string root = dir_.File("deep/root");
  auto store = OpenStore(GetParam(), root);
  const auto before = FilesOutside(dir_.path(), root);
  std::vector<std::string> expected = AcceptedKeys();
  expected.erase(std::find(expected.begin(), expected.end(), "%2e%2e"));  // a folder, here
  for (const std::string& key : expected) {
    ASSERT_TRUE(CheckKey(key).ok()) << key;
    MustPut(*store, key, key);
  }
  for (const std::string& key : expected) EXPECT_EQ(MustGet(*store, key), key);
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(Keys(*store), expected);
  EXPECT_EQ(Keys(*store, "", 3), expected);
  EXPECT_EQ(FilesOutside(dir_.path(), root), before);
  for (const std::string& key : expected) EXPECT_TRUE(store->Delete(key).ok());
  EXPECT_TRUE(Keys(*store).empty());
}

TEST(KeyTest, NoTextIsAcceptedThatLeavesTheRootOrHidesInIt) {
  const bool held = rc::check([](const std::vector<uint8_t>& picks) {
    constexpr std::string_view kParts[] = {"..", ".", "/", "a", "\\", ".varve", "%2e", "\n", "é"};
    std::string key;
    for (const uint8_t pick : picks) key += kParts[pick % std::size(kParts)];
    if (!CheckKey(key).ok()) return;
    const auto path = (std::filesystem::path("/root") / key).lexically_normal().string();
    RC_ASSERT(path == "/root/" + key);
    RC_ASSERT(!path.starts_with("/root/.varve/"));
  });
  EXPECT_TRUE(held);
}

TEST(KeyTest, ASegmentTooLongForAFileNameIsRefusedByADirectory) {
  for (const StoreKind kind : {StoreKind::kLocal, StoreKind::kPortable}) {
    const TempDir dir;
    auto store = OpenStore(kind, dir.path());
    for (const std::string& key :
         {std::string(256, 'a'), "a/" + std::string(256, 'b'), std::string(256, 'a') + "/b"}) {
      EXPECT_ERROR(store->Put(key, "", {}), ErrorKind::kInvalid, "INVALID_PATH");
      EXPECT_ERROR(store->Get(key), ErrorKind::kInvalid, "INVALID_PATH");
    }
    EXPECT_FALSE(std::filesystem::exists(dir.File("a")));
  }
}

}  // namespace
}  // namespace varve::store

// The stores that share one contract, each in a directory of its own, and words for calling them.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "store/local_store.h"
#include "store/memory_store.h"
#include "store/object_store.h"
#include "temp_dir.h"

namespace varve::store {

// kPortable: sidecars, no openat2, no renameat2.
enum class StoreKind { kLocal, kPortable, kMemory };

inline std::string NameOf(StoreKind kind) {
  return kind == StoreKind::kLocal ? "Local" : kind == StoreKind::kPortable ? "Portable" : "Memory";
}

inline std::unique_ptr<ObjectStore> OpenStore(StoreKind kind, const std::string& root,
                                              const Clock& clock = SystemClock(),
                                              bool fsync = false) {
  if (kind == StoreKind::kMemory) return std::make_unique<MemoryStore>(clock);
  LocalStoreOptions options;
  options.root = root;
  options.fsync = fsync;
  options.portable_calls_only = kind == StoreKind::kPortable;
  auto opened = OpenLocalStore(options, clock);
  EXPECT_TRUE(opened.ok()) << opened.error().message;
  return opened.ok() ? std::move(opened).value() : nullptr;
}

class StoreTest : public testing::TestWithParam<StoreKind> {
 protected:
  StoreTest() : store_(OpenStore(GetParam(), dir_.path())) {}

  TempDir dir_;
  std::unique_ptr<ObjectStore> store_;
};

inline PutOptions IfAbsent() {
  PutOptions options;
  options.precondition = Precondition::kIfAbsent;
  return options;
}

inline PutOptions IfMatch(std::string etag) {
  PutOptions options;
  options.precondition = Precondition::kIfMatch;
  options.if_match_etag = std::move(etag);
  return options;
}

inline ObjectMeta MustPut(ObjectStore& store, std::string_view key, std::string_view bytes,
                          const PutOptions& options = {}) {
  auto put = store.Put(key, bytes, options);
  EXPECT_TRUE(put.ok()) << put.error().message;
  return put.ok() ? std::move(put).value() : ObjectMeta{};
}

inline std::string MustGet(ObjectStore& store, std::string_view key,
                           std::optional<ByteRange> range = std::nullopt) {
  auto got = store.Get(key, range);
  EXPECT_TRUE(got.ok()) << got.error().message;
  return got.ok() ? std::move(got).value() : "<" + got.error().code + ">";
}

// The keys under the prefix, in pages of this size.
inline std::vector<std::string> Keys(ObjectStore& store, std::string_view prefix = "",
                                     size_t page_size = 1000, std::string after = {}) {
  std::vector<std::string> keys;
  for (;;) {
    auto page = store.List(prefix, after, page_size);
    EXPECT_TRUE(page.ok()) << page.error().message;
    if (!page.ok()) return keys;
    EXPECT_LE(page->objects.size(), page_size);
    for (const ObjectMeta& object : page->objects) keys.push_back(object.key);
    after = page->next_start_after;
    if (after.empty()) return keys;
  }
}

#define EXPECT_ERROR(result, expected_kind, expected_code)                               \
  do {                                                                                   \
    const auto& error_result = (result);                                                 \
    ASSERT_FALSE(error_result.ok());                                                     \
    EXPECT_EQ(error_result.error().kind, expected_kind) << error_result.error().message; \
    EXPECT_EQ(error_result.error().code, expected_code) << error_result.error().message; \
  } while (false)

}  // namespace varve::store

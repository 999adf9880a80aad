// Random calls against a map.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>

#include "core/bytes.h"
#include "stores.h"

namespace varve::store {
namespace {

struct Call {
  uint8_t what, key, value, page;
};

// Few keys, so that calls meet; folders, neighbours of '/', and no key that is another's folder.
constexpr std::string_view kKeys[] = {"a-", "a.x",   "a/a",  "a/b-", "a/b/c", "a/b/d", "a/b0",
                                      "a0", "b/c/d", "b/c0", "b-",   "é",     "b/c-/x"};
constexpr std::string_view kPrefixes[] = {"", "a", "a/", "a/b", "a/b/", "b/c", "b/c/", "x"};

using Model = std::map<std::string, std::pair<std::string, std::string>>;  // key: bytes, metadata

void DoPut(ObjectStore& store, Model& model, const std::string& key, const Call& call) {
  PutOptions options;
  // Sizes on both sides of what an extended attribute holds.
  const std::string meta(call.value % 3 == 0 ? 6000 : call.value, 'm');
  options.metadata["m"] = meta;
  const std::string bytes(call.value * 5, static_cast<char>(call.value));
  const auto there = model.find(key);
  bool expected = true;
  if (call.what == 1) {
    options.precondition = Precondition::kIfAbsent;
    expected = there == model.end();
  } else if (call.what == 2) {
    options.precondition = Precondition::kIfMatch;
    const bool stale = call.page % 2 == 1;
    options.if_match_etag =
        there == model.end() || stale ? Md5Hex("stale") : Md5Hex(there->second.first);
    expected = there != model.end() && !stale;
  }
  const auto put = store.Put(key, bytes, options);
  RC_ASSERT(put.ok() == expected);
  if (!put.ok()) RC_ASSERT(put.error().kind == ErrorKind::kConflict);
  if (put.ok()) model[key] = {bytes, meta};
}

void CompareOne(ObjectStore& store, const Model& model, const std::string& key) {
  const auto there = model.find(key);
  const auto head = store.Head(key);
  const auto bytes = store.Get(key);
  RC_ASSERT(head.ok() == (there != model.end()));
  RC_ASSERT(bytes.ok() == (there != model.end()));
  if (there == model.end()) return;
  RC_ASSERT(*bytes == there->second.first);
  RC_ASSERT(head->etag == Md5Hex(*bytes));
  RC_ASSERT(head->metadata.at("m") == there->second.second);
}

void CompareList(ObjectStore& store, const Model& model, const Call& call) {
  const std::string_view prefix = kPrefixes[call.key % std::size(kPrefixes)];
  const std::string after(call.value % 2 == 0 ? "" : kKeys[call.value % std::size(kKeys)]);
  std::vector<std::string> expected;
  for (const auto& [key, object] : model) {
    if (key.starts_with(prefix) && key > after) expected.push_back(key);
  }
  RC_ASSERT(Keys(store, prefix, 1 + call.page % 5, after) == expected);
}

class ModelTest : public testing::TestWithParam<StoreKind> {};
INSTANTIATE_TEST_SUITE_P(Stores, ModelTest,
                         testing::Values(StoreKind::kLocal, StoreKind::kPortable,
                                         StoreKind::kMemory),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(ModelTest, AnyCallsLeaveWhatAMapWouldHold) {
  const bool held = rc::check([&] {
    const auto calls = *rc::gen::container<std::vector<Call>>(
        rc::gen::construct<Call>(rc::gen::inRange<uint8_t>(0, 8), rc::gen::arbitrary<uint8_t>(),
                                 rc::gen::arbitrary<uint8_t>(), rc::gen::arbitrary<uint8_t>()));
    const TempDir dir;
    auto store = OpenStore(GetParam(), dir.path());
    Model model;
    for (const Call& call : calls) {
      const std::string key(kKeys[call.key % std::size(kKeys)]);
      switch (call.what) {
        case 0:
        case 1:
        case 2:
          DoPut(*store, model, key, call);
          break;
        case 3:
          RC_ASSERT(store->Delete(key).ok());
          model.erase(key);
          break;
        case 4:
        case 5:
          CompareList(*store, model, call);
          break;
        case 6:
          CompareOne(*store, model, key);
          break;
        default:
          if (GetParam() != StoreKind::kMemory && call.value % 4 == 0) {
            store = OpenStore(GetParam(), dir.path());
          }
      }
    }
    for (const std::string_view key : kKeys) CompareOne(*store, model, std::string(key));
    CompareList(*store, model, Call{});
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace varve::store

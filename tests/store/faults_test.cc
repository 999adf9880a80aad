// The fault-injecting store does what it says, and the probe finds a store that breaks its word.
#include <gtest/gtest.h>

#include "store/faulty_store.h"
#include "store/probe.h"
#include "stores.h"

namespace varve::store {
namespace {

class FaultyStoreTest : public testing::Test {
 protected:
  void Script(FaultKind kind, StoreCall call, std::string prefix = {}, uint32_t skip = 0,
              uint32_t times = 1) {
    faulty_.Script({kind, call, std::move(prefix), skip, times});
  }

  MemoryStore inner_{SystemClock()};
  std::unique_ptr<Random> random_ = SeededRandom(7);
  FaultyStore faulty_{inner_, *random_};
};

TEST_F(FaultyStoreTest, WithoutFaultsItIsTheInnerStore) {
  MustPut(faulty_, "a", "x");
  EXPECT_EQ(MustGet(faulty_, "a"), "x");
  EXPECT_EQ(Keys(faulty_), std::vector<std::string>{"a"});
  EXPECT_TRUE(faulty_.Delete("a").ok());
}

TEST_F(FaultyStoreTest, AFailureBeforeLeavesNothing) {
  Script(FaultKind::kFailBefore, StoreCall::kPut);
  EXPECT_ERROR(faulty_.Put("a", "x", {}), ErrorKind::kRetryable, "CONNECTION_RESET");
  EXPECT_FALSE(inner_.Head("a").ok());
  MustPut(faulty_, "a", "x");
  EXPECT_EQ(faulty_.fired(FaultKind::kFailBefore), 1u);
}

TEST_F(FaultyStoreTest, ALostReplyLeavesTheObject) {
  Script(FaultKind::kSucceedThenUnknown, StoreCall::kPut);
  const auto put = faulty_.Put("a", "x", IfAbsent());
  ASSERT_FALSE(put.ok());
  EXPECT_EQ(put.error().kind, ErrorKind::kUnknown);
  EXPECT_EQ(MustGet(faulty_, "a"), "x");
  Script(FaultKind::kConflictOnOwnWrite, StoreCall::kPut, "b");
  EXPECT_ERROR(faulty_.Put("b", "y", IfAbsent()), ErrorKind::kConflict, "PRECONDITION_FAILED");
  EXPECT_EQ(MustGet(faulty_, "b"), "y");
  Script(FaultKind::kSucceedThenUnknown, StoreCall::kDelete);
  EXPECT_EQ(faulty_.Delete("a").error().kind, ErrorKind::kUnknown);
  EXPECT_FALSE(faulty_.Head("a").ok());
}

TEST_F(FaultyStoreTest, TheScriptCountsMatchingCallsOnly) {
  Script(FaultKind::kThrottle, StoreCall::kPut, "ev/", 1, 2);
  MustPut(faulty_, "other", "");
  MustPut(faulty_, "ev/1", "");
  EXPECT_ERROR(faulty_.Put("ev/2", "", {}), ErrorKind::kExhausted, "SLOW_DOWN");
  MustPut(faulty_, "other", "");
  EXPECT_ERROR(faulty_.Put("ev/2", "", {}), ErrorKind::kExhausted, "SLOW_DOWN");
  MustPut(faulty_, "ev/2", "");
}

TEST_F(FaultyStoreTest, ReadsAreCutDamagedAndIncomplete) {
  for (const char* key : {"a", "b", "c"}) MustPut(faulty_, key, "0123456789");
  Script(FaultKind::kTruncatedGet, StoreCall::kGet);
  EXPECT_EQ(MustGet(faulty_, "a"), "01234");
  Script(FaultKind::kBitFlippedGet, StoreCall::kGet);
  const std::string flipped = MustGet(faulty_, "a");
  EXPECT_EQ(flipped.size(), 10u);
  EXPECT_NE(flipped, "0123456789");
  Script(FaultKind::kListWithoutLastPage, StoreCall::kList);
  EXPECT_EQ(Keys(faulty_, "", 2).size(), 2u);
  Script(FaultKind::kStaleHead, StoreCall::kHead);
  EXPECT_ERROR(faulty_.Head("a"), ErrorKind::kNotFound, "NO_SUCH_OBJECT");
  EXPECT_TRUE(faulty_.Head("a").ok());
}

TEST_F(FaultyStoreTest, AListThatRepeatsItsPageDoesNotHoldTheListerForEver) {
  for (int i = 0; i < 1500; ++i) MustPut(inner_, "k" + std::to_string(10'000 + i), "");
  Script(FaultKind::kListRepeatsPage, StoreCall::kList, "", 1, 1'000'000);
  const auto all = ListAll(faulty_, "");
  EXPECT_ERROR(all, ErrorKind::kRetryable, "LIST_STUCK");
}

TEST_F(FaultyStoreTest, TheSameSeedGivesTheSameFaults) {
  const auto trace = [](uint64_t seed) {
    MemoryStore inner(SystemClock());
    auto random = SeededRandom(seed);
    FaultyStore faulty(inner, *random);
    faulty.SetChance(StoreCall::kPut, FaultKind::kFailBefore, 200);
    faulty.SetChance(StoreCall::kPut, FaultKind::kSucceedThenUnknown, 200);
    std::string outcomes;
    for (int i = 0; i < 200; ++i) {
      const auto put = faulty.Put("k", "x", {});
      outcomes += put.ok() ? "." : put.error().kind == ErrorKind::kUnknown ? "?" : "!";
    }
    EXPECT_GT(faulty.fired(FaultKind::kFailBefore), 10u);
    EXPECT_GT(faulty.fired(FaultKind::kSucceedThenUnknown), 10u);
    return outcomes;
  };
  EXPECT_EQ(trace(1), trace(1));
  EXPECT_NE(trace(1), trace(2));
}

using ProbeTest = StoreTest;
INSTANTIATE_TEST_SUITE_P(Stores, ProbeTest,
                         testing::Values(StoreKind::kLocal, StoreKind::kPortable,
                                         StoreKind::kMemory),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(ProbeTest, AHonestStorePassesAndKeepsNoTraceOfIt) {
  const Status probed = ProbeStore(*store_);
  EXPECT_TRUE(probed.ok()) << probed.error().message;
  EXPECT_TRUE(Keys(*store_).empty());
}

// Stores as they have been met: each breaks one promise.
class Dishonest : public MemoryStore {
 public:
  enum Lie { kIgnoresIfAbsent, kIgnoresIfMatch, kCreatesOnIfMatch, kRefusesButWrites, kRaces };
  explicit Dishonest(Lie lie) : MemoryStore(SystemClock()), lie_(lie) {}

  Result<ObjectMeta> Put(std::string_view key, std::string_view bytes,
                         const PutOptions& options) override {
    const Precondition precondition = options.precondition;
    const bool there = Head(key).ok();
    PutOptions plain = options;
    plain.precondition = Precondition::kNone;
    const bool lies =
        (lie_ == kIgnoresIfAbsent && precondition == Precondition::kIfAbsent) ||
        (lie_ == kIgnoresIfMatch && precondition == Precondition::kIfMatch && there) ||
        (lie_ == kCreatesOnIfMatch && precondition == Precondition::kIfMatch && !there) ||
        (lie_ == kRaces && key.ends_with("/race"));
    if (lies) return MemoryStore::Put(key, bytes, plain);
    auto put = MemoryStore::Put(key, bytes, options);
    if (lie_ == kRefusesButWrites && !put.ok()) (void)MemoryStore::Put(key, bytes, plain);
    return put;
  }

 private:
  Lie lie_;
};

TEST(DishonestStoreTest, EveryBrokenPromiseIsFound) {
  for (const auto lie :
       {Dishonest::kIgnoresIfAbsent, Dishonest::kIgnoresIfMatch, Dishonest::kCreatesOnIfMatch,
        Dishonest::kRefusesButWrites, Dishonest::kRaces}) {
    Dishonest store(lie);
    EXPECT_ERROR(ProbeStore(store), ErrorKind::kInvalid, "STORE_NOT_CONDITIONAL");
    EXPECT_TRUE(Keys(store).empty());
  }
}

TEST(DishonestStoreTest, AStoreThatCannotBeReachedIsNotCalledDishonest) {
  MemoryStore inner(SystemClock());
  auto random = SeededRandom(1);
  FaultyStore faulty(inner, *random);
  faulty.Script({FaultKind::kFailBefore, StoreCall::kPut, "", 0, 1000});
  EXPECT_ERROR(ProbeStore(faulty), ErrorKind::kRetryable, "CONNECTION_RESET");
}

}  // namespace
}  // namespace varve::store

// Every call to the store fails once, in every way that stores have been seen to: before it is
// done, with its answer lost, with nothing said. Whatever happens, each row is there once.
#include <gtest/gtest.h>

#include <tuple>

#include "compaction_lab.h"
#include "store/faulty_store.h"
#include "store/memory_store.h"
#include "temp_dir.h"

namespace varve::compact {
namespace {

using store::FaultKind;
using store::StoreCall;
using workflow::WorkflowState;

// False: there is no such call.
bool FaultAt(StoreCall call, FaultKind kind, uint32_t skip) {
  const TempDir dir;
  ManualClock clock(kWindow + 2 * kHourMs);
  store::MemoryStore memory(clock);
  const auto random = SeededRandom(skip + 1);
  store::FaultyStore faulty(memory, *random);
  CompactionLab lab(faulty, dir.path(), clock, true);
  Multiset expected;
  const auto sources = lab.PutWindow(2, 2, expected);
  store::Fault fault;
  fault.kind = kind;
  fault.call = call;
  fault.skip = skip;
  faulty.Script(fault);
  const std::string id = lab.Start(lab.Request(sources, BothFormats()));
  lab.Drain();
  const bool fired = faulty.fired(kind) > 0;
  EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << skip << ": " << lab.Get(id).error;
  CompactionLab reader(memory, dir.path(), clock, true);  // whom the fault does not meet
  EXPECT_EQ(reader.IcebergRows(), expected) << skip;
  EXPECT_EQ(reader.DeltaRows(), expected) << skip;
  EXPECT_TRUE(reader.Keys("data/").empty()) << skip;
  EXPECT_EQ(lab.account->Ended(id), 1) << skip;
  return fired;
}

struct Case {
  const char* name;
  StoreCall call;
  FaultKind kind;
};

class CompactionFaults : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(
    Calls, CompactionFaults,
    ::testing::Values(Case{"PutAnswerLost", StoreCall::kPut, FaultKind::kSucceedThenUnknown},
                      Case{"PutUnknown", StoreCall::kPut, FaultKind::kUnknownNotDone},
                      Case{"PutRefused", StoreCall::kPut, FaultKind::kFailBefore},
                      Case{"PutOwnConflict", StoreCall::kPut, FaultKind::kConflictOnOwnWrite},
                      Case{"GetThrottled", StoreCall::kGet, FaultKind::kThrottle},
                      Case{"GetCut", StoreCall::kGet, FaultKind::kTruncatedGet},
                      Case{"GetDamaged", StoreCall::kGet, FaultKind::kBitFlippedGet},
                      Case{"HeadFails", StoreCall::kHead, FaultKind::kFailBefore},
                      Case{"HeadStale", StoreCall::kHead, FaultKind::kStaleHead},
                      Case{"ListFails", StoreCall::kList, FaultKind::kFailBefore},
                      Case{"DeleteAnswerLost", StoreCall::kDelete, FaultKind::kSucceedThenUnknown},
                      Case{"DeleteRefused", StoreCall::kDelete, FaultKind::kFailBefore}),
    [](const auto& info) { return info.param.name; });

TEST_P(CompactionFaults, AtEveryCallEachRowIsThereOnce) {
  uint32_t calls = 0;
  while (FaultAt(GetParam().call, GetParam().kind, calls) && !HasFailure()) ++calls;
  EXPECT_GT(calls, 3u);
}

TEST(CompactionFaultsByChance, ManySeedsEndWithEachRowOnce) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const TempDir dir;
    ManualClock clock(kWindow + 2 * kHourMs);
    store::MemoryStore memory(clock);
    const auto random = SeededRandom(seed);
    store::FaultyStore faulty(memory, *random);
    CompactionLab lab(faulty, dir.path(), clock, true, seed);
    Multiset expected;
    const auto sources = lab.PutWindow(2, 2, expected);
    const std::tuple<StoreCall, FaultKind, uint32_t> chances[] = {
        {StoreCall::kPut, FaultKind::kSucceedThenUnknown, 30},
        {StoreCall::kPut, FaultKind::kUnknownNotDone, 30},
        {StoreCall::kGet, FaultKind::kFailBefore, 10},
        {StoreCall::kHead, FaultKind::kFailBefore, 10},
        {StoreCall::kDelete, FaultKind::kSucceedThenUnknown, 50}};
    for (const auto& [call, kind, chance] : chances) faulty.SetChance(call, kind, chance);
    const std::string id = lab.Start(lab.Request(sources, BothFormats()));
    lab.Drain();
    for (const auto& [call, kind, chance] : chances) faulty.SetChance(call, kind, 0);
    EXPECT_EQ(lab.Get(id).state, WorkflowState::kSucceeded) << seed << ": " << lab.Get(id).error;
    EXPECT_EQ(lab.IcebergRows(), expected) << seed;
    EXPECT_EQ(lab.DeltaRows(), expected) << seed;
  }
}

}  // namespace
}  // namespace varve::compact

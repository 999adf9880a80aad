#include "compact/raw_ledger.h"

#include <gtest/gtest.h>

namespace varve::compact {
namespace {

store::ObjectMeta Raw(std::string key, std::string etag = "e") {
  store::ObjectMeta object;
  object.key = std::move(key);
  object.etag = std::move(etag);
  return object;
}

class RawLedgerTest : public ::testing::Test {
 protected:
  Plan Record(std::vector<SourceId> sources, size_t outputs = 1) {
    Plan plan;
    plan.created_ms = 1'767'268'800'000;
    plan.sources = std::move(sources);
    for (size_t i = 0; i < outputs; ++i) plan.outputs.push_back({"logs/h/", 3, ""});
    EXPECT_TRUE(ledger_->Record(plan).ok());
    return plan;
  }
  void Finish(const Plan& plan) {
    ASSERT_TRUE(ledger_->Finish(plan, [](state::Session&) { return Status(); }).ok());
  }
  LedgerView View(const std::vector<store::ObjectMeta>& raw) { return ledger_->View(raw).value(); }

  std::unique_ptr<state::Database> database_ = state::Database::Open(":memory:").value();
  std::unique_ptr<RawLedger> ledger_ = RawLedger::Open(*database_, 7).value();
};

using Indices = std::vector<size_t>;

TEST_F(RawLedgerTest, AFileIsShownFromTheMomentItsPlanIsDone) {
  const std::vector<store::ObjectMeta> raw{Raw("raw-events/a.ndjson"), Raw("raw-events/b.ndjson")};
  const LedgerView before = View(raw);
  const Plan plan = Record({{"raw-events/a.ndjson", "e"}});
  const std::string& key = plan.outputs[0].key;
  EXPECT_TRUE(key.starts_with("logs/h/logs-1767268800000-"));
  EXPECT_FALSE(before.Shows(key));  // a plan recorded after the view
  const LedgerView during = View(raw);
  EXPECT_FALSE(during.Shows(key));
  EXPECT_EQ(during.unprocessed, (Indices{0, 1}));
  Finish(plan);
  EXPECT_FALSE(during.Shows(key));
  const LedgerView after = View(raw);
  EXPECT_TRUE(after.Shows(key));
  EXPECT_EQ(after.unprocessed, Indices{1});
}

TEST_F(RawLedgerTest, RawFilesListedAfterTheViewAreJudgedByTheView) {
  const std::vector<store::ObjectMeta> raw{Raw("a"), Raw("b"), Raw("c")};
  Finish(Record({{"a", "e"}}));
  const Plan open = Record({{"b", "e"}});
  const LedgerView view = View({});
  Finish(open);
  Finish(Record({{"c", "e"}}));  // recorded and done after the view
  EXPECT_EQ(ledger_->Unprocessed(view, raw).value(), (Indices{1, 2}));
  EXPECT_EQ(ledger_->Unprocessed(View({}), raw).value(), Indices());
}

TEST_F(RawLedgerTest, FilesWithoutATagOfOursAreShown) {
  const LedgerView view = View({});
  for (const char* key : {"logs/h/other.parquet", "logs/h/logs-1.parquet", "x.parquet", "x", "",
                          "logs/h/logs-1-01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet"}) {
    EXPECT_TRUE(view.Shows(key)) << key;
  }
}

TEST_F(RawLedgerTest, ASourceIsInOnePlanOnly) {
  Record({{"a", "e"}, {"b", "e"}});
  Plan second;
  second.sources = {{"c", "e"}, {"b", "e"}};
  const Status taken = ledger_->Record(second);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().kind, ErrorKind::kConflict);
  EXPECT_EQ(ledger_->StateOf({"c", "e"}).value(), SourceState::kNew);
  EXPECT_EQ(ledger_->StateOf({"b", "e"}).value(), SourceState::kPlanned);
  EXPECT_EQ(ledger_->StateOf({"b", "other bytes"}).value(), SourceState::kNew);
  EXPECT_EQ(ledger_->Unfinished(10)->size(), 1u);
}

TEST_F(RawLedgerTest, APlanIsFinishedOnceAndWithAllThatGoesWithIt) {
  const Plan plan = Record({{"a", "e"}});
  const auto fail = [](state::Session&) -> Status {
    return MakeError(ErrorKind::kExhausted, "downstream is full");
  };
  EXPECT_EQ(ledger_->Finish(plan, fail).error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(ledger_->StateOf({"a", "e"}).value(), SourceState::kPlanned);
  Finish(plan);
  const Status again = ledger_->Finish(plan, [](state::Session&) { return Status(); });
  EXPECT_EQ(again.error().kind, ErrorKind::kConflict);
  EXPECT_TRUE(ledger_->Unfinished(10)->empty());
}

TEST_F(RawLedgerTest, AnUnfinishedPlanIsReadBackAsItWasRecorded) {
  const Plan plan = Record({{"z", "1"}, {"a", "2"}}, 300);
  const auto unfinished = ledger_->Unfinished(10).value();
  ASSERT_EQ(unfinished.size(), 1u);
  EXPECT_EQ(unfinished[0].sources, plan.sources);
  EXPECT_EQ(unfinished[0].instance, 7u);
  ASSERT_EQ(unfinished[0].outputs.size(), 300u);
  for (size_t i = 0; i < 300; ++i) EXPECT_EQ(unfinished[0].outputs[i].key, plan.outputs[i].key);
}

TEST_F(RawLedgerTest, AnAbandonedPlanFreesItsSourcesAndIsNeverShown) {
  const Plan plan = Record({{"a", "e"}});
  ASSERT_TRUE(ledger_->Abandon(plan).ok());
  EXPECT_EQ(ledger_->StateOf({"a", "e"}).value(), SourceState::kNew);
  ASSERT_EQ(ledger_->Unfinished(10)->size(), 1u);
  EXPECT_EQ(ledger_->Unfinished(10)->at(0).state, PlanState::kAbandoned);
  ASSERT_TRUE(ledger_->ForgetOutputs(plan).ok());
  EXPECT_TRUE(ledger_->Unfinished(10)->empty());
  EXPECT_FALSE(View({}).Shows(plan.outputs[0].key));
  EXPECT_FALSE(ledger_->Finish(plan, [](state::Session&) { return Status(); }).ok());
}

TEST_F(RawLedgerTest, ManyRawFilesAreMatchedAsFewAre) {
  std::vector<store::ObjectMeta> raw;
  std::vector<SourceId> done, planned;
  for (int i = 0; i < 1'000; ++i) {
    raw.push_back(Raw("raw-events/" + std::to_string(10'000 + i) + ".ndjson"));
    if (i % 3 == 0) done.push_back({raw.back().key, "e"});
    if (i % 3 == 1) planned.push_back({raw.back().key, i % 2 ? "e" : "old"});
  }
  done.push_back({"raw-events/10002.ndjson", "old"});  // processed with other bytes
  Finish(Record(done));
  Record(planned);
  const LedgerView all = View(raw);
  Indices expected;
  for (size_t i = 0; i < raw.size(); ++i) {
    if (i % 3 != 0) expected.push_back(i);
  }
  EXPECT_EQ(all.unprocessed, expected);
  const std::vector<store::ObjectMeta> few(raw.begin(), raw.begin() + 100);
  std::erase_if(expected, [](size_t i) { return i >= 100; });
  EXPECT_EQ(View(few).unprocessed, expected);
}

TEST_F(RawLedgerTest, PlansOfAnEarlierInstanceKeepTheirNamesAndStayHidden) {
  const Plan plan = Record({{"a", "e"}});
  const auto later = RawLedger::Open(*database_, 8).value();
  EXPECT_FALSE(later->View({})->Shows(plan.outputs[0].key));
  EXPECT_EQ(later->Unfinished(1)->at(0).instance, 7u);
}

}  // namespace
}  // namespace varve::compact

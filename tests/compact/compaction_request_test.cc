// A request and a state are read back as they were written, and nothing else is read.
#include "compact/compaction_request.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "compact/compaction_state.h"
#include "parquet/codec.h"

namespace varve::compact {
namespace {

using Json = nlohmann::json;

CompactionRequest Full() {
  CompactionRequest request;
  request.tenant = NamespaceId::Parse("acme").value();
  request.ns = "app/users";
  request.window_start_ms = 1'770'040'800'000;
  request.window_end_ms = request.window_start_ms + 3'600'000;
  request.sources.push_back({"ns/acme/data/app/users/1-w-0.parquet", "0123", "w", 17, 1, 0});
  request.settings.target.tables = {true, true};
  request.settings.sort_by = {{"at", true, false}, {"id", false, true}};
  request.settings.partition_by = PartitionBy::kDay;
  request.settings.codec = parquet::ParseCodec("zstd:3").value();
  request.settings.delete_sources = false;
  return request;
}

TEST(CompactionRequest, IsReadBackAsItWasWritten) {
  const CompactionRequest request = Full();
  const std::string text = ToJson(request);
  const auto read = ParseCompactionRequest(text);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(ToJson(*read), text);
  EXPECT_EQ(read->settings.codec.level, 3);
  EXPECT_EQ(read->settings.sort_by[1].column, "id");
  EXPECT_EQ(read->tenant.name(), "acme");
  EXPECT_EQ(SubjectOf(*read), "acme/app/users@2026-02-02T14:00:00.000Z");
  EXPECT_EQ(TableNameOf(read->ns).value(), "app.users");
}

TEST(CompactionRequest, WhatIsMissingUnknownOrOutOfBoundsIsRefused) {
  const Json whole = Json::parse(ToJson(Full()));
  const auto refused = [&](const std::function<void(Json&)>& change) {
    Json json = whole;
    change(json);
    return !ParseCompactionRequest(json.dump()).ok();
  };
  for (const auto& item : whole.items()) {
    EXPECT_TRUE(refused([&](Json& json) { json.erase(item.key()); })) << item.key();
    EXPECT_TRUE(refused([&](Json& json) { json[item.key()] = nullptr; })) << item.key();
  }
  for (const auto& item : whole["settings"].items()) {
    EXPECT_TRUE(refused([&](Json& json) { json["settings"].erase(item.key()); })) << item.key();
  }
  EXPECT_TRUE(refused([](Json& json) { json["more"] = 1; }));
  EXPECT_TRUE(refused([](Json& json) { json["sources"][0]["more"] = 1; }));
  EXPECT_TRUE(refused([](Json& json) { json["sources"][0]["key"] = "../x"; }));
  EXPECT_TRUE(refused([](Json& json) { json["sources"][0]["size"] = -1; }));
  EXPECT_TRUE(refused([](Json& json) { json["settings"]["target"] = "csv"; }));
  EXPECT_TRUE(refused([](Json& json) { json["settings"]["codec"] = "zip"; }));
  EXPECT_TRUE(refused([](Json& json) { json["settings"]["partitionBy"] = "week"; }));
  EXPECT_TRUE(refused([](Json& json) { json["namespace"] = "a b"; }));
  EXPECT_TRUE(refused([](Json& json) { json["tenant"] = "A"; }));
  EXPECT_TRUE(refused([](Json& json) { json["windowEndMs"] = 1; }));
  EXPECT_FALSE(ParseCompactionRequest("[]").ok());
  EXPECT_FALSE(ParseCompactionRequest("").ok());
}

TEST(CompactionState, IsReadBackAsItWasWritten) {
  CompactionState state;
  state.table = "users";
  state.sources = {{SourceFate::kTaken, "", 7}, {SourceFate::kQuarantined, "no \"Parquet\"", 0}};
  state.sort_by = {{"ts", false, false}};
  state.partition_by = PartitionBy::kHour;
  state.partition_name = "ts_hour";
  state.plans = 2;
  state.batches = {{0}, {1}};
  state.batches_done = 1;
  state.outputs = {{"b0000-00000.parquet", "catalog/users/data/a.parquet", "xd", "e", 100, 7}};
  state.snapshot_id = 4711;
  state.commit_id = "abc";
  state.removed = {0};
  state.late = {1};
  const auto read = ParseCompactionState(ToJson(state));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(ToJson(*read), ToJson(state));
  EXPECT_EQ(read->rows_taken(), 7u);
  EXPECT_TRUE(ParseCompactionState("{}").ok());
  state.removed = {9};
  EXPECT_FALSE(ParseCompactionState(ToJson(state)).ok());
}

}  // namespace
}  // namespace varve::compact

#include "record/event_columns.h"

#include <gtest/gtest.h>

namespace varve::record {
namespace {

class EventColumnsTest : public ::testing::Test {
 protected:
  EventRow Decode(const std::string& json, RecordKind kind = RecordKind::kEvents,
                  ColumnMask mask = kAllEventColumns) {
    json_ = json;
    EventRow row;
    EXPECT_TRUE(decoder_.Decode(json_, kind, 42, mask, &row).ok());
    return row;
  }
  EventDecoder decoder_;
  std::string json_;
};

TEST_F(EventColumnsTest, FillsEveryColumnThatTheEventHas) {
  const EventRow row = Decode(
      R"({"type":"rpc.call","source":"edge","provider":"p","event_type":"e","verified":true,
          "script_name":"s","outcome":"ok","method":"GET","url":"/a?b","status_code":204,
          "duration_ms":1.5,"more":{"url":"no"}})");
  EXPECT_EQ(row.ts_ms, 42);
  EXPECT_EQ(row.type, "rpc.call");
  EXPECT_EQ(row.source, "edge");
  EXPECT_EQ(row.provider, "p");
  EXPECT_EQ(row.event_type, "e");
  EXPECT_EQ(row.verified, true);
  EXPECT_EQ(row.script_name, "s");
  EXPECT_EQ(row.outcome, "ok");
  EXPECT_EQ(row.method, "GET");
  EXPECT_EQ(row.url, "/a?b");
  EXPECT_EQ(row.status_code, 204);
  EXPECT_EQ(row.duration_ms, 1.5);
  EXPECT_EQ(row.payload, json_);
}

TEST_F(EventColumnsTest, LeavesTheRestEmptyAndTheSourceIngest) {
  const EventRow row = Decode(R"({"type":"a"})");
  EXPECT_EQ(row.source, "ingest");
  EXPECT_FALSE(row.provider || row.event_type || row.verified || row.script_name || row.outcome ||
               row.method || row.url || row.status_code || row.duration_ms);
}

TEST_F(EventColumnsTest, KnowsOtherNames) {
  const EventRow camel =
      Decode(R"({"type":"a","eventType":"e","scriptName":"s","statusCode":1,"durationMs":2})");
  EXPECT_EQ(camel.event_type, "e");
  EXPECT_EQ(camel.script_name, "s");
  EXPECT_EQ(camel.status_code, 1);
  EXPECT_EQ(camel.duration_ms, 2);
  const EventRow brief = Decode(R"({"type":"a","status":3,"duration":4e1})");
  EXPECT_EQ(brief.status_code, 3);
  EXPECT_EQ(brief.duration_ms, 40);
  const EventRow all = Decode(
      R"({"type":"a","status":3,"statusCode":2,"status_code":1,"duration":9,"durationMs":8})");
  EXPECT_EQ(all.status_code, 1) << "the long name goes first, wherever it stands";
  EXPECT_EQ(all.duration_ms, 8);
}

TEST_F(EventColumnsTest, LeavesAnotherTypeInThePayloadOnly) {
  const EventRow row = Decode(
      R"({"type":"a","source":7,"verified":"yes","url":null,"status_code":"200",
          "duration_ms":"1","status":"ok","method":{"url":1}})");
  EXPECT_FALSE(row.verified || row.url || row.status_code || row.duration_ms || row.method);
  EXPECT_EQ(row.source, "ingest");
  EXPECT_FALSE(Decode(R"({"type":"a","status_code":2147483648})").status_code);
  EXPECT_FALSE(Decode(R"({"type":"a","status_code":200.5})").status_code);
  EXPECT_EQ(Decode(R"({"type":"a","status_code":2e2})").status_code, 200);
  EXPECT_FALSE(Decode(R"({"type":"a","duration_ms":1e999})").duration_ms);
}

TEST_F(EventColumnsTest, TakesTheFirstOfTwoMembersAsTheParserDoes) {
  const EventRow row =
      Decode(R"({"type":"a","type":"b","url":"1","url":"2","method":5,"method":"x"})");
  EXPECT_EQ(row.type, "a");
  EXPECT_EQ(row.url, "1");
  EXPECT_FALSE(row.method);
}

TEST_F(EventColumnsTest, UnescapesNamesAndText) {
  const EventRow row = Decode(R"({"t\u0079pe":"\u0061","url":"\"\ud800\u0000","m\u0065thod":"G"})");
  EXPECT_EQ(row.type, "a");
  EXPECT_EQ(row.url, std::string_view("\"\xEF\xBF\xBD\0", 5));
  EXPECT_EQ(row.method, "G");
  EXPECT_EQ(row.payload, json_);
}

TEST_F(EventColumnsTest, ReadsAWebhook) {
  const EventRow row = Decode(
      R"({"type":"webhook.github.push","ts":1,"source":"webhook","webhook":{"provider":"github",
          "eventType":"push","verified":true},"payload":{"a":[1, 2]}})",
      RecordKind::kWebhook);
  EXPECT_EQ(row.type, "webhook.github.push");
  EXPECT_EQ(row.source, "github");
  EXPECT_EQ(row.provider, "github");
  EXPECT_EQ(row.event_type, "push");
  EXPECT_EQ(row.verified, true);
  EXPECT_EQ(row.payload, R"({"a":[1, 2]})");
}

TEST_F(EventColumnsTest, LeavesOutWhatIsNotAsked) {
  const EventRow row =
      Decode(R"({"type":"a","url":"/","method":"GET"})", RecordKind::kEvents, 1u << kUrl);
  EXPECT_EQ(row.url, "/");
  EXPECT_FALSE(row.method || row.source);
  EXPECT_TRUE(row.type.empty() && row.payload.empty());
  EXPECT_EQ(Decode("{broken}", RecordKind::kEvents, 1u << kTs).ts_ms, 42) << "is not looked at";
}

TEST_F(EventColumnsTest, SaysThatBytesAreNoObject) {
  EventRow row;
  for (const std::string text : {"", "7", "[]", "{", "{\"type\":\"a\"", "{\"type\"}", "{]}"}) {
    const Status status = decoder_.Decode(text, RecordKind::kEvents, 0, kAllEventColumns, &row);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(status.error().kind, ErrorKind::kCorrupt);
  }
}

}  // namespace
}  // namespace varve::record

#include "record/log_row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "record/event_reader.h"
#include "text_helpers.h"

namespace varve::record {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kTailedMs = 1'704'067'200'000;
constexpr const char* kItem = R"({"scriptName":"w","outcome":"ok","eventTimestamp":1704067199000,
  "event":{"request":{"url":"https://e/x","method":"GET","headers":{"CF-Ray":"ray1"},
                      "cf":{"colo":"FRA","country":"DE"}},"response":{"status":200}},
  "logs":[{"timestamp":1704067199001,"level":"log","message":["a"]},
          {"timestamp":1704067199002,"level":"warn","message":["a",{"b":1}]}],
  "exceptions":[{"name":"Error","message":"Oh \u00e9","timestamp":1704067199003}],
  "diagnosticsChannelEvents":[{"channel":"undici:request:create"},
                              {"channel":"undici:request:headers"},{"channel":"other"}]})";

TEST(TraceItems, AreNormalised) {
  const TraceBatch batch = ParseTraceItems("[" + std::string(kItem) + "]", kTailedMs).value();
  ASSERT_EQ(batch.items.size(), 1u);
  EXPECT_EQ(batch.total_count, 1u);
  EXPECT_THAT(batch.event_ms, ElementsAre(1704067199000));
  EXPECT_EQ(batch.items[0].find('\n'), std::string::npos);
  const auto item = nlohmann::ordered_json::parse(batch.items[0]);
  std::vector<std::string> names;
  for (const auto& [name, value] : item.items()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("scriptName", "outcome", "eventTimestamp", "event", "logs",
                                 "exceptions", "diagnosticsChannelEvents"));
  EXPECT_EQ(item["event"]["request"]["cf"]["colo"], "FRA");
}

TEST(TraceItems, WithoutEventOrTimeAreTaken) {
  const TraceBatch batch =
      ParseTraceItems(
          R"([{"outcome":"exception","logs":[],"exceptions":[{"name":"E","message":"m"}]}])",
          kTailedMs)
          .value();
  ASSERT_EQ(batch.items.size(), 1u);
  const auto item = nlohmann::json::parse(batch.items[0]);
  EXPECT_TRUE(item["event"].is_null());
  EXPECT_TRUE(item["scriptName"].is_null());
  EXPECT_EQ(item["eventTimestamp"], kTailedMs);
  EXPECT_EQ(item["exceptions"][0]["timestamp"], kTailedMs);
  EXPECT_EQ(item["diagnosticsChannelEvents"], nlohmann::json::array());
}

TEST(TraceItems, AreRefusedOneByOne) {
  const TraceBatch batch =
      ParseTraceItems(R"([7,{"outcome":"ok","logs":[],"exceptions":[]},{"logs":{},"exceptions":[]},
        {"outcome":"ok","logs":[],"exceptions":[],"event":{"request":{"url":"x"}}},
        {"outcome":"ok","logs":[],"exceptions":[],"eventTimestamp":"x","scriptName":1}])",
                      kTailedMs)
          .value();
  EXPECT_EQ(batch.total_count, 5u);
  EXPECT_EQ(batch.items.size(), 1u);
  ASSERT_EQ(batch.invalid.size(), 4u);
  EXPECT_EQ(batch.invalid[0].index, 0);
  EXPECT_THAT(batch.invalid[1].errors,
              ElementsAre("outcome must be a string", "logs must be an array"));
  EXPECT_THAT(batch.invalid[2].errors, ElementsAre("event.request.method must be a string"));
  EXPECT_EQ(batch.invalid[3].errors.size(), 2u);
}

TEST(TraceItems, LoseBadEntriesOnlyAndSaySo) {
  const TraceBatch batch =
      ParseTraceItems(R"([{"outcome":"ok","logs":[{"level":"log"},{"timestamp":1,"level":"log"}],
        "exceptions":[{"name":"E"}],"event":{"response":{"status":"x"}}}])",
                      kTailedMs)
          .value();
  ASSERT_EQ(batch.items.size(), 1u);
  const auto item = nlohmann::json::parse(batch.items[0]);
  EXPECT_EQ(item["logs"].size(), 1u);
  EXPECT_FALSE(item["event"].contains("response"));
  ASSERT_EQ(batch.dropped.size(), 1u);
  EXPECT_THAT(batch.dropped[0].errors, ElementsAre("logs[0] timestamp must be a number",
                                                   "exceptions[0] message must be a string"));
}

TEST(TraceItems, AreCappedSilently) {
  std::string logs, items;
  for (int i = 0; i < 1'001; ++i) {
    logs += std::string(i == 0 ? "" : ",") + R"({"timestamp":1,"level":"l"})";
  }
  const std::string item = R"({"outcome":"ok","logs":[)" + logs + R"(],"exceptions":[]})";
  const TraceBatch one = ParseTraceItems("[" + item + "]", kTailedMs).value();
  EXPECT_EQ(nlohmann::json::parse(one.items[0])["logs"].size(), 1'000u);
  for (int i = 0; i < 10'001; ++i) {
    items += std::string(i == 0 ? "" : ",") + R"({"outcome":"ok","logs":[],"exceptions":[]})";
  }
  EXPECT_EQ(ParseTraceItems("[" + items + "]", kTailedMs)->items.size(), 10'000u);
}

TEST(TraceItems, ThatAreNoArrayAreOneInvalidItem) {
  const TraceBatch batch = ParseTraceItems("{}", kTailedMs).value();
  EXPECT_EQ(batch.total_count, 0u);
  ASSERT_EQ(batch.invalid.size(), 1u);
  EXPECT_EQ(batch.invalid[0].index, -1);
  for (const char* text : {"", "[", "[{]", "nonsense", "[\"\xFF\"]"}) {
    EXPECT_EQ(ParseTraceItems(text, kTailedMs).error().code, "INVALID_JSON") << text;
  }
}

TEST(LogRows, OneALogAndOneAnException) {
  const std::vector<LogRow> rows = LogRowsOf(kItem, "o").value();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].message, "a");
  EXPECT_EQ(rows[0].level, "log");
  EXPECT_EQ(rows[0].timestamp, 1704067199001);
  EXPECT_EQ(rows[1].message, R"(["a",{"b":1}])");
  EXPECT_EQ(rows[2].message, "Error: Oh \xC3\xA9");
  EXPECT_EQ(rows[2].level, "error");
  EXPECT_TRUE(rows[2].is_exception);
  EXPECT_EQ(rows[2].exception_name, "Error");
  for (const LogRow& row : rows) {
    EXPECT_EQ(row.script_name, "w");
    EXPECT_EQ(row.event_timestamp, 1704067199000);
    EXPECT_EQ(row.http_method, "GET");
    EXPECT_EQ(row.http_url, "https://e/x");
    EXPECT_EQ(row.http_status, 200);
    EXPECT_EQ(row.request_id, "ray1");
    EXPECT_EQ(row.colo, "FRA");
    EXPECT_EQ(row.country, "DE");
    EXPECT_EQ(row.fetch_count, 1);
  }
}

TEST(LogRows, AnItemWithNeitherIsOneRow) {
  const std::string item = R"({"outcome":"OUT","eventTimestamp":5,"logs":[],"exceptions":[]})";
  for (const auto& [outcome, level] : {std::pair("ok", "info"), std::pair("canceled", "error")}) {
    std::string text = item;
    text.replace(text.find("OUT"), 3, outcome);
    const std::vector<LogRow> rows = LogRowsOf(text, "o").value();
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].message, std::string("Worker execution: ") + outcome);
    EXPECT_EQ(rows[0].level, level);
    EXPECT_EQ(rows[0].script_name, "unknown");
    EXPECT_EQ(rows[0].timestamp, 5);
  }
}

TEST(LogRows, HaveIdsThatNameTheirOrigin) {
  const auto first = LogRowsOf(kItem, "a").value(), again = LogRowsOf(kItem, "a").value();
  const auto other = LogRowsOf(kItem, "b").value();
  EXPECT_EQ(first[0].id, again[0].id);
  EXPECT_NE(first[0].id, first[1].id);
  EXPECT_NE(first[0].id, other[0].id);
}

TEST(LogRows, RefuseAnItemThatWouldFillTheMemory) {
  std::string logs;
  for (int i = 0; i < 1'000; ++i)
    logs += (i == 0 ? "" : ",") + std::string(R"({"timestamp":1,"level":"l"})");
  const std::string item = R"({"outcome":"ok","event":{"request":{"method":"GET","url":")" +
                           std::string(1 << 20, 'x') + R"("}},"logs":[)" + logs +
                           R"(],"exceptions":[]})";
  EXPECT_EQ(LogRowsOf(item, "o").error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(LogRowsOf("{", "o").error().code, "INVALID_JSON");
  EXPECT_EQ(LogRowsOf("7", "o").error().code, "INVALID_ITEM");
}

TEST(RawFiles, ComeBackAsWritten) {
  const std::string a = R"({"outcome":"ok","logs":[],"exceptions":[]})";
  const std::string text = WriteRawFile({"d\"o", 17, 3}, {a, a});
  EXPECT_EQ(text, "{\"doId\":\"d\\\"o\",\"createdAt\":17,\"batchSeq\":3}\n" + a + "\n" + a);
  const RawFile file = ReadRawFile(text).value();
  EXPECT_EQ(file.header.do_id, "d\"o");
  EXPECT_EQ(file.header.created_at, 17);
  EXPECT_EQ(file.header.batch_seq, 3u);
  EXPECT_THAT(file.items, ElementsAre(a, a));
  EXPECT_TRUE(ReadRawFile(WriteRawFile({"d", 1, 1}, {}))->items.empty());
}

TEST(RawFiles, KeepGoodLinesBesideBadOnes) {
  const RawFile file =
      ReadRawFile(
          "{\"doId\":\"d\",\"createdAt\":1,\"batchSeq\":0}\r\nx\r\n\r\n"
          "{\"outcome\":\"ok\",\"logs\":[],\"exceptions\":[]}\r\n{\"outcome\":1,\"logs\":[],"
          "\"exceptions\":[]}\n")
          .value();
  EXPECT_EQ(file.items.size(), 1u);
  ASSERT_EQ(file.bad.size(), 2u);
  EXPECT_EQ(file.bad[0].first, 2u);
  EXPECT_EQ(file.bad[1].first, 5u);
  EXPECT_EQ(file.bad[1].second, "outcome must be a string");
}

TEST(RawFiles, NeedTheirHeader) {
  for (const char* text : {"", "\n", "x", "{}", "[]", "{\"doId\":1,\"createdAt\":1,\"batchSeq\":1}",
                           "{\"doId\":\"d\",\"createdAt\":\"1\",\"batchSeq\":1}",
                           "{\"doId\":\"d\",\"createdAt\":1,\"batchSeq\":-1}",
                           "{\"doId\":\"d\",\"createdAt\":1,\"batchSeq\":1.5}"}) {
    EXPECT_EQ(ReadRawFile(text).error().code, "BAD_RAW_HEADER") << text;
  }
}

TEST(RawFiles, OfTheSeedsAreTaken) {
  const RawFile file =
      ReadRawFile(
          R"({"doId":"abc123","createdAt":1704067200000,"batchSeq":42})"
          "\n"
          R"({"scriptName":"my-worker","outcome":"ok","eventTimestamp":1704067199000,"logs":[],"exceptions":[]})"
          "\n"
          R"({"scriptName":"my-worker","outcome":"exception","eventTimestamp":1704067199500,"logs":[],"exceptions":[{"name":"Error","message":"Something went wrong"}]})")
          .value();
  ASSERT_EQ(file.items.size(), 2u);
  const std::vector<LogRow> rows = LogRowsOf(file.items[1], "o").value();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].timestamp, 1704067199500);
}

TEST(LogFiles, AreSortedAndCheckOut) {
  for (const LogCodec codec :
       {LogCodec::kNone, LogCodec::kSnappy, LogCodec::kGzip, LogCodec::kLz4, LogCodec::kZstd}) {
    std::vector<LogRow> rows;
    for (int i = 0; i < 12'000; ++i) {
      LogRow row;
      row.id = std::to_string(i);
      row.timestamp = 1000 + (i * 7919) % 12'000;
      if (i % 2 == 0) row.http_status = i;
      rows.push_back(std::move(row));
    }
    const std::string bytes = WriteLogFile(std::move(rows), codec).value();
    const FileCheck check = CheckParquetBytes(bytes).value();
    EXPECT_EQ(check.schema, FileSchema::kLogs);
    EXPECT_EQ(check.rows, 12'000u);
    EXPECT_EQ(check.row_groups, 3u);
    EXPECT_EQ(check.ts_min, 1000);
    EXPECT_EQ(check.ts_max, 12'999);
  }
  EXPECT_EQ(WriteLogFile({}, LogCodec::kLz4).error().kind, ErrorKind::kInvalid);
}

}  // namespace
}  // namespace varve::record

// Every format says the same, and is read back by an independent reader where there is one.
#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>

#include "lake.h"

namespace varve::query::testing {
namespace {

class Formats : public ::testing::Test {
 protected:
  Lake lake_;
  std::unique_ptr<Engine> engine_ = OpenEngine(lake_);

  std::string One(const std::string& expression) {
    const Answer answer = Ask(*engine_, "SELECT " + expression + " AS x", ResultFormat::kNdjson);
    return answer.summary.ok() ? answer.bytes : answer.summary.error().message;
  }
};

std::shared_ptr<arrow::Table> ReadStream(const std::string& bytes) {
  auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes));
  auto reader = arrow::ipc::RecordBatchStreamReader::Open(input);
  if (!reader.ok()) return nullptr;
  auto table = (*reader)->ToTable();
  if (!table.ok() || !(*table)->ValidateFull().ok()) return nullptr;
  return *table;
}

std::shared_ptr<arrow::Table> ReadParquet(const std::string& bytes) {
  auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes));
  auto reader = parquet::arrow::OpenFile(input, arrow::default_memory_pool());
  if (!reader.ok()) return nullptr;
  auto table = (*reader)->ReadTable();
  if (!table.ok() || !(*table)->ValidateFull().ok()) return nullptr;
  return *table;
}

TEST_F(Formats, JsonKeepsEveryDigit) {
  EXPECT_EQ(One("9223372036854775807"), "{\"x\":9223372036854775807}\n");
  EXPECT_EQ(One("(-9223372036854775807 - 1)::BIGINT"), "{\"x\":-9223372036854775808}\n");
  EXPECT_EQ(One("18446744073709551615::UBIGINT"), "{\"x\":18446744073709551615}\n");
  EXPECT_EQ(One("170141183460469231731687303715884105727::HUGEINT"),
            "{\"x\":170141183460469231731687303715884105727}\n");
  EXPECT_EQ(One("(-170141183460469231731687303715884105727 - 1)::HUGEINT"),
            "{\"x\":-170141183460469231731687303715884105728}\n");
  EXPECT_EQ(One("340282366920938463463374607431768211455::UHUGEINT"),
            "{\"x\":340282366920938463463374607431768211455}\n");
  EXPECT_EQ(One("-0.05::DECIMAL(4,2)"), "{\"x\":-0.05}\n");
  EXPECT_EQ(One("12345678901234567890.123456789::DECIMAL(38,9)"),
            "{\"x\":12345678901234567890.123456789}\n");
  EXPECT_EQ(One("7::DECIMAL(18,0)"), "{\"x\":7}\n");
  EXPECT_EQ(One("0.1::DOUBLE"), "{\"x\":0.1}\n");
  EXPECT_EQ(One("(-128)::TINYINT"), "{\"x\":-128}\n");
}

TEST_F(Formats, JsonOfWhatJsonHasNoWordFor) {
  EXPECT_EQ(One("'NaN'::DOUBLE"), "{\"x\":null}\n");
  EXPECT_EQ(One("'-Infinity'::FLOAT"), "{\"x\":null}\n");
  EXPECT_EQ(One("NULL"), "{\"x\":null}\n");
  EXPECT_EQ(One("'\\x00\\xFFab'::BLOB"), "{\"x\":\"AP9hYg==\"}\n");
  EXPECT_EQ(One("chr(1) || '\"\\' || chr(10)"), "{\"x\":\"\\u0001\\\"\\\\\\n\"}\n");
  EXPECT_EQ(One("'ünïcode 🦆'"), "{\"x\":\"ünïcode 🦆\"}\n");
  EXPECT_EQ(One("'101'::BIT"), "{\"x\":\"101\"}\n");
  EXPECT_EQ(One("'123456789012345678901234567890123456789012345678901234567890'::BIGNUM"),
            "{\"x\":\"123456789012345678901234567890123456789012345678901234567890\"}\n");
}

TEST_F(Formats, TimesAreIso) {
  EXPECT_EQ(One("TIMESTAMPTZ '2026-02-02 12:00:00.5+00'"),
            "{\"x\":\"2026-02-02T12:00:00.500Z\"}\n");
  EXPECT_EQ(One("TIMESTAMP '2026-02-02 12:00:00.123456'"),
            "{\"x\":\"2026-02-02T12:00:00.123456\"}\n");
  EXPECT_EQ(One("TIMESTAMP_NS '2026-02-02 12:00:00.123456789'"),
            "{\"x\":\"2026-02-02T12:00:00.123456789\"}\n");
  EXPECT_EQ(One("TIMESTAMP_S '1969-12-31 23:59:59'"), "{\"x\":\"1969-12-31T23:59:59.000\"}\n");
  EXPECT_EQ(One("DATE '2026-02-02'"), "{\"x\":\"2026-02-02\"}\n");
  EXPECT_EQ(One("DATE '0044-03-15 (BC)'"), "{\"x\":\"-000043-03-15\"}\n");
  EXPECT_EQ(One("TIME '01:02:03.5'"), "{\"x\":\"01:02:03.500\"}\n");
  EXPECT_EQ(One("'infinity'::TIMESTAMP"), "{\"x\":\"infinity\"}\n");
  EXPECT_EQ(One("INTERVAL '14 months 3 days 90 minutes'"),
            "{\"x\":\"1 year 2 months 3 days 01:30:00\"}\n");
  EXPECT_EQ(One("uuid '550e8400-e29b-41d4-a716-446655440000'"),
            "{\"x\":\"550e8400-e29b-41d4-a716-446655440000\"}\n");
}

TEST_F(Formats, NestedValues) {
  EXPECT_EQ(One("[1, NULL, 3]"), "{\"x\":[1,null,3]}\n");
  EXPECT_EQ(One("[[1], [], NULL]"), "{\"x\":[[1],[],null]}\n");
  EXPECT_EQ(One("[1, 2]::INTEGER[2]"), "{\"x\":[1,2]}\n");
  EXPECT_EQ(One("{'a': 1, 'b': {'c': 'x'}}"), "{\"x\":{\"a\":1,\"b\":{\"c\":\"x\"}}}\n");
  EXPECT_EQ(One("MAP {'k': [1.5]}"), "{\"x\":{\"k\":[1.5]}}\n");
  EXPECT_EQ(One("MAP {1: 'x', 2: NULL}"), "{\"x\":[[1,\"x\"],[2,null]]}\n");
  EXPECT_EQ(One("'b'::ENUM('a', 'b')"), "{\"x\":\"b\"}\n");
  EXPECT_EQ(One("union_value(n := 5)"), "{\"x\":\"5\"}\n");
  EXPECT_EQ(One("[TIMESTAMPTZ '2026-01-01 00:00:00+00']"),
            "{\"x\":[\"2026-01-01T00:00:00.000Z\"]}\n");
}

TEST_F(Formats, JsonNamesColumnsAndKeepsThemApart) {
  const Json json = Ask(*engine_, "SELECT 1 AS a, 'x' AS a, 2.5 AS b").json();
  EXPECT_EQ(json["data"][0].dump(), R"({"a":1,"a_1":"x","b":2.5})");
  EXPECT_EQ(json["meta"][1]["name"], "a_1");
  EXPECT_EQ(json["meta"][2]["type"], "DECIMAL(2,1)");
  EXPECT_EQ(json["rows"], 1);
  EXPECT_TRUE(json["elapsedMs"].is_number());
  EXPECT_FALSE(json.contains("nextCursor"));
  const Json none = Ask(*engine_, "SELECT 1 AS a WHERE false").json();
  EXPECT_EQ(none["data"].size(), 0u);
  EXPECT_EQ(none["meta"].size(), 1u);
}

TEST_F(Formats, CsvReadsBackInDuckDb) {
  const Answer answer = Ask(*engine_,
                            "SELECT * FROM (VALUES (1, 'a,\"b\"', NULL), (2, '', 'line\nbreak'), "
                            "(-3, '=1+1', ' padded ')) t(n, s, u)",
                            ResultFormat::kCsv);
  EXPECT_EQ(answer.bytes,
            "n,s,u\r\n1,\"a,\"\"b\"\"\",\r\n2,\"\",\"line\nbreak\"\r\n-3,=1+1,\" padded \"\r\n");
}

TEST_F(Formats, TheTableIsBoundedAndHarmless) {
  const Answer answer = Ask(*engine_,
                            "SELECT 7 AS n, repeat('é', 500) AS wide, NULL AS nothing, "
                            "chr(27) || '[31m' AS red, '日本' AS jp",
                            ResultFormat::kTable);
  EXPECT_THAT(answer.bytes, ::testing::HasSubstr("  NULL │"));
  EXPECT_THAT(answer.bytes, ::testing::HasSubstr("…"));
  EXPECT_THAT(answer.bytes, ::testing::HasSubstr("1 row\n"));
  EXPECT_THAT(answer.bytes, ::testing::Not(::testing::HasSubstr("\x1b")));
  EXPECT_LT(answer.bytes.size(), 3000u);
}

TEST_F(Formats, ArrowStreamIsReadByArrow) {
  lake_.AddEventFile("events/2026/02/02/12/a.parquet", 0, 5000);
  lake_.AddHot(5000, 3000);
  const Answer answer =
      Ask(*engine_, "SELECT * FROM events ORDER BY ts", ResultFormat::kArrowStream);
  ASSERT_EQ(answer.code(), "OK") << answer.summary.error().message;
  const auto table = ReadStream(answer.bytes);
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->num_rows(), 8000);
  EXPECT_EQ(table->schema()->field(0)->type()->ToString(), "timestamp[us, tz=UTC]");
  EXPECT_EQ(table->num_columns(), 13);
}

TEST_F(Formats, ParquetIsReadByArrowAndHoldsTheSameRows) {
  lake_.AddEventFile("events/2026/02/02/12/a.parquet", 0, 5000);
  lake_.AddHot(5000, 3000);
  const std::string sql = "SELECT * FROM events ORDER BY ts";
  const Answer answer = Ask(*engine_, sql, ResultFormat::kParquet);
  ASSERT_EQ(answer.code(), "OK") << answer.summary.error().message;
  const auto table = ReadParquet(answer.bytes);
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->num_rows(), 8000);
  // Its rows are those of the query: read it as a file of the lake.
  const Answer before = Ask(*engine_, sql, ResultFormat::kNdjson);
  Lake copy;
  copy.event_files.push_back(copy.WriteText("copy.parquet", answer.bytes));
  auto engine = OpenEngine(copy);
  EXPECT_EQ(Ask(*engine, sql, ResultFormat::kNdjson).bytes, before.bytes);
}

TEST_F(Formats, ColumnarFormatsTakeEveryType) {
  const std::string sql =
      "SELECT 1::TINYINT a, [170141183460469231731687303715884105727::HUGEINT] b, "
      "1.5::DECIMAL(9,2) c, DATE '2026-02-02' d, INTERVAL 1 DAY e, '1'::BIT f, "
      "uuid '550e8400-e29b-41d4-a716-446655440000' g, [1,2] h, {'x': 1} i, MAP {'k': 1} j, "
      "'b'::ENUM('a','b') k, NULL l, '\\x01'::BLOB m, TIME '01:02:03' n, TIMESTAMP_NS "
      "'2026-01-01' o, union_value(q := 1) p, 5::UHUGEINT r, [INTERVAL 1 DAY] s, "
      "'NaN'::DOUBLE t, TIMETZ '01:02:03+01' u";
  const Answer arrow = Ask(*engine_, sql, ResultFormat::kArrowStream);
  ASSERT_EQ(arrow.code(), "OK") << arrow.summary.error().message;
  EXPECT_NE(ReadStream(arrow.bytes), nullptr);
  const Answer parquet = Ask(*engine_, sql, ResultFormat::kParquet);
  ASSERT_EQ(parquet.code(), "OK") << parquet.summary.error().message;
  EXPECT_NE(ReadParquet(parquet.bytes), nullptr);
}

TEST_F(Formats, SumsStayNumbersInColumnarFormats) {
  const std::string sql = "SELECT sum(i) AS s FROM range(1000000) t(i)";
  for (ResultFormat format : {ResultFormat::kArrowStream, ResultFormat::kParquet}) {
    const Answer answer = Ask(*engine_, sql, format);
    const auto table =
        format == ResultFormat::kParquet ? ReadParquet(answer.bytes) : ReadStream(answer.bytes);
    ASSERT_NE(table, nullptr);
    EXPECT_EQ(table->schema()->field(0)->type()->ToString(), "decimal128(38, 0)");
    EXPECT_EQ((*table->column(0)->GetScalar(0))->ToString(), "499999500000");
    const Answer wide =
        Ask(*engine_, "SELECT 170141183460469231731687303715884105727::HUGEINT AS b", format);
    EXPECT_EQ(wide.code(), "SQL_ERROR");
  }
}

TEST_F(Formats, NoRowsAreAResultToo) {
  const std::string sql = "SELECT * FROM events";
  EXPECT_EQ(ReadStream(Ask(*engine_, sql, ResultFormat::kArrowStream).bytes)->num_rows(), 0);
  EXPECT_EQ(ReadParquet(Ask(*engine_, sql, ResultFormat::kParquet).bytes)->num_rows(), 0);
  EXPECT_EQ(Ask(*engine_, sql, ResultFormat::kNdjson).bytes, "");
  EXPECT_THAT(Ask(*engine_, sql, ResultFormat::kCsv).bytes, ::testing::StartsWith("ts,type,"));
  EXPECT_THAT(Ask(*engine_, sql, ResultFormat::kTable).bytes, ::testing::HasSubstr("0 rows"));
}

}  // namespace
}  // namespace varve::query::testing

#include "record/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "record/event_reader.h"
#include "text_helpers.h"

namespace varve::record {
namespace {

using ::testing::ElementsAre;

struct Input {
  int64_t ts_ms;
  std::string json;
  RecordKind kind = RecordKind::kEvents;
};

std::vector<EventSlice> SlicesOf(const std::vector<Input>& inputs) {
  std::vector<EventSlice> slices;
  for (const Input& input : inputs) {
    slices.push_back(
        {input.ts_ms, input.json.data(), static_cast<uint32_t>(input.json.size()), input.kind});
  }
  return slices;
}

struct Row {
  int64_t ts_ms;
  std::string type, payload;
};

class EventFileTest : public ::testing::Test {
 protected:
  EventFile Write(const std::vector<Input>& inputs, const EventFileOptions& options = {}) {
    EventFile file = WriteEventFile(SlicesOf(inputs), options).value();
    WriteText(path(), file.bytes);
    return file;
  }
  std::string path() const { return dir_ / "e.parquet"; }
  std::vector<Row> Rows() {
    std::vector<Row> rows;
    EXPECT_TRUE(ReadEventRows(path(), kAllEventColumns, [&](const EventRow& row) -> Status {
                  rows.push_back({row.ts_ms, std::string(row.type), std::string(row.payload)});
                  return {};
                }).ok());
    return rows;
  }
  TempDir dir_;
};

std::vector<Input> WebInputs() {
  std::vector<Input> inputs;
  for (std::string& line : WebAccessLines()) {
    const int64_t ts = nlohmann::json::parse(line)["ts"];
    inputs.push_back({ts, std::move(line)});
  }
  return inputs;
}

TEST_F(EventFileTest, SortsByTimeAndKeepsTheOrderOfEqualTimes) {
  Write({{5, R"({"type":"a","n":1})"},
         {3, R"({"type":"b","n":2})"},
         {5, R"({"type":"c","n":3})"},
         {3, R"({"type":"d","n":4})"}});
  std::string types;
  for (const Row& row : Rows()) types += row.type;
  EXPECT_EQ(types, "bdac");
}

TEST_F(EventFileTest, HoldsEveryRealRequestOnceInOrder) {
  const std::vector<Input> inputs = WebInputs();
  std::vector<Input> sorted = inputs;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Input& a, const Input& b) { return a.ts_ms < b.ts_ms; });
  EventFileOptions options;
  options.row_group_rows_max = 3000;
  Write(inputs, options);
  const std::vector<Row> rows = Rows();
  ASSERT_EQ(rows.size(), sorted.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].ts_ms, sorted[i].ts_ms);
    ASSERT_EQ(rows[i].payload, sorted[i].json);
  }
  EXPECT_EQ(CheckParquetFile(path())->row_groups, 4u);
}

TEST_F(EventFileTest, IsTheSameForAnyNumberOfThreads) {
  const std::vector<Input> inputs = WebInputs();
  EventFileOptions two;
  two.threads = 2;
  const std::string one = Write(inputs).bytes;
  EXPECT_EQ(Write(inputs).bytes, one);
  EXPECT_EQ(Write(inputs, two).bytes, one);
}

TEST_F(EventFileTest, SaysWhatItHolds) {
  const EventFile file =
      Write({{2000, R"({"type":"b"})"}, {1000, R"({"type":"a"})"}, {3000, R"({"type":"b"})"}});
  EXPECT_EQ(file.rows, 3u);
  auto metadata = file.metadata;
  EXPECT_EQ(metadata.size(), 8u);
  EXPECT_EQ(metadata["events"], "3");
  EXPECT_EQ(metadata["bytes"], std::to_string(file.bytes.size()));
  EXPECT_EQ(metadata["bytesPerEvent"], std::to_string((file.bytes.size() + 1) / 3));
  EXPECT_EQ(metadata["minTs"], "1000");
  EXPECT_EQ(metadata["maxTs"], "3000");
  EXPECT_EQ(metadata["types"], "a,b");
  EXPECT_EQ(metadata["format"], "parquet-v1");
  EXPECT_THAT(metadata["cpuMs"], ::testing::MatchesRegex("[0-9]+\\.[0-9][0-9]"));
  const FileCheck check = CheckParquetFile(path()).value();
  EXPECT_EQ(check.schema, FileSchema::kEvents);
  EXPECT_EQ(check.rows, 3u);
  EXPECT_EQ(check.ts_min, 1000);
  EXPECT_EQ(check.ts_max, 3000);
}

TEST_F(EventFileTest, WritesAWebhooksPayload) {
  Write({{1, R"({"type":"webhook.p.t","webhook":{"provider":"p"},"payload":{"a": 1}})",
          RecordKind::kWebhook},
         {2, R"({"type":"a"})"}});
  const std::vector<Row> rows = Rows();
  EXPECT_EQ(rows[0].payload, R"({"a": 1})");
  EXPECT_EQ(rows[1].payload, R"({"type":"a"})");
}

TEST_F(EventFileTest, RefusesNothingAndWhatIsNoEvent) {
  EXPECT_EQ(WriteEventFile({}, {}).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(WriteEventFile(SlicesOf({{1, "[1]"}}), {}).error().kind, ErrorKind::kCorrupt);
}

TEST_F(EventFileTest, SortsManyTimesAsAStableSortDoes) {
  std::mt19937_64 random(1);
  for (const int64_t span : {int64_t{1}, int64_t{100}, int64_t{1} << 20, int64_t{1} << 47}) {
    std::vector<Input> inputs;
    for (int i = 0; i < 5000; ++i) {
      inputs.push_back(
          {static_cast<int64_t>(random() % span), R"({"type":"a","i":)" + std::to_string(i) + "}"});
    }
    Write(inputs);
    std::stable_sort(inputs.begin(), inputs.end(),
                     [](const Input& a, const Input& b) { return a.ts_ms < b.ts_ms; });
    const std::vector<Row> rows = Rows();
    for (size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(rows[i].payload, inputs[i].json);
  }
}

TEST_F(EventFileTest, ACutOrChangedFileIsCorruptNeverMore) {
  const std::string whole = Write(WebInputs()).bytes;
  EXPECT_EQ(CheckParquetFile(dir_ / "none").error().kind, ErrorKind::kNotFound);
  for (const size_t size : {size_t{0}, size_t{3}, size_t{11}, whole.size() / 2, whole.size() - 1}) {
    WriteText(path(), whole.substr(0, size));
    EXPECT_EQ(CheckParquetFile(path()).error().kind, ErrorKind::kCorrupt) << size;
  }
  std::string changed = whole;
  changed[whole.size() / 2] ^= 0x40;
  WriteText(path(), changed);
  const Status read =
      ReadEventRows(path(), kAllEventColumns, [](const EventRow&) -> Status { return {}; });
  EXPECT_EQ(read.error().kind, ErrorKind::kCorrupt) << "the page's checksum";
}

}  // namespace
}  // namespace varve::record

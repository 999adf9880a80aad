#include "record/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "record/event_reader.h"
#include "text_helpers.h"

namespace varve::record {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ConvertTest : public ::testing::Test {
 protected:
  std::string out() const { return dir_ / "out/e.parquet"; }
  void SetUp() override { std::filesystem::create_directory(dir_ / "out"); }

  std::vector<std::string> Payloads() {
    std::vector<std::string> lines;
    EXPECT_TRUE(WriteNdjson(out(), [&](std::string_view line) -> Status {
                  lines.emplace_back(line.substr(0, line.size() - 1));
                  return {};
                }).ok());
    return lines;
  }
  // A file of real requests with a number in each, in the server's order.
  std::string WriteRequests(const std::string& name, size_t rows) {
    const std::vector<std::string> lines = WebAccessLines();
    std::string text;
    for (size_t i = 0; i < rows; ++i) {
      std::string line = lines[i % lines.size()];
      line.back() = ',';
      text += line + "\"n\":" + std::to_string(i) + "}\n";
    }
    WriteText(dir_ / name, text);
    return dir_ / name;
  }
  size_t FilesInOutput() const {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator(dir_ / "out"), {}));
  }

  TempDir dir_;
  ConvertOptions options_;
};

TEST_F(ConvertTest, GivesTheSameRowsWithinAnyMemory) {
  const std::string input = WriteRequests("in.ndjson", 60'000);
  const ConvertSummary at_once = ConvertNdjson({input}, out(), options_).value();
  EXPECT_EQ(at_once.events, 60'000u);
  EXPECT_EQ(at_once.sorted_runs, 0u);
  EXPECT_EQ(at_once.bytes_read, std::filesystem::file_size(input));
  EXPECT_EQ(at_once.bytes_written, std::filesystem::file_size(out()));
  const std::vector<std::string> expected = Payloads();
  options_.memory_bytes_max = 1;
  options_.threads = 1;
  const ConvertSummary in_parts = ConvertNdjson({input}, out(), options_).value();
  EXPECT_GT(in_parts.sorted_runs, 1u);
  EXPECT_EQ(Payloads(), expected);
  EXPECT_EQ(FilesInOutput(), 1u) << "no temporary file is left";
}

TEST_F(ConvertTest, TakesManyFilesInTheirOrder) {
  WriteText(dir_ / "a", "{\"type\":\"a\",\"ts\":2}\n{\"type\":\"b\",\"ts\":1}");
  WriteText(dir_ / "b",
            "\xEF\xBB\xBF{\"type\":\"c\",\"ts\":1}\r\n\r\n{\"type\":\"d\",\"ts\":2}\r\n");
  WriteText(dir_ / "c", "");
  ASSERT_TRUE(ConvertNdjson({dir_ / "a", dir_ / "b", dir_ / "c"}, out(), options_).ok());
  EXPECT_THAT(Payloads(), ElementsAre(R"({"type":"b","ts":1})", R"({"type":"c","ts":1})",
                                      R"({"type":"a","ts":2})", R"({"type":"d","ts":2})"));
}

TEST_F(ConvertTest, ReadsAPipe) {
  const std::string input = WriteRequests("in.ndjson", 20'000);
  ASSERT_TRUE(ConvertNdjson({input}, out(), options_).ok());
  const std::vector<std::string> expected = Payloads();
  const std::string pipe = dir_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << ReadText(input); });
  const auto summary = ConvertNdjson({pipe}, out(), options_);
  writer.join();
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->events, 20'000u);
  EXPECT_EQ(Payloads(), expected);
}

TEST_F(ConvertTest, NamesFileAndLineOfABadLineAndLeavesNoFile) {
  const std::string input = WriteRequests("in.ndjson", 9'000);
  std::ofstream(input, std::ios::app) << "{\"type\":\"x\"\n{\"type\":\"y\"}\n";
  const auto refused = ConvertNdjson({input}, out(), options_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "BAD_LINE");
  EXPECT_THAT(refused.error().message, HasSubstr(input + ":9001: "));
  EXPECT_EQ(FilesInOutput(), 0u);
}

TEST_F(ConvertTest, PassesOverBadLinesWhenTold) {
  WriteText(dir_ / "in",
            "{\"type\":\"a\",\"ts\":1}\nnonsense\n{\"x\":\"\n{\"type\":\"b\",\"ts\":2}\n{}\n"
            "{\"type\":\"c\",\"ts\":3}\n");
  options_.skip_bad_lines = true;
  const ConvertSummary summary = ConvertNdjson({dir_ / "in"}, out(), options_).value();
  EXPECT_EQ(summary.events, 3u);
  EXPECT_EQ(summary.bad_lines, 3u);
  ASSERT_EQ(summary.first_bad_lines.size(), 3u);
  EXPECT_THAT(summary.first_bad_lines[0], HasSubstr("in:2: "));
  EXPECT_THAT(summary.first_bad_lines[1], HasSubstr("in:3: "));
  EXPECT_THAT(summary.first_bad_lines[2], HasSubstr("in:5: type missing"));
}

TEST_F(ConvertTest, RefusesWhatIsNotThereOrHoldsNothing) {
  EXPECT_EQ(ConvertNdjson({dir_ / "none"}, out(), options_).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ConvertNdjson({dir_.path()}, out(), options_).error().kind, ErrorKind::kInvalid);
  WriteText(dir_ / "blank", "\n\n");
  EXPECT_EQ(ConvertNdjson({dir_ / "blank"}, out(), options_).error().code, "NO_EVENTS");
  EXPECT_EQ(ConvertNdjson({}, out(), options_).error().code, "NO_EVENTS");
  const std::string input = WriteRequests("in.ndjson", 10);
  EXPECT_FALSE(ConvertNdjson({input}, dir_ / "no/such/e.parquet", options_).ok());
  EXPECT_EQ(FilesInOutput(), 0u);
}

TEST_F(ConvertTest, TakesALineLongerThanAChunk) {
  const std::string large = R"({"type":"a","ts":1,"x":")" + std::string(3 << 20, 'x') + "\"}";
  WriteText(dir_ / "in", "{\"type\":\"a\",\"ts\":2}\n" + large + "\n{\"type\":\"a\",\"ts\":0}\n");
  ASSERT_TRUE(ConvertNdjson({dir_ / "in"}, out(), options_).ok());
  EXPECT_EQ(Payloads()[1], large);
  options_.limits.event_bytes_max = 1 << 20;
  EXPECT_EQ(ConvertNdjson({dir_ / "in"}, out(), options_).error().code, "BAD_LINE");
}

TEST_F(ConvertTest, TellsHowFarItIs) {
  const std::string input = WriteRequests("in.ndjson", 5'000);
  ConvertProgress last;
  options_.progress = [&](const ConvertProgress& progress) {
    EXPECT_GE(progress.bytes_read, last.bytes_read);
    EXPECT_GE(progress.events_written, last.events_written);
    last = progress;
  };
  ASSERT_TRUE(ConvertNdjson({input}, out(), options_).ok());
  EXPECT_EQ(last.bytes_read, last.bytes_total);
  EXPECT_EQ(last.events_read, 5'000u);
  EXPECT_EQ(last.events_written, 5'000u);
}

}  // namespace
}  // namespace varve::record

#include "app/batch_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>

#include "app/ingest_state.h"
#include "app/temp_dir.h"

namespace varve::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct FileClose {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileClose>;

File Open(const std::string& text, uint64_t start = 0) {
  File file(std::tmpfile());
  std::fwrite(text.data(), 1, text.size(), file.get());
  std::fseek(file.get(), static_cast<long>(start), SEEK_SET);
  return file;
}

struct Read {
  std::vector<std::string> events;
  std::vector<uint64_t> lines;
  std::vector<InputBatch> batches;
  std::string error;
};

Read ReadAll(const std::string& text, InputFormat format = InputFormat::kAuto,
             BatchLimits limits = {}, uint64_t start = 0, uint64_t line = 1) {
  File file = Open(text, start);
  BatchReader reader(file.get(), "in", "in", format, limits, start, line);
  Read out;
  while (true) {
    InputBatch batch;
    Result<bool> more = reader.Next(&batch);
    if (!more.ok()) out.error = more.error().message;
    if (!more.ok() || !*more) return out;
    for (size_t i = 0; i < batch.events.size(); ++i) {
      out.events.emplace_back(batch.Event(i));
      out.lines.push_back(batch.events[i].line);
    }
    out.batches.push_back(std::move(batch));
  }
}

TEST(BatchReader, NdjsonIsCutAtNewlinesAndBlankLinesArePassedOver) {
  Read read = ReadAll("{\"a\":1}\n\r\n{\"b\":2}\r\nnot json\n{\"c\":3}");
  EXPECT_THAT(read.events, ElementsAre("{\"a\":1}", "{\"b\":2}", "not json", "{\"c\":3}"));
  EXPECT_THAT(read.lines, ElementsAre(1, 3, 4, 5));
}

TEST(BatchReader, JsonArraysBatchesAndObjectsAreTaken) {
  for (const char* text :
       {"[{\"a\":\"]},{\\\"\"}, {\"b\":\n[1,2]}]", "{\"a\":\"]},{\\\"\"}\n{\"b\":\n[1,2]}",
        "{\"batchId\":\"x\",\n\"events\":[{\"a\":\"]},{\\\"\"},{\"b\":\n[1,2]}],\"more\":[3]}"}) {
    Read read = ReadAll(text, InputFormat::kJson);
    EXPECT_THAT(read.events, ElementsAre("{\"a\":\"]},{\\\"\"}", "{\"b\":\n[1,2]}")) << text;
    EXPECT_EQ(read.error, "");
  }
  EXPECT_THAT(ReadAll("{\"type\":\"x\",\"events\":[1]}", InputFormat::kJson).events,
              ElementsAre("{\"type\":\"x\",\"events\":[1]}"));
}

TEST(BatchReader, JsonThatEndsTooEarlyIsAnErrorWithItsLine) {
  EXPECT_THAT(ReadAll("[{\"a\":1},\n{\"b\":").error, HasSubstr("in:2: the JSON ends too early"));
  EXPECT_THAT(ReadAll("[{\"a\":1}").error, HasSubstr("not closed"));
  EXPECT_THAT(ReadAll("[1,2]\nhello").error, HasSubstr("in:2: neither"));
}

TEST(BatchReader, BatchesKeepTheirBounds) {
  std::string text;
  for (int i = 0; i < 25; ++i) text += "{\"n\":" + std::to_string(i) + "}\n";
  EXPECT_EQ(ReadAll(text, InputFormat::kNdjson, {.events_max = 10}).batches.size(), 3u);
  for (const InputBatch& batch : ReadAll(text, InputFormat::kNdjson, {.bytes_max = 200}).batches) {
    EXPECT_LE(RequestBody(batch).size(), 200u);
  }
  // What no batch takes goes alone, for the server to refuse.
  EXPECT_EQ(ReadAll(std::string(500, 'x') + "\n{}\n", InputFormat::kNdjson, {.bytes_max = 200})
                .batches.size(),
            2u);
}

TEST(BatchReader, AnInputIsCutAtTheSamePlacesAndItsBatchesHaveTheSameIds) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "{\"n\":" + std::to_string(i) + "}\n";
  BatchLimits limits{.events_max = 7};
  Read first = ReadAll(text, InputFormat::kNdjson, limits);
  Read again = ReadAll(text, InputFormat::kNdjson, limits);
  ASSERT_EQ(first.batches.size(), again.batches.size());
  for (size_t i = 0; i < first.batches.size(); ++i) {
    EXPECT_EQ(first.batches[i].id, again.batches[i].id);
  }
  const InputBatch& third = first.batches[2];
  Read resumed = ReadAll(text, InputFormat::kNdjson, limits, third.end, third.next_line);
  EXPECT_EQ(resumed.batches[0].id, first.batches[3].id);
  EXPECT_EQ(resumed.lines[0], 22u);
}

RC_GTEST_PROP(BatchReader, NoEventIsLostOrChangedWhateverTheBounds, ()) {
  auto words = *rc::gen::container<std::vector<std::string>>(
      rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab{}[],\"\\ "))));
  BatchLimits limits{.events_max = *rc::gen::inRange<uint32_t>(1, 5),
                     .bytes_max = *rc::gen::inRange<uint64_t>(130, 400)};
  std::string text;
  std::vector<std::string> expected;
  for (const std::string& word : words) {
    text += word + "\n";
    std::string trimmed = word.substr(0, word.find_last_not_of(' ') + 1);
    if (!trimmed.empty()) expected.push_back(trimmed);
  }
  RC_ASSERT(ReadAll(text, InputFormat::kNdjson, limits).events == expected);
}

TEST(IngestState, GoesOnWhereItWasUnlessTheFileIsAnother) {
  TempDir dir;
  std::string input = dir.Write("in.ndjson", "{\"a\":1}\n{\"b\":2}\n");
  std::string path = dir.path() + "/state";
  {
    IngestState state = *IngestState::Load(path);
    EXPECT_EQ(state.ResumeAt(input)->offset, 0u);
    ASSERT_TRUE(state.Save(input, 8, 2).ok());
  }
  IngestState state = *IngestState::Load(path);
  EXPECT_EQ(state.ResumeAt(input)->offset, 8u);
  EXPECT_EQ(state.ResumeAt(input)->line, 2u);
  dir.Write("in.ndjson", "{\"other\":1}\n{\"b\":2}\n");
  EXPECT_EQ(state.ResumeAt(input)->offset, 0u);
  dir.Write("in.ndjson", "{}");
  EXPECT_EQ(state.ResumeAt(input)->offset, 0u);
}

TEST(IngestState, ADamagedStateFileIsNotTakenForAnEmptyOne) {
  TempDir dir;
  EXPECT_FALSE(IngestState::Load(dir.Write("state", "{\"inputs\":{\"x\":1}}")).ok());
}

}  // namespace
}  // namespace varve::app

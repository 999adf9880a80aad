// Keys of types that few writers have: half floats, decimals of their own length.
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/util/float16.h>
#include <gtest/gtest.h>
#include <parquet/api/reader.h>
#include <parquet/api/writer.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "merge/random_tables.h"
#include "parquet/codec.h"
#include "temp_dir.h"

namespace varve::merge {
namespace {

namespace pq = ::parquet;

MergeOptions Options(bool descending) {
  MergeOptions options;
  options.keys = {{"k", descending, false}};
  options.codec = *parquet::ParseCodec("lz4");
  options.sync = false;
  return options;
}

std::shared_ptr<arrow::Table> Halves(const std::vector<float>& values) {
  arrow::HalfFloatBuilder builder;
  for (const float value : values) {
    EXPECT_TRUE(builder.Append(arrow::util::Float16::FromFloat(value).bits()).ok());
  }
  return arrow::Table::Make(arrow::schema({arrow::field("k", arrow::float16(), false)}),
                            {*builder.Finish()});
}

TEST(KeyTypesTest, HalfFloats) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const bool descending : {false, true}) {
    const TempDir dir;
    std::vector<std::vector<float>> files = {{-infinity, -65504, -1.5, -5.9604645e-8F, 0, 1, 100},
                                             {-2, -0.5, 0.25, 1.5, 65504, infinity},
                                             {-1, 5.9604645e-8F, 6.1035156e-5F, 3}};
    std::vector<float> expected;
    std::vector<std::string> paths;
    for (std::vector<float>& file : files) {
      if (descending) std::reverse(file.begin(), file.end());
      expected.insert(expected.end(), file.begin(), file.end());
      paths.push_back(dir.File(std::to_string(paths.size()) + ".parquet"));
      WriteTable(paths.back(), *Halves(file));
    }
    std::sort(expected.begin(), expected.end());
    if (descending) std::reverse(expected.begin(), expected.end());
    const std::string out = dir.File("out.parquet");
    const auto merged = MergeFiles(paths, out, Options(descending));
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    EXPECT_TRUE(RowsOf(*ReadTable(out)) == RowsOf(*Halves(expected)));
    const auto footer = pq::ParquetFileReader::OpenFile(out)->metadata();
    const auto statistics = footer->RowGroup(0)->ColumnChunk(0)->statistics();
    ASSERT_NE(statistics, nullptr);
    EXPECT_EQ(statistics->EncodeMin(), std::string("\x00\xfc", 2));
    EXPECT_EQ(statistics->EncodeMax(), std::string("\x00\x7c", 2));
  }
}

// Two's complement, with bytes in front that say nothing.
std::string KeyBytes(int64_t number, size_t more) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(number >> shift));
  const char sign = number < 0 ? '\xff' : '\0';
  while (bytes.size() > 1 && bytes[0] == sign && ((bytes[1] ^ sign) & 0x80) == 0) bytes.erase(0, 1);
  return std::string(more, sign) + bytes;
}

void WriteByteArrays(Dice& dice, const std::string& path, const std::vector<int64_t>& numbers) {
  const auto node = pq::schema::PrimitiveNode::Make(
      "k", pq::Repetition::REQUIRED, pq::LogicalType::Decimal(18, 2), pq::Type::BYTE_ARRAY);
  const auto schema = std::static_pointer_cast<pq::schema::GroupNode>(
      pq::schema::GroupNode::Make("schema", pq::Repetition::REQUIRED, {node}));
  const auto file = *arrow::io::FileOutputStream::Open(path);
  const auto writer = pq::ParquetFileWriter::Open(file, schema);
  auto* column = dynamic_cast<pq::ByteArrayWriter*>(writer->AppendRowGroup()->NextColumn());
  for (const int64_t number : numbers) {
    const std::string bytes = KeyBytes(number, dice.Below(3));
    const pq::ByteArray value(bytes);
    column->WriteBatch(1, nullptr, nullptr, &value);
  }
  writer->Close();
  ASSERT_TRUE(file->Close().ok());
}

std::vector<int64_t> ReadByteArrays(const std::string& path) {
  std::vector<int64_t> numbers;
  const auto reader = pq::ParquetFileReader::OpenFile(path);
  const auto column = reader->RowGroup(0)->Column(0);
  auto* values = dynamic_cast<pq::ByteArrayReader*>(column.get());
  while (values->HasNext()) {
    pq::ByteArray value;
    int64_t count = 0;
    values->ReadBatch(1, nullptr, nullptr, &value, &count);
    int64_t number = (value.ptr[0] & 0x80) != 0 ? -1 : 0;
    for (uint32_t i = 0; i < value.len; ++i) number = number * 256 + value.ptr[i];
    numbers.push_back(number);
  }
  return numbers;
}

TEST(KeyTypesTest, DecimalsOfTheirOwnLength) {
  Dice dice(21);
  for (const bool descending : {false, true}) {
    const TempDir dir;
    std::vector<int64_t> expected;
    std::vector<std::string> paths;
    for (int file = 0; file < 4; ++file) {
      std::vector<int64_t> numbers = {0, -1, 127, 128, -128, -129, 255, 256, 32767, -32769};
      for (int i = 0; i < 500; ++i) {
        const auto bits = dice.Below(59);
        const auto magnitude = static_cast<int64_t>(dice.Below(uint64_t{1} << bits));
        numbers.push_back(dice.OneIn(2) ? -magnitude : magnitude);
      }
      std::sort(numbers.begin(), numbers.end());
      if (descending) std::reverse(numbers.begin(), numbers.end());
      paths.push_back(dir.File(std::to_string(file) + ".parquet"));
      WriteByteArrays(dice, paths.back(), numbers);
      expected.insert(expected.end(), numbers.begin(), numbers.end());
    }
    std::sort(expected.begin(), expected.end());
    if (descending) std::reverse(expected.begin(), expected.end());
    const std::string out = dir.File("out.parquet");
    const auto merged = MergeFiles(paths, out, Options(descending));
    ASSERT_TRUE(merged.ok()) << merged.error().message;
    EXPECT_EQ(ReadByteArrays(out), expected);
  }
}

}  // namespace
}  // namespace varve::merge

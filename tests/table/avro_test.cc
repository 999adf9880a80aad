// Avro containers: what is written is read, by us and as the specification says; what is damaged is
// an error, never more memory than the bytes that are there.
#include "table/avro.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fuzz/table_targets.h"

namespace varve::table {
namespace {

constexpr const char* kSchema =
    R"({"type":"record","name":"r","fields":[{"name":"n","type":"long","field-id":1},)"
    R"({"name":"t","type":["null","string"],"default":null,"field-id":2},)"
    R"({"name":"l","type":{"type":"array","items":"int","element-id":4},"field-id":3}]})";

struct Row {
  int64_t n = 0;
  std::optional<std::string> t;
  std::vector<int32_t> l;
  bool operator==(const Row&) const = default;
};

std::string Encode(const Row& row) {
  AvroEncoder out;
  out.Long(row.n);
  out.Branch(row.t.has_value());
  if (row.t) out.Bytes(*row.t);
  if (!row.l.empty()) out.Long(static_cast<int64_t>(row.l.size()));
  for (const int32_t one : row.l) out.Long(one);
  out.Long(0);
  return out.bytes();
}

Result<std::vector<Row>> Decode(std::string_view bytes) {
  const AvroReader reader = TRY(AvroReader::Open(bytes));
  std::vector<Row> rows;
  TRY(reader.ForEach([&](AvroDecoder& in) -> Status {
    Row row;
    std::string_view text;
    const AvroSchema& schema = reader.schema();
    bool good = in.Long(&row.n);
    const AvroSchema* branch = good ? in.Resolve(*schema.fields[1].type) : nullptr;
    if (branch != nullptr && branch->kind == AvroKind::kString) {
      good = in.Bytes(&text);
      row.t = std::string(text);
    }
    good = good && branch != nullptr && in.Items(*schema.fields[2].type, [&](const AvroSchema&) {
      int64_t number = 0;
      if (!in.Long(&number)) return false;
      row.l.push_back(static_cast<int32_t>(number));
      return true;
    });
    if (!good) return MakeError(ErrorKind::kCorrupt, "row");
    rows.push_back(std::move(row));
    return {};
  }));
  return rows;
}

std::string Container(const std::vector<Row>& rows, AvroCodec codec) {
  AvroWriter writer(kSchema, {{"k", "v"}}, codec, "0123456789abcdef");
  for (const Row& row : rows) writer.Add(Encode(row));
  return std::move(writer).Finish().value();
}

RC_GTEST_PROP(Avro, WhatIsWrittenIsRead, ()) {
  const auto numbers = *rc::gen::arbitrary<std::vector<int64_t>>();
  std::vector<Row> rows;
  for (const int64_t number : numbers) {
    Row row;
    row.n = number;
    if (number % 3 != 0) row.t = *rc::gen::arbitrary<std::string>();
    row.l = *rc::gen::arbitrary<std::vector<int32_t>>();
    rows.push_back(std::move(row));
  }
  for (const AvroCodec codec : {AvroCodec::kNull, AvroCodec::kDeflate}) {
    const auto read = Decode(Container(rows, codec));
    RC_ASSERT(read.ok());
    RC_ASSERT(*read == rows);
  }
}

TEST(Avro, NumbersAreZigZagAsTheSpecificationHasThem) {
  const std::pair<int64_t, std::string> examples[] = {
      {0, std::string(1, '\0')}, {-1, "\x01"}, {1, "\x02"}, {-64, "\x7f"}, {64, "\x80\x01"}};
  for (const auto& [number, bytes] : examples) {
    AvroEncoder out;
    out.Long(number);
    EXPECT_EQ(out.bytes(), bytes) << number;
  }
  for (const int64_t number : {INT64_MIN, INT64_MAX}) {
    AvroEncoder out;
    out.Long(number);
    AvroDecoder in(out.bytes());
    int64_t read = 0;
    EXPECT_TRUE(in.Long(&read));
    EXPECT_EQ(read, number);
  }
}

TEST(Avro, BlocksAreSplitAndCarryOn) {
  std::vector<Row> rows(20'000);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].n = static_cast<int64_t>(i), rows[i].t = "text";
  for (const AvroCodec codec : {AvroCodec::kNull, AvroCodec::kDeflate}) {
    EXPECT_EQ(Decode(Container(rows, codec)).value(), rows);
  }
}

TEST(Avro, EveryCutIsAnErrorOrAPrefixOfBlocks) {
  std::vector<Row> rows(3);
  const std::string whole = Container(rows, AvroCodec::kDeflate);
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto read = Decode(std::string_view(whole).substr(0, size));
    EXPECT_TRUE(!read.ok() || read->empty()) << size;
  }
}

TEST(Avro, OtherCodecsAreRefused) {
  std::string bytes = Container({}, AvroCodec::kNull);
  bytes.replace(bytes.find("\x08null"), 5, "\x08zstd");
  EXPECT_FALSE(AvroReader::Open(bytes).ok());
}

TEST(Avro, CountsThatTheBytesCannotHoldAreRefused) {
  AvroEncoder lie;
  lie.Long(INT64_MAX);
  AvroDecoder in(lie.bytes());
  std::string_view text;
  EXPECT_FALSE(in.Bytes(&text));
  const auto schema = ParseAvroSchema(R"({"type":"array","items":"null"})").value();
  AvroDecoder nulls(lie.bytes());
  EXPECT_FALSE(nulls.Skip(*schema));
}

TEST(Avro, ASchemaThatIsTooDeepOrNamesItselfIsRefused) {
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += R"({"type":"array","items":)";
  deep += R"("int")" + std::string(200, '}');
  EXPECT_FALSE(ParseAvroSchema(deep).ok());
  EXPECT_FALSE(
      ParseAvroSchema(R"({"type":"record","name":"a","fields":[{"name":"x","type":"a"}]})").ok());
}

TEST(Avro, DamagedManifestsListsAndMetadataAreErrorsOnly) {
  const auto random = SeededRandom(20'260'202);
  for (const std::string& good : FuzzSeeds()) {
    for (int i = 0; i < 1500; ++i) {
      std::string bad = good;
      for (uint64_t n = 1 + random->Below(4); n > 0; --n) {
        const size_t at = random->Below(bad.size());
        if (random->Below(4) == 0) {
          bad.erase(at, 1 + random->Below(8));
        } else {
          bad[at] = static_cast<char>(random->Next());
        }
        if (bad.empty()) break;
      }
      FuzzTableBytes(bad);
    }
  }
}

}  // namespace
}  // namespace varve::table

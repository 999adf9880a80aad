#include "merge/timestamp_tables.h"

#include <arrow/io/file.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <algorithm>
#include <ostream>

namespace varve::merge {

namespace {

__extension__ using Wide = __int128;

int64_t NanosOf(arrow::TimeUnit::type unit) {
  return unit == arrow::TimeUnit::MILLI ? 1'000'000 : unit == arrow::TimeUnit::MICRO ? 1000 : 1;
}

std::shared_ptr<arrow::Table> TableOf(const TimeFile& file) {
  const auto utc = arrow::timestamp(file.unit, file.int96 ? "" : "UTC");
  const auto local = arrow::timestamp(file.unit);
  arrow::TimestampBuilder ts(utc, arrow::default_memory_pool());
  arrow::TimestampBuilder at(local, arrow::default_memory_pool());
  arrow::Int64Builder id;
  for (const TimeRow& row : file.rows) {
    EXPECT_TRUE(ts.Append(row.ts).ok() && id.Append(row.id).ok());
    EXPECT_TRUE((row.at ? at.Append(*row.at) : at.AppendNull()).ok());
  }
  return arrow::Table::Make(
      arrow::schema({arrow::field("ts", utc, false), arrow::field("at", local),
                     arrow::field("id", arrow::int64(), false)}),
      {*ts.Finish(), *at.Finish(), *id.Finish()});
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const TimeRow& row) {
  out << "{" << row.ts << " ";
  if (row.at) out << *row.at;
  return out << " #" << row.id << "}";
}

TimeFile RandomTimes(Dice& dice, arrow::TimeUnit::type unit, TimeEncoding encoding, size_t rows,
                     int64_t first_id) {
  TimeFile file;
  file.unit = unit;
  file.encoding = encoding;
  const int64_t unit_each = 1'000'000 / NanosOf(unit);  // in a millisecond
  auto time = [&] {
    const int64_t millis = static_cast<int64_t>(dice.Below(60)) - 30;
    return millis * unit_each + static_cast<int64_t>(dice.Below(5)) * (unit_each / 5 + 1);
  };
  for (size_t i = 0; i < rows; ++i) {
    file.rows.push_back({time(), std::nullopt, 0});
    if (!dice.OneIn(5)) file.rows.back().at = time();
  }
  std::stable_sort(file.rows.begin(), file.rows.end(),
                   [](const TimeRow& a, const TimeRow& b) { return a.ts < b.ts; });
  for (TimeRow& row : file.rows) row.id = first_id++;
  return file;
}

void WriteTimes(const std::string& path, const TimeFile& file) {
  ::parquet::WriterProperties::Builder builder;
  builder.data_pagesize(200)->write_batch_size(20);
  if (file.encoding != TimeEncoding::kDictionary) builder.disable_dictionary();
  for (const char* column : {"ts", "at"}) {
    if (file.encoding == TimeEncoding::kDelta) {
      builder.encoding(column, ::parquet::Encoding::DELTA_BINARY_PACKED);
    } else if (file.encoding == TimeEncoding::kSplit) {
      builder.encoding(column, ::parquet::Encoding::BYTE_STREAM_SPLIT);
    }
  }
  ::parquet::ArrowWriterProperties::Builder arrow_properties;
  if (file.int96) arrow_properties.enable_deprecated_int96_timestamps();
  if (file.arrow_schema) arrow_properties.store_schema();
  auto out = *arrow::io::FileOutputStream::Open(path);
  ASSERT_TRUE(::parquet::arrow::WriteTable(*TableOf(file), arrow::default_memory_pool(), out,
                                           file.group_rows, builder.build(),
                                           arrow_properties.build())
                  .ok());
  ASSERT_TRUE(out->Close().ok());
}

std::vector<TimeRow> ReadTimes(const std::string& path, arrow::TimeUnit::type unit) {
  const auto table = *ReadTable(path)->CombineChunks();
  std::vector<TimeRow> rows(static_cast<size_t>(table->num_rows()));
  if (rows.empty()) return rows;
  for (const char* name : {"ts", "at"}) {
    const auto& type =
        static_cast<const arrow::TimestampType&>(*table->GetColumnByName(name)->type());
    EXPECT_EQ(type.id(), arrow::Type::TIMESTAMP);
    EXPECT_EQ(type.unit(), unit) << name;
  }
  const auto& ts =
      static_cast<const arrow::TimestampArray&>(*table->GetColumnByName("ts")->chunk(0));
  const auto& at =
      static_cast<const arrow::TimestampArray&>(*table->GetColumnByName("at")->chunk(0));
  const auto& id = static_cast<const arrow::Int64Array&>(*table->GetColumnByName("id")->chunk(0));
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    rows[i] = {ts.Value(row), std::nullopt, id.Value(row)};
    if (at.IsValid(row)) rows[i].at = at.Value(row);
  }
  return rows;
}

int64_t InUnit(int64_t value, arrow::TimeUnit::type from, arrow::TimeUnit::type to) {
  const Wide nanos = Wide{value} * NanosOf(from);
  Wide out = nanos / NanosOf(to);
  if (out * NanosOf(to) > nanos) --out;
  return static_cast<int64_t>(out);
}

std::vector<TimeRow> MergedTimes(const std::vector<TimeFile>& files, arrow::TimeUnit::type unit,
                                 bool descending) {
  std::vector<TimeRow> rows;
  for (const TimeFile& file : files) {
    for (TimeRow row : file.rows) {
      row.ts = InUnit(row.ts, file.unit, unit);
      if (row.at) row.at = InUnit(*row.at, file.unit, unit);
      rows.push_back(row);
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const TimeRow& a, const TimeRow& b) {
    return descending ? b.ts < a.ts : a.ts < b.ts;
  });
  return rows;
}

}  // namespace varve::merge

#include "merge/random_tables.h"

#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace varve::merge {

namespace {

template <typename T>
T Must(arrow::Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().ToString());
  return std::move(result).ValueUnsafe();
}

void Must(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

const std::shared_ptr<arrow::DataType>& TypeAt(size_t at) {
  static const std::vector<std::shared_ptr<arrow::DataType>> types = {
      arrow::int64(),
      arrow::int32(),
      arrow::utf8(),
      arrow::float64(),
      arrow::float32(),
      arrow::boolean(),
      arrow::binary(),
      arrow::fixed_size_binary(5),
      arrow::decimal128(20, 3),
      arrow::uint32(),
      arrow::uint64(),
      arrow::timestamp(arrow::TimeUnit::MICRO),
      arrow::int8(),
      arrow::date32()};
  return types[at % types.size()];
}

std::string Text(Dice& dice, uint64_t variety) {
  static const std::string letters("abc\0xyz\xff", 8);
  if (variety < 100) return "v" + std::to_string(dice.Below(variety));
  std::string text;
  for (uint64_t i = dice.Below(40); i > 0; --i) text += letters[dice.Below(letters.size())];
  return text;
}

void AppendValue(Dice& dice, uint64_t variety, arrow::ArrayBuilder& builder) {
  const auto number = static_cast<int64_t>(dice.Below(variety)) - 7;
  switch (builder.type()->id()) {
    case arrow::Type::INT64:
      return Must(static_cast<arrow::Int64Builder&>(builder).Append(number));
    case arrow::Type::INT32:
      return Must(static_cast<arrow::Int32Builder&>(builder).Append(static_cast<int>(number)));
    case arrow::Type::DATE32:
      return Must(static_cast<arrow::Date32Builder&>(builder).Append(static_cast<int>(number)));
    case arrow::Type::INT8:
      return Must(static_cast<arrow::Int8Builder&>(builder).Append(static_cast<int8_t>(number)));
    case arrow::Type::UINT32:
      return Must(
          static_cast<arrow::UInt32Builder&>(builder).Append(static_cast<uint32_t>(number)));
    case arrow::Type::UINT64:
      return Must(
          static_cast<arrow::UInt64Builder&>(builder).Append(static_cast<uint64_t>(number)));
    case arrow::Type::TIMESTAMP:
      return Must(static_cast<arrow::TimestampBuilder&>(builder).Append(number));
    case arrow::Type::DOUBLE:
      return Must(
          static_cast<arrow::DoubleBuilder&>(builder).Append(static_cast<double>(number) / 8));
    case arrow::Type::FLOAT:
      return Must(
          static_cast<arrow::FloatBuilder&>(builder).Append(static_cast<float>(number) / 4));
    case arrow::Type::BOOL:
      return Must(static_cast<arrow::BooleanBuilder&>(builder).Append(number % 2 == 0));
    case arrow::Type::STRING:
      return Must(static_cast<arrow::StringBuilder&>(builder).Append(
          "t" + std::to_string(dice.Below(variety)) + std::string(dice.Below(9), 'z')));
    case arrow::Type::BINARY:
      return Must(static_cast<arrow::BinaryBuilder&>(builder).Append(Text(dice, variety)));
    case arrow::Type::FIXED_SIZE_BINARY:
      return Must(static_cast<arrow::FixedSizeBinaryBuilder&>(builder).Append(
          (std::to_string(100000 + dice.Below(variety) % 800000)).substr(0, 5)));
    case arrow::Type::DECIMAL128:
      return Must(
          static_cast<arrow::Decimal128Builder&>(builder).Append(arrow::Decimal128(number)));
    default:
      throw std::runtime_error("no such column");
  }
}

std::shared_ptr<arrow::Array> RandomColumn(Dice& dice, const arrow::Field& field, int64_t rows,
                                           uint64_t variety) {
  auto builder = Must(arrow::MakeBuilder(field.type()));
  const uint64_t nulls = field.nullable() ? dice.Below(4) : 0;  // none, all, one in two or three
  for (int64_t i = 0; i < rows; ++i) {
    if (nulls > 0 && dice.OneIn(nulls)) {
      Must(builder->AppendNull());
    } else {
      AppendValue(dice, variety, *builder);
    }
  }
  return Must(builder->Finish());
}

template <typename T>
int CompareAs(const arrow::Scalar& a, const arrow::Scalar& b) {
  const auto& x = static_cast<const T&>(a).value;
  const auto& y = static_cast<const T&>(b).value;
  return x < y ? -1 : y < x ? 1 : 0;
}

int CompareScalars(const arrow::Scalar& a, const arrow::Scalar& b) {
  switch (a.type->id()) {
    case arrow::Type::INT64:
      return CompareAs<arrow::Int64Scalar>(a, b);
    case arrow::Type::INT32:
      return CompareAs<arrow::Int32Scalar>(a, b);
    case arrow::Type::TIMESTAMP:
      return CompareAs<arrow::TimestampScalar>(a, b);
    case arrow::Type::DOUBLE:
      return CompareAs<arrow::DoubleScalar>(a, b);
    case arrow::Type::DECIMAL128:
      return CompareAs<arrow::Decimal128Scalar>(a, b);
    default: {
      const auto x = static_cast<const arrow::BaseBinaryScalar&>(a).view();
      return x.compare(static_cast<const arrow::BaseBinaryScalar&>(b).view());
    }
  }
}

std::vector<int64_t> SortedOrder(const arrow::Table& table, const std::vector<SortKey>& keys) {
  std::vector<std::vector<std::shared_ptr<arrow::Scalar>>> columns;
  for (const SortKey& key : keys) {
    columns.emplace_back();
    for (int64_t row = 0; row < table.num_rows(); ++row) {
      columns.back().push_back(Must(table.GetColumnByName(key.column)->GetScalar(row)));
    }
  }
  std::vector<int64_t> order(static_cast<size_t>(table.num_rows()));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) {
    for (size_t k = 0; k < keys.size(); ++k) {
      const arrow::Scalar& a = *columns[k][static_cast<size_t>(x)];
      const arrow::Scalar& b = *columns[k][static_cast<size_t>(y)];
      if (!a.is_valid || !b.is_valid) {
        if (a.is_valid == b.is_valid) continue;
        return a.is_valid != keys[k].nulls_first;
      }
      const int order_of = CompareScalars(a, b);
      if (order_of != 0) return (order_of < 0) != keys[k].descending;
    }
    return false;
  });
  return order;
}

std::shared_ptr<arrow::Table> Reordered(const arrow::Table& table,
                                        const std::vector<int64_t>& order) {
  std::vector<std::shared_ptr<arrow::ChunkedArray>> columns;
  for (const auto& column : table.columns()) {
    auto taken = Must(arrow::MakeBuilder(column->type()));
    for (const int64_t row : order) Must(taken->AppendScalar(*Must(column->GetScalar(row))));
    columns.push_back(std::make_shared<arrow::ChunkedArray>(Must(taken->Finish())));
  }
  return arrow::Table::Make(table.schema(), columns, table.num_rows());
}

}  // namespace

std::shared_ptr<arrow::Schema> RandomSchema(Dice& dice) {
  arrow::FieldVector fields;
  const std::vector<size_t> key_types = {0, 0, 0, 1, 2, 3, 11, 6, 8};
  fields.push_back(
      arrow::field("ts", TypeAt(key_types[dice.Below(key_types.size())]), dice.OneIn(2)));
  for (uint64_t i = dice.Below(7); i > 0; --i) {
    fields.push_back(arrow::field("c" + std::to_string(i), TypeAt(dice.Below(14)), !dice.OneIn(3)));
  }
  return arrow::schema(fields);
}

std::shared_ptr<arrow::Table> RandomTable(Dice& dice, const std::shared_ptr<arrow::Schema>& schema,
                                          int64_t rows, const std::vector<SortKey>& keys) {
  std::vector<std::shared_ptr<arrow::Array>> columns;
  for (const auto& field : schema->fields()) {
    const uint64_t variety = dice.OneIn(2) ? 5 : 1000;
    columns.push_back(RandomColumn(dice, *field, rows, variety));
  }
  auto table = arrow::Table::Make(schema, columns, rows);
  return keys.empty() ? table : Reordered(*table, SortedOrder(*table, keys));
}

void WriteTable(const std::string& path, const arrow::Table& table, int64_t group_rows) {
  auto file = Must(arrow::io::FileOutputStream::Open(path));
  Must(::parquet::arrow::WriteTable(table, arrow::default_memory_pool(), file, group_rows));
  Must(file->Close());
}

void WriteRandomly(Dice& dice, const std::string& path, const arrow::Table& table) {
  using ::parquet::Encoding;
  ::parquet::WriterProperties::Builder builder;
  const arrow::Compression::type codecs[] = {
      arrow::Compression::UNCOMPRESSED, arrow::Compression::SNAPPY, arrow::Compression::LZ4,
      arrow::Compression::ZSTD,         arrow::Compression::GZIP,   arrow::Compression::BROTLI};
  builder.compression(codecs[dice.Below(6)]);
  builder.data_pagesize(static_cast<int64_t>(1 + dice.Below(2000)));
  builder.write_batch_size(static_cast<int64_t>(1 + dice.Below(50)));
  builder.dictionary_pagesize_limit(static_cast<int64_t>(1 + dice.Below(2000)));
  if (dice.OneIn(2)) builder.data_page_version(::parquet::ParquetDataPageVersion::V2);
  if (dice.OneIn(2)) builder.enable_page_checksum();
  if (dice.OneIn(2)) builder.enable_write_page_index();
  for (const auto& field : table.schema()->fields()) {
    if (dice.OneIn(2)) continue;
    builder.disable_dictionary(field->name());
    const auto id = field->type()->id();
    const bool bytes = id == arrow::Type::STRING || id == arrow::Type::BINARY;
    const bool integers = id == arrow::Type::INT64 || id == arrow::Type::INT32;
    const bool split = integers || id == arrow::Type::DOUBLE || id == arrow::Type::FLOAT ||
                       id == arrow::Type::FIXED_SIZE_BINARY;
    if (bytes && dice.OneIn(2)) {
      builder.encoding(field->name(), dice.OneIn(2) ? Encoding::DELTA_LENGTH_BYTE_ARRAY
                                                    : Encoding::DELTA_BYTE_ARRAY);
    } else if (integers && dice.OneIn(2)) {
      builder.encoding(field->name(), Encoding::DELTA_BINARY_PACKED);
    } else if (split && dice.OneIn(2)) {
      builder.encoding(field->name(), Encoding::BYTE_STREAM_SPLIT);
    }
  }
  auto file = Must(arrow::io::FileOutputStream::Open(path));
  Must(::parquet::arrow::WriteTable(table, arrow::default_memory_pool(), file,
                                    static_cast<int64_t>(1 + dice.Below(400)), builder.build()));
  Must(file->Close());
}

std::shared_ptr<arrow::Table> ReadTable(const std::string& path) {
  auto file = Must(arrow::io::ReadableFile::Open(path));
  ::parquet::ReaderProperties properties = ::parquet::default_reader_properties();
  properties.set_page_checksum_verification(true);
  ::parquet::arrow::FileReaderBuilder builder;
  Must(builder.Open(file, properties));
  std::unique_ptr<::parquet::arrow::FileReader> reader;
  Must(builder.Build(&reader));
  return Must(reader->ReadTable());
}

std::vector<std::string> RowsOf(const arrow::Table& table) {
  std::vector<std::string> rows(static_cast<size_t>(table.num_rows()));
  for (int c = 0; c < table.num_columns(); ++c) {
    for (int64_t row = 0; row < table.num_rows(); ++row) {
      const auto scalar = Must(table.column(c)->GetScalar(row));
      rows[static_cast<size_t>(row)] += table.field(c)->name() + "=" + scalar->ToString() + "|";
    }
  }
  return rows;
}

std::vector<std::string> SortedRows(const std::vector<std::shared_ptr<arrow::Table>>& tables,
                                    const std::vector<SortKey>& keys) {
  const auto all = Must(arrow::ConcatenateTables(tables));
  const std::vector<std::string> rows = RowsOf(*all);
  std::vector<std::string> sorted;
  for (const int64_t row : SortedOrder(*all, keys))
    sorted.push_back(rows[static_cast<size_t>(row)]);
  return sorted;
}

std::string BytesOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace varve::merge

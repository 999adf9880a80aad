// 1. The page's checksum, if it has one. 2. Decompression; without a codec the bytes read are the
//    page. 3. Levels become bytes, or nothing where no row is null. 4. Values: PLAIN stays where it
//    is and byte arrays are walked once; indices are unpacked; what is delta-coded or split is
//    decoded into PLAIN. 5. Narrower integers and floats are widened, and times
//    brought to the unit that is wanted; of a dictionary's page, its entries.
// Every length, count and index is checked here, so that nothing after it has to.
#include "parquet/indexed_page.h"

#include <arrow/util/compression.h>
#include <parquet/column_reader.h>
#include <parquet/schema.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/bytes.h"
#include "core/check.h"
#include "parquet/codec.h"
#include "parquet/crc32.h"
#include "parquet/decimal_form.h"
#include "parquet/delta.h"
#include "parquet/hybrid.h"
#include "parquet/try_parquet.h"

namespace varve::parquet {

namespace pq = ::parquet;

namespace {

Error BadPage(std::string what) { return MakeError(ErrorKind::kCorrupt, std::move(what)); }

struct Cursor {
  const uint8_t* at;
  const uint8_t* end;
  size_t left() const { return static_cast<size_t>(end - at); }
};

bool IsPacked(const PageHeader& header, int codec) {
  const bool v2 = header.type == PageType::kDataV2;
  return codec != arrow::Compression::UNCOMPRESSED && (!v2 || header.compressed);
}

Status CheckCrc(const PageHeader& header, std::span<const uint8_t> body) {
  if (!header.crc || PageCrc32(body.data(), body.size()) == *header.crc) return {};
  return BadPage("has a checksum that is not that of its bytes");
}

// The page's bytes, with the levels of version 2 in front as they are.
Result<Buffer> Unpacked(const PageHeader& header, std::span<const uint8_t> body, int codec) {
  const bool v2 = header.type == PageType::kDataV2;
  const auto size = static_cast<size_t>(header.uncompressed_bytes);
  const size_t levels =
      v2 ? static_cast<size_t>(header.definition_bytes + header.repetition_bytes) : 0;
  Buffer out;
  out.Resize(size);
  if (levels > 0) std::memcpy(out.data(), body.data(), levels);
  TRY(Decompress(codec, body.subspan(levels), {out.data() + levels, size - levels}));
  return out;
}

// The old encoding of levels, which no writer of today has.
Status BitPackedLevels(Cursor& in, int16_t max_level, uint32_t rows, uint8_t* out) {
  std::vector<int16_t> levels(rows);
  int got = 0;
  TRY(TryParquet(
      "read levels",
      [&] {
        pq::LevelDecoder decoder;
        in.at += decoder.SetData(pq::Encoding::BIT_PACKED, max_level, static_cast<int>(rows), in.at,
                                 static_cast<int32_t>(in.left()));
        got = decoder.Decode(static_cast<int>(rows), levels.data());
      },
      ErrorKind::kCorrupt));
  if (got != static_cast<int>(rows)) return BadPage("has fewer levels than rows");
  std::copy(levels.begin(), levels.end(), out);
  return {};
}

// Where the levels are; `in` goes on behind them.
Result<std::span<const uint8_t>> LevelBytes(const PageHeader& header, Cursor& in) {
  std::span<const uint8_t> bytes;
  if (header.type == PageType::kDataV2) {
    in.at += header.repetition_bytes;
    bytes = {in.at, static_cast<size_t>(header.definition_bytes)};
  } else {
    if (header.level_encoding != kRle) return BadPage("has levels of an unknown encoding");
    if (in.left() < 4) return BadPage("ends within its levels");
    const auto size = GetLe<uint32_t>(reinterpret_cast<const char*>(in.at));
    in.at += 4;
    if (size > in.left()) return BadPage("has levels that are longer than the page");
    bytes = {in.at, size};
  }
  in.at += bytes.size();
  return bytes;
}

// Keeps the levels only if a row is null.
Status IndexLevels(const PageHeader& header, const PageReading& reading, Cursor& in,
                   IndexedPage& page) {
  page.values = page.rows;
  const int16_t max_level = reading.from.max_level;
  if (max_level == 0) return {};
  Buffer levels;
  levels.Resize(page.rows);
  if (header.type == PageType::kData && header.level_encoding == kBitPacked) {
    TRY(BitPackedLevels(in, max_level, page.rows, levels.data()));
  } else {
    const auto bytes = TRY(LevelBytes(header, in));
    const int width = std::bit_width(static_cast<unsigned>(max_level));
    const auto full = static_cast<uint32_t>(max_level);
    if (IsOneRun(bytes, width, full, page.rows)) return {};
    if (!DecodeHybrid(bytes, width, page.rows, levels.data())) {
      return BadPage("has fewer levels than rows");
    }
  }
  const uint8_t* at = levels.data();
  uint32_t values = 0;
  uint8_t most = 0;
  for (uint32_t row = 0; row < page.rows; ++row) {
    values += at[row] == max_level;
    most = std::max(most, at[row]);
  }
  if (most > max_level) return BadPage("has a level that is too high");
  page.values = values;
  if (values == page.rows) return {};
  page.value_rows.Resize((size_t{page.rows} + 1) * 4);
  auto* value_rows = page.value_rows.As<uint32_t>();
  uint32_t before = 0;
  for (uint32_t row = 0; row < page.rows; ++row) {
    value_rows[row] = before;
    before += at[row] == max_level;
  }
  value_rows[page.rows] = before;
  page.levels = std::move(levels);
  return {};
}

Status IndexByteArrays(const Cursor& in, IndexedPage& page) {
  page.offsets.Resize((size_t{page.values} + 1) * 4);
  auto* offsets = page.offsets.As<uint32_t>();
  const size_t size = in.left();
  const auto* bytes = reinterpret_cast<const char*>(in.at);
  size_t at = 0;
  for (uint32_t i = 0; i < page.values; ++i) {
    offsets[i] = static_cast<uint32_t>(at);
    if (size - at < 4) return BadPage("ends within value " + std::to_string(i));
    const size_t length = GetLe<uint32_t>(bytes + at);
    if (length > size - at - 4) return BadPage("has a value that is longer than the page");
    at += 4 + length;
  }
  offsets[page.values] = static_cast<uint32_t>(at);
  page.data = in.at;
  return {};
}

Status IndexPlain(const PageReading& reading, const Cursor& in, IndexedPage& page) {
  if (reading.from.is_bytes()) return IndexByteArrays(in, page);
  if (reading.from.physical == pq::Type::BOOLEAN) {
    if (in.left() < (size_t{page.values} + 7) / 8) return BadPage("ends within its values");
    Buffer values;
    values.Resize(page.values);
    for (uint32_t i = 0; i < page.values; ++i) values.data()[i] = in.at[i / 8] >> (i % 8) & 1;
    page.bytes = std::move(values);
    page.data = page.bytes.data();
    return {};
  }
  if (in.left() < size_t{page.values} * reading.from.width)
    return BadPage("ends within its values");
  page.data = in.at;
  return {};
}

Status IndexIndices(const PageReading& reading, Cursor in, IndexedPage& page) {
  page.has_indices = true;
  page.indices.Resize(size_t{page.values} * 4);
  if (page.values == 0) return {};
  if (in.left() < 1) return BadPage("ends before its dictionary indices");
  const int width = *in.at++;
  auto* indices = page.indices.As<uint32_t>();
  if (!DecodeHybrid({in.at, in.left()}, width, page.values, indices)) {
    return BadPage("ends within its dictionary indices");
  }
  uint32_t most = 0;
  for (uint32_t i = 0; i < page.values; ++i) most = std::max(most, indices[i]);
  if (most >= reading.dictionary_entries) {
    return BadPage("has dictionary index " + std::to_string(most) + " of " +
                   std::to_string(reading.dictionary_entries) + " entries");
  }
  page.bytes.Free();
  return {};
}

Status IndexRleBooleans(Cursor in, IndexedPage& page) {
  if (in.left() < 4) return BadPage("ends before its values");
  const auto size = GetLe<uint32_t>(reinterpret_cast<const char*>(in.at));
  if (size > in.left() - 4) return BadPage("has values that are longer than the page");
  Buffer values;
  values.Resize(page.values);
  if (!DecodeHybrid({in.at + 4, size}, 1, page.values, values.data())) {
    return BadPage("ends within its values");
  }
  page.bytes = std::move(values);
  page.data = page.bytes.data();
  return {};
}

// The encodings that have to be decoded into PLAIN.
Result<Buffer> Decoded(const PageReading& reading, int encoding, uint32_t values,
                       std::span<const uint8_t> bytes) {
  const int32_t physical = reading.from.physical;
  const uint32_t width = reading.from.width;
  const bool integer = physical == pq::Type::INT32 || physical == pq::Type::INT64;
  const bool fixed_bytes = physical == pq::Type::FIXED_LEN_BYTE_ARRAY;
  const bool number = integer || physical == pq::Type::FLOAT || physical == pq::Type::DOUBLE;
  if (encoding == kDeltaBinaryPacked && integer) return DecodeDeltaIntegers(bytes, values, width);
  if (encoding == kDeltaLengthByteArray && width == 0) return DecodeDeltaLengths(bytes, values);
  if (encoding == kDeltaByteArray && (width == 0 || fixed_bytes)) {
    return DecodeDeltaBytes(bytes, values, width);
  }
  if (encoding == kByteStreamSplit && (number || fixed_bytes)) {
    return DecodeByteStreamSplit(bytes, values, width);
  }
  return BadPage("has an encoding that its type cannot have");
}

Status DecodeOther(const PageReading& reading, int encoding, const Cursor& in, IndexedPage& page) {
  page.bytes = TRY(Decoded(reading, encoding, page.values, {in.at, in.left()}));
  page.data = page.bytes.data();
  if (!reading.from.is_bytes()) return {};
  return IndexByteArrays({page.data, page.data + page.bytes.size()}, page);
}

template <typename From, typename To>
void WidenValues(IndexedPage& page) {
  Buffer wide;
  wide.Resize(size_t{page.values} * sizeof(To));
  for (uint32_t i = 0; i < page.values; ++i) {
    From value;
    std::memcpy(&value, page.data + i * sizeof(From), sizeof value);
    wide.As<To>()[i] = static_cast<To>(value);
  }
  page.bytes = std::move(wide);
  page.data = page.bytes.data();
}

Status ConvertTimes(const PageReading& reading, IndexedPage& page) {
  const TimestampUnit to = reading.to.unit;
  Buffer times;
  times.Resize(size_t{page.values} * sizeof(int64_t));
  auto* out = times.As<int64_t>();
  const bool fits = reading.from.physical == pq::Type::INT96
                        ? ConvertInt96(to, page.data, page.values, out)
                        : ConvertTimestamps(reading.from.unit, to, page.data, page.values, out);
  if (!fits) return TimestampRangeError(to);
  page.bytes = std::move(times);
  page.data = page.bytes.data();
  return {};
}

// From the file's type to the one that is wanted.
Status Convert(const PageReading& reading, IndexedPage& page) {
  if (page.has_indices) return {};
  if (reading.from.unit != reading.to.unit) return ConvertTimes(reading, page);
  if (reading.from.physical == reading.to.physical && reading.from.width == reading.to.width) {
    return {};
  }
  const auto& logical = reading.column->logical_type();
  if (logical != nullptr && logical->is_decimal()) {
    return ConvertDecimals(reading.from, reading.to, page);
  }
  const bool is_unsigned = logical != nullptr && logical->is_int() &&
                           !static_cast<const pq::IntLogicalType&>(*logical).is_signed();
  if (reading.to.physical == pq::Type::INT64 && is_unsigned) {
    WidenValues<uint32_t, int64_t>(page);
  } else if (reading.to.physical == pq::Type::INT64) {
    WidenValues<int32_t, int64_t>(page);
  } else {
    CHECK(reading.to.physical == pq::Type::DOUBLE);
    WidenValues<float, double>(page);
  }
  return {};
}

Status IndexValues(const PageHeader& header, const PageReading& reading, Cursor in,
                   IndexedPage& page) {
  if (header.type == PageType::kDictionary) {
    if (header.encoding != kPlain && header.encoding != kPlainDictionary) {
      return BadPage("is a dictionary of an unknown encoding");
    }
    return IndexPlain(reading, in, page);
  }
  if (header.has_dictionary_indices()) return IndexIndices(reading, in, page);
  switch (header.encoding) {
    case kPlain:
      return IndexPlain(reading, in, page);
    case kRle:
      if (reading.from.physical != pq::Type::BOOLEAN) break;
      return IndexRleBooleans(in, page);
    case kDeltaBinaryPacked:
    case kDeltaLengthByteArray:
    case kDeltaByteArray:
    case kByteStreamSplit:
      // Some writers leave out what would be in front of no values.
      if (page.values == 0) return IndexPlain(reading, {in.end, in.end}, page);
      return DecodeOther(reading, header.encoding, in, page);
    default:
      break;
  }
  return BadPage("has encoding " + std::to_string(header.encoding) +
                 ", which its type cannot have");
}

}  // namespace

ColumnShape ShapeOf(const pq::ColumnDescriptor& column) {
  ColumnShape shape{column.physical_type(), 0, column.max_definition_level(), UnitOf(column)};
  switch (column.physical_type()) {
    case pq::Type::BOOLEAN:
      shape.width = 1;
      break;
    case pq::Type::INT32:
    case pq::Type::FLOAT:
      shape.width = 4;
      break;
    case pq::Type::INT64:
    case pq::Type::DOUBLE:
      shape.width = 8;
      break;
    case pq::Type::INT96:
      shape.width = 12;
      break;
    case pq::Type::FIXED_LEN_BYTE_ARRAY:
      shape.width = static_cast<uint32_t>(column.type_length());
      break;
    default:
      break;
  }
  return shape;
}

namespace {

// bytes: not compressed.
Result<IndexedPage> IndexBytes(const PageHeader& header, Buffer bytes, const PageReading& reading) {
  IndexedPage page;
  page.bytes = std::move(bytes);
  if (page.bytes.size() != static_cast<size_t>(header.uncompressed_bytes)) {
    return BadPage("is not as long as its header says");
  }
  page.rows = static_cast<uint32_t>(header.values);
  page.values = page.rows;
  Cursor in{page.bytes.data(), page.bytes.data() + page.bytes.size()};
  if (header.is_data()) TRY(IndexLevels(header, reading, in, page));
  TRY(IndexValues(header, reading, in, page));
  TRY(Convert(reading, page));
  return page;
}

}  // namespace

Result<IndexedPage> IndexPage(const PageHeader& header, std::span<const uint8_t> body,
                              const PageReading& reading) {
  if (!IsPacked(header, reading.codec)) {
    Buffer own;
    own.Append(body.data(), body.size());
    return IndexPage(header, std::move(own), reading);
  }
  TRY(CheckCrc(header, body));
  return IndexBytes(header, TRY(Unpacked(header, body, reading.codec)), reading);
}

Result<IndexedPage> IndexPage(const PageHeader& header, Buffer body, const PageReading& reading) {
  const std::span<const uint8_t> bytes(body.data(), body.size());
  if (IsPacked(header, reading.codec)) return IndexPage(header, bytes, reading);
  TRY(CheckCrc(header, bytes));
  return IndexBytes(header, std::move(body), reading);
}

IndexedPage SlicePage(const IndexedPage& page, const ColumnShape& shape, uint32_t begin,
                      uint32_t end) {
  IndexedPage out;
  out.rows = end - begin;
  const uint32_t first = page.ValueAt(begin), last = page.ValueAt(end);
  out.values = last - first;
  out.has_indices = page.has_indices;
  auto copy = [](Buffer& to, const void* from, size_t bytes) {
    to.Resize(bytes);
    if (bytes > 0) std::memcpy(to.data(), from, bytes);
  };
  if (page.has_indices) {
    copy(out.indices, page.indices.As<uint32_t>() + first, size_t{out.values} * 4);
  } else if (shape.is_bytes()) {
    const uint32_t* offsets = page.offsets.As<uint32_t>();
    copy(out.bytes, page.data + offsets[first], offsets[last] - offsets[first]);
    copy(out.offsets, offsets + first, (size_t{out.values} + 1) * 4);
    for (uint32_t i = 0; i <= out.values; ++i) out.offsets.As<uint32_t>()[i] -= offsets[first];
  } else {
    copy(out.bytes, page.data + size_t{first} * shape.width, size_t{out.values} * shape.width);
  }
  out.data = out.bytes.data();
  if (out.values == out.rows) return out;
  copy(out.levels, page.levels.data() + begin, out.rows);
  copy(out.value_rows, page.value_rows.As<uint32_t>() + begin, (size_t{out.rows} + 1) * 4);
  for (uint32_t i = 0; i <= out.rows; ++i) out.value_rows.As<uint32_t>()[i] -= first;
  return out;
}

}  // namespace varve::parquet

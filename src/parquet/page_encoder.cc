#include "parquet/page_encoder.h"

#include <arrow/util/compression.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/bytes.h"
#include "core/check.h"
#include "parquet/codec.h"
#include "parquet/crc32.h"
#include "parquet/hybrid.h"

namespace varve::parquet {

namespace {

int LevelWidth(int16_t max_level) { return std::bit_width(static_cast<unsigned>(max_level)); }

size_t LevelRoom(const ColumnShape& shape, uint32_t rows) {
  if (shape.max_level == 0) return 0;
  return 4 + HybridBytesMax(rows, LevelWidth(shape.max_level));
}

// How many rows have each level.
std::vector<int64_t> LevelCounts(const ColumnShape& shape, const PageRows& rows) {
  std::vector<int64_t> counts(static_cast<size_t>(shape.max_level) + 1);
  if (rows.levels == nullptr || shape.max_level == 1) {
    counts.front() = rows.rows - rows.values;
    counts.back() = rows.values;
  } else {
    for (uint32_t row = 0; row < rows.rows; ++row) ++counts[rows.levels[row]];
  }
  return counts;
}

// In front of the body, which begins at `from`.
void PutHeader(size_t from, PageHeader header, EncodedPage& page) {
  const size_t body = page.bytes.size() - from;
  header.compressed_bytes = static_cast<int32_t>(body);
  header.crc = PageCrc32(page.bytes.data() + from, body);
  uint8_t head[kOwnHeaderBytesMax];
  header.header_bytes = WritePageHeader(header, head);
  CHECK(header.header_bytes <= from);
  page.begin = from - header.header_bytes;
  std::memcpy(page.bytes.data() + page.begin, head, header.header_bytes);
  page.header = header;
}

// bytes from `from` on become a whole page, compressed and with its header in front.
Status Seal(const CodecChoice& choice, PageContent content, size_t from, PageHeader header,
            EncodedPage& page) {
  const size_t size = page.bytes.size() - from;
  if (size > INT32_MAX) return MakeError(ErrorKind::kExhausted, "a page of more than 2 GiB");
  header.uncompressed_bytes = static_cast<int32_t>(size);
  if (choice.codec != arrow::Compression::UNCOMPRESSED) {
    const std::span<const uint8_t> plain(page.bytes.data() + from, size);
    Buffer packed;
    packed.Resize(kOwnHeaderBytesMax + CompressedBytesMax(choice, size));
    const std::span<uint8_t> room(packed.data() + kOwnHeaderBytesMax,
                                  packed.size() - kOwnHeaderBytesMax);
    const size_t packed_size = TRY(Compress(choice, content, plain, room));
    packed.Resize(kOwnHeaderBytesMax + packed_size);
    page.bytes = std::move(packed);
    from = kOwnHeaderBytesMax;
  }
  PutHeader(from, header, page);
  return {};
}

// Bytes of 0 and 1 become bits, in place.
void PackBooleans(Buffer& bytes, size_t from) {
  const size_t count = bytes.size() - from;
  uint8_t* at = bytes.data() + from;
  for (size_t i = 0; i < count; i += 8) {
    uint8_t bits = 0;
    for (size_t k = 0; k < 8 && i + k < count; ++k) {
      bits = static_cast<uint8_t>(bits | at[i + k] << k);
    }
    at[i / 8] = bits;
  }
  bytes.Resize(from + (count + 7) / 8);
}

constexpr int32_t kBooleanType = 0;

}  // namespace

PageDraft::PageDraft(const ColumnShape& shape, uint32_t rows_max, size_t values_bytes)
    : shape_(shape), front_(kOwnHeaderBytesMax + LevelRoom(shape, rows_max)) {
  bytes_.Resize(front_ + values_bytes);
  bytes_.Resize(front_);
}

Result<EncodedPage> PageDraft::Finish(const CodecChoice& codec, PageEncoding encoding,
                                      const PageRows& rows, EncodedPage page) {
  size_t from = front_;
  page.nulls = rows.rows - rows.values;
  if (shape_.max_level > 0) {
    const int width = LevelWidth(shape_.max_level);
    const auto full = static_cast<size_t>(shape_.max_level);
    page.level_counts = LevelCounts(shape_, rows);
    Buffer levels;
    if (rows.levels == nullptr) {
      EncodeRun(static_cast<uint32_t>(full), rows.rows, width, levels);
    } else {
      EncodeHybrid(rows.levels, rows.rows, width, levels);
    }
    CHECK(levels.size() + 4 + kOwnHeaderBytesMax <= front_);
    from -= levels.size() + 4;
    PutLe(reinterpret_cast<char*>(bytes_.data()) + from, static_cast<uint32_t>(levels.size()));
    if (!levels.empty()) {
      std::memcpy(bytes_.data() + from + 4, levels.data(), levels.size());
    }
  }
  PageHeader header;
  header.values = static_cast<int32_t>(rows.rows);
  header.encoding = encoding;
  page.bytes = std::move(bytes_);
  const bool byte_arrays = shape_.is_bytes() && encoding == kPlain;
  TRY(Seal(codec, byte_arrays ? PageContent::kByteArrays : PageContent::kOther, from, header,
           page));
  return page;
}

ValueBounds PageDraft::Bounds(ValueOrder order, uint32_t values) const {
  ValueBounds bounds(order);
  bounds.AddPlain(shape_, bytes_.data() + front_, values);
  return bounds;
}

Result<EncodedPage> PageDraft::FinishPlain(const CodecChoice& codec, ValueBounds bounds,
                                           const PageRows& rows) && {
  EncodedPage page;
  page.bounds = std::move(bounds);
  if (shape_.is_bytes()) {
    page.plain_bytes = static_cast<int64_t>(bytes_.size() - front_ - rows.values * 4ul);
  }
  if (shape_.physical == kBooleanType) PackBooleans(bytes_, front_);
  return Finish(codec, kPlain, rows, std::move(page));
}

Result<EncodedPage> PageDraft::FinishIndices(const CodecChoice& codec, const uint32_t* indices,
                                             int bit_width, const PageRows& rows) && {
  *bytes_.Extend(1) = static_cast<uint8_t>(bit_width);
  EncodeHybrid(indices, rows.values, bit_width, bytes_);
  return Finish(codec, kRleDictionary, rows, {});
}

EncodedPage CopiedPlain(PageHeader header, std::span<const uint8_t> body, const IndexedPage& page,
                        const ColumnShape& shape, ValueOrder order) {
  EncodedPage out;
  out.nulls = page.rows - page.values;
  out.bounds = ValueBounds(order);
  out.bounds.AddPlain(shape, page.data, page.values);
  if (shape.is_bytes()) {
    out.plain_bytes = page.offsets.As<uint32_t>()[page.values] - int64_t{4} * page.values;
  }
  if (shape.max_level > 0) {
    out.level_counts = LevelCounts(
        shape, {page.rows, page.values, page.levels.empty() ? nullptr : page.levels.data()});
  }
  out.bytes.Resize(kOwnHeaderBytesMax);
  out.bytes.Append(body.data(), body.size());
  PutHeader(kOwnHeaderBytesMax, header, out);
  return out;
}

Result<EncodedPage> EncodeDictionary(const Buffer& entries, uint32_t count,
                                     const CodecChoice& codec) {
  EncodedPage page;
  page.bytes.Resize(kOwnHeaderBytesMax + entries.size());
  if (!entries.empty()) {
    std::memcpy(page.bytes.data() + kOwnHeaderBytesMax, entries.data(), entries.size());
  }
  PageHeader header;
  header.type = PageType::kDictionary;
  header.values = static_cast<int32_t>(count);
  header.encoding = kPlain;
  TRY(Seal(codec, PageContent::kOther, kOwnHeaderBytesMax, header, page));
  return page;
}

}  // namespace varve::parquet

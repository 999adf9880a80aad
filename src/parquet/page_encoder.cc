#include "parquet/page_encoder.h"

#include <arrow/util/compression.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/bytes.h"
#include "core/check.h"
#include "parquet/crc32.h"
#include "parquet/hybrid.h"

namespace varve::parquet {

namespace {

int LevelWidth(int16_t max_level) { return std::bit_width(static_cast<unsigned>(max_level)); }

size_t LevelRoom(const ColumnShape& shape, uint32_t rows) {
  if (shape.max_level == 0) return 0;
  return 4 + HybridBytesMax(rows, LevelWidth(shape.max_level));
}

Result<std::unique_ptr<arrow::util::Codec>> MakeCodec(const CodecChoice& choice) {
  auto made = arrow::util::Codec::Create(
      static_cast<arrow::Compression::type>(choice.codec),
      choice.has_level ? choice.level : arrow::util::kUseDefaultCompressionLevel);
  if (!made.ok()) return MakeError(ErrorKind::kInvalid, "codec: " + made.status().message());
  return std::move(*made);
}

// bytes from `from` on become a whole page, compressed and with its header in front.
Status Seal(const CodecChoice& choice, size_t from, PageHeader header, EncodedPage& page) {
  const size_t size = page.bytes.size() - from;
  if (size > INT32_MAX) return MakeError(ErrorKind::kExhausted, "a page of more than 2 GiB");
  header.uncompressed_bytes = static_cast<int32_t>(size);
  if (choice.codec != arrow::Compression::UNCOMPRESSED) {
    auto codec = TRY(MakeCodec(choice));
    const int64_t most =
        codec->MaxCompressedLen(static_cast<int64_t>(size), page.bytes.data() + from);
    Buffer packed;
    packed.Resize(kOwnHeaderBytesMax + static_cast<size_t>(most));
    auto done = codec->Compress(static_cast<int64_t>(size), page.bytes.data() + from, most,
                                packed.data() + kOwnHeaderBytesMax);
    if (!done.ok()) return MakeError(ErrorKind::kInternal, "compress: " + done.status().message());
    packed.Resize(kOwnHeaderBytesMax + static_cast<size_t>(*done));
    page.bytes = std::move(packed);
    from = kOwnHeaderBytesMax;
  }
  const size_t body = page.bytes.size() - from;
  header.compressed_bytes = static_cast<int32_t>(body);
  header.crc = PageCrc32(page.bytes.data() + from, body);
  uint8_t head[kOwnHeaderBytesMax];
  header.header_bytes = WritePageHeader(header, head);
  CHECK(header.header_bytes <= from);
  page.begin = from - header.header_bytes;
  std::memcpy(page.bytes.data() + page.begin, head, header.header_bytes);
  page.header = header;
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

void PageDraft::AppendLevels(uint32_t rows, uint8_t level) {
  if (rows > 0) std::memset(levels_.Extend(rows), level, rows);
}

void PageDraft::AddNulls(uint32_t rows, uint8_t level) {
  if (rows == 0) return;
  if (levels_.empty()) AppendLevels(rows_, static_cast<uint8_t>(shape_.max_level));
  AppendLevels(rows, level);
  rows_ += rows;
}

void PageDraft::AddLevels(const uint8_t* levels, uint32_t rows, uint32_t values) {
  if (rows == 0) return;
  if (levels_.empty()) AppendLevels(rows_, static_cast<uint8_t>(shape_.max_level));
  levels_.Append(levels, rows);
  rows_ += rows;
  values_ += values;
}

ValueRange PageDraft::AddRows(const IndexedPage& page, uint32_t row, uint32_t rows) {
  const ValueRange values{page.ValueAt(row), page.ValueAt(row + rows)};
  if (page.levels.empty()) {
    AddFull(rows);
  } else {
    AddLevels(page.levels.data() + row, rows, values.last - values.first);
  }
  return values;
}

Result<EncodedPage> PageDraft::Finish(const CodecChoice& codec, PageEncoding encoding,
                                      EncodedPage page) {
  size_t from = front_;
  page.nulls = rows_ - values_;
  if (shape_.max_level > 0) {
    const int width = LevelWidth(shape_.max_level);
    const auto full = static_cast<size_t>(shape_.max_level);
    page.level_counts.assign(full + 1, 0);
    Buffer levels;
    if (levels_.empty()) {
      EncodeRun(static_cast<uint32_t>(full), rows_, width, levels);
      page.level_counts[full] = rows_;
    } else {
      EncodeHybrid(levels_.data(), rows_, width, levels);
      for (uint32_t i = 0; i < rows_; ++i) ++page.level_counts[levels_.data()[i]];
    }
    CHECK(levels.size() + 4 + kOwnHeaderBytesMax <= front_);
    from -= levels.size() + 4;
    PutLe(reinterpret_cast<char*>(bytes_.data()) + from, static_cast<uint32_t>(levels.size()));
    if (!levels.empty()) {
      std::memcpy(bytes_.data() + from + 4, levels.data(), levels.size());
    }
  }
  PageHeader header;
  header.values = static_cast<int32_t>(rows_);
  header.encoding = encoding;
  page.bytes = std::move(bytes_);
  TRY(Seal(codec, from, header, page));
  return page;
}

Result<EncodedPage> PageDraft::FinishPlain(const CodecChoice& codec, ValueOrder order) && {
  EncodedPage page;
  page.bounds = ValueBounds(order);
  page.bounds.AddPlain(shape_, bytes_.data() + front_, values_);
  if (shape_.is_bytes()) page.plain_bytes = static_cast<int64_t>(values_bytes() - values_ * 4ul);
  if (shape_.physical == kBooleanType) PackBooleans(bytes_, front_);
  return Finish(codec, kPlain, std::move(page));
}

Result<EncodedPage> PageDraft::FinishIndices(const CodecChoice& codec, const uint32_t* indices,
                                             int bit_width) && {
  *bytes_.Extend(1) = static_cast<uint8_t>(bit_width);
  EncodeHybrid(indices, values_, bit_width, bytes_);
  return Finish(codec, kRleDictionary, {});
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
  TRY(Seal(codec, kOwnHeaderBytesMax, header, page));
  return page;
}

}  // namespace varve::parquet

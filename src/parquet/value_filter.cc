#include "parquet/value_filter.h"

#include <arrow/io/memory.h>
#include <parquet/bloom_filter.h>
#include <parquet/properties.h>
#include <parquet/schema.h>
#include <parquet/types.h>
#include <parquet/xxhasher.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "core/bytes.h"
#include "parquet/sink_stream.h"
#include "parquet/try_parquet.h"

namespace varve::parquet {

namespace pq = ::parquet;

namespace {

constexpr uint32_t kHashesAtOnce = 1024;
constexpr size_t kLengthBytes = 4;

uint32_t BytesFor(uint64_t distinct) {
  return pq::BlockSplitBloomFilter::OptimalNumOfBytes(distinct, kFalsePositivesMax);
}

// Hashes of the next values; returns where they end.
const uint8_t* HashPlain(const ColumnShape& shape, const uint8_t* plain, uint32_t values,
                         uint64_t* hashes) {
  const pq::XxHasher hasher;
  const auto* text = reinterpret_cast<const char*>(plain);
  for (uint32_t i = 0; i < values; ++i) {
    size_t size = shape.width;
    if (shape.is_bytes()) {
      size = GetLe<uint32_t>(text);
      text += kLengthBytes;
    }
    hashes[i] = hasher.Hash(std::string_view(text, size));
    text += size;
  }
  return reinterpret_cast<const uint8_t*>(text);
}

Result<std::string> Serialize(const pq::BlockSplitBloomFilter& filter) {
  std::string out;
  SinkStream stream([&](std::string_view bytes) {
    out += bytes;
    return Status();
  });
  TRY(TryParquet("write a Bloom filter", [&] { filter.WriteTo(&stream); }));
  return out;
}

}  // namespace

ValueFilter::ValueFilter(const ColumnShape& shape, uint64_t distinct_max)
    : shape_(shape), memory_bytes_(BytesFor(distinct_max)), distinct_max_(distinct_max) {}

ValueFilter::~ValueFilter() = default;

bool ValueFilter::Suits(const pq::ColumnDescriptor& column) {
  const auto& logical = column.logical_type();
  return column.physical_type() != pq::Type::BOOLEAN &&
         (logical == nullptr || !logical->is_float16());
}

void ValueFilter::Expect(uint64_t distinct_max) {
  const std::lock_guard lock(mutex_);
  if (filter_ == nullptr) distinct_max_ = std::min(distinct_max_, distinct_max);
}

void ValueFilter::AddHashes(const uint64_t* hashes, uint32_t count) {
  const std::lock_guard lock(mutex_);
  if (filter_ == nullptr) {
    filter_ = std::make_unique<pq::BlockSplitBloomFilter>();
    filter_->Init(BytesFor(distinct_max_));
  }
  filter_->InsertHashes(hashes, static_cast<int>(count));
}

// What equals a value that is there, though its bytes are others.
template <typename Float>
void ValueFilter::AddEquals(const uint8_t* plain, uint32_t values) {
  bool zero = false, nan = false;
  for (uint32_t i = 0; i < values; ++i) {
    Float value;
    std::memcpy(&value, plain + i * sizeof(Float), sizeof(Float));
    zero |= value == 0;
    nan |= value != value;
  }
  const pq::XxHasher hasher;
  constexpr Float kNan = std::numeric_limits<Float>::quiet_NaN();
  const uint64_t hashes[] = {hasher.Hash(Float{0}), hasher.Hash(-Float{0}), hasher.Hash(kNan),
                             hasher.Hash(-kNan)};
  if (zero) AddHashes(hashes, 2);
  if (nan) AddHashes(hashes + 2, 2);
}

void ValueFilter::Add(const uint8_t* plain, uint32_t values) {
  if (shape_.physical == pq::Type::FLOAT) AddEquals<float>(plain, values);
  if (shape_.physical == pq::Type::DOUBLE) AddEquals<double>(plain, values);
  uint64_t hashes[kHashesAtOnce];
  while (values > 0) {
    const uint32_t count = std::min(values, kHashesAtOnce);
    plain = HashPlain(shape_, plain, count, hashes);
    AddHashes(hashes, count);
    values -= count;
  }
}

Result<std::string> ValueFilter::Encode() {
  const std::lock_guard lock(mutex_);
  TRY(TryParquet("fold a Bloom filter", [&] {
    if (filter_ == nullptr) {
      filter_ = std::make_unique<pq::BlockSplitBloomFilter>();
      filter_->Init(pq::BlockSplitBloomFilter::kMinimumBloomFilterBytes);
    }
    filter_->FoldToTargetFpp(kFalsePositivesMax);
  }));
  return Serialize(*filter_);
}

Result<std::string> CheckFilter(std::string_view bytes) {
  std::optional<pq::BlockSplitBloomFilter> filter;
  TRY(TryParquet(
      "its Bloom filter",
      [&] {
        arrow::io::BufferReader reader(std::make_shared<arrow::Buffer>(bytes));
        filter.emplace(pq::BlockSplitBloomFilter::Deserialize(
            pq::default_reader_properties(), &reader, static_cast<int64_t>(bytes.size())));
      },
      ErrorKind::kCorrupt));
  return Serialize(*filter);
}

}  // namespace varve::parquet

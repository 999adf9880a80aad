#include "merge/key_split.h"

#include <parquet/schema.h>

#include <limits>

#include "parquet/timestamp_unit.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {

constexpr int64_t kDayMicros = 86'400'000'000;
constexpr uint64_t kSign = uint64_t{1} << 63;
constexpr uint8_t kValueRank = 1;

// Of the column's unit; 0: it is no time, or the period is no whole number of units.
int64_t PeriodIn(const pq::ColumnDescriptor& column, int64_t micros) {
  const auto& type = column.logical_type();
  if (type != nullptr && type->is_date()) return micros % kDayMicros == 0 ? micros / kDayMicros : 0;
  switch (parquet::UnitOf(column)) {
    case parquet::TimestampUnit::kMillis:
      return micros % 1000 == 0 ? micros / 1000 : 0;
    case parquet::TimestampUnit::kMicros:
      return micros;
    case parquet::TimestampUnit::kNanos:
      return micros <= std::numeric_limits<int64_t>::max() / 1000 ? micros * 1000 : 0;
    case parquet::TimestampUnit::kNone:
      break;
  }
  return 0;
}

int64_t FloorTo(int64_t value, int64_t length) {
  const int64_t over = value % length;
  const int64_t floor = over < 0 ? over + length : over;  // above the period's begin
  return value < std::numeric_limits<int64_t>::min() + floor ? std::numeric_limits<int64_t>::min()
                                                             : value - floor;
}

}  // namespace

Result<KeySplit> KeySplit::Make(const InputSet& inputs, const std::vector<KeyColumn>& keys,
                                int64_t micros) {
  KeySplit split;
  if (micros == 0) return split;
  const KeyColumn& key = keys.front();
  const auto* column = inputs.schema->Column(static_cast<int>(key.column));
  split.length_ = micros < 0 ? 0 : PeriodIn(*column, micros);
  if (split.length_ == 0) {
    return MakeError(ErrorKind::kInvalid, "SPLIT_TYPE",
                     "column " + inputs.columns[key.column].name +
                         ": only a timestamp splits by hours, and a timestamp or a date by days");
  }
  split.descending_ = key.descending;
  split.nulls_first_ = key.nulls_first;
  split.several_ = keys.size() > 1;
  return split;
}

uint64_t KeySplit::FirstOf(const KeyView& key, uint8_t& rank) const {
  if (!several_) {
    rank = key.rank;
    return key.head;
  }
  return NumberOfKeyString(key.tail, rank);
}

OwnKey KeySplit::KeyOf(uint64_t number) const {
  OwnKey key;
  key.head = number;
  if (!several_) return key;
  key.tail = KeyStringOf(number);
  key.head = HeadOfKeyString(key.tail);
  return key;
}

std::optional<OwnKey> KeySplit::EndOf(const KeyView& key) const {
  uint8_t rank = kValueRank;
  const uint64_t first = FirstOf(key, rank);
  if (rank != kValueRank) {
    if (!nulls_first_) return std::nullopt;
    return KeyOf(0);
  }
  const uint64_t flip = descending_ ? ~uint64_t{0} : 0;
  const auto value = static_cast<int64_t>((first ^ flip) ^ kSign);
  const int64_t begin = FloorTo(value, length_);
  int64_t next = 0;  // the first value that is not in the period, in the keys' order
  const bool out_of_range = descending_ ? __builtin_sub_overflow(begin, int64_t{1}, &next)
                                        : __builtin_add_overflow(begin, length_, &next);
  if (!out_of_range) return KeyOf((static_cast<uint64_t>(next) ^ kSign) ^ flip);
  if (nulls_first_) return std::nullopt;
  OwnKey nulls;  // the last period, but for nulls behind it
  nulls.rank = 2;
  nulls.head = ~uint64_t{0};
  if (several_) {
    nulls.tail.push_back('\2');
    nulls.rank = kValueRank;
    nulls.head = HeadOfKeyString(nulls.tail);
  }
  return nulls;
}

}  // namespace varve::merge

#include "merge/timestamp_rule.h"

#include <parquet/types.h>

namespace varve::merge {

namespace pq = ::parquet;

namespace {

using parquet::TimestampUnit;
using pq::LogicalType;
using pq::TimestampLogicalType;
using pq::schema::NodePtr;
using pq::schema::PrimitiveNode;

// nullptr: its values are no INT64 TIMESTAMP.
const TimestampLogicalType* TypeOf(const PrimitiveNode& node) {
  const auto& type = node.logical_type();
  if (node.physical_type() != pq::Type::INT64 || type == nullptr || !type->is_timestamp()) {
    return nullptr;
  }
  return static_cast<const TimestampLogicalType*>(type.get());
}

bool IsInt96(const PrimitiveNode& node) { return node.physical_type() == pq::Type::INT96; }

LogicalType::TimeUnit::unit UnitOf(TimestampUnit unit) {
  switch (unit) {
    case TimestampUnit::kMillis:
      return LogicalType::TimeUnit::MILLIS;
    case TimestampUnit::kMicros:
      return LogicalType::TimeUnit::MICROS;
    case TimestampUnit::kNanos:
      return LogicalType::TimeUnit::NANOS;
    case TimestampUnit::kNone:
      break;
  }
  return LogicalType::TimeUnit::UNKNOWN;
}

// What the merge that this is a part of makes of the column; nullptr: nothing, or no times.
std::shared_ptr<const LogicalType> LikeType(const std::string& path, const TimestampRule& rule) {
  if (rule.like == nullptr) return nullptr;
  const int column = rule.like->ColumnIndex(path);
  if (column < 0) return nullptr;
  const auto& node = static_cast<const PrimitiveNode&>(*rule.like->Column(column)->schema_node());
  return TypeOf(node) == nullptr ? nullptr : node.logical_type();
}

bool ConvertPlain(const parquet::ColumnShape& from, const parquet::ColumnShape& to,
                  std::string& plain) {
  int64_t value = 0;
  if (plain.size() != sizeof value) return false;
  const auto* bytes = reinterpret_cast<const uint8_t*>(plain.data());
  if (!parquet::ConvertTimestamps(from.unit, to.unit, bytes, 1, &value)) return false;
  plain.assign(reinterpret_cast<const char*>(&value), sizeof value);
  return true;
}

}  // namespace

const PrimitiveNode* FinerTimes(const PrimitiveNode& a, const PrimitiveNode& b,
                                const TimestampRule& rule) {
  const TimestampLogicalType* one = TypeOf(a);
  const TimestampLogicalType* other = TypeOf(b);
  if (rule.unit != TimestampUnit::kNone) {
    if (IsInt96(a) && other != nullptr) return &b;
    if (one != nullptr && IsInt96(b)) return &a;
  }
  if (one == nullptr || other == nullptr) return nullptr;
  if (one->is_adjusted_to_utc() != other->is_adjusted_to_utc()) return nullptr;
  return one->time_unit() >= other->time_unit() ? &a : &b;
}

NodePtr WithRule(const PrimitiveNode& node, pq::Repetition::type repetition,
                 const std::string& path, const TimestampRule& rule) {
  auto type = node.logical_type();
  auto physical = node.physical_type();
  const TimestampLogicalType* times = TypeOf(node);
  const bool is_int96 = IsInt96(node) && rule.unit != TimestampUnit::kNone;
  if (const auto like = LikeType(path, rule); like != nullptr && (times != nullptr || is_int96)) {
    type = like;
    physical = pq::Type::INT64;
  } else if (times != nullptr && rule.unit != TimestampUnit::kNone) {
    // Said outright, even by a file that has the old annotation alone, which Arrow takes for local.
    type = LogicalType::Timestamp(times->is_adjusted_to_utc(), UnitOf(rule.unit), false,
                                  times->force_set_converted_type());
  } else if (is_int96) {
    type = LogicalType::Timestamp(false, UnitOf(rule.unit));
    physical = pq::Type::INT64;
  }
  return PrimitiveNode::Make(node.name(), repetition, type, physical, node.type_length(),
                             node.field_id());
}

void ConvertRanges(InputSet& inputs, const std::string& key) {
  const auto found = inputs.ColumnNamed(key);
  if (!found.ok()) return;
  const size_t column = *found;
  const parquet::ColumnShape& to = inputs.columns[column].shape;
  for (Part& part : inputs.parts) {
    const Layout& layout = inputs.layout(part);
    if (!part.has_range || layout.chunk_of[column] < 0) continue;
    const auto& from = layout.shapes[static_cast<size_t>(layout.chunk_of[column])];
    if (from.unit == to.unit) {  // numbers may be in another form
      if (from.physical != to.physical || from.width != to.width) part.has_range = false;
      continue;
    }
    part.has_range = from.unit != TimestampUnit::kNone && ConvertPlain(from, to, part.range_min) &&
                     ConvertPlain(from, to, part.range_max);
  }
}

}  // namespace varve::merge

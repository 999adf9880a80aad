#include "table/parquet_types.h"

#include <fmt/format.h>
#include <parquet/schema.h>
#include <parquet/types.h>

#include <algorithm>

#include "core/bytes.h"
#include "table/bounds.h"

namespace varve::table {
namespace {

namespace pq = ::parquet;

Type Simple(TypeId id) {
  Type type;
  type.id = id;
  return type;
}

class Reader {
 public:
  Result<FileColumns> Read(const pq::SchemaDescriptor& schema) {
    const pq::schema::GroupNode& root = *schema.group_node();
    for (int i = 0; i < root.field_count(); ++i) {
      out_.schema.fields.push_back(TRY(ReadField(*root.field(i), "", 1, true)));
    }
    return std::move(out_);
  }

 private:
  void Problem(std::string_view path, std::string_view what) {
    out_.problems.push_back(fmt::format("the column '{}' {}", path, what));
  }

  Result<Field> ReadField(const pq::schema::Node& node, const std::string& parent, int depth,
                          bool single) {
    if (depth > kSchemaDepthMax || ++fields_ > kSchemaFieldsMax) {
      return MakeError(ErrorKind::kInvalid, "SCHEMA_TOO_LARGE",
                       "the file's schema is too deep or too wide");
    }
    Field field;
    field.name = node.name();
    field.required = node.is_required();
    field.id = std::max(node.field_id(), 0);
    if (node.field_id() <= 0) out_.has_field_ids = false;
    const std::string path = parent + field.name;
    if (node.is_group()) {
      field.type =
          TRY(ReadGroup(static_cast<const pq::schema::GroupNode&>(node), path, depth, single));
      return field;
    }
    if (node.is_repeated()) {
      return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_COLUMN",
                       fmt::format("the column '{}' is repeated without being a list", path));
    }
    LeafType leaf;
    leaf.column = column_++;
    leaf.field_id = field.id;
    leaf.path = path;
    ReadLeaf(static_cast<const pq::schema::PrimitiveNode&>(node), leaf);
    field.type = leaf.type;
    if (single) out_.leaves.push_back(std::move(leaf));
    return field;
  }

  Result<Type> ReadGroup(const pq::schema::GroupNode& group, const std::string& path, int depth,
                         bool single) {
    const auto& logical = group.logical_type();
    const bool list = logical != nullptr && logical->is_list();
    const bool map = logical != nullptr && logical->is_map();
    if (!list && !map) {
      if (group.is_repeated() || group.field_count() == 0) {
        return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_COLUMN",
                         fmt::format("the column '{}' is a group that is no struct", path));
      }
      Type type = Simple(TypeId::kStruct);
      for (int i = 0; i < group.field_count(); ++i) {
        type.fields.push_back(TRY(ReadField(*group.field(i), path + ".", depth + 1, single)));
      }
      return type;
    }
    const bool regular =
        group.field_count() == 1 && group.field(0)->is_group() && group.field(0)->is_repeated();
    const int wanted = list ? 1 : 2;
    if (!regular ||
        static_cast<const pq::schema::GroupNode&>(*group.field(0)).field_count() != wanted) {
      return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_COLUMN",
                       fmt::format("the column '{}' is a list or map of an old form", path));
    }
    const auto& items = static_cast<const pq::schema::GroupNode&>(*group.field(0));
    Type type = Simple(list ? TypeId::kList : TypeId::kMap);
    for (int i = 0; i < wanted; ++i) {
      Field item = TRY(ReadField(*items.field(i), path + ".", depth + 1, false));
      item.name = list ? "element" : i == 0 ? "key" : "value";
      type.fields.push_back(std::move(item));
    }
    return type;
  }

  void ReadLeaf(const pq::schema::PrimitiveNode& node, LeafType& leaf) {
    const auto& logical = *node.logical_type();
    leaf.type = Simple(TypeId::kBinary);
    if (logical.is_decimal()) {
      const auto& decimal = static_cast<const pq::DecimalLogicalType&>(logical);
      leaf.type.id = TypeId::kDecimal;
      leaf.type.precision = decimal.precision();
      leaf.type.scale = decimal.scale();
      leaf.integer_decimal =
          node.physical_type() == pq::Type::INT32 || node.physical_type() == pq::Type::INT64;
      if (decimal.precision() > 38) Problem(leaf.path, "has more than 38 digits");
      return;
    }
    switch (node.physical_type()) {
      case pq::Type::BOOLEAN:
        leaf.type.id = TypeId::kBoolean;
        return;
      case pq::Type::INT32:
        return Int32(logical, leaf);
      case pq::Type::INT64:
        return Int64(logical, leaf);
      case pq::Type::INT96:
        leaf.type.id = TypeId::kTimestamptz;
        leaf.has_order = false;
        return Problem(leaf.path, "is an INT96 timestamp");
      case pq::Type::FLOAT:
        leaf.type.id = TypeId::kFloat;
        return;
      case pq::Type::DOUBLE:
        leaf.type.id = TypeId::kDouble;
        return;
      case pq::Type::BYTE_ARRAY:
        if (logical.is_string() || logical.is_enum() || logical.is_JSON()) {
          leaf.type.id = TypeId::kString;
        }
        return;
      case pq::Type::FIXED_LEN_BYTE_ARRAY:
        leaf.type.id = logical.is_UUID() ? TypeId::kUuid : TypeId::kFixed;
        leaf.type.length = leaf.type.id == TypeId::kFixed ? node.type_length() : 0;
        if (logical.is_float16()) Problem(leaf.path, "is a 16-bit float");
        return;
      default:
        leaf.has_order = false;
        return Problem(leaf.path, "has a physical type that is not known");
    }
  }

  void Int32(const pq::LogicalType& logical, LeafType& leaf) {
    leaf.type.id = TypeId::kInt;
    if (logical.is_date()) leaf.type.id = TypeId::kDate;
    if (logical.is_time()) {
      leaf.type.id = TypeId::kTime;
      leaf.has_order = false;
      Problem(leaf.path, "is a time in milliseconds, not microseconds");
    }
    if (!logical.is_int()) return;
    const auto& number = static_cast<const pq::IntLogicalType&>(logical);
    if (!number.is_signed() && number.bit_width() == 32) {
      leaf.has_order = false;
      Problem(leaf.path, "is an unsigned 32-bit number");
    }
  }

  void Int64(const pq::LogicalType& logical, LeafType& leaf) {
    leaf.type.id = TypeId::kLong;
    if (logical.is_int() && !static_cast<const pq::IntLogicalType&>(logical).is_signed()) {
      leaf.has_order = false;
      return Problem(leaf.path, "is an unsigned 64-bit number");
    }
    if (logical.is_time()) {
      leaf.type.id = TypeId::kTime;
      const auto& time = static_cast<const pq::TimeLogicalType&>(logical);
      if (time.time_unit() == pq::LogicalType::TimeUnit::MICROS) return;
      leaf.has_order = false;
      return Problem(leaf.path, "is a time in nanoseconds, not microseconds");
    }
    if (!logical.is_timestamp()) return;
    const auto& stamp = static_cast<const pq::TimestampLogicalType&>(logical);
    leaf.type.id = stamp.is_adjusted_to_utc() ? TypeId::kTimestamptz : TypeId::kTimestamp;
    if (stamp.time_unit() == pq::LogicalType::TimeUnit::MILLIS) {
      leaf.micros_per_unit = 1000;
      Problem(leaf.path, "is a timestamp in milliseconds, not microseconds");
    } else if (stamp.time_unit() == pq::LogicalType::TimeUnit::NANOS) {
      leaf.units_per_micro = 1000;
      Problem(leaf.path, "is a timestamp in nanoseconds, not microseconds");
    }
  }

  FileColumns out_;
  size_t fields_ = 0;
  int column_ = 0;
};

}  // namespace

std::optional<std::string> LeafType::Value(const std::string& plain) const {
  if (!has_order) return std::nullopt;
  std::string value = plain;
  if (type.id == TypeId::kDecimal) {
    if (integer_decimal) {
      const bool small = plain.size() == 4;
      if (!small && plain.size() != 8) return std::nullopt;
      value = BigEndianOf(small ? GetLe<int32_t>(plain.data()) : GetLe<int64_t>(plain.data()));
    } else {
      value = MinimalBigEndian(plain);
    }
  } else if (micros_per_unit != 1 && plain.size() == 8) {
    int64_t micros = 0;
    if (__builtin_mul_overflow(GetLe<int64_t>(plain.data()), micros_per_unit, &micros)) {
      return std::nullopt;
    }
    PutLe(value.data(), micros);
  } else if (units_per_micro != 1 && plain.size() == 8) {
    PutLe(value.data(), FloorDiv(GetLe<int64_t>(plain.data()), units_per_micro));
  }
  if (!IsValue(type, value)) return std::nullopt;
  return value;
}

Result<FileColumns> ReadFileColumns(const pq::SchemaDescriptor& schema) {
  return Reader().Read(schema);
}

}  // namespace varve::table

#include "table/parquet_types.h"

#include <fmt/format.h>
#include <parquet/schema.h>
#include <parquet/types.h>

#include <algorithm>
#include <set>

#include "core/bytes.h"
#include "core/letter_case.h"
#include "table/bounds.h"

namespace varve::table {
namespace {

namespace pq = ::parquet;

constexpr int32_t kUnsignedDigits = 20;  // of 64 bits

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
      AddField(TRY(ReadField(*root.field(i), {}, 1, true)), out_.schema.fields);
    }
    CheckCase(out_.schema.fields, {});
    if (const auto name = AmbiguousName(out_.schema)) Problem({*name}, "has another's name");
    return std::move(out_);
  }

 private:
  using Names = std::vector<std::string>;

  void Problem(const Names& names, std::string_view what, bool ends_in_merge = false) {
    out_.problems.push_back(
        {fmt::format("the column '{}' {}", fmt::join(names, "."), what), ends_in_merge});
  }

  static Error Unsupported(const Names& names, std::string_view what) {
    return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_COLUMN",
                     fmt::format("the column '{}' {}", fmt::join(names, "."), what));
  }

  void AddField(std::optional<Field> field, std::vector<Field>& fields) {
    if (field) fields.push_back(std::move(*field));
  }

  // Nothing: it has no type.
  Result<std::optional<Field>> ReadField(const pq::schema::Node& node, Names names, int depth,
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
    names.push_back(field.name);
    if (node.is_group()) {
      auto type =
          TRY(ReadGroup(static_cast<const pq::schema::GroupNode&>(node), names, depth, single));
      if (!type) return std::optional<Field>();
      field.type = std::move(*type);
      return std::optional(std::move(field));
    }
    if (node.is_repeated()) return Unsupported(names, "is repeated without being a list");
    LeafType leaf;
    leaf.column = column_++;
    leaf.field_id = field.id;
    leaf.names = std::move(names);
    if (node.logical_type() != nullptr && node.logical_type()->is_null()) {
      Problem(leaf.names, "has no type, as all its values are null", true);
      return std::optional<Field>();
    }
    ReadLeaf(static_cast<const pq::schema::PrimitiveNode&>(node), leaf);
    field.type = leaf.type;
    if (single) out_.leaves.push_back(std::move(leaf));
    return std::optional(std::move(field));
  }

  Result<std::optional<Type>> ReadGroup(const pq::schema::GroupNode& group, const Names& names,
                                        int depth, bool single) {
    const auto& logical = group.logical_type();
    const bool list = logical != nullptr && logical->is_list();
    const bool map = logical != nullptr && logical->is_map();
    if (!list && !map) {
      if (group.is_repeated() || group.field_count() == 0) {
        return Unsupported(names, "is a group that is no struct");
      }
      Type type = Simple(TypeId::kStruct);
      for (int i = 0; i < group.field_count(); ++i) {
        AddField(TRY(ReadField(*group.field(i), names, depth + 1, single)), type.fields);
      }
      CheckCase(type.fields, names);
      return type.fields.empty() ? std::optional<Type>() : std::optional(std::move(type));
    }
    const bool regular =
        group.field_count() == 1 && group.field(0)->is_group() && group.field(0)->is_repeated();
    const int wanted = list ? 1 : 2;
    if (!regular ||
        static_cast<const pq::schema::GroupNode&>(*group.field(0)).field_count() != wanted) {
      return Unsupported(names, "is a list or map of an old form");
    }
    const auto& items = static_cast<const pq::schema::GroupNode&>(*group.field(0));
    Type type = Simple(list ? TypeId::kList : TypeId::kMap);
    for (int i = 0; i < wanted; ++i) {
      auto item = TRY(ReadField(*items.field(i), names, depth + 1, false));
      if (!item) return std::optional<Type>();
      item->name = list ? "element" : i == 0 ? "key" : "value";
      type.fields.push_back(std::move(*item));
    }
    return std::optional(std::move(type));
  }

  void CheckCase(const std::vector<Field>& fields, const Names& parent) {
    std::set<std::string> seen;
    for (const Field& field : fields) {
      if (seen.insert(FoldCase(field.name)).second) continue;
      Names names = parent;
      names.push_back(field.name);
      Problem(names, "differs from another only in case");
    }
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
      if (decimal.precision() > 38) Problem(leaf.names, "has more than 38 digits");
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
        return Problem(leaf.names, "is an INT96 timestamp", true);
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
        if (logical.is_float16()) Problem(leaf.names, "is a 16-bit float");
        return;
      default:
        leaf.has_order = false;
        return Problem(leaf.names, "has a physical type that is not known");
    }
  }

  void Int32(const pq::LogicalType& logical, LeafType& leaf) {
    leaf.type.id = TypeId::kInt;
    if (logical.is_date()) leaf.type.id = TypeId::kDate;
    if (logical.is_time()) {
      leaf.type.id = TypeId::kTime;
      leaf.has_order = false;
      Problem(leaf.names, "is a time in milliseconds, not microseconds");
    }
    if (!logical.is_int()) return;
    const auto& number = static_cast<const pq::IntLogicalType&>(logical);
    if (!number.is_signed() && number.bit_width() == 32) {
      leaf.type.id = TypeId::kLong;
      leaf.has_order = false;
      Problem(leaf.names, "is an unsigned 32-bit number");
    }
  }

  void Int64(const pq::LogicalType& logical, LeafType& leaf) {
    leaf.type.id = TypeId::kLong;
    if (logical.is_int() && !static_cast<const pq::IntLogicalType&>(logical).is_signed()) {
      leaf.type = Simple(TypeId::kDecimal);
      leaf.type.precision = kUnsignedDigits;
      leaf.has_order = false;
      return Problem(leaf.names, "is an unsigned 64-bit number");
    }
    if (logical.is_time()) {
      leaf.type.id = TypeId::kTime;
      const auto& time = static_cast<const pq::TimeLogicalType&>(logical);
      if (time.time_unit() == pq::LogicalType::TimeUnit::MICROS) return;
      leaf.has_order = false;
      return Problem(leaf.names, "is a time in nanoseconds, not microseconds");
    }
    if (!logical.is_timestamp()) return;
    const auto& stamp = static_cast<const pq::TimestampLogicalType&>(logical);
    leaf.type.id = stamp.is_adjusted_to_utc() ? TypeId::kTimestamptz : TypeId::kTimestamp;
    if (stamp.time_unit() == pq::LogicalType::TimeUnit::MILLIS) {
      leaf.micros_per_unit = 1000;
      Problem(leaf.names, "is a timestamp in milliseconds, not microseconds", true);
    } else if (stamp.time_unit() == pq::LogicalType::TimeUnit::NANOS) {
      leaf.units_per_micro = 1000;
      Problem(leaf.names, "is a timestamp in nanoseconds, not microseconds", true);
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

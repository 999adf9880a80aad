#include "merge/row_types.h"

#include <arrow/compute/cast.h>
#include <parquet/arrow/schema.h>
#include <parquet/properties.h>
#include <parquet/schema.h>

#include <algorithm>
#include <cstring>

#include "merge/schema_node.h"
#include "parquet/timestamp_unit.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {

using parquet::TimestampUnit;
using pq::schema::GroupNode;
using pq::schema::NodePtr;
using pq::schema::NodeVector;
using pq::schema::PrimitiveNode;

// What is bytes in a file stays so, with their meaning unsaid: the writer takes decimals only in
// the least width for their digits, and what Arrow would make of text, it would check.
bool IsCarriedAsBytes(const PrimitiveNode& leaf) {
  if (leaf.physical_type() == pq::Type::BYTE_ARRAY) return true;
  return leaf.physical_type() == pq::Type::FIXED_LEN_BYTE_ARRAY &&
         (IsPlain(leaf) || !leaf.logical_type()->is_float16());
}

NodePtr RowNodeOf(const pq::schema::Node& node) {
  if (node.is_primitive()) {
    const auto& leaf = static_cast<const PrimitiveNode&>(node);
    const bool unsaid = IsCarriedAsBytes(leaf) || IsUntyped(leaf);
    return PrimitiveNode::Make(leaf.name(), leaf.repetition(),
                               unsaid ? nullptr : leaf.logical_type(), leaf.physical_type(),
                               leaf.type_length());
  }
  const auto& group = static_cast<const GroupNode&>(node);
  NodeVector fields;
  for (int i = 0; i < group.field_count(); ++i) fields.push_back(RowNodeOf(*group.field(i)));
  const bool holds_items =
      !IsPlain(group) && (group.logical_type()->is_list() || group.logical_type()->is_map());
  return GroupNode::Make(group.name(), group.repetition(), fields,
                         holds_items ? group.logical_type() : nullptr);
}

using ArrayResult = Result<std::shared_ptr<arrow::ArrayData>>;

void DropNulls(arrow::ArrayData& data) {
  data.buffers[0] = nullptr;
  data.null_count = 0;
}

// Where a group or a list of one length is null, Arrow's reader has nulls in what must not be null
// within; its casts refuse them.
std::shared_ptr<arrow::ArrayData> WithoutNeedlessNulls(const arrow::ArrayData& data) {
  auto out = data.Copy();
  const auto fields =
      std::min(out->child_data.size(), static_cast<size_t>(data.type->num_fields()));
  for (size_t i = 0; i < fields; ++i) {
    out->child_data[i] = WithoutNeedlessNulls(*data.child_data[i]);
    const auto& field = *data.type->field(static_cast<int>(i));
    if (!field.nullable() && field.type()->id() != arrow::Type::NA) DropNulls(*out->child_data[i]);
  }
  return out;
}

ArrayResult CastTo(const arrow::ArrayData& data, const std::shared_ptr<arrow::DataType>& type) {
  auto cast = arrow::compute::Cast(*arrow::MakeArray(data.Copy()), type);
  if (!cast.ok()) return MakeError(ErrorKind::kInvalid, cast.status().message());
  return (*cast)->data();
}

// Of zeroes.
Result<std::shared_ptr<arrow::Buffer>> BytesFor(int64_t bytes) {
  auto made = arrow::AllocateBuffer(bytes, RowMemory());
  if (!made.ok()) return MakeError(ErrorKind::kExhausted, made.status().message());
  std::shared_ptr<arrow::Buffer> buffer = std::move(*made);
  std::fill_n(buffer->mutable_data(), bytes, uint8_t{0});
  return buffer;
}

TimestampUnit UnitOfTimes(const arrow::DataType& type) {
  if (type.id() != arrow::Type::TIMESTAMP) return TimestampUnit::kNone;
  switch (static_cast<const arrow::TimestampType&>(type).unit()) {
    case arrow::TimeUnit::MILLI:
      return TimestampUnit::kMillis;
    case arrow::TimeUnit::MICRO:
      return TimestampUnit::kMicros;
    case arrow::TimeUnit::NANO:
      return TimestampUnit::kNanos;
    default:
      return TimestampUnit::kNone;
  }
}

// Rounds down, which Arrow's cast does not.
Result<std::shared_ptr<arrow::Buffer>> InUnit(const arrow::ArrayData& data, TimestampUnit from,
                                              TimestampUnit to) {
  const int64_t end = data.offset + data.length;
  auto buffer = TRY(BytesFor(end * int64_t{sizeof(int64_t)}));
  auto* out = reinterpret_cast<int64_t*>(buffer->mutable_data());
  const auto* values = data.GetValues<int64_t>(1);
  for (int64_t i = 0; i < data.length; ++i) {
    if (!data.IsValid(i)) continue;
    const auto* value = reinterpret_cast<const uint8_t*>(values + i);
    if (parquet::ConvertTimestamps(from, to, value, 1, out + data.offset + i)) continue;
    return parquet::TimestampRangeError(to);
  }
  return buffer;
}

// Numbers in two's complement, little-endian, as Arrow has decimals.
class WideNumbers {
 public:
  explicit WideNumbers(const arrow::ArrayData& data)
      : width_(
            static_cast<size_t>(static_cast<const arrow::DecimalType&>(*data.type).byte_width())),
        at_(data.buffers[1]->data() + static_cast<size_t>(data.offset) * width_) {}

  // Bytes that the number needs, at least one.
  size_t BytesOf(int64_t i) const {
    const uint8_t* number = At(i);
    size_t bytes = width_;
    while (bytes > 1 && number[bytes - 1] == Sign(i) &&
           ((number[bytes - 2] ^ Sign(i)) & 0x80) == 0) {
      --bytes;
    }
    return bytes;
  }
  // false: it needs more.
  bool Put(int64_t i, uint8_t* to, size_t bytes) const {
    if (BytesOf(i) > bytes) return false;
    std::fill_n(to, bytes, Sign(i));
    std::memcpy(to, At(i), std::min(bytes, width_));
    return true;
  }

 private:
  const uint8_t* At(int64_t i) const { return at_ + static_cast<size_t>(i) * width_; }
  uint8_t Sign(int64_t i) const { return (At(i)[width_ - 1] & 0x80) != 0 ? 0xff : 0; }

  size_t width_;
  const uint8_t* at_;
};

// Decimals as wider or narrower ones, or as the bytes, big-endian, that a file has.
ArrayResult RetypedDecimals(const arrow::ArrayData& data,
                            const std::shared_ptr<arrow::DataType>& type) {
  const WideNumbers numbers(data);
  const bool big_endian = !arrow::is_decimal(type->id());
  const auto width = static_cast<size_t>(type->byte_width());
  auto buffer = TRY(BytesFor((data.offset + data.length) * static_cast<int64_t>(width)));
  uint8_t* to = buffer->mutable_data() + static_cast<size_t>(data.offset) * width;
  for (int64_t i = 0; i < data.length; ++i, to += width) {
    if (!data.IsValid(i)) continue;
    if (!numbers.Put(i, to, width)) {
      return MakeError(ErrorKind::kCorrupt, "has a decimal that is more than its precision allows");
    }
    if (big_endian) std::reverse(to, to + width);
  }
  auto out = data.Copy();
  out->type = type;
  out->buffers[1] = std::move(buffer);
  return out;
}

// Each as long as it needs, big-endian.
ArrayResult DecimalsOfAnyLength(const arrow::ArrayData& data,
                                const std::shared_ptr<arrow::DataType>& type) {
  const WideNumbers numbers(data);
  auto offsets = TRY(BytesFor((data.offset + data.length + 1) * int64_t{sizeof(int32_t)}));
  auto* ends = reinterpret_cast<int32_t*>(offsets->mutable_data()) + data.offset;
  for (int64_t i = 0; i < data.length; ++i) {
    const size_t bytes = data.IsValid(i) ? numbers.BytesOf(i) : 0;
    ends[i + 1] = ends[i] + static_cast<int32_t>(bytes);
  }
  auto buffer = TRY(BytesFor(ends[data.length]));
  for (int64_t i = 0; i < data.length; ++i) {
    uint8_t* to = buffer->mutable_data() + ends[i];
    uint8_t* end = buffer->mutable_data() + ends[i + 1];
    if (to == end) continue;
    numbers.Put(i, to, static_cast<size_t>(end - to));
    std::reverse(to, end);
  }
  auto out = data.Copy();
  out->type = type;
  out->buffers = {data.buffers[0], std::move(offsets), std::move(buffer)};
  return out;
}

// Where `type`'s field is in `from`; -1: it is not there. Two fields may have the same name.
int PlaceOfField(const arrow::StructType& from, const arrow::DataType& type, int field) {
  const std::string& name = type.field(field)->name();
  if (field < from.num_fields() && from.field(field)->name() == name) return field;
  return from.GetFieldIndex(name);
}

ArrayResult RetypedStruct(const arrow::ArrayData& data,
                          const std::shared_ptr<arrow::DataType>& type) {
  const auto& from = static_cast<const arrow::StructType&>(*data.type);
  auto out = data.Copy();
  out->type = type;
  out->child_data.clear();
  for (int i = 0; i < type->num_fields(); ++i) {
    const int at = PlaceOfField(from, *type, i);
    const auto& field_type = type->field(i)->type();
    out->child_data.push_back(
        at < 0 ? TRY(NullRows(field_type, data.offset + data.length))
               : TRY(Retyped(*data.child_data[static_cast<size_t>(at)], field_type)));
  }
  return out;
}

// A map's or list's inner fields, whatever their names.
ArrayResult RetypedByPosition(const arrow::ArrayData& data,
                              const std::shared_ptr<arrow::DataType>& type) {
  auto out = data.Copy();
  out->type = type;
  for (size_t i = 0; i < out->child_data.size(); ++i) {
    const auto& child = type->field(static_cast<int>(i))->type();
    out->child_data[i] = type->id() == arrow::Type::MAP
                             ? TRY(RetypedByPosition(*data.child_data[i], child))
                             : TRY(Retyped(*data.child_data[i], child));
  }
  return out;
}

ArrayResult RetypedDecimal(const arrow::ArrayData& data,
                           const std::shared_ptr<arrow::DataType>& type) {
  if (type->id() == arrow::Type::BINARY) return DecimalsOfAnyLength(data, type);
  if (type->id() == arrow::Type::FIXED_SIZE_BINARY || arrow::is_decimal(type->id())) {
    return RetypedDecimals(data, type);
  }
  return CastTo(data, type);
}

// An empty dictionary has no value for the indices of what must not be null in groups that are.
ArrayResult WithoutDictionary(const arrow::ArrayData& data) {
  const auto& values = static_cast<const arrow::DictionaryType&>(*data.type).value_type();
  if (data.dictionary->length > 0) return CastTo(data, values);
  auto out = TRY(NullRows(values, data.length));
  if (data.GetNullCount() == 0) DropNulls(*out);
  return out;
}

// Of types that only an Arrow schema in the file asks for, or none: the plain ones.
ArrayResult WithoutArrowType(const arrow::ArrayData& data,
                             const std::shared_ptr<arrow::DataType>& type) {
  switch (data.type->id()) {
    case arrow::Type::NA:
      return NullRows(type, data.length);
    case arrow::Type::EXTENSION: {
      auto storage = data.Copy();
      storage->type = static_cast<const arrow::ExtensionType&>(*data.type).storage_type();
      return storage;
    }
    case arrow::Type::DICTIONARY:
      return WithoutDictionary(data);
    default:  // lists of other kinds
      return CastTo(*WithoutNeedlessNulls(data), arrow::list(data.type->field(0)));
  }
}

bool HasArrowType(const arrow::ArrayData& data, const arrow::DataType& type) {
  switch (data.type->id()) {
    case arrow::Type::NA:
    case arrow::Type::EXTENSION:
    case arrow::Type::DICTIONARY:
      return true;
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
    case arrow::Type::LIST_VIEW:
    case arrow::Type::LARGE_LIST_VIEW:
      return type.id() == arrow::Type::LIST;
    default:
      return false;
  }
}

}  // namespace

Status FromArrow(const arrow::Status& status, std::string_view doing, ErrorKind kind) {
  if (status.ok()) return {};
  return MakeError(kind, std::string(doing) + ": " + status.message());
}

arrow::MemoryPool* RowMemory() { return arrow::system_memory_pool(); }

Result<std::shared_ptr<arrow::Schema>> RowSchema(const pq::SchemaDescriptor& schema) {
  std::shared_ptr<arrow::Schema> out;
  arrow::Status made;
  TRY(parquet::TryParquet("the output's schema", [&] {
    pq::SchemaDescriptor unsaid;
    unsaid.Init(RowNodeOf(*schema.schema_root()));
    made = pq::arrow::FromParquetSchema(&unsaid, pq::default_arrow_reader_properties(), &out);
  }));
  TRY(FromArrow(made, "the output's schema", ErrorKind::kInvalid));
  return out;
}

ArrayResult NullRows(const std::shared_ptr<arrow::DataType>& type, int64_t length) {
  auto nulls = arrow::MakeArrayOfNull(type, length, RowMemory());
  if (!nulls.ok()) return MakeError(ErrorKind::kExhausted, nulls.status().message());
  auto out = (*nulls)->data()->Copy();
  if (type->id() != arrow::Type::STRUCT) return out;
  for (int i = 0; i < type->num_fields(); ++i) {
    auto child = TRY(NullRows(type->field(i)->type(), length));
    if (!type->field(i)->nullable()) DropNulls(*child);  // zeroes, or nothing in each
    out->child_data[static_cast<size_t>(i)] = std::move(child);
  }
  return out;
}

ArrayResult Retyped(const arrow::ArrayData& data, const std::shared_ptr<arrow::DataType>& type) {
  if (data.type->Equals(*type)) return data.Copy();
  if (HasArrowType(data, *type)) return Retyped(*TRY(WithoutArrowType(data, type)), type);
  if (data.type->id() == type->id() && type->num_fields() > 0) {
    return type->id() == arrow::Type::STRUCT ? RetypedStruct(data, type)
                                             : RetypedByPosition(data, type);
  }
  if (arrow::is_decimal(data.type->id())) return RetypedDecimal(data, type);
  const TimestampUnit from = UnitOfTimes(*data.type), to = UnitOfTimes(*type);
  if (from != TimestampUnit::kNone && to != TimestampUnit::kNone) {
    auto out = data.Copy();
    out->type = type;
    if (from != to) out->buffers[1] = TRY(InUnit(data, from, to));
    return out;
  }
  return CastTo(data, type);
}

}  // namespace varve::merge

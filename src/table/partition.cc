#include "table/partition.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"
#include "core/clock.h"
#include "table/bounds.h"

namespace varve::table {
namespace {

constexpr int64_t kHourMicros = 3'600'000'000, kDayMicros = 86'400'000'000;

Type Simple(TypeId id) {
  Type type;
  type.id = id;
  return type;
}

Error Unsupported(std::string_view transform, const Type& source) {
  return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_TRANSFORM",
                   fmt::format("no partitioning by {} of a {}", transform, TypeName(source)));
}

bool IsTimestamp(const Type& type) {
  return type.id == TypeId::kTimestamp || type.id == TypeId::kTimestamptz;
}

bool IsSpace(char c) { return c == ' ' || c == '\t'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> Parts(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!Trim(text).empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    parts.push_back(Trim(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

Result<const Field*> Column(const Schema& schema, std::string_view name) {
  const Field* field = FindField(schema, name);
  if (field == nullptr || field->type.is_nested()) {
    return MakeError(ErrorKind::kInvalid, "NO_SUCH_COLUMN",
                     fmt::format("the table has no column '{}' of a plain type", name));
  }
  return field;
}

// Months since 1970.
int64_t MonthOf(int64_t ms) {
  const CivilTime civil = CivilFromMs(ms);
  return (int64_t{civil.year} - 1970) * 12 + civil.month - 1;
}

std::string TransformedText(std::string_view transform, const Type& result,
                            std::string_view value) {
  const auto number = [&] { return int64_t{GetLe<int32_t>(value.data())}; };
  if (transform == "hour") {
    std::string text = FormatIso(number() * 3'600'000).substr(0, 13);
    text[10] = '-';
    return text;
  }
  if (transform == "month") {
    const int64_t months = number();
    return fmt::format("{:04}-{:02}", 1970 + FloorDiv(months, 12),
                       months - FloorDiv(months, 12) * 12 + 1);
  }
  if (transform == "year") return fmt::format("{:04}", 1970 + number());
  return ValueText(result, value);
}

// Other bytes than these trouble readers (':' on Hadoop) or Delta's URIs ('%', ' ').
std::string SafeSegment(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 64)) {
    const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-';
    out.push_back(safe ? c : '_');
  }
  return out;
}

}  // namespace

Result<Type> TransformResult(std::string_view transform, const Type& source) {
  if (transform == "identity" && !source.is_nested()) return source;
  if (transform == "void") return source;
  const bool date = source.id == TypeId::kDate;
  if (transform == "hour" && IsTimestamp(source)) return Simple(TypeId::kInt);
  if (transform == "day" && (IsTimestamp(source) || date)) return Simple(TypeId::kDate);
  if ((transform == "month" || transform == "year") && (IsTimestamp(source) || date)) {
    return Simple(TypeId::kInt);
  }
  if (transform.starts_with("bucket[")) return Simple(TypeId::kInt);
  if (transform.starts_with("truncate[")) return source;
  return Unsupported(transform, source);
}

Result<std::string> ApplyTransform(std::string_view transform, const Type& source,
                                   std::string_view value) {
  TRY(TransformResult(transform, source));
  if (!IsValue(source, value)) {
    return MakeError(ErrorKind::kInvalid, "value is no " + TypeName(source));
  }
  if (transform == "identity") return std::string(value);
  const bool date = source.id == TypeId::kDate;
  if (!date && !IsTimestamp(source)) return Unsupported(transform, source);
  const int64_t micros =
      date ? GetLe<int32_t>(value.data()) * kDayMicros : GetLe<int64_t>(value.data());
  int64_t number = 0;
  if (transform == "hour") {
    number = FloorDiv(micros, kHourMicros);
  } else if (transform == "day") {
    number = FloorDiv(micros, kDayMicros);
  } else if (transform == "month") {
    number = MonthOf(FloorDiv(micros, 1000));
  } else if (transform == "year") {
    number = CivilFromMs(FloorDiv(micros, 1000)).year - 1970;
  } else {
    return Unsupported(transform, source);
  }
  if (number < INT32_MIN || number > INT32_MAX) {
    return MakeError(ErrorKind::kInvalid, "TIME_OUT_OF_RANGE",
                     fmt::format("{} µs is no {} of Iceberg", micros, transform));
  }
  std::string out;
  AppendLe<int32_t>(out, static_cast<int32_t>(number));
  return out;
}

Result<PartitionSpec> ParsePartitioning(std::string_view text, const Schema& schema) {
  PartitionSpec spec;
  for (const std::string_view part : Parts(text)) {
    const size_t open = part.find('(');
    const bool call = open != std::string_view::npos && part.ends_with(")");
    const std::string_view transform = call ? Trim(part.substr(0, open)) : "identity";
    const std::string_view name = call ? Trim(part.substr(open + 1, part.size() - open - 2)) : part;
    const Field* column = TRY(Column(schema, name));
    if (transform.starts_with("bucket") || transform.starts_with("truncate")) {
      return Unsupported(transform, column->type);
    }
    TRY(TransformResult(transform, column->type));
    PartitionField field;
    field.source_id = column->id;
    field.field_id = kFirstPartitionFieldId + static_cast<int32_t>(spec.fields.size());
    field.transform = transform;
    field.name =
        transform == "identity" ? std::string(name) : fmt::format("{}_{}", name, transform);
    spec.fields.push_back(std::move(field));
  }
  return spec;
}

Result<SortOrder> ParseSorting(std::string_view text, const Schema& schema) {
  SortOrder order;
  for (std::string_view part : Parts(text)) {
    SortField field;
    field.descending = part.ends_with(" desc");
    field.nulls_first = !field.descending;
    if (field.descending) part.remove_suffix(5);
    field.source_id = TRY(Column(schema, Trim(part)))->id;
    order.fields.push_back(std::move(field));
  }
  order.id = order.fields.empty() ? 0 : 1;
  return order;
}

Result<std::string> PartitionPath(const PartitionSpec& spec, const Schema& schema,
                                  const PartitionTuple& tuple) {
  CHECK(tuple.size() == spec.fields.size());
  std::string path;
  for (size_t i = 0; i < tuple.size(); ++i) {
    const PartitionField& field = spec.fields[i];
    const Field* source = FindField(schema, field.source_id);
    if (source == nullptr) {
      return MakeError(ErrorKind::kCorrupt,
                       fmt::format("partition field '{}' has no column", field.name));
    }
    const Type result = TRY(TransformResult(field.transform, source->type));
    const std::string text = tuple[i] ? TransformedText(field.transform, result, *tuple[i])
                                      : "__HIVE_DEFAULT_PARTITION__";
    if (!path.empty()) path += '/';
    path += SafeSegment(field.name) + "=" + SafeSegment(text);
  }
  return path;
}

}  // namespace varve::table

#include "query/value_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/bytes.h"
#include "core/clock.h"
#include "query/duck_handles.h"

namespace varve::query {

namespace {

using Wide = __int128;
using UnsignedWide = unsigned __int128;

void AppendDigits(UnsignedWide value, std::string& out) {
  std::array<char, 40> digits;
  size_t at = digits.size();
  do {
    digits[--at] = static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value != 0);
  out.append(digits.data() + at, digits.size() - at);
}

void AppendWide(Wide value, std::string& out) {
  if (value < 0) out += '-';
  AppendDigits(value < 0 ? -static_cast<UnsignedWide>(value) : static_cast<UnsignedWide>(value),
               out);
}

Wide FromHuge(const duckdb_hugeint& value) {
  return static_cast<Wide>((static_cast<UnsignedWide>(value.upper) << 64) | value.lower);
}

void AppendDecimal(Wide value, uint8_t scale, std::string& out) {
  UnsignedWide magnitude =
      value < 0 ? -static_cast<UnsignedWide>(value) : static_cast<UnsignedWide>(value);
  if (value < 0) out += '-';
  if (scale == 0) return AppendDigits(magnitude, out);
  std::string digits;
  AppendDigits(magnitude, digits);
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  out.append(digits, 0, digits.size() - scale);
  out += '.';
  out.append(digits, digits.size() - scale);
}

void AppendDate(int64_t days, std::string& out) {
  const CivilTime t = CivilFromMs(days * 86'400'000);
  if (t.year > 9999 || t.year < 0) {
    out += fmt::format("{:+07}-{:02}-{:02}", t.year, t.month, t.day);
  } else {
    out += fmt::format("{:04}-{:02}-{:02}", t.year, t.month, t.day);
  }
}

// Three digits after the point where they say it all, else as many as the unit has.
void AppendTime(int64_t nanos, bool has_nanos, std::string& out) {
  const int64_t seconds = nanos / 1'000'000'000;
  const int64_t fraction = nanos % 1'000'000'000;
  out += fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (fraction % 1'000'000 == 0) {
    out += fmt::format(".{:03}", fraction / 1'000'000);
  } else if (!has_nanos || fraction % 1000 == 0) {
    out += fmt::format(".{:06}", fraction / 1000);
  } else {
    out += fmt::format(".{:09}", fraction);
  }
}

// value counts units of nanos_per_unit since 1970.
void AppendTimestamp(int64_t value, int64_t nanos_per_unit, bool instant, std::string& out) {
  if (value == INT64_MAX || value == -INT64_MAX) {
    out += value > 0 ? "infinity" : "-infinity";
    return;
  }
  const int64_t units_per_day = 86'400'000'000'000 / nanos_per_unit;
  int64_t days = value / units_per_day;
  int64_t rest = value % units_per_day;
  if (rest < 0) {
    rest += units_per_day;
    --days;
  }
  AppendDate(days, out);
  out += 'T';
  AppendTime(rest * nanos_per_unit, nanos_per_unit == 1, out);
  if (instant) out += 'Z';
}

void AppendInterval(const duckdb_interval& value, std::string& out) {
  const size_t start = out.size();
  const auto part = [&](int64_t count, const char* unit) {
    if (count == 0) return;
    if (out.size() > start) out += ' ';
    out += fmt::format("{} {}{}", count, unit, count == 1 || count == -1 ? "" : "s");
  };
  part(value.months / 12, "year");
  part(value.months % 12, "month");
  part(value.days, "day");
  if (value.micros == 0 && out.size() > start) return;
  if (out.size() > start) out += ' ';
  if (value.micros < 0) out += '-';
  const uint64_t micros = value.micros < 0 ? 0 - static_cast<uint64_t>(value.micros)
                                           : static_cast<uint64_t>(value.micros);
  const uint64_t seconds = micros / 1'000'000;
  out += fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (micros % 1'000'000 != 0) out += fmt::format(".{:06}", micros % 1'000'000);
}

void AppendUuid(const duckdb_hugeint& value, std::string& out) {
  const uint64_t high = static_cast<uint64_t>(value.upper) ^ (1ull << 63);
  out += fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff,
                     high & 0xffff, value.lower >> 48, value.lower & 0xffffffffffff);
}

void AppendDouble(double value, std::string& out) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(out), "{}", value);
  } else {
    out += "null";
  }
}

template <typename T>
const T& At(const void* data, idx_t row) {
  return static_cast<const T*>(data)[row];
}

Wide IntegerAt(duckdb_type type, const void* data, idx_t row) {
  switch (type) {
    case DUCKDB_TYPE_TINYINT:
      return At<int8_t>(data, row);
    case DUCKDB_TYPE_SMALLINT:
      return At<int16_t>(data, row);
    case DUCKDB_TYPE_INTEGER:
      return At<int32_t>(data, row);
    case DUCKDB_TYPE_BIGINT:
      return At<int64_t>(data, row);
    case DUCKDB_TYPE_UTINYINT:
      return At<uint8_t>(data, row);
    case DUCKDB_TYPE_USMALLINT:
      return At<uint16_t>(data, row);
    case DUCKDB_TYPE_UINTEGER:
      return At<uint32_t>(data, row);
    case DUCKDB_TYPE_UBIGINT:
      return At<uint64_t>(data, row);
    default:
      return FromHuge(At<duckdb_hugeint>(data, row));
  }
}

bool AppendTemporal(duckdb_type type, const void* data, idx_t row, std::string& out) {
  switch (type) {
    case DUCKDB_TYPE_DATE: {
      const int32_t days = At<int32_t>(data, row);
      if (days == INT32_MAX || days == -INT32_MAX) {
        out += days > 0 ? "infinity" : "-infinity";
      } else {
        AppendDate(days, out);
      }
      return true;
    }
    case DUCKDB_TYPE_TIME:
      AppendTime(At<int64_t>(data, row) * 1000, false, out);
      return true;
    case DUCKDB_TYPE_TIMESTAMP:
      AppendTimestamp(At<int64_t>(data, row), 1000, false, out);
      return true;
    case DUCKDB_TYPE_TIMESTAMP_TZ:
      AppendTimestamp(At<int64_t>(data, row), 1000, true, out);
      return true;
    case DUCKDB_TYPE_TIMESTAMP_S:
      AppendTimestamp(At<int64_t>(data, row), 1'000'000'000, false, out);
      return true;
    case DUCKDB_TYPE_TIMESTAMP_MS:
      AppendTimestamp(At<int64_t>(data, row), 1'000'000, false, out);
      return true;
    case DUCKDB_TYPE_TIMESTAMP_NS:
      AppendTimestamp(At<int64_t>(data, row), 1, false, out);
      return true;
    case DUCKDB_TYPE_INTERVAL:
      AppendInterval(At<duckdb_interval>(data, row), out);
      return true;
    default:
      return false;
  }
}

bool IsNarrow(duckdb_type type) {
  return type == DUCKDB_TYPE_TINYINT || type == DUCKDB_TYPE_SMALLINT ||
         type == DUCKDB_TYPE_INTEGER || type == DUCKDB_TYPE_BIGINT;
}

}  // namespace

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, start, i - start);
    start = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += fmt::format("\\u{:04x}", c);
    }
  }
  out.append(text, start);
  out += '"';
}

CellReader::CellReader(const CellType& type, duckdb_vector vector)
    : type_(&type),
      data_(duckdb_vector_get_data(vector)),
      validity_(duckdb_vector_get_validity(vector)) {
  switch (type.id) {
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_MAP:
      children_.emplace_back(type.children[0], duckdb_list_vector_get_child(vector));
      break;
    case DUCKDB_TYPE_ARRAY:
      children_.emplace_back(type.children[0], duckdb_array_vector_get_child(vector));
      break;
    case DUCKDB_TYPE_STRUCT:
      for (idx_t i = 0; i < type.children.size(); ++i) {
        children_.emplace_back(type.children[i], duckdb_struct_vector_get_child(vector, i));
      }
      break;
    default:
      break;
  }
}

bool CellReader::IsNull(idx_t row) const {
  return type_->id == DUCKDB_TYPE_SQLNULL || !IsValid(validity_, row);
}

bool CellReader::IsNested() const { return !children_.empty(); }

bool CellReader::IsQuoted() const {
  switch (type_->id) {
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT:
    case DUCKDB_TYPE_DECIMAL:
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE:
      return false;
    default:
      return true;
  }
}

void CellReader::AppendJson(idx_t row, std::string& out) const {
  if (IsNull(row)) {
    out += "null";
  } else if (IsNested()) {
    AppendNested(row, out);
  } else if (type_->id == DUCKDB_TYPE_VARCHAR) {
    AppendJsonString(out, TextOf(At<duckdb_string_t>(data_, row)));
  } else if (type_->id == DUCKDB_TYPE_ENUM) {
    std::string label;
    AppendPlain(row, label);
    AppendJsonString(out, label);
  } else if (IsQuoted()) {
    out += '"';
    AppendPlain(row, out);
    out += '"';
  } else {
    AppendPlain(row, out);
  }
}

void CellReader::AppendText(idx_t row, std::string& out) const {
  if (IsNull(row)) return;
  if (IsNested()) {
    AppendNested(row, out);
  } else if (type_->id == DUCKDB_TYPE_DOUBLE && !std::isfinite(At<double>(data_, row))) {
    out += fmt::format("{}", At<double>(data_, row));
  } else if (type_->id == DUCKDB_TYPE_FLOAT && !std::isfinite(At<float>(data_, row))) {
    out += fmt::format("{}", At<float>(data_, row));
  } else {
    AppendPlain(row, out);
  }
}

void CellReader::AppendPlain(idx_t row, std::string& out) const {
  switch (type_->id) {
    case DUCKDB_TYPE_BOOLEAN:
      out += At<bool>(data_, row) ? "true" : "false";
      break;
    case DUCKDB_TYPE_UHUGEINT: {
      const auto& value = At<duckdb_uhugeint>(data_, row);
      AppendDigits((static_cast<UnsignedWide>(value.upper) << 64) | value.lower, out);
      break;
    }
    case DUCKDB_TYPE_DECIMAL:
      AppendDecimal(IntegerAt(type_->internal, data_, row), type_->scale, out);
      break;
    case DUCKDB_TYPE_FLOAT:
      std::isfinite(At<float>(data_, row)) ? void(out += fmt::format("{}", At<float>(data_, row)))
                                           : void(out += "null");
      break;
    case DUCKDB_TYPE_DOUBLE:
      AppendDouble(At<double>(data_, row), out);
      break;
    case DUCKDB_TYPE_VARCHAR:
      out += TextOf(At<duckdb_string_t>(data_, row));
      break;
    case DUCKDB_TYPE_BLOB:
      out += Base64Encode(TextOf(At<duckdb_string_t>(data_, row)));
      break;
    case DUCKDB_TYPE_UUID:
      AppendUuid(At<duckdb_hugeint>(data_, row), out);
      break;
    case DUCKDB_TYPE_ENUM: {
      const auto index = static_cast<size_t>(IntegerAt(type_->internal, data_, row));
      if (index < type_->labels.size()) out += type_->labels[index];
      break;
    }
    case DUCKDB_TYPE_BIGINT:
      fmt::format_to(std::back_inserter(out), "{}", At<int64_t>(data_, row));
      break;
    default:
      if (AppendTemporal(type_->id, data_, row, out)) break;
      if (IsNarrow(type_->id)) {
        fmt::format_to(std::back_inserter(out), "{}",
                       static_cast<int64_t>(IntegerAt(type_->id, data_, row)));
      } else {
        AppendWide(IntegerAt(type_->id, data_, row), out);
      }
  }
}

void CellReader::AppendNested(idx_t row, std::string& out) const {
  switch (type_->id) {
    case DUCKDB_TYPE_STRUCT:
      out += '{';
      for (size_t i = 0; i < children_.size(); ++i) {
        if (i > 0) out += ',';
        AppendJsonString(out, type_->labels[i]);
        out += ':';
        children_[i].AppendJson(row, out);
      }
      out += '}';
      break;
    case DUCKDB_TYPE_ARRAY:
      AppendList(row * type_->array_size, type_->array_size, out);
      break;
    case DUCKDB_TYPE_MAP: {
      const auto& entry = At<duckdb_list_entry>(data_, row);
      AppendMap(entry.offset, entry.length, out);
      break;
    }
    default: {
      const auto& entry = At<duckdb_list_entry>(data_, row);
      AppendList(entry.offset, entry.length, out);
    }
  }
}

void CellReader::AppendList(idx_t first, idx_t count, std::string& out) const {
  out += '[';
  for (idx_t i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    children_[0].AppendJson(first + i, out);
  }
  out += ']';
}

void CellReader::AppendMap(idx_t first, idx_t count, std::string& out) const {
  const CellReader& entries = children_[0];
  const bool text_keys = entries.children_[0].type_->id == DUCKDB_TYPE_VARCHAR;
  out += text_keys ? '{' : '[';
  for (idx_t i = first; i < first + count; ++i) {
    if (i > first) out += ',';
    if (!text_keys) out += '[';
    entries.children_[0].AppendJson(i, out);
    out += text_keys ? ':' : ',';
    entries.children_[1].AppendJson(i, out);
    if (!text_keys) out += ']';
  }
  out += text_keys ? '}' : ']';
}

}  // namespace varve::query

#include "query/table_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "core/clock.h"
#include "query/sql_text.h"

namespace varve::query {

namespace {

// hive_partitioning would add columns out of logs' paths.
std::string ReadParquet(std::span<const std::string> paths, bool by_name = false) {
  return fmt::format("read_parquet({}, hive_partitioning = false, union_by_name = {})",
                     SqlStringList(paths), by_name);
}

std::string SignatureOf(const FileShape& shape) {
  std::string out;
  for (const FileColumn& column : shape.columns) {
    out += column.name;
    out += '\0';
    out += static_cast<char>('0' + column.kind);
  }
  return out;
}

// A column of an odd file as the table's type; by way of text, which every type becomes and which
// TRY_CAST takes to any other.
std::string CastColumn(const TableColumn& wanted, const FileShape& shape) {
  const auto it = std::ranges::find(shape.columns, wanted.name, &FileColumn::name);
  const std::string as = fmt::format(" AS {}", SqlName(wanted.name));
  if (it == shape.columns.end()) return fmt::format("CAST(NULL AS {}){}", wanted.sql_type, as);
  const std::string name = SqlName(wanted.name);
  if (wanted.type == DUCKDB_TYPE_VARCHAR) {
    return fmt::format("CAST({} AS VARCHAR){}", name, as);
  }
  if (it->kind == FileColumn::kNested) {
    return fmt::format("CAST(NULL AS {}){}", wanted.sql_type, as);
  }
  if (wanted.type == DUCKDB_TYPE_TIMESTAMP_TZ) {
    if (it->kind == FileColumn::kInstant) {
      return fmt::format("CAST({} AS {}){}", name, wanted.sql_type, as);
    }
    if (it->kind == FileColumn::kNumber) {
      return fmt::format("TRY(make_timestamptz(CAST({} AS BIGINT) * 1000)){}", name, as);
    }
  }
  if (it->kind == FileColumn::kInstant && wanted.type == DUCKDB_TYPE_BIGINT) {
    return fmt::format("epoch_ms({}){}", name, as);
  }
  return fmt::format("TRY_CAST(CAST({} AS VARCHAR) AS {}){}", name, wanted.sql_type, as);
}

std::string OddSelect(std::span<const TableColumn> columns, const FileShape& shape,
                      std::span<const std::string> paths) {
  std::string list;
  for (const TableColumn& column : columns) {
    if (!list.empty()) list += ", ";
    list += CastColumn(column, shape);
  }
  return fmt::format("SELECT {} FROM {}", list, ReadParquet(paths, true));
}

std::optional<int> NumberIn(std::string_view text, std::string_view label) {
  if (text.starts_with(label)) text.remove_prefix(label.size());
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

// The hours, days or months that a key's directories name, as [start, end); none when they name
// no date.
struct Span {
  int64_t start_ms, end_ms;
};

std::optional<Span> SpanOf(std::string_view key) {
  static constexpr std::array<std::string_view, 4> kLabels = {"year=", "month=", "day=", "hour="};
  std::array<int, 4> parts{};
  size_t found = 0;
  while (true) {
    const size_t slash = key.find('/');
    if (slash == std::string_view::npos) break;  // what is left is the file's name
    const std::string_view segment = key.substr(0, slash);
    key.remove_prefix(slash + 1);
    const auto number = found < 4 ? NumberIn(segment, kLabels[found]) : std::nullopt;
    const bool year_like = segment.size() == 4 || segment.starts_with("year=");
    if (number && (found > 0 || year_like)) {
      parts[found++] = *number;
    } else if (found > 0) {
      return {};  // a date, then something else: not a layout of ours
    }
  }
  if (found < 2 || parts[1] < 1 || parts[1] > 12) return {};
  CivilTime start{parts[0], parts[1], found > 2 ? parts[2] : 1, parts[3], 0, 0, 0};
  if (found > 3) return Span{MsFromCivil(start), MsFromCivil(start) + 3'600'000};
  if (found > 2) return Span{MsFromCivil(start), MsFromCivil(start) + 86'400'000};
  CivilTime end = start;
  end.month == 12 ? (end.month = 1, ++end.year) : ++end.month;
  return Span{MsFromCivil(start), MsFromCivil(end)};
}

}  // namespace

TableView MakeTableView(std::span<const TableColumn> columns, std::span<const FileRef> files,
                        std::span<const FileShape> shapes, std::string_view row_function) {
  TableView view;
  std::vector<std::string> exact;
  std::map<std::string, std::pair<const FileShape*, std::vector<std::string>>> odd;
  for (size_t i = 0; i < files.size(); ++i) {
    if (!shapes[i].readable) {
      view.warnings.push_back(fmt::format("{}: left out: {}", files[i].key, shapes[i].problem));
      continue;
    }
    view.paths.push_back(files[i].path);
    if (shapes[i].exact) {
      exact.push_back(files[i].path);
    } else {
      auto& group = odd[SignatureOf(shapes[i])];
      group.first = &shapes[i];
      group.second.push_back(files[i].path);
    }
  }
  std::vector<std::string> parts;
  const std::string list = ColumnList(columns);
  if (!exact.empty()) parts.push_back(fmt::format("SELECT {} FROM {}", list, ReadParquet(exact)));
  for (const auto& [signature, group] : odd) {
    parts.push_back(OddSelect(columns, *group.first, group.second));
  }
  if (!row_function.empty()) {
    parts.push_back(fmt::format("SELECT {} FROM {}()", list, row_function));
  }
  if (parts.empty()) parts.push_back(EmptyRelation(columns));
  view.select = fmt::format("{}", fmt::join(parts, " UNION ALL "));
  return view;
}

std::vector<FileRef> PruneByPath(std::vector<FileRef> files, const TimeRange& range) {
  if (!range.start_ms && !range.end_ms) return files;
  std::erase_if(files, [&](const FileRef& file) {
    const auto span = SpanOf(file.key);
    if (!span) return false;
    return (range.start_ms && span->end_ms <= *range.start_ms) ||
           (range.end_ms && span->start_ms >= *range.end_ms);
  });
  return files;
}

}  // namespace varve::query

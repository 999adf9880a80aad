// A table for people: a box drawn in Unicode, columns as wide as their first rows ask for within
// bounds, wider text cut with an ellipsis, numbers to the right, NULL shown.
#include <fmt/format.h>

#include <algorithm>

#include "query/result_writer.h"

namespace varve::query {

namespace {

constexpr size_t kSampleRows = 512;
constexpr size_t kCellWidthMax = 48;
constexpr size_t kCellWidthMaxAlone = 160;  // of a result with one or two columns

// Columns a terminal gives a code point: none for combining marks, two for wide ones.
size_t WidthOf(char32_t c) {
  if ((c >= 0x300 && c <= 0x36f) || c == 0x200d || (c >= 0xfe00 && c <= 0xfe0f)) return 0;
  const bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
                    (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
                    (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
                    (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
  return wide ? 2 : 1;
}

struct CodePoint {
  char32_t value;
  size_t bytes;
};

CodePoint CodePointAt(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (bytes == 1 || at + bytes > text.size()) return {lead, 1};
  char32_t value = lead & (0xff >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) value = value << 6 | (text[at + i] & 0x3f);
  return {value, bytes};
}

struct Cell {
  std::string text;
  size_t width = 0;
};

// No control characters reach the terminal, and no more than the widest column's text is kept.
Cell Printable(std::string_view text, size_t width_max) {
  Cell cell;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = CodePointAt(text, at);
    std::string shown(text.substr(at, point.bytes));
    if (point.value == '\n') shown = "\\n";
    if (point.value == '\t') shown = "\\t";
    if (point.value == '\r') shown = "\\r";
    if (shown.size() == 1 && (point.value < 0x20 || point.value == 0x7f)) shown = "?";
    if (point.value >= 0x80 && point.value < 0xa0) shown = "?";
    const size_t width = shown.size() == 2 && shown[0] == '\\' ? 2 : WidthOf(point.value);
    if (cell.width + width > width_max) {
      while (cell.width + 1 > width_max && !cell.text.empty()) {
        size_t back = cell.text.size() - 1;
        while (back > 0 && (cell.text[back] & 0xc0) == 0x80) --back;
        cell.width -= WidthOf(CodePointAt(cell.text, back).value);
        cell.text.resize(back);
      }
      cell.text += "…";
      ++cell.width;
      break;
    }
    cell.text += shown;
    cell.width += width;
    at += point.bytes;
  }
  return cell;
}

bool IsNumber(const CellType& type) {
  return (type.id >= DUCKDB_TYPE_TINYINT && type.id <= DUCKDB_TYPE_DOUBLE) ||
         type.id == DUCKDB_TYPE_HUGEINT || type.id == DUCKDB_TYPE_UHUGEINT ||
         type.id == DUCKDB_TYPE_DECIMAL;
}

class TableWriter : public ResultWriter {
 public:
  TableWriter(const ResultColumns& columns, Output* output)
      : columns_(columns),
        output_(output),
        width_max_(columns.names.size() <= 2 ? kCellWidthMaxAlone : kCellWidthMax) {}

  Status Begin() override {
    for (size_t i = 0; i < columns_.names.size(); ++i) {
      names_.push_back(Printable(columns_.names[i], width_max_));
      types_.push_back(Printable(columns_.types[i].name, 24));
      widths_.push_back(std::max(names_[i].width, types_[i].width));
    }
    return {};
  }

  Status Rows(duckdb_data_chunk chunk, idx_t first, idx_t count) override {
    std::vector<CellReader> cells;
    for (idx_t i = 0; i < columns_.types.size(); ++i) {
      cells.emplace_back(columns_.types[i], duckdb_data_chunk_get_vector(chunk, i));
    }
    for (idx_t row = first; row < first + count; ++row) {
      std::vector<Cell> line;
      for (size_t i = 0; i < cells.size(); ++i) {
        std::string text;
        if (cells[i].IsNull(row)) text = "NULL";
        cells[i].AppendText(row, text);
        line.push_back(Printable(text, drawn_ ? widths_[i] : width_max_));
      }
      if (drawn_) {
        DrawLine(line);
        TRY(output_->FlushIfFull());
        continue;
      }
      sample_.push_back(std::move(line));
      if (sample_.size() >= kSampleRows) TRY(DrawSample());
    }
    return {};
  }

  Status End(const PageEnd& end) override {
    if (!drawn_) TRY(DrawSample());
    Rule("└", "┴", "┘");
    std::string& out = output_->buffer();
    out += fmt::format("{} {}{}\n", end.rows, end.rows == 1 ? "row" : "rows",
                       end.next_cursor.empty() ? "" : ", more wait");
    for (const std::string& warning : end.warnings) {
      out += "warning: " + Printable(warning, 400).text + "\n";
    }
    return output_->Flush();
  }

 private:
  Status DrawSample() {
    for (const auto& line : sample_) {
      for (size_t i = 0; i < line.size(); ++i) widths_[i] = std::max(widths_[i], line[i].width);
    }
    drawn_ = true;
    Rule("┌", "┬", "┐");
    DrawLine(names_);
    DrawLine(types_);
    Rule("├", "┼", "┤");
    for (const auto& line : sample_) {
      DrawLine(line);
      TRY(output_->FlushIfFull());
    }
    sample_ = {};
    return {};
  }

  void Rule(std::string_view left, std::string_view middle, std::string_view right) {
    std::string& out = output_->buffer();
    for (size_t i = 0; i < widths_.size(); ++i) {
      out += i == 0 ? left : middle;
      for (size_t n = 0; n < widths_[i] + 2; ++n) out += "─";
    }
    out += right;
    out += '\n';
  }

  void DrawLine(const std::vector<Cell>& line) {
    std::string& out = output_->buffer();
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths_[i] - line[i].width, ' ');
      const bool right = IsNumber(columns_.types[i]);
      out += "│ ";
      if (right) out += padding;
      out += line[i].text;
      if (!right) out += padding;
      out += ' ';
    }
    out += "│\n";
  }

  const ResultColumns& columns_;
  Output* output_;
  const size_t width_max_;
  std::vector<Cell> names_, types_;
  std::vector<size_t> widths_;
  std::vector<std::vector<Cell>> sample_;
  bool drawn_ = false;
};

}  // namespace

std::unique_ptr<ResultWriter> MakeTableWriter(const ResultColumns& columns, Output* output) {
  return std::make_unique<TableWriter>(columns, output);
}

}  // namespace varve::query

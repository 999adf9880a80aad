// RFC 4180 with a header line and CRLF: a NULL is nothing, an empty text is "". Cells are sent as
// they are: a cell that begins with = + - @ is not disarmed here, because that would change
// negative numbers and text alike; a spreadsheet should import the columns as text.
#include "query/result_writer.h"

namespace varve::query {

namespace {

void AppendCsvCell(std::string& out, std::string_view text) {
  const bool quoted = text.empty() || text.find_first_of(",\"\r\n") != std::string_view::npos ||
                      text.front() == ' ' || text.back() == ' ';
  if (!quoted) {
    out += text;
    return;
  }
  out += '"';
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

class CsvWriter : public ResultWriter {
 public:
  CsvWriter(const ResultColumns& columns, Output* output) : columns_(columns), output_(output) {}

  Status Begin() override {
    std::string& out = output_->buffer();
    for (size_t i = 0; i < columns_.names.size(); ++i) {
      if (i > 0) out += ',';
      AppendCsvCell(out, columns_.names[i]);
    }
    out += "\r\n";
    return {};
  }

  Status Rows(duckdb_data_chunk chunk, idx_t first, idx_t count) override {
    std::vector<CellReader> cells;
    for (idx_t i = 0; i < columns_.types.size(); ++i) {
      cells.emplace_back(columns_.types[i], duckdb_data_chunk_get_vector(chunk, i));
    }
    std::string& out = output_->buffer();
    for (idx_t row = first; row < first + count; ++row) {
      for (size_t i = 0; i < cells.size(); ++i) {
        if (i > 0) out += ',';
        if (cells[i].IsNull(row)) continue;
        cell_.clear();
        cells[i].AppendText(row, cell_);
        AppendCsvCell(out, cell_);
      }
      out += "\r\n";
      TRY(output_->FlushIfFull());
    }
    return {};
  }

  Status End(const PageEnd&) override { return output_->Flush(); }

 private:
  const ResultColumns& columns_;
  Output* output_;
  std::string cell_;
};

}  // namespace

std::unique_ptr<ResultWriter> MakeCsvWriter(const ResultColumns& columns, Output* output) {
  return std::make_unique<CsvWriter>(columns, output);
}

}  // namespace varve::query

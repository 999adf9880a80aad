// kJson: {"meta":[{"name","type"}…],"data":[{…}…],"rows","nextCursor"?,"warnings","elapsedMs"}.
// kNdjson: one object a row and nothing else.
#include <fmt/format.h>

#include "query/result_writer.h"

namespace varve::query {

namespace {

class ObjectRows {
 public:
  explicit ObjectRows(const ResultColumns& columns) : columns_(columns) {
    for (const std::string& name : columns.names) {
      std::string label = labels_.empty() ? "{" : ",";
      AppendJsonString(label, name);
      labels_.push_back(label + ":");
    }
  }

  template <typename AfterRow>
  Status Write(duckdb_data_chunk chunk, idx_t first, idx_t count, std::string& out,
               AfterRow after_row) {
    std::vector<CellReader> cells;
    for (idx_t i = 0; i < columns_.types.size(); ++i) {
      cells.emplace_back(columns_.types[i], duckdb_data_chunk_get_vector(chunk, i));
    }
    for (idx_t row = first; row < first + count; ++row) {
      for (size_t i = 0; i < cells.size(); ++i) {
        out += labels_[i];
        cells[i].AppendJson(row, out);
      }
      out += '}';
      TRY(after_row());
    }
    return {};
  }

 private:
  const ResultColumns& columns_;
  std::vector<std::string> labels_;  // {"a":  ,"b":
};

class JsonWriter : public ResultWriter {
 public:
  JsonWriter(const ResultColumns& columns, Output* output)
      : columns_(columns), rows_(columns), output_(output) {}

  Status Begin() override {
    std::string& out = output_->buffer();
    out += "{\"meta\":[";
    for (size_t i = 0; i < columns_.names.size(); ++i) {
      out += i == 0 ? "{\"name\":" : ",{\"name\":";
      AppendJsonString(out, columns_.names[i]);
      out += ",\"type\":";
      AppendJsonString(out, columns_.types[i].name);
      out += '}';
    }
    out += "],\"data\":[";
    return {};
  }

  Status Rows(duckdb_data_chunk chunk, idx_t first, idx_t count) override {
    if (count == 0) return {};
    if (any_) output_->buffer() += ',';
    any_ = true;
    idx_t left = count;
    return rows_.Write(chunk, first, count, output_->buffer(), [&]() -> Status {
      if (--left > 0) output_->buffer() += ',';
      return output_->FlushIfFull();
    });
  }

  Status End(const PageEnd& end) override {
    std::string& out = output_->buffer();
    out += fmt::format("],\"rows\":{}", end.rows);
    if (!end.next_cursor.empty()) {
      out += ",\"nextCursor\":";
      AppendJsonString(out, end.next_cursor);
    }
    out += ",\"warnings\":[";
    for (size_t i = 0; i < end.warnings.size(); ++i) {
      if (i > 0) out += ',';
      AppendJsonString(out, end.warnings[i]);
    }
    out += fmt::format("],\"elapsedMs\":{:.3f}}}\n", end.elapsed_ms);
    return output_->Flush();
  }

 private:
  const ResultColumns& columns_;
  ObjectRows rows_;
  Output* output_;
  bool any_ = false;
};

class NdjsonWriter : public ResultWriter {
 public:
  NdjsonWriter(const ResultColumns& columns, Output* output) : rows_(columns), output_(output) {}

  Status Begin() override { return {}; }
  Status Rows(duckdb_data_chunk chunk, idx_t first, idx_t count) override {
    return rows_.Write(chunk, first, count, output_->buffer(), [&]() -> Status {
      output_->buffer() += '\n';
      return output_->FlushIfFull();
    });
  }
  Status End(const PageEnd&) override { return output_->Flush(); }

 private:
  ObjectRows rows_;
  Output* output_;
};

}  // namespace

std::unique_ptr<ResultWriter> MakeJsonWriter(const ResultColumns& columns, Output* output) {
  return std::make_unique<JsonWriter>(columns, output);
}
std::unique_ptr<ResultWriter> MakeNdjsonWriter(const ResultColumns& columns, Output* output) {
  return std::make_unique<NdjsonWriter>(columns, output);
}

}  // namespace varve::query

// Writes cells into a chunk that DuckDB handed out.
#pragma once

#include <duckdb.h>

#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "query/row_scan.h"

namespace varve::query {

class ColumnOutput {
 public:
  explicit ColumnOutput(duckdb_vector vector)
      : vector_(vector), data_(duckdb_vector_get_data(vector)) {}

  void Null(idx_t row) {
    duckdb_vector_ensure_validity_writable(vector_);
    duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector_), row);
  }
  template <typename T>
  void Number(idx_t row, T value) {
    static_cast<T*>(data_)[row] = value;
  }
  // The text's bytes outlive the query: the cell points at them.
  void PinnedText(idx_t row, std::string_view text) {
    duckdb_string_t cell;
    const auto size = static_cast<uint32_t>(text.size());
    if (size <= sizeof cell.value.inlined.inlined) {
      cell.value.inlined.length = size;
      std::memset(cell.value.inlined.inlined, 0, sizeof cell.value.inlined.inlined);
      std::memcpy(cell.value.inlined.inlined, text.data(), size);
    } else {
      cell.value.pointer.length = size;
      std::memcpy(cell.value.pointer.prefix, text.data(), sizeof cell.value.pointer.prefix);
      cell.value.pointer.ptr = const_cast<char*>(text.data());
    }
    static_cast<duckdb_string_t*>(data_)[row] = cell;
  }
  void CopiedText(idx_t row, std::string_view text) {
    duckdb_unsafe_vector_assign_string_element_len(vector_, row, text.data(), text.size());
  }

 private:
  duckdb_vector vector_;
  void* data_;
};

}  // namespace varve::query

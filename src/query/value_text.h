// Cells as text. JSON: integers and decimals of any width as numbers with every digit (a reader
// that keeps numbers as doubles loses digits past 2^53; CAST to VARCHAR keeps them), NaN and
// infinities as null, instants as ISO 8601 with Z, local timestamps without, BLOB as base64, LIST
// as an array, STRUCT as an object, MAP as an object when its keys are text, else as [key, value]
// pairs. Text formats show the same without the quotes of a string.
#pragma once

#include <duckdb.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace varve::query {

// A column's type, resolved once.
struct CellType {
  duckdb_type id = DUCKDB_TYPE_INVALID;
  duckdb_type internal = DUCKDB_TYPE_INVALID;  // of DECIMAL and ENUM
  uint8_t scale = 0;
  uint64_t array_size = 0;
  std::string name;                 // as SQL writes it
  std::vector<std::string> labels;  // of ENUM; of STRUCT's members
  std::vector<CellType> children;
};

CellType ResolveType(duckdb_logical_type type);

// False for the few types that are sent as their text: BIT, BIGNUM, TIMETZ, UNION, VARIANT, …
bool IsRendered(const CellType& type);

// A column of one chunk, with its nested vectors found in advance.
class CellReader {
 public:
  CellReader(const CellType& type, duckdb_vector vector);

  bool IsNull(idx_t row) const;
  void AppendJson(idx_t row, std::string& out) const;
  // NULL: nothing is appended.
  void AppendText(idx_t row, std::string& out) const;

 private:
  void AppendPlain(idx_t row, std::string& out) const;
  void AppendNested(idx_t row, std::string& out) const;
  void AppendList(idx_t first, idx_t count, std::string& out) const;
  void AppendMap(idx_t first, idx_t count, std::string& out) const;
  bool IsQuoted() const;
  bool IsNested() const;

  const CellType* type_;
  const void* data_;
  const uint64_t* validity_;
  std::vector<CellReader> children_;
};

void AppendJsonString(std::string& out, std::string_view text);

}  // namespace varve::query

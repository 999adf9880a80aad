// Tables and Parquet files of many shapes, from a seed; and what a file has, read back by Arrow.
#pragma once

#include <arrow/api.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "merge/merge.h"

namespace varve::merge {

// Numbers from a seed, the same everywhere.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  // From 0 to below.
  uint64_t Below(uint64_t count) { return count == 0 ? 0 : engine_() % count; }
  bool OneIn(uint64_t count) { return Below(count) == 0; }

 private:
  std::mt19937_64 engine_;
};

// Columns ts, and some of many types; nullable or not.
std::shared_ptr<arrow::Schema> RandomSchema(Dice& dice);
// Rows whose keys are from a small range, so that many are equal; sorted by keys, if there are any.
std::shared_ptr<arrow::Table> RandomTable(Dice& dice, const std::shared_ptr<arrow::Schema>& schema,
                                          int64_t rows, const std::vector<SortKey>& keys);
// Small pages and row groups, a codec, encodings and a page version by chance.
void WriteRandomly(Dice& dice, const std::string& path, const arrow::Table& table);
void WriteTable(const std::string& path, const arrow::Table& table, int64_t group_rows = 1 << 20);

std::shared_ptr<arrow::Table> ReadTable(const std::string& path);
std::string BytesOf(const std::string& path);
// Each row as text.
std::vector<std::string> RowsOf(const arrow::Table& table);
// The rows of all tables in order, stably sorted.
std::vector<std::string> SortedRows(const std::vector<std::shared_ptr<arrow::Table>>& tables,
                                    const std::vector<SortKey>& keys);

}  // namespace varve::merge

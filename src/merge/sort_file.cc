#include "merge/sort_file.h"

#include <algorithm>

#include "merge/arrow_writer.h"
#include "merge/key_cursor.h"
#include "merge/part_reader.h"
#include "merge/passes.h"
#include "merge/row_types.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace {

// A piece is in memory as keys, as Arrow's columns, sorted, and as its writer's pages.
constexpr uint64_t kPieceShare = 16;
constexpr size_t kRowOverhead = 64;

// Consecutive rows of a part, and their keys.
struct Piece {
  uint32_t part = 0, begin = 0, end = 0;
  std::vector<KeyBlock> blocks;

  // The rows in order; those of equal keys as they were.
  std::vector<uint32_t> Order() const {
    std::vector<KeyView> keys;
    for (const KeyBlock& block : blocks) {
      for (uint32_t row = block.begin; row < block.end; ++row) keys.push_back(block.at(row));
    }
    std::vector<uint32_t> order(end - begin);
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return KeyLess(keys[a], keys[b]); });
    return order;
  }
};

class FileSorter {
 public:
  FileSorter(const InputSet& inputs, const std::vector<KeyColumn>& keys, TempFiles& temp,
             const MergeOptions& options, std::vector<std::string>& written)
      : inputs_(inputs),
        keys_(keys),
        temp_(temp),
        options_(TemporaryOptions(options, /*small_pages=*/true)),
        written_(written) {}

  Status Sort(uint32_t file) {
    MemoryGauge gauge{0};
    KeyCursor cursor(inputs_, keys_, gauge, file, false);
    bool more = TRY(cursor.Start());
    Piece piece;
    while (more) {
      const Part& part = inputs_.parts[cursor.part()];
      const uint64_t row_bytes = part.row_bytes + kRowOverhead;
      const uint64_t rows_max = options_.memory_bytes_max / kPieceShare / row_bytes + 1;
      const bool full = piece.end - piece.begin + (cursor.block_end() - cursor.row()) > rows_max;
      if (!piece.blocks.empty() && (full || piece.part != cursor.part())) TRY(Write(piece));
      if (piece.blocks.empty()) piece.begin = cursor.row();
      piece.part = cursor.part();
      piece.end = cursor.block_end();
      piece.blocks.push_back(cursor.block());
      cursor.Skip(cursor.block_end() - cursor.row());
      more = TRY(cursor.NextBlock());
    }
    return piece.blocks.empty() ? Status() : Write(piece);
  }

 private:
  Status Write(Piece& piece) {
    const std::string path =
        TRY(temp_.Next("the sorted copy of " + inputs_.path(inputs_.parts[piece.part])));
    ArrowOutput output(inputs_, keys_, path, options_);
    TRY(output.Open());
    PartReader reader(inputs_, piece.part, *output.schema());
    TRY(reader.Open());
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
    std::vector<std::pair<uint32_t, uint32_t>> places;  // of each row: batch, row
    for (uint32_t row = piece.begin; row < piece.end;) {
      batches.push_back(TRY(reader.Next(row, piece.end - row)));
      const auto count = static_cast<uint32_t>(batches.back()->num_rows());
      for (uint32_t i = 0; i < count; ++i) {
        places.emplace_back(static_cast<uint32_t>(batches.size() - 1), i);
      }
      row += count;
    }
    const std::vector<uint32_t> order = piece.Order();
    std::vector<std::shared_ptr<arrow::Array>> columns;
    for (int i = 0; i < output.schema()->num_fields(); ++i) {
      columns.push_back(TRY(Reordered(batches, i, places, order)));
    }
    batches.clear();
    written_.push_back(path);
    TRY(output.Write(std::move(columns), false));
    piece = {};
    return output.Finish();
  }

  static Result<std::shared_ptr<arrow::Array>> Reordered(
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches, int column,
      const std::vector<std::pair<uint32_t, uint32_t>>& places,
      const std::vector<uint32_t>& order) {
    std::vector<arrow::ArraySpan> spans;
    for (const auto& batch : batches) spans.emplace_back(*batch->column_data(column));
    auto builder =
        arrow::MakeBuilder(batches.front()->schema()->field(column)->type(), RowMemory());
    TRY(FromArrow(builder.status(), "sort rows", ErrorKind::kInvalid));
    for (const uint32_t row : order) {
      const auto [batch, at] = places[row];
      TRY(FromArrow((*builder)->AppendArraySlice(spans[batch], at, 1), "sort rows"));
    }
    auto done = (*builder)->Finish();
    TRY(FromArrow(done.status(), "sort rows"));
    return std::move(*done);
  }

  const InputSet& inputs_;
  const std::vector<KeyColumn>& keys_;
  TempFiles& temp_;
  const MergeOptions options_;
  std::vector<std::string>& written_;
};

}  // namespace

Result<bool> IsSorted(const InputSet& inputs, const std::vector<KeyColumn>& keys, uint32_t file) {
  MemoryGauge gauge{0};
  KeyCursor cursor(inputs, keys, gauge, file);
  auto more = cursor.Start();
  while (more.ok() && *more) {
    cursor.Skip(cursor.block_end() - cursor.row());
    more = cursor.NextBlock();
  }
  if (more.ok()) return true;
  if (more.error().code == "UNSORTED") return false;
  return std::move(more).error();
}

Status SortFile(const InputSet& inputs, const std::vector<KeyColumn>& keys, uint32_t file,
                TempFiles& temp, const MergeOptions& options, std::vector<std::string>& written) {
  FileSorter sorter(inputs, keys, temp, options, written);
  Status sorted;
  TRY(parquet::TryParquet("sort " + inputs.files->path(file), [&] { sorted = sorter.Sort(file); }));
  return sorted;
}

}  // namespace varve::merge

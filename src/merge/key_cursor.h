// The keys of one input file, block after block, checked to be sorted.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "merge/key_block.h"
#include "merge/page_source.h"

namespace varve::merge {

// A key that is kept when its block is gone.
struct OwnKey {
  uint64_t head = 0;
  uint8_t rank = 1;
  std::string tail;

  OwnKey() = default;
  explicit OwnKey(const KeyView& key) : head(key.head), rank(key.rank), tail(key.tail) {}
  KeyView view() const { return {head, rank, tail}; }
};

class KeyCursor {
 public:
  KeyCursor(const InputSet& inputs, const std::vector<KeyColumn>& keys, MemoryGauge& gauge,
            uint32_t file, bool check = true);

  uint32_t file() const { return file_; }
  // The first block; false if the file has no rows.
  Result<bool> Start();
  // Forgets what Start read; it is to be called again.
  void Suspend();

  uint32_t part() const { return part_; }
  uint32_t row() const { return row_; }  // of the part
  const KeyBlock& block() const { return block_; }
  uint32_t block_end() const { return block_.end; }
  const uint64_t* heads() const { return block_.heads.data() + (row_ - block_.begin); }
  KeyView key() const { return block_.at(row_); }
  KeyView key_at(uint32_t row) const { return block_.at(row); }
  bool simple() const { return block_.simple(); }
  size_t memory_bytes() const;

  // Stays in the block, at most at its end: NextBlock is then to be called.
  void Skip(uint32_t rows) { row_ += rows; }
  bool at_block_end() const { return row_ == block_.end; }
  // False at the file's end.
  Result<bool> NextBlock();

 private:
  struct Column {
    std::unique_ptr<ChunkCursor> chunk;  // none: the file does not have it
    std::vector<PageRef> held;           // at most one
  };

  void OpenPart();
  Status LoadBlock();
  Status CheckBlock();
  Error Descent(uint32_t row) const;

  const InputSet& inputs_;
  const std::vector<KeyColumn>& keys_;
  MemoryGauge& gauge_;
  const uint32_t file_;
  const bool check_;  // that it is sorted
  uint32_t part_ = 0, row_ = 0;
  uint64_t rows_before_ = 0;  // of the file, in earlier parts
  std::vector<Column> columns_;
  KeyBlock block_;
  std::optional<OwnKey> last_;  // of the block before
};

}  // namespace varve::merge

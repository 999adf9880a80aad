// Sort keys of consecutive rows, in a form that is compared as it is: 64 bits decide, and only
// where those are equal does the rest of the key count.
//
// One number is its own 64 bits: sign flipped, floats mapped to their order, all inverted if
// descending. Anything else (text, several columns) becomes a byte string whose order is that of
// the keys: for each column a byte for null or not, then the number big-endian, or the bytes with
// 0 escaped and an end; its first eight bytes are the 64 bits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "merge/input_set.h"
#include "merge/merge.h"
#include "parquet/indexed_page.h"

namespace varve::merge {

struct KeyColumn {
  uint32_t column = 0;  // of the output
  parquet::ValueOrder order = parquet::ValueOrder::kNone;
  parquet::ColumnShape shape;
  bool descending = false, nulls_first = false;
};

// kInvalid: there is no such column, or its type has no order.
Result<std::vector<KeyColumn>> FindKeys(const InputSet& inputs, const std::vector<SortKey>& keys);

// The 64 bits of a value of the column in PLAIN encoding, where it alone is the key and they
// decide.
std::optional<uint64_t> HeadOfKey(const std::vector<KeyColumn>& columns, std::string_view plain);

struct KeyView {
  uint64_t head = 0;
  uint8_t rank = 1;  // of a null: 0 or 2
  std::string_view tail;
};

inline bool KeyLess(const KeyView& a, const KeyView& b) {
  if (a.head != b.head) return a.head < b.head;
  if (a.rank != b.rank) return a.rank < b.rank;
  return a.tail < b.tail;
}

struct KeyBlock {
  uint32_t begin = 0, end = 0;  // rows of the part
  std::vector<uint64_t> heads;
  std::vector<uint8_t> ranks;     // empty: all 1
  std::vector<uint32_t> tail_at;  // empty: there are no tails
  std::vector<char> tails;

  KeyView at(uint32_t row) const {
    const uint32_t i = row - begin;
    KeyView key{heads[i], ranks.empty() ? uint8_t{1} : ranks[i], {}};
    if (!tail_at.empty()) key.tail = {tails.data() + tail_at[i], tail_at[i + 1] - tail_at[i]};
    return key;
  }
  bool simple() const { return ranks.empty() && tail_at.empty(); }
  size_t memory_bytes() const {
    return heads.size() * 8 + ranks.size() + tail_at.size() * 4 + tails.size();
  }
};

// A column's page, and where the block's rows are in it.
struct KeyPage {
  const parquet::IndexedPage* page = nullptr;  // nullptr: all null, the file has no such column
  const parquet::IndexedPage* dictionary = nullptr;
  uint32_t from = 0;
};

// Keys as strings, of several columns: what one that begins with a number has in front, and which
// number, or null, a key begins with.
std::string KeyStringOf(uint64_t number_head);
uint64_t NumberOfKeyString(std::string_view tail, uint8_t& rank);
uint64_t HeadOfKeyString(std::string_view tail);  // its first eight bytes

// The keys of rows from begin on, to end or to where they are too many bytes; pages: one a key
// column.
KeyBlock MakeKeyBlock(const std::vector<KeyColumn>& columns, const std::vector<KeyPage>& pages,
                      uint32_t begin, uint32_t end);

// The first row of the block whose key is less than that of the row before it; end: there is none.
uint32_t FirstDescent(const KeyBlock& block);

}  // namespace varve::merge

// Where the output begins another file, by time: the first key column's hour, day or the like.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "merge/key_cursor.h"

namespace varve::merge {

// The rows of one period follow each other, as the first key column is the time: a period ends at
// a key, which is compared like any other. Nulls are a period of their own.
class KeySplit {
 public:
  KeySplit() = default;  // there is none
  // micros: the period's length; 0: none. kInvalid, SPLIT_TYPE: the first key column is neither a
  // timestamp nor a date, or its unit is not known.
  static Result<KeySplit> Make(const InputSet& inputs, const std::vector<KeyColumn>& keys,
                               int64_t micros);

  bool active() const { return length_ > 0; }
  // A key that no key of the period comes before; none: the period has no end.
  std::optional<OwnKey> EndOf(const KeyView& key) const;

 private:
  // Which null or number the key begins with.
  uint64_t FirstOf(const KeyView& key, uint8_t& rank) const;
  OwnKey KeyOf(uint64_t number) const;

  int64_t length_ = 0;  // in the column's unit
  bool descending_ = false, nulls_first_ = false;
  bool several_ = false;  // keys are strings
};

}  // namespace varve::merge

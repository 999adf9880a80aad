// The Bloom filter of a column chunk: which values the chunk surely does not have.
//
// 1. It begins with room for as many values as there may be; threads add theirs in any order, which
//    leaves the same bits.
// 2. In the end it is folded in half for as long as few enough absent values seem to be there, so
//    that its size is that of the values which are distinct.
// Readers look for what equals a value: with a zero of a float the other zero is added, with a NaN
// the usual ones.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/result.h"
#include "parquet/indexed_page.h"

namespace parquet {
class BlockSplitBloomFilter;
class ColumnDescriptor;
}  // namespace parquet

namespace varve::parquet {

inline constexpr double kFalsePositivesMax = 0.01;  // of the values that are absent

class ValueFilter {
 public:
  // distinct_max: it may have more, at the cost of false positives.
  ValueFilter(const ColumnShape& shape, uint64_t distinct_max);
  ~ValueFilter();

  // Booleans have no filter. Nor has half a float, which readers widen before they hash it.
  static bool Suits(const ::parquet::ColumnDescriptor& column);

  // Fewer than was thought; nothing was added yet.
  void Expect(uint64_t distinct_max);
  // Values in PLAIN encoding. From any thread.
  void Add(const uint8_t* plain, uint32_t values);
  // As it is in a file; nothing is added any more.
  Result<std::string> Encode();

  int64_t memory_bytes() const { return memory_bytes_; }  // the most

 private:
  void AddHashes(const uint64_t* hashes, uint32_t count);
  template <typename Float>
  void AddEquals(const uint8_t* plain, uint32_t values);

  const ColumnShape shape_;
  const int64_t memory_bytes_;
  std::mutex mutex_;  // of what follows
  uint64_t distinct_max_;
  std::unique_ptr<::parquet::BlockSplitBloomFilter> filter_;  // none before the first value
};

// The filter in these bytes of a file, as Encode has it; kCorrupt: there is none.
Result<std::string> CheckFilter(std::string_view bytes);

}  // namespace varve::parquet

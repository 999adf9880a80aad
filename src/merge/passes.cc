#include "merge/passes.h"

#include <algorithm>

#include "parquet/codec.h"

namespace varve::merge {

namespace {

// Of the memory limit: what the program, the output's blocks and freed pages take.
constexpr int64_t kOtherBytes = 152 << 20;
constexpr int64_t kBudgetMin = 16 << 20;
// A page that is larger is cut to the rows that are needed.
constexpr int64_t kPageGuess = 2 << 20;
constexpr int64_t kFileOverhead = 64 << 10;
constexpr uint32_t kSmallPageBytes = 256 << 10;
constexpr uint32_t kFilesMin = 8, kNestedFilesMin = 2;  // of a group, whatever they take
// Arrow's reader has a page as it is compressed, as it is, and as a batch's values.
constexpr int64_t kNestedCopies = 3;

// A file whose rows are being merged: the pages of one column at a time, and its keys; Arrow's
// reader has all columns' pages.
int64_t CostOf(const InputSet& inputs, uint32_t file, uint32_t key) {
  int64_t most = 0;
  for (uint32_t i = inputs.first_part[file]; i < inputs.first_part[file + 1]; ++i) {
    const Part& part = inputs.parts[i];
    int64_t largest = 0, sum = 0;
    for (const ChunkPlace& chunk : part.chunks) {
      const int64_t page = std::min(static_cast<int64_t>(chunk.uncompressed), kPageGuess);
      largest = std::max(largest, page);
      sum += page;
    }
    const int chunk = inputs.layout(part).chunk_of[key];
    const int64_t keys =
        chunk < 0
            ? 0
            : std::min<int64_t>(
                  2 * static_cast<int64_t>(part.chunks[static_cast<size_t>(chunk)].uncompressed),
                  kPageGuess);
    most = std::max(most, (inputs.nested ? kNestedCopies * sum : largest) + keys);
  }
  return most + kFileOverhead;
}

struct Range {
  const std::string* min = nullptr;
  const std::string* max = nullptr;
  int64_t cost = 0;
};

// Of the file, whichever way it is sorted; no bounds: nullptr.
Range RangeOf(const InputSet& inputs, uint32_t file, const KeyColumn& key) {
  Range range;
  range.cost = CostOf(inputs, file, key.column);
  for (uint32_t i = inputs.first_part[file]; i < inputs.first_part[file + 1]; ++i) {
    const Part& part = inputs.parts[i];
    if (!part.has_range) return {nullptr, nullptr, range.cost};
    const bool less =
        range.min == nullptr || parquet::ValueLess(key.order, part.range_min, *range.min);
    if (less) range.min = &part.range_min;
    const bool more =
        range.max == nullptr || parquet::ValueLess(key.order, *range.max, part.range_max);
    if (more) range.max = &part.range_max;
  }
  return range;
}

// The most that files of [first, last) cost at any one key.
int64_t PeakCost(const std::vector<Range>& ranges, uint32_t first, uint32_t last,
                 const KeyColumn& key) {
  int64_t always = 0, now = 0, peak = 0;
  std::vector<const Range*> by_min;
  for (uint32_t i = first; i < last; ++i) {
    if (ranges[i].min == nullptr) {
      always += ranges[i].cost;
    } else {
      by_min.push_back(&ranges[i]);
    }
  }
  std::vector<const Range*> by_max = by_min;
  std::sort(by_min.begin(), by_min.end(), [&](const Range* a, const Range* b) {
    return parquet::ValueLess(key.order, *a->min, *b->min);
  });
  std::sort(by_max.begin(), by_max.end(), [&](const Range* a, const Range* b) {
    return parquet::ValueLess(key.order, *a->max, *b->max);
  });
  size_t ended = 0;
  for (const Range* range : by_min) {
    for (; ended < by_max.size() && parquet::ValueLess(key.order, *by_max[ended]->max, *range->min);
         ++ended) {
      now -= by_max[ended]->cost;
    }
    now += range->cost;
    peak = std::max(peak, now);
  }
  return always + peak;
}

bool SizesFit(const std::vector<Range>& ranges, const KeyColumn& key) {
  size_t width = 0;
  switch (key.order) {
    case parquet::ValueOrder::kBool:
      width = 1;
      break;
    case parquet::ValueOrder::kBytes:
    case parquet::ValueOrder::kDecimal:
    case parquet::ValueOrder::kNone:
      return key.order != parquet::ValueOrder::kNone;
    default:
      width = key.shape.width;
  }
  return std::all_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return range.min == nullptr || (range.min->size() == width && range.max->size() == width);
  });
}

}  // namespace

int64_t PageBudget(const MergeOptions& options) {
  return std::max(kBudgetMin, static_cast<int64_t>(options.memory_bytes_max) - kOtherBytes);
}

MergeOptions TemporaryOptions(const MergeOptions& options, bool small_pages) {
  MergeOptions out = options;
  out.codec = *parquet::ParseCodec("lz4");
  out.file_rows_max = out.file_bytes_max = 0;
  out.split_us = 0;
  out.sync = out.digests = false;
  out.bloom_columns.clear();
  out.unsorted = Unsorted::kRefuse;
  out.progress = nullptr;
  if (small_pages) {
    out.page_bytes = std::min(out.page_bytes, kSmallPageBytes);
    out.dictionary_bytes_max = std::min(out.dictionary_bytes_max, kSmallPageBytes);
  }
  return out;
}

std::vector<std::pair<uint32_t, uint32_t>> PassGroups(const InputSet& inputs, const KeyColumn& key,
                                                      const MergeOptions& options) {
  const auto files = static_cast<uint32_t>(inputs.files->size());
  std::vector<Range> ranges;
  for (uint32_t file = 0; file < files; ++file) ranges.push_back(RangeOf(inputs, file, key));
  if (!SizesFit(ranges, key)) {
    for (Range& range : ranges) range.min = range.max = nullptr;
  }
  const int64_t budget = PageBudget(options) / 4 * 3;
  const uint32_t files_min = inputs.nested ? kNestedFilesMin : kFilesMin;
  std::vector<std::pair<uint32_t, uint32_t>> groups;
  for (uint32_t first = 0; first < files;) {
    uint32_t last = files;
    while (last - first > files_min && PeakCost(ranges, first, last, key) > budget) {
      last = first + (last - first) / 2;
    }
    groups.emplace_back(first, last);
    first = last;
  }
  return groups;
}

}  // namespace varve::merge

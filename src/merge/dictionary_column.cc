#include <algorithm>
#include <bit>
#include <string>

#include "merge/column_build.h"
#include "merge/dictionary_union.h"

namespace varve::merge {

using parquet::EncodedPage;
using parquet::PageDraft;

namespace {

constexpr uint32_t kUnassigned = ~uint32_t{0};
constexpr size_t kIndexBytes = sizeof(uint32_t);
// A dictionary that after so many values has a new entry for nearly each of them is given up.
constexpr uint32_t kTrialValues = 4096;

class DictionaryColumn {
 public:
  DictionaryColumn(const ColumnRows& rows, const PageLimits& limits, Lanes lanes)
      : shape_(rows.column->shape),
        order_(rows.column->order),
        limits_(limits),
        lanes_(std::move(lanes)) {}

  // False: a dictionary does not pay.
  bool Gather() {
    uint32_t slot = kUnassigned, gathered = 0;
    const bool all = lanes_.Fill(kIndexBytes, [&](const Piece& piece, uint8_t* to) {
      if (piece.slot != slot) {  // a slot's pages have one dictionary
        slot = piece.slot;
        table_.assign(piece.dictionary->values, kUnassigned);
      }
      auto* out = reinterpret_cast<uint32_t*>(to);
      for (uint32_t begin = 0; begin < piece.values;) {
        const uint32_t end = std::min(piece.values, begin + kTrialValues);
        Translate(piece, begin, end, out);
        gathered += end - begin;
        begin = end;
        if (!Promises(gathered)) return false;
      }
      return true;
    });
    return all && gathered > 0 && Pays(gathered);
  }

  void AddTo(parquet::ValueFilter& filter) const {
    filter.Expect(entries_.size());
    filter.Add(entries_.plain().data(), entries_.size());
  }

  Result<std::vector<EncodedPage>> Finish(uint32_t rows, uint32_t page_rows) {
    std::vector<EncodedPage> out;
    out.push_back(TRY(parquet::EncodeDictionary(entries_.plain(), entries_.size(), limits_.codec)));
    const int width = entries_.size() < 2 ? 1 : std::bit_width(entries_.size() - 1);
    parquet::Buffer indices;
    indices.Resize(std::min(rows, page_rows) * kIndexBytes);
    for (uint32_t begin = 0; begin < rows; begin += page_rows) {
      const uint32_t count = std::min(page_rows, rows - begin);
      const uint8_t* levels = lanes_.NextLevels(count);
      const uint8_t* end = lanes_.NextValues(levels, count, kIndexBytes, indices.data());
      const auto values =
          static_cast<uint32_t>(static_cast<size_t>(end - indices.data()) / kIndexBytes);
      PageDraft draft(shape_, count, 0);
      auto page = TRY(std::move(draft).FinishIndices(limits_.codec, indices.As<uint32_t>(), width,
                                                     {count, values, levels}));
      Describe(indices.As<uint32_t>(), values, page);
      out.push_back(std::move(page));
    }
    return out;
  }

 private:
  void Translate(const Piece& piece, uint32_t begin, uint32_t end, uint32_t* out) {
    const uint32_t* from = piece.page->indices.As<uint32_t>() + piece.value;
    for (uint32_t i = begin; i < end; ++i) {
      uint32_t& index = table_[from[i]];
      if (index == kUnassigned) [[unlikely]] {
        index = entries_.IndexOf(piece.dictionary->Plain(from[i], shape_));
      }
      out[i] = index;
    }
  }

  bool Promises(uint32_t gathered) const {
    if (entries_.plain().size() > limits_.dictionary_bytes_max) return false;
    return gathered < kTrialValues || entries_.size() < gathered / 10 * 9;
  }

  // Against what the values would take.
  bool Pays(uint32_t gathered) const {
    const size_t entry = std::max<size_t>(1, entries_.plain().size() / entries_.size());
    const auto bits = static_cast<size_t>(std::bit_width(entries_.size()));
    return entries_.plain().size() + gathered * bits / 8 < gathered * entry;
  }

  // Bounds and sizes of a page: each of its entries counts once.
  void Describe(const uint32_t* indices, uint32_t count, EncodedPage& page) {
    counts_.assign(entries_.size(), 0);
    for (uint32_t i = 0; i < count; ++i) ++counts_[indices[i]];
    page.bounds = parquet::ValueBounds(order_);
    for (uint32_t index = 0; index < counts_.size(); ++index) {
      if (counts_[index] == 0) continue;
      const std::string_view entry = entries_.entry(index);
      if (shape_.is_bytes()) page.plain_bytes += counts_[index] * (int64_t(entry.size()) - 4);
      page.bounds.AddPlain(shape_, reinterpret_cast<const uint8_t*>(entry.data()), 1);
    }
  }

  const parquet::ColumnShape shape_;
  const parquet::ValueOrder order_;
  const PageLimits& limits_;
  Lanes lanes_;
  DictionaryUnion entries_;
  std::vector<uint32_t> table_;   // of the slot: its dictionary's entries' indices in the output's
  std::vector<uint32_t> counts_;  // by entry: how often a page has it
};

}  // namespace

Result<std::vector<EncodedPage>> BuildDictionary(const ColumnRows& rows, const PageLimits& limits,
                                                 uint32_t page_rows, parquet::ValueFilter* filter) {
  {
    DictionaryColumn column(rows, limits, TRY(Lanes::Open(rows)));
    if (column.Gather()) {
      if (filter != nullptr) column.AddTo(*filter);
      return column.Finish(rows.end - rows.begin, limits.page_rows_max);
    }
  }
  return BuildPlain(rows, limits, page_rows, filter);
}

}  // namespace varve::merge

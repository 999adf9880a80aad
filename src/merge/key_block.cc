#include "merge/key_block.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/bytes.h"
#include "core/check.h"

namespace varve::merge {

using parquet::ValueOrder;

namespace {

constexpr uint32_t kInt96Bytes = 12;
constexpr int kNumberBytes = 8;
constexpr size_t kTailBytesMax = 256 << 10;

template <typename T>
uint64_t HeadOf(T value) {
  if constexpr (std::is_floating_point_v<T> || std::is_same_v<T, parquet::Half>) {
    const double wide = value == 0 ? 0.0 : static_cast<double>(value);  // -0 is 0
    if (std::isnan(wide)) return ~uint64_t{0};                          // above all numbers
    const auto bits = std::bit_cast<uint64_t>(wide);
    return (bits >> 63) != 0 ? ~bits : bits | uint64_t{1} << 63;
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value)) ^ uint64_t { 1 } << 63;
  } else {
    return value;
  }
}

uint64_t NumberHead(ValueOrder order, std::string_view plain) {
  switch (order) {
    case ValueOrder::kBool:
      return GetLe<uint8_t>(plain.data());
    case ValueOrder::kInt32:
      return HeadOf(GetLe<int32_t>(plain.data()));
    case ValueOrder::kInt64:
      return HeadOf(GetLe<int64_t>(plain.data()));
    case ValueOrder::kUint32:
      return HeadOf(GetLe<uint32_t>(plain.data()));
    case ValueOrder::kUint64:
      return HeadOf(GetLe<uint64_t>(plain.data()));
    case ValueOrder::kFloat:
      return HeadOf(GetLe<float>(plain.data()));
    case ValueOrder::kDouble:
      return HeadOf(GetLe<double>(plain.data()));
    case ValueOrder::kHalf:
      return HeadOf(parquet::Half{GetLe<uint16_t>(plain.data())});
    default:
      return 0;
  }
}

bool IsNumber(const KeyColumn& column) {
  return column.order != ValueOrder::kBytes && column.order != ValueOrder::kDecimal &&
         column.order != ValueOrder::kNone;
}

template <typename T>
void FillHeads(const KeyPage& at, uint64_t flip, std::vector<uint64_t>& heads) {
  auto head = [flip](const parquet::IndexedPage& page, size_t index) {
    T value;
    std::memcpy(&value, page.data + index * sizeof(T), sizeof value);
    return HeadOf(value) ^ flip;
  };
  if (!at.page->has_indices) {
    for (size_t i = 0; i < heads.size(); ++i) heads[i] = head(*at.page, at.from + i);
    return;
  }
  const uint32_t* indices = at.page->indices.As<uint32_t>() + at.from;
  for (size_t i = 0; i < heads.size(); ++i) heads[i] = head(*at.dictionary, indices[i]);
}

// The usual key: one number, no nulls.
bool FillPlain(const KeyColumn& column, const KeyPage& at, KeyBlock& block) {
  if (at.page == nullptr || !at.page->levels.empty()) return false;
  const uint64_t flip = column.descending ? ~uint64_t{0} : 0;
  switch (column.order) {
    case ValueOrder::kInt32:
      FillHeads<int32_t>(at, flip, block.heads);
      return true;
    case ValueOrder::kInt64:
      FillHeads<int64_t>(at, flip, block.heads);
      return true;
    case ValueOrder::kUint64:
      FillHeads<uint64_t>(at, flip, block.heads);
      return true;
    case ValueOrder::kDouble:
      FillHeads<double>(at, flip, block.heads);
      return true;
    default:
      return false;
  }
}

struct Cell {
  bool null = true;
  std::string_view plain;
};

Cell CellAt(const KeyColumn& column, const KeyPage& at, uint32_t row) {
  if (at.page == nullptr) return {};
  const parquet::IndexedPage& page = *at.page;
  if (!page.levels.empty() && page.levels.data()[row] != column.shape.max_level) {
    // Levels are those of the file, whose highest is the same wherever there are any.
    return {};
  }
  const uint32_t value = page.ValueAt(row);
  if (page.has_indices) {
    return {false, at.dictionary->Plain(page.indices.As<uint32_t>()[value], column.shape)};
  }
  return {false, page.Plain(value, column.shape)};
}

void FillNumbers(const KeyColumn& column, const KeyPage& at, KeyBlock& block) {
  const uint64_t flip = column.descending ? ~uint64_t{0} : 0;
  const uint64_t null_head = column.nulls_first ? 0 : ~uint64_t{0};
  for (uint32_t i = 0; i < block.heads.size(); ++i) {
    const Cell cell = CellAt(column, at, at.from + i);
    block.heads[i] = cell.null ? null_head : NumberHead(column.order, cell.plain) ^ flip;
    if (!cell.null) continue;
    if (block.ranks.empty()) block.ranks.assign(block.heads.size(), 1);
    block.ranks[i] = column.nulls_first ? 0 : 2;
  }
}

void AppendBigEndian(uint64_t value, int bytes, std::vector<char>& out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift));
  }
}

void AppendEscaped(std::string_view bytes, std::vector<char>& out) {
  for (const char c : bytes) {
    out.push_back(c);
    if (c == '\0') out.push_back('\xff');
  }
  out.push_back('\0');
  out.push_back('\0');
}

// Of two's complement, the least number of bytes that hold it, and how many in front: more are
// further from zero.
void AppendDecimal(std::string_view number, std::vector<char>& out) {
  if (number.empty()) number = std::string_view("\0", 1);
  const bool negative = (number[0] & 0x80) != 0;
  const char sign = negative ? '\xff' : '\0';
  while (number.size() > 1 && number[0] == sign && ((number[1] ^ sign) & 0x80) == 0) {
    number.remove_prefix(1);
  }
  const auto size = static_cast<uint32_t>(number.size());
  AppendBigEndian(negative ? 0x7fffffff - size : 0x80000000 + size, 4, out);
  out.insert(out.end(), number.begin(), number.end());
}

void AppendKey(const KeyColumn& column, const Cell& cell, std::vector<char>& out) {
  if (cell.null) {
    out.push_back(column.nulls_first ? '\0' : '\2');
    return;
  }
  out.push_back('\1');
  const size_t begin = out.size();
  if (IsNumber(column)) {
    AppendBigEndian(NumberHead(column.order, cell.plain), 8, out);
  } else if (column.shape.width == kInt96Bytes && column.order == ValueOrder::kNone) {
    AppendBigEndian(HeadOf(GetLe<int32_t>(cell.plain.data() + 8)), 8, out);  // the day
    AppendBigEndian(GetLe<uint64_t>(cell.plain.data()), 8, out);             // and its time
  } else if (column.shape.is_bytes() && column.order == ValueOrder::kDecimal) {
    AppendDecimal(cell.plain.substr(4), out);
  } else if (column.shape.is_bytes()) {
    AppendEscaped(cell.plain.substr(4), out);
  } else {
    out.insert(out.end(), cell.plain.begin(), cell.plain.end());
    if (column.order == ValueOrder::kDecimal) out[begin] = static_cast<char>(out[begin] ^ '\x80');
  }
  if (!column.descending) return;
  for (size_t i = begin; i < out.size(); ++i) out[i] = static_cast<char>(~out[i]);
}

void FillStrings(const std::vector<KeyColumn>& columns, const std::vector<KeyPage>& pages,
                 KeyBlock& block) {
  block.tail_at.push_back(0);
  for (uint32_t i = 0; i < block.heads.size(); ++i) {
    if (block.tails.size() >= kTailBytesMax) {
      block.heads.resize(i);
      block.end = block.begin + i;
      return;
    }
    const size_t begin = block.tails.size();
    for (size_t k = 0; k < columns.size(); ++k) {
      AppendKey(columns[k], CellAt(columns[k], pages[k], pages[k].from + i), block.tails);
    }
    block.heads[i] = HeadOfKeyString({block.tails.data() + begin, block.tails.size() - begin});
    block.tail_at.push_back(static_cast<uint32_t>(block.tails.size()));
  }
}

bool HasOrder(const parquet::ColumnShape& shape, ValueOrder order) {
  return order != ValueOrder::kNone || (shape.width == kInt96Bytes && shape.physical == 3);
}

}  // namespace

Result<std::vector<KeyColumn>> FindKeys(const InputSet& inputs, const std::vector<SortKey>& keys) {
  if (keys.empty()) return MakeError(ErrorKind::kInvalid, "no key to merge by");
  std::vector<KeyColumn> out;
  for (const SortKey& key : keys) {
    const auto at = inputs.ColumnNamed(key.column);
    if (!at.ok()) return Error(at.error()).Context("the key");
    const OutputColumn& column = inputs.columns[*at];
    if (inputs.schema->Column(static_cast<int>(*at))->max_repetition_level() > 0) {
      return MakeError(ErrorKind::kInvalid,
                       "column " + key.column + " is in a list or a map: a row has not one of it");
    }
    if (!HasOrder(column.shape, column.order)) {
      return MakeError(ErrorKind::kInvalid,
                       "column " + key.column + " is of a type that has no order");
    }
    out.push_back(
        {static_cast<uint32_t>(*at), column.order, column.shape, key.descending, key.nulls_first});
  }
  return out;
}

std::optional<uint64_t> HeadOfKey(const std::vector<KeyColumn>& columns, std::string_view plain) {
  const KeyColumn& column = columns.front();
  if (columns.size() > 1 || plain.size() != column.shape.width) return std::nullopt;
  switch (column.order) {
    case ValueOrder::kInt32:
    case ValueOrder::kInt64:
    case ValueOrder::kUint32:
    case ValueOrder::kUint64:
      return NumberHead(column.order, plain) ^ (column.descending ? ~uint64_t{0} : 0);
    default:
      return std::nullopt;
  }
}

std::string KeyStringOf(uint64_t number_head) {
  std::vector<char> bytes = {'\1'};
  AppendBigEndian(number_head, kNumberBytes, bytes);
  return {bytes.begin(), bytes.end()};
}

uint64_t NumberOfKeyString(std::string_view tail, uint8_t& rank) {
  rank = static_cast<uint8_t>(tail[0]);
  return HeadOfKeyString(tail.substr(1, kNumberBytes));
}

uint64_t HeadOfKeyString(std::string_view tail) {
  uint64_t head = 0;
  for (size_t i = 0; i < kNumberBytes; ++i) {
    head = head << 8 | (i < tail.size() ? static_cast<uint8_t>(tail[i]) : 0);
  }
  return head;
}

KeyBlock MakeKeyBlock(const std::vector<KeyColumn>& columns, const std::vector<KeyPage>& pages,
                      uint32_t begin, uint32_t end) {
  KeyBlock block;
  block.begin = begin;
  block.end = end;
  block.heads.resize(end - begin);
  if (columns.size() > 1 || !IsNumber(columns[0])) {
    FillStrings(columns, pages, block);
  } else if (!FillPlain(columns[0], pages[0], block)) {
    FillNumbers(columns[0], pages[0], block);
  }
  return block;
}

uint32_t FirstDescent(const KeyBlock& block) {
  const uint64_t* heads = block.heads.data();
  const size_t count = block.heads.size();
  bool descends = false;
  for (size_t i = 1; i < count; ++i) descends |= heads[i] < heads[i - 1];
  if (!descends && block.simple()) return block.end;
  for (uint32_t row = block.begin + 1; row < block.end; ++row) {
    if (KeyLess(block.at(row), block.at(row - 1))) return row;
  }
  return block.end;
}

}  // namespace varve::merge

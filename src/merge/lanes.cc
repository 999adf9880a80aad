#include "merge/lanes.h"

#include <algorithm>
#include <cstring>

#include "core/bytes.h"

namespace varve::merge {

using parquet::Buffer;
using parquet::IndexedPage;

namespace {

constexpr size_t kLengthBytes = 4;
constexpr size_t kPointerBytes = sizeof(const uint8_t*);
constexpr size_t kCacheLine = 64;

template <size_t kWidth>
void LookUpAs(const Piece& piece, uint8_t* to) {
  const uint32_t* indices = piece.page->indices.As<uint32_t>() + piece.value;
  const uint8_t* entries = piece.dictionary->data;
  for (uint32_t i = 0; i < piece.values; ++i) {
    std::memcpy(to + i * kWidth, entries + indices[i] * kWidth, kWidth);
  }
}

void LookUp(const Piece& piece, size_t width, uint8_t* to) {
  if (width == 8) return LookUpAs<8>(piece, to);
  if (width == 4) return LookUpAs<4>(piece, to);
  const uint32_t* indices = piece.page->indices.As<uint32_t>() + piece.value;
  for (uint32_t i = 0; i < piece.values; ++i) {
    std::memcpy(to + i * width, piece.dictionary->data + indices[i] * width, width);
  }
}

// What is copied is mostly short: a fixed size needs no call, and what is too much is written over.
void CopyShort(const uint8_t* from, size_t size, uint8_t* to) {
  static_assert(Buffer::kSlack >= 32);
  if (size <= 32) {
    std::memcpy(to, from, 32);
  } else {
    std::memcpy(to, from, size);
  }
}

}  // namespace

Lanes::Lanes(const ColumnRows& rows)
    : rows_(rows),
      max_level_(static_cast<uint8_t>(rows.column->shape.max_level)),
      levels_order_(rows.plan->order.data() + rows.begin),
      values_order_(levels_order_) {}

Result<Lanes> Lanes::Open(const ColumnRows& rows) {
  Lanes lanes(rows);
  TRY(lanes.FindPieces());
  if (lanes.has_nulls_) lanes.FillLevels();
  return lanes;
}

Status Lanes::FindPieces() {
  for (uint32_t slot = 0; slot < rows_.pages.size(); ++slot) {
    const uint32_t begin = rows_.slot_begin[slot], end = rows_.slot_end[slot];
    if (begin == end) continue;
    if (rows_.pages[slot].empty()) has_nulls_ = true;
    for (const PageRef& ref : rows_.pages[slot]) {
      const uint32_t from = std::max(begin, ref.begin), to = std::min(end, ref.end);
      if (from >= to) continue;
      Piece piece;
      piece.slot = slot;
      piece.page = TRY(ref.page->Get());
      if (ref.dictionary != nullptr) piece.dictionary = TRY(ref.dictionary->Get());
      piece.row = from - ref.begin;
      piece.rows = to - from;
      piece.value = piece.page->ValueAt(piece.row);
      piece.values = piece.page->ValueAt(piece.row + piece.rows) - piece.value;
      has_nulls_ = has_nulls_ || piece.values < piece.rows;
      values_ += piece.values;
      pieces_.push_back(piece);
    }
  }
  return {};
}

void Lanes::FillLevels() {
  level_room_.Resize(rows_.end - rows_.begin);
  level_at_.resize(rows_.pages.size());
  uint8_t* to = level_room_.data();
  auto piece = pieces_.begin();
  for (uint32_t slot = 0; slot < rows_.pages.size(); ++slot) {
    level_at_[slot] = to;
    const uint32_t rows = rows_.slot_end[slot] - rows_.slot_begin[slot];
    if (rows > 0 && rows_.pages[slot].empty()) {
      std::memset(to, 0, rows);
      to += rows;
    }
    for (; piece != pieces_.end() && piece->slot == slot; ++piece) {
      if (piece->page->levels.empty()) {
        std::memset(to, max_level_, piece->rows);
      } else {
        std::memcpy(to, piece->page->levels.data() + piece->row, piece->rows);
      }
      to += piece->rows;
    }
  }
}

void Lanes::FillValues() {
  if (rows_.column->shape.is_bytes()) {
    FillPointers();
  } else {
    FillFixed(rows_.column->shape.width);
  }
}

void Lanes::FillFixed(size_t width) {
  Fill(width, [&](const Piece& piece, uint8_t* to) {
    if (piece.dictionary != nullptr) {
      LookUp(piece, width, to);
    } else if (piece.values > 0) {
      std::memcpy(to, piece.page->data + piece.value * width, piece.values * width);
    }
    return true;
  });
}

void Lanes::FillPointers() {
  Fill(kPointerBytes, [](const Piece& piece, uint8_t* to) {
    auto** out = reinterpret_cast<const uint8_t**>(to);
    if (piece.dictionary != nullptr) {
      const uint32_t* indices = piece.page->indices.As<uint32_t>() + piece.value;
      const auto* offsets = piece.dictionary->offsets.As<uint32_t>();
      for (uint32_t i = 0; i < piece.values; ++i) {
        out[i] = piece.dictionary->data + offsets[indices[i]];
      }
    } else {
      const uint32_t* offsets = piece.page->offsets.As<uint32_t>() + piece.value;
      for (uint32_t i = 0; i < piece.values; ++i) out[i] = piece.page->data + offsets[i];
    }
    return true;
  });
}

const uint8_t* Lanes::NextLevels(uint32_t rows) {
  if (!has_nulls_) return nullptr;
  levels_.Resize(rows);
  const uint8_t** at = level_at_.data();
  uint8_t* to = levels_.data();
  for (uint32_t i = 0; i < rows; ++i) to[i] = *at[levels_order_[i]]++;
  levels_order_ += rows;
  return to;
}

template <size_t kWidth>
uint8_t* Lanes::NextFixed(const uint8_t* levels, const uint16_t* order, uint32_t rows,
                          uint8_t* to) {
  const uint8_t** lanes = at_.data();
  if (levels == nullptr) {
    for (uint32_t i = 0; i < rows; ++i) {
      const uint8_t*& at = lanes[order[i]];
      std::memcpy(to, at, kWidth);
      at += kWidth;
      to += kWidth;
    }
    return to;
  }
  // A null is written too, and written over: which rows are null is not to be guessed.
  static_assert(kWidth <= Buffer::kSlack);
  for (uint32_t i = 0; i < rows; ++i) {
    const uint8_t*& at = lanes[order[i]];
    const size_t step = levels[i] == max_level_ ? kWidth : 0;
    std::memcpy(to, at, kWidth);
    at += step;
    to += step;
  }
  return to;
}

uint8_t* Lanes::NextValues(const uint8_t* levels, uint32_t rows, size_t width, uint8_t* to) {
  if (rows == 0 || values_ == 0) return to;
  const uint16_t* order = values_order_;
  values_order_ += rows;
  switch (width) {
    case 1:
      return NextFixed<1>(levels, order, rows, to);
    case 4:
      return NextFixed<4>(levels, order, rows, to);
    case 8:
      return NextFixed<8>(levels, order, rows, to);
    case 12:
      return NextFixed<12>(levels, order, rows, to);
    case 16:
      return NextFixed<16>(levels, order, rows, to);
    default:
      break;
  }
  for (uint32_t i = 0; i < rows; ++i) {
    if (levels != nullptr && levels[i] != max_level_) continue;
    const uint8_t*& at = at_[order[i]];
    std::memcpy(to, at, width);
    at += width;
    to += width;
  }
  return to;
}

Lanes::Taken Lanes::NextByteArrays(const uint8_t* levels, uint32_t rows, size_t bytes_max,
                                   Buffer& to, parquet::ByteArrayBounds& bounds) {
  const size_t begin = to.size();
  const uint8_t** lanes = at_.data();
  Taken taken;
  while (taken.rows < rows && to.size() - begin <= bytes_max) {
    const uint32_t row = taken.rows++;
    const uint16_t slot = values_order_[row];
    if (levels != nullptr && levels[row] != max_level_) continue;
    ++taken.values;
    const uint8_t* value;
    std::memcpy(&value, lanes[slot], kPointerBytes);
    lanes[slot] += kPointerBytes;
    const size_t size = kLengthBytes + GetLe<uint32_t>(reinterpret_cast<const char*>(value));
    CopyShort(value, size, to.Extend(size));
    bounds.Add({reinterpret_cast<const char*>(value) + kLengthBytes, size - kLengthBytes});
    // The slot's next row is read a few rows from now: its page may have left the cache.
    __builtin_prefetch(value + size);
    __builtin_prefetch(value + size + kCacheLine);
  }
  values_order_ += taken.rows;
  return taken;
}

}  // namespace varve::merge

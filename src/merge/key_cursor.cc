#include "merge/key_cursor.h"

#include <algorithm>

namespace varve::merge {

KeyCursor::KeyCursor(const InputSet& inputs, const std::vector<KeyColumn>& keys, MemoryGauge& gauge,
                     uint32_t file, bool check)
    : inputs_(inputs), keys_(keys), gauge_(gauge), file_(file), check_(check) {
  Suspend();
}

void KeyCursor::Suspend() {
  part_ = inputs_.first_part[file_];
  row_ = 0;
  rows_before_ = 0;
  columns_.clear();
  block_ = {};
  last_.reset();
}

Result<bool> KeyCursor::Start() {
  if (part_ == inputs_.first_part[file_ + 1]) return false;
  OpenPart();
  TRY(LoadBlock());
  return true;
}

size_t KeyCursor::memory_bytes() const {
  size_t bytes = block_.memory_bytes();
  for (const Column& column : columns_) {
    if (column.chunk != nullptr) bytes += static_cast<size_t>(column.chunk->held_bytes());
  }
  return bytes;
}

void KeyCursor::OpenPart() {
  columns_.clear();
  const Layout& layout = inputs_.layout(inputs_.parts[part_]);
  for (const KeyColumn& key : keys_) {
    columns_.emplace_back();
    if (layout.chunk_of[key.column] < 0) continue;
    columns_.back().chunk = std::make_unique<ChunkCursor>(inputs_, gauge_, part_, key.column);
  }
}

Status KeyCursor::CheckBlock() {
  if (last_ && KeyLess(block_.at(row_), last_->view())) return Descent(row_);
  const uint32_t descent = FirstDescent(block_);
  if (descent < block_.end) return Descent(descent);
  last_.emplace(block_.at(block_.end - 1));
  return {};
}

// Rows up to where the first of the columns' pages ends, at most.
Status KeyCursor::LoadBlock() {
  uint32_t end = inputs_.parts[part_].rows;
  std::vector<KeyPage> pages;
  for (Column& column : columns_) {
    pages.emplace_back();
    if (column.chunk == nullptr) continue;
    column.held = TRY(column.chunk->Pages(row_, row_ + 1, /*trim_bytes=*/0));
    const PageRef& ref = column.held.front();
    pages.back().page = TRY(ref.page->Get());
    if (ref.dictionary != nullptr) pages.back().dictionary = TRY(ref.dictionary->Get());
    pages.back().from = row_ - ref.begin;
    end = std::min(end, ref.end);
  }
  block_ = MakeKeyBlock(keys_, pages, row_, end);
  if (check_) TRY(CheckBlock());
  for (size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    // A page that the block has used up is let go with it.
    if (column.chunk != nullptr && column.held.front().end <= block_.end) {
      column.chunk->Forget(block_.end);
    }
    column.held.clear();
  }
  return {};
}

Result<bool> KeyCursor::NextBlock() {
  if (row_ == inputs_.parts[part_].rows) {
    rows_before_ += row_;
    row_ = 0;
    if (++part_ == inputs_.first_part[file_ + 1]) return false;
    OpenPart();
  }
  TRY(LoadBlock());
  return true;
}

Error KeyCursor::Descent(uint32_t row) const {
  std::string names;
  for (const KeyColumn& key : keys_) {
    names += (names.empty() ? "" : ", ") + inputs_.columns[key.column].name;
  }
  return MakeError(ErrorKind::kInvalid, "UNSORTED",
                   inputs_.files->path(file_) + ": is not sorted by " + names + ": row " +
                       std::to_string(rows_before_ + row) + " comes before the one in front of it");
}

}  // namespace varve::merge

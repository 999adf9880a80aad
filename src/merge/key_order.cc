#include "merge/key_order.h"

#include <algorithm>
#include <atomic>

#include "core/check.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace {

constexpr uint32_t kNoSlot = ~uint32_t{0};
constexpr uint32_t kGallopAfter = 4;  // wins in a row
constexpr uint32_t kTakeMax = 1024;   // rows of a call
// Blocks of files that wait are kept up to here, and read again beyond.
constexpr size_t kWaitingBytesMax = 16 << 20;

bool KeyBefore(const KeyView& a, uint32_t file_a, const KeyView& b, uint32_t file_b) {
  if (KeyLess(a, b)) return true;
  if (KeyLess(b, a)) return false;
  return file_a < file_b;
}

}  // namespace

KeyOrder::KeyOrder(const InputSet& inputs, const std::vector<KeyColumn>& keys, MemoryGauge& gauge,
                   GroupLimits limits, KeySplit split)
    : inputs_(inputs), keys_(keys), gauge_(gauge), limits_(std::move(limits)), split_(split) {
  slot_of_.assign(inputs.parts.size(), kNoSlot);
}

struct KeyOrder::FirstKey : TaskPool::Ticket {
  Status status;
  std::optional<Waiting> waiting;  // none: the file has no rows
};

std::optional<OwnKey> KeyOrder::KnownFirstKey(uint32_t file) const {
  if (inputs_.first_part[file] == inputs_.first_part[file + 1]) return std::nullopt;
  const Part& part = inputs_.parts[inputs_.first_part[file]];
  const KeyColumn& key = keys_.front();
  if (!part.has_range || (key.nulls_first && part.has_nulls)) return std::nullopt;
  const auto head = HeadOfKey(keys_, key.descending ? part.range_max : part.range_min);
  if (!head) return std::nullopt;
  OwnKey first;
  first.head = *head;
  return first;
}

Status KeyOrder::Start(TaskPool& pool) {
  std::atomic<size_t> kept = 0;
  auto read = [&](uint32_t file, FirstKey& first) -> Status {
    Waiting waiting;
    waiting.cursor = std::make_unique<KeyCursor>(inputs_, keys_, gauge_, file);
    if (!TRY(waiting.cursor->Start())) return {};
    waiting.first = OwnKey(waiting.cursor->key());
    const size_t bytes = waiting.cursor->memory_bytes();
    waiting.started = kept.fetch_add(bytes) + bytes <= kWaitingBytesMax;
    if (!waiting.started) waiting.cursor->Suspend();
    first.waiting = std::move(waiting);
    return {};
  };
  std::vector<std::shared_ptr<FirstKey>> firsts;
  for (uint32_t file = 0; file < inputs_.files->size(); ++file) {
    if (auto known = KnownFirstKey(file); known) {
      waiting_.push_back(
          {std::move(*known), std::make_unique<KeyCursor>(inputs_, keys_, gauge_, file), false});
      continue;
    }
    firsts.push_back(std::make_shared<FirstKey>());
    pool.Submit(firsts.back(), [&read, file, to = firsts.back().get()] {
      const auto done = parquet::TryParquet("read keys", [&] { to->status = read(file, *to); });
      if (!done.ok()) to->status = done;
    });
  }
  for (const auto& first : firsts) pool.Wait(*first);
  for (const auto& first : firsts) {
    if (!first->status.ok()) return first->status;
    if (first->waiting) waiting_.push_back(std::move(*first->waiting));
  }
  std::sort(waiting_.begin(), waiting_.end(), [](const Waiting& a, const Waiting& b) {
    return KeyBefore(b.first.view(), b.cursor->file(), a.first.view(), a.cursor->file());
  });
  return Activate();
}

bool KeyOrder::ShouldActivate() const {
  if (waiting_.empty()) return false;
  if (active_.empty()) return true;
  const Waiting& next = waiting_.back();
  const KeyCursor& winner = *active_[winner_.leaf];
  if (winner_.head < next.first.head) return false;
  return !KeyBefore(winner.key(), winner.file(), next.first.view(), next.cursor->file());
}

Status KeyOrder::StartCursor(Waiting& waiting) {
  TRY(waiting.cursor->Start());
  if (!KeyLess(waiting.cursor->key(), waiting.first.view())) return {};
  return MakeError(ErrorKind::kCorrupt,
                   inputs_.files->path(waiting.cursor->file()) +
                       ": its first key comes before all that its statistics allow");
}

Status KeyOrder::Activate() {
  while (ShouldActivate()) {
    // Together: those whose first key is the same or less than the winner's.
    Waiting next = std::move(waiting_.back());
    waiting_.pop_back();
    if (!next.started) TRY(StartCursor(next));
    const auto after = std::find_if(active_.begin(), active_.end(), [&](const auto& cursor) {
      return cursor->file() > next.cursor->file();
    });
    active_.insert(after, std::move(next.cursor));
    BuildTree();
  }
  return {};
}

bool KeyOrder::Before(const Node& a, const Node& b) const {
  if (a.head != b.head) return a.head < b.head;
  if (!tails_) return a.leaf < b.leaf;
  return KeyBefore(active_[a.leaf]->key(), a.leaf, active_[b.leaf]->key(), b.leaf);
}

// Leaf k's parent is inner node (k + leaves) / 2.
void KeyOrder::BuildTree() {
  const size_t count = active_.size();
  tails_ = std::any_of(active_.begin(), active_.end(), [](const auto& c) { return !c->simple(); });
  losers_.assign(count, {});
  wins_ = 0;
  if (count == 0) return;
  std::vector<Node> winners(2 * count);
  for (size_t i = 0; i < count; ++i) {
    winners[count + i] = {*active_[i]->heads(), static_cast<uint32_t>(i)};
  }
  for (size_t i = count - 1; i >= 1; --i) {
    const Node a = winners[2 * i], b = winners[2 * i + 1];
    const bool first = Before(a, b);
    winners[i] = first ? a : b;
    losers_[i] = first ? b : a;
  }
  winner_ = winners[1];
}

void KeyOrder::Replay(Node node) {
  const uint32_t leaf = node.leaf;
  for (size_t at = (leaf + active_.size()) / 2; at >= 1; at /= 2) {
    if (Before(losers_[at], node)) std::swap(losers_[at], node);
  }
  wins_ = node.leaf == leaf ? wins_ + 1 : 0;
  winner_ = node;
}

// Rows of the block, from the cursor's on, that come before `limit` of `limit_file`.
uint32_t KeyOrder::RowsBefore(const KeyCursor& cursor, const KeyView& limit,
                              uint32_t limit_file) const {
  const uint32_t begin = cursor.row(), end = cursor.block_end();
  auto before = [&](uint32_t row) {
    return KeyBefore(cursor.key_at(row), cursor.file(), limit, limit_file);
  };
  uint32_t low = begin, step = 1;  // low: known to come before
  while (low + step < end && before(low + step)) {
    low += step;
    step *= 2;
  }
  uint32_t high = std::min(end, low + step);  // the first that does not is at most here
  while (low + 1 < high) {
    const uint32_t middle = low + (high - low) / 2;
    (before(middle) ? low : high) = middle;
  }
  return low + 1 - begin;
}

uint32_t KeyOrder::RunRows(const KeyCursor& cursor) const {
  uint32_t rows = cursor.block_end() - cursor.row();
  // The next best lost to the winner on its way up.
  const Node* second = nullptr;
  for (size_t node = (winner_.leaf + active_.size()) / 2; node >= 1; node /= 2) {
    if (second == nullptr || Before(losers_[node], *second)) second = &losers_[node];
  }
  if (second != nullptr) {
    const KeyCursor& next = *active_[second->leaf];
    rows = std::min(rows, RowsBefore(cursor, next.key(), next.file()));
  }
  if (!waiting_.empty()) {
    const Waiting& next = waiting_.back();
    rows = std::min(rows, RowsBefore(cursor, next.first.view(), next.cursor->file()));
  }
  if (period_end_) rows = std::min(rows, RowsBefore(cursor, period_end_->view(), 0));
  return rows;
}

// Rows one at a time, as far as heads alone decide and nothing but the next row is to be done.
// False: there is none.
bool KeyOrder::TakeRows() {
  if (tails_ || copying_ || active_.size() < 2 || wins_ >= kGallopAfter) return false;
  if (slot_of_[active_[winner_.leaf]->part()] == kNoSlot) return false;
  sources_.clear();
  for (const auto& cursor : active_) {
    const uint64_t* at = cursor->heads();
    sources_.push_back({at, at + (cursor->block_end() - cursor->row()), slot_of_[cursor->part()],
                        inputs_.parts[cursor->part()].row_bytes});
  }
  const size_t leaves = active_.size();
  uint64_t end_head = waiting_.empty() ? ~uint64_t{0} : waiting_.back().first.head;
  if (period_end_) end_head = std::min(end_head, period_end_->head);
  const uint32_t rows_max = std::min(kTakeMax, limits_.rows_max - group_.rows);
  uint16_t order[kTakeMax];
  uint32_t rows = 0;
  Node* const losers = losers_.data();
  Node winner = winner_;
  while (rows < rows_max && group_bytes_ < limits_.bytes_max && winner.head < end_head &&
         wins_ < kGallopAfter) {
    Source& from = sources_[winner.leaf];
    if (from.slot == kNoSlot) break;
    order[rows++] = static_cast<uint16_t>(from.slot);
    group_bytes_ += from.row_bytes;
    if (++from.at == from.end) break;
    Node next{*from.at, winner.leaf};
    for (size_t at = (winner.leaf + leaves) / 2; at >= 1; at /= 2) {
      Node& loser = losers[at];
      const bool swap =
          (loser.head < next.head) | ((loser.head == next.head) & (loser.leaf < next.leaf));
      const uint64_t heads = (loser.head ^ next.head) & -uint64_t{swap};
      const uint32_t leaf = (loser.leaf ^ next.leaf) & -uint32_t{swap};
      loser = {loser.head ^ heads, loser.leaf ^ leaf};
      next = {next.head ^ heads, next.leaf ^ leaf};
    }
    wins_ = next.leaf == winner.leaf ? wins_ + 1 : 0;
    winner = next;
  }
  winner_ = winner;
  group_.order.insert(group_.order.end(), order, order + rows);
  group_.rows += rows;
  for (size_t i = 0; i < leaves; ++i) {
    KeyCursor& cursor = *active_[i];
    cursor.Skip(static_cast<uint32_t>(sources_[i].at - cursor.heads()));
    if (sources_[i].slot != kNoSlot) group_.slots[sources_[i].slot].end = cursor.row();
  }
  return rows > 0;
}

// What has been gathered is the last of its period, if the winner's next row is not in it.
void KeyOrder::BeginPeriod() {
  const KeyView key = active_[winner_.leaf]->key();
  if (period_begun_ && (!period_end_ || KeyLess(key, period_end_->view()))) return;
  FinishCopy();
  CloseGroup();
  period_end_ = split_.EndOf(key);
  begins_period_ = period_begun_;
  period_begun_ = true;
}

// Takes the winner's next rows.
Status KeyOrder::Step() {
  if (split_.active()) BeginPeriod();
  if (TakeRows()) return Proceed();
  KeyCursor& cursor = *active_[winner_.leaf];
  const bool alone = active_.size() == 1 || copying_ || cursor.row() == 0;
  const uint32_t rows = alone || wins_ >= kGallopAfter ? RunRows(cursor) : 1;
  AddRun(cursor.part(), cursor.row(), rows);
  cursor.Skip(rows);
  if (!cursor.at_block_end()) Replay({*cursor.heads(), winner_.leaf});
  return Proceed();
}

// What is to be done before the next row can be taken.
Status KeyOrder::Proceed() {
  KeyCursor& cursor = *active_[winner_.leaf];
  if (cursor.at_block_end()) {
    const bool more = TRY(cursor.NextBlock());
    if (!more) {
      inputs_.files->Close(cursor.file());
      active_.erase(active_.begin() + winner_.leaf);
      BuildTree();
      return Activate();
    }
    if (!cursor.simple()) tails_ = true;
    Replay({*cursor.heads(), winner_.leaf});
  }
  if (!waiting_.empty() && winner_.head >= waiting_.back().first.head) return Activate();
  return {};
}

void KeyOrder::AppendRun(uint32_t part, uint32_t from, uint32_t rows) {
  uint32_t& slot = slot_of_[part];
  if (slot == kNoSlot) {
    slot = static_cast<uint32_t>(group_.slots.size());
    group_.slots.push_back({part, from, from});
  }
  group_.order.insert(group_.order.end(), rows, static_cast<uint16_t>(slot));
  group_.slots[slot].end = from + rows;
  group_.rows += rows;
  group_bytes_ += rows * inputs_.parts[part].row_bytes;
}

void KeyOrder::CloseGroup() {
  if (group_.rows == 0) return;
  for (const Slot& slot : group_.slots) slot_of_[slot.part] = kNoSlot;
  Hand(std::exchange(group_, {}));
  group_bytes_ = 0;
}

void KeyOrder::Hand(GroupPlan group) {
  group.begins_period = std::exchange(begins_period_, false);
  ready_.insert(ready_.begin(), std::move(group));
}

// The rows of the part that looked as if it could be copied go the way of all others.
void KeyOrder::FinishCopy() {
  if (!copying_) return;
  const uint32_t part = *copying_, rows = copied_rows_;
  copying_.reset();
  if (rows == inputs_.parts[part].rows) {
    CloseGroup();
    GroupPlan whole;
    whole.rows = rows;
    whole.slots.push_back({part, 0, rows});
    whole.whole_part = true;
    Hand(std::move(whole));
    return;
  }
  Gather(part, 0, rows);
}

void KeyOrder::AddRun(uint32_t part, uint32_t from, uint32_t rows) {
  if (copying_ && *copying_ != part) FinishCopy();
  if (!copying_) {
    const bool room = group_.rows == 0 || group_.rows >= limits_.copy_rows_min;
    if (from > 0 || !room || !limits_.may_copy[part]) return Gather(part, from, rows);
    copying_ = part;
    copied_rows_ = 0;
  }
  copied_rows_ += rows;
  if (copied_rows_ == inputs_.parts[part].rows) FinishCopy();
}

void KeyOrder::Gather(uint32_t part, uint32_t from, uint32_t rows) {
  const uint64_t row_bytes = inputs_.parts[part].row_bytes;
  while (rows > 0) {
    const uint64_t by_bytes =
        group_bytes_ < limits_.bytes_max ? (limits_.bytes_max - group_bytes_) / row_bytes + 1 : 0;
    const auto take =
        static_cast<uint32_t>(std::min<uint64_t>({rows, by_bytes, limits_.rows_max - group_.rows}));
    const bool slots_left = slot_of_[part] != kNoSlot || group_.slots.size() < kSlotsMax;
    if (take == 0 || !slots_left) {
      CloseGroup();
      continue;
    }
    AppendRun(part, from, take);
    from += take;
    rows -= take;
  }
}

Result<std::optional<GroupPlan>> KeyOrder::Next() {
  while (ready_.empty() && !active_.empty()) TRY(Step());
  if (ready_.empty()) {
    FinishCopy();
    CloseGroup();
  }
  if (ready_.empty()) return std::optional<GroupPlan>();
  std::optional<GroupPlan> next = std::move(ready_.back());
  ready_.pop_back();
  return next;
}

}  // namespace varve::merge

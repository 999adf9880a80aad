#include "merge/key_order.h"

#include <algorithm>
#include <atomic>

#include "core/check.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace {

constexpr uint32_t kNoSlot = ~uint32_t{0};
constexpr uint32_t kGallopAfter = 4;  // wins in a row
// Blocks of files that wait are kept up to here, and read again beyond.
constexpr size_t kWaitingBytesMax = 16 << 20;

bool KeyBefore(const KeyView& a, uint32_t file_a, const KeyView& b, uint32_t file_b) {
  if (KeyLess(a, b)) return true;
  if (KeyLess(b, a)) return false;
  return file_a < file_b;
}

}  // namespace

KeyOrder::KeyOrder(const InputSet& inputs, const std::vector<KeyColumn>& keys, MemoryGauge& gauge,
                   GroupLimits limits)
    : inputs_(inputs), keys_(keys), gauge_(gauge), limits_(std::move(limits)) {
  slot_of_.assign(inputs.parts.size(), kNoSlot);
}

struct KeyOrder::FirstKey : TaskPool::Ticket {
  Status status;
  std::optional<Waiting> waiting;  // none: the file has no rows
};

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
  const KeyCursor& winner = *active_[winner_];
  if (heads_[winner_] < next.first.head) return false;
  return !KeyBefore(winner.key(), winner.file(), next.first.view(), next.cursor->file());
}

Status KeyOrder::Activate() {
  while (ShouldActivate()) {
    // Together: those whose first key is the same or less than the winner's.
    Waiting next = std::move(waiting_.back());
    waiting_.pop_back();
    if (!next.started) TRY(next.cursor->Start());
    active_.push_back(std::move(next.cursor));
    BuildTree();
  }
  return {};
}

bool KeyOrder::Before(size_t a, size_t b) const {
  if (heads_[a] != heads_[b]) return heads_[a] < heads_[b];
  const KeyCursor& one = *active_[a];
  const KeyCursor& other = *active_[b];
  if (!tails_) return one.file() < other.file();
  return KeyBefore(one.key(), one.file(), other.key(), other.file());
}

// losers_[i] is the leaf that lost at inner node i; leaf k's parent is (k + leaves) / 2.
void KeyOrder::BuildTree() {
  const size_t count = active_.size();
  heads_.resize(count);
  tails_ = false;
  for (size_t i = 0; i < count; ++i) {
    heads_[i] = active_[i]->key().head;
    tails_ = tails_ || !active_[i]->simple();
  }
  losers_.assign(count, 0);
  wins_ = 0;
  if (count == 0) return;
  std::vector<uint32_t> winners(2 * count);
  for (size_t i = 0; i < count; ++i) winners[count + i] = static_cast<uint32_t>(i);
  for (size_t i = count - 1; i >= 1; --i) {
    const uint32_t a = winners[2 * i], b = winners[2 * i + 1];
    const bool first = Before(a, b);
    winners[i] = first ? a : b;
    losers_[i] = first ? b : a;
  }
  winner_ = winners[1 % winners.size()];
  if (count == 1) winner_ = 0;
}

size_t KeyOrder::Replay(size_t leaf) {
  size_t winner = leaf;
  for (size_t node = (leaf + active_.size()) / 2; node >= 1; node /= 2) {
    if (Before(losers_[node], winner)) {
      const size_t loser = winner;
      winner = losers_[node];
      losers_[node] = static_cast<uint32_t>(loser);
    }
  }
  return winner;
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
  const size_t count = active_.size();
  size_t second = count;
  for (size_t node = (winner_ + count) / 2; node >= 1; node /= 2) {
    if (second == count || Before(losers_[node], second)) second = losers_[node];
  }
  if (count > 1) {
    rows = std::min(rows, RowsBefore(cursor, active_[second]->key(), active_[second]->file()));
  }
  if (!waiting_.empty()) {
    const Waiting& next = waiting_.back();
    rows = std::min(rows, RowsBefore(cursor, next.first.view(), next.cursor->file()));
  }
  return rows;
}

// Takes the winner's next rows.
Status KeyOrder::Step() {
  KeyCursor& cursor = *active_[winner_];
  const uint32_t rows = active_.size() == 1 || wins_ >= kGallopAfter ? RunRows(cursor) : 1;
  AddRun(cursor.part(), cursor.row(), rows);
  cursor.Skip(rows);
  if (cursor.at_block_end()) {
    const bool more = TRY(cursor.NextBlock());
    if (!more) {
      inputs_.files->Close(cursor.file());
      active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(winner_));
      BuildTree();
      return Activate();
    }
    if (!cursor.simple()) tails_ = true;
  }
  heads_[winner_] = *cursor.heads();
  if (active_.size() > 1) {
    const size_t winner = Replay(winner_);
    wins_ = winner == winner_ ? wins_ + 1 : 0;
    winner_ = winner;
  }
  if (!waiting_.empty() && heads_[winner_] >= waiting_.back().first.head) return Activate();
  return {};
}

void KeyOrder::AppendRun(uint32_t part, uint32_t from, uint32_t rows) {
  uint32_t& slot = slot_of_[part];
  if (slot == kNoSlot) {
    slot = static_cast<uint32_t>(group_.slots.size());
    group_.slots.push_back({part, from, from});
  }
  if (group_.runs.empty() || group_.runs.back().slot != slot) {
    group_.runs.push_back({group_.rows, slot, from});
  }
  group_.slots[slot].end = from + rows;
  group_.rows += rows;
  group_bytes_ += rows * inputs_.parts[part].row_bytes;
}

void KeyOrder::CloseGroup() {
  if (group_.rows == 0) return;
  group_.runs.push_back({group_.rows, 0, 0});
  for (const Slot& slot : group_.slots) slot_of_[slot.part] = kNoSlot;
  ready_.insert(ready_.begin(), std::exchange(group_, {}));
  group_bytes_ = 0;
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
    whole.runs = {{0, 0, 0}, {rows, 0, 0}};
    whole.whole_part = true;
    ready_.insert(ready_.begin(), std::move(whole));
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
    if (take == 0) {
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

#include "ingest/event_id_table.h"

#include <algorithm>
#include <bit>

#include "core/check.h"

namespace varve::ingest {
namespace {

constexpr int64_t kGenerations = 24;
constexpr int kDropsAnInsert = 2;

// At most three quarters full.
uint64_t SlotsFor(uint64_t ids_max) { return std::bit_ceil(ids_max + ids_max / 3 + 1); }

template <typename T>
T* Zeroed(uint64_t count) {
  void* memory = std::calloc(count, sizeof(T));
  CHECK(memory != nullptr);
  return static_cast<T*>(memory);
}

}  // namespace

EventIdTable::EventIdTable(uint64_t ids_max, uint64_t window_ms)
    : ids_max_(ids_max), window_ms_(static_cast<int64_t>(window_ms)), mask_(SlotsFor(ids_max) - 1) {
  CHECK(ids_max > 0 && ids_max <= kIdsMax);
}

void EventIdTable::Allocate() {
  ring_.reset(Zeroed<Hash128>(ids_max_));
  index_.reset(Zeroed<uint64_t>(mask_ + 1));
}

void EventIdTable::Clear() {
  ring_.reset();
  index_.reset();
  tail_ = live_from_ = head_;
}

void EventIdTable::Advance(int64_t now_ms) {
  for (Generation& generation : generations_) {
    generation.first_ms = std::min(generation.first_ms, now_ms);
    generation.newest_ms = std::min(generation.newest_ms, now_ms);
  }
  while (!generations_.empty() && generations_.front().newest_ms + window_ms_ <= now_ms) {
    generations_.pop_front();
    live_from_ = std::max(live_from_, generations_.empty() ? head_ : generations_.front().first);
  }
  if (live_from_ == head_ && ring_ != nullptr) Clear();
}

void EventIdTable::Prefetch(std::span<const Hash128> ids) const {
  if (index_ == nullptr) return;
  for (const Hash128& id : ids) __builtin_prefetch(&index_[Home(EntryOf(id, 0))]);
  if (head_ - tail_ + ids.size() <= ids_max_) return;
  uint64_t place = tail_ % ids_max_;
  for (uint64_t left = std::min<uint64_t>(ids.size(), head_ - tail_); left > 0; --left) {
    __builtin_prefetch(&index_[Home(EntryOf(ring_[place], 0))]);
    if (++place == ids_max_) place = 0;
  }
}

uint64_t EventIdTable::NumberAt(uint64_t place) const {
  const uint64_t behind_head = head_ % ids_max_;
  const uint64_t back = behind_head > place ? behind_head - place : behind_head + ids_max_ - place;
  return head_ - back;
}

uint64_t EventIdTable::Find(const Hash128& id) const {
  const uint64_t sought = EntryOf(id, 0) >> 32;
  uint64_t slot = sought & mask_;
  for (; index_[slot] != 0; slot = (slot + 1) & mask_) {
    const uint64_t entry = index_[slot];
    if (entry >> 32 == sought && ring_[(entry & 0xffff'ffff) - 1] == id) break;
  }
  return slot;
}

bool EventIdTable::Insert(const Hash128& id, int64_t now_ms) {
  if (ring_ == nullptr) Allocate();
  const uint64_t entry = index_[Find(id)];
  if (entry != 0 && NumberAt((entry & 0xffff'ffff) - 1) >= live_from_) return false;
  Put(id, now_ms);
  return true;
}

void EventIdTable::Renew(const Hash128& id, int64_t now_ms) {
  if (ring_ == nullptr) Allocate();
  Put(id, now_ms);
}

void EventIdTable::Put(const Hash128& id, int64_t now_ms) {
  for (int i = 0; i < kDropsAnInsert && tail_ < live_from_; ++i) DropOldest();
  if (head_ - tail_ == ids_max_) {
    ++forgotten_;
    live_from_ = tail_ + 1;
    DropOldest();
  }
  const uint64_t slot = Find(id);
  const uint64_t place = head_ % ids_max_;
  ring_[place] = id;
  index_[slot] = EntryOf(id, place);  // perhaps where its earlier one's was
  const int64_t slice_ms = std::max<int64_t>(1, window_ms_ / kGenerations);
  if (generations_.empty() || now_ms - generations_.back().first_ms >= slice_ms) {
    generations_.push_back({head_, now_ms, now_ms});
  }
  generations_.back().newest_ms = std::max(generations_.back().newest_ms, now_ms);
  ++head_;
}

void EventIdTable::Undo(uint64_t count) {
  for (; count > 0 && head_ > live_from_; --count) {
    --head_;
    Erase(head_ % ids_max_);
  }
}

void EventIdTable::DropOldest() {
  Erase(tail_ % ids_max_);
  ++tail_;
}

// Nothing where a later one with the same id has taken the slot.
void EventIdTable::Erase(uint64_t place) {
  const uint64_t entry = EntryOf(ring_[place], place);
  for (uint64_t slot = Home(entry); index_[slot] != 0; slot = (slot + 1) & mask_) {
    if (index_[slot] == entry) return CloseGap(slot);
  }
}

void EventIdTable::CloseGap(uint64_t slot) {
  for (uint64_t next = slot;;) {
    next = (next + 1) & mask_;
    if (index_[next] == 0) break;
    const uint64_t from_home = (next - Home(index_[next])) & mask_;
    if (from_home < ((next - slot) & mask_)) continue;
    index_[slot] = index_[next];
    slot = next;
  }
  index_[slot] = 0;
}

}  // namespace varve::ingest

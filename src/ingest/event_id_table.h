// Which event ids were seen within the window, in memory of a fixed bound. Not thread-safe.
//
// 1. Ids stand in a ring in the order in which they came: the oldest is always the next to go,
//    whether its time is over or its place is needed.
// 2. An open-addressed index (linear probing, 8 bytes a slot: 32 bits of the id and its place in
//    the ring) finds them. What leaves is taken out by shifting its cluster back, for which the 32
//    bits tell each slot's home: no tombstones, no second look at the ring.
// 3. Time is kept by generations, each a stretch of the ring that was filled within 1/24 of the
//    window; a generation is over when its newest id is a window old. Ids of generations that are
//    over count as absent at once, and are taken out a few with each one that is put in, so that
//    no call does the work of millions.
//
// Both arrays are allocated with the first id and untouched pages cost nothing: a table that is
// never used takes no memory, one that is full 16 bytes an id and 11 to 22 for the index.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <span>

#include "core/keyed_hash.h"

namespace varve::ingest {

class EventIdTable {
 public:
  static constexpr uint64_t kIdsMax = 1ull << 28;

  EventIdTable(uint64_t ids_max, uint64_t window_ms);

  // Before a run of inserts. A clock that was set back makes what is remembered no younger than
  // that.
  void Advance(int64_t now_ms);
  // Memory that inserting these will touch, and making room for them.
  void Prefetch(std::span<const Hash128> ids) const;
  // True: not seen within the window; it is now.
  bool Insert(const Hash128& id, int64_t now_ms);
  // As an insert of what was not seen: of two times that an id came back from disk with, the later
  // counts.
  void Renew(const Hash128& id, int64_t now_ms);
  // The newest `count` were not seen after all.
  void Undo(uint64_t count);

  uint64_t size() const { return head_ - live_from_; }
  // Ids that gave way before their window was over.
  uint64_t forgotten() const { return forgotten_; }

 private:
  struct Generation {
    uint64_t first;  // number of its first id
    int64_t first_ms, newest_ms;
  };
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  void Allocate();
  void Clear();
  uint64_t Home(uint64_t entry) const { return (entry >> 32) & mask_; }
  uint64_t EntryOf(const Hash128& id, uint64_t place) const {
    return (id.low & 0xffff'ffff) << 32 | (place + 1);
  }
  uint64_t NumberAt(uint64_t place) const;
  uint64_t Find(const Hash128& id) const;  // its slot, or the empty one where it belongs
  void Put(const Hash128& id, int64_t now_ms);
  void DropOldest();
  void Erase(uint64_t place);
  void CloseGap(uint64_t slot);

  const uint64_t ids_max_;
  const int64_t window_ms_;
  const uint64_t mask_;
  std::unique_ptr<Hash128[], Free> ring_;
  std::unique_ptr<uint64_t[], Free> index_;  // 0: empty; else 32 bits of the id, place + 1
  // Ids are numbered as they come; number n has place n % ids_max.
  uint64_t head_ = 0;       // of the next
  uint64_t tail_ = 0;       // of the oldest in the ring
  uint64_t live_from_ = 0;  // of the oldest whose generation is not over
  uint64_t forgotten_ = 0;
  std::deque<Generation> generations_;
};

}  // namespace varve::ingest

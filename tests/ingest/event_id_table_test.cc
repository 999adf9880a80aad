// The table of event ids against a model that keeps everything.
#include "ingest/event_id_table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <vector>

namespace varve::ingest {
namespace {

constexpr int64_t kTableWindowMs = 24'000;
constexpr int64_t kSliceMs = kTableWindowMs / 24;

// Many share a home, so that clusters form and are shifted.
Hash128 Id(uint64_t n) { return {n % 7 | n << 40, n * 0x9e3779b97f4a7c15ull}; }

TEST(EventIdTable, KnowsAnIdForItsWindowAndAtMostOneSliceLonger) {
  EventIdTable table(100, kTableWindowMs);
  table.Advance(0);
  EXPECT_TRUE(table.Insert(Id(1), 0));
  EXPECT_FALSE(table.Insert(Id(1), 0));
  table.Advance(kTableWindowMs - 1);
  EXPECT_FALSE(table.Insert(Id(1), kTableWindowMs - 1));
  table.Advance(kTableWindowMs + kSliceMs);
  EXPECT_TRUE(table.Insert(Id(1), kTableWindowMs + kSliceMs));
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.forgotten(), 0u);
}

TEST(EventIdTable, ForgetsTheOldestAtItsBoundAndSaysSo) {
  EventIdTable table(3, kTableWindowMs);
  for (uint64_t n = 1; n <= 4; ++n) EXPECT_TRUE(table.Insert(Id(n), 0));
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(table.forgotten(), 1u);
  EXPECT_FALSE(table.Insert(Id(2), 0));
  EXPECT_TRUE(table.Insert(Id(1), 0));
  EXPECT_TRUE(table.Insert(Id(2), 0));
  EXPECT_EQ(table.forgotten(), 3u);
}

TEST(EventIdTable, WhatIsUndoneIsNew) {
  EventIdTable table(3, kTableWindowMs);
  EXPECT_TRUE(table.Insert(Id(1), 0));
  EXPECT_TRUE(table.Insert(Id(2), 0));
  EXPECT_TRUE(table.Insert(Id(3), 0));
  table.Undo(2);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_FALSE(table.Insert(Id(1), 0));
  EXPECT_TRUE(table.Insert(Id(2), 0));
  for (uint64_t n = 10; n < 20; ++n) EXPECT_TRUE(table.Insert(Id(n), 0));
  table.Undo(10);  // more than it holds
  EXPECT_EQ(table.size(), 0u);
  EXPECT_TRUE(table.Insert(Id(19), 0));
}

TEST(EventIdTable, OfTwoTimesThatCameBackTheLaterCounts) {
  EventIdTable table(10, kTableWindowMs);
  table.Renew(Id(1), 0);
  table.Renew(Id(2), 500);
  table.Renew(Id(1), kTableWindowMs - 1);
  table.Advance(2 * kTableWindowMs - 2);
  EXPECT_FALSE(table.Insert(Id(1), 2 * kTableWindowMs - 2));
  EXPECT_TRUE(table.Insert(Id(2), 2 * kTableWindowMs - 2));
  EXPECT_EQ(table.forgotten(), 0u);
}

TEST(EventIdTable, AClockThatWasSetBackDoesNotKeepIdsForLonger) {
  EventIdTable table(10, kTableWindowMs);
  EXPECT_TRUE(table.Insert(Id(1), 1'000'000));
  table.Advance(5'000);
  EXPECT_FALSE(table.Insert(Id(1), 5'000));
  table.Advance(5'000 + kTableWindowMs + kSliceMs);
  EXPECT_TRUE(table.Insert(Id(1), 5'000 + kTableWindowMs + kSliceMs));
}

struct Model {
  struct Entry {
    uint64_t id;
    int64_t at_ms;
  };
  uint64_t ids_max;
  std::vector<Entry> entries;  // oldest first, of those not forgotten

  const Entry* Find(uint64_t id) const {
    auto found = std::find_if(entries.rbegin(), entries.rend(),
                              [&](const Entry& entry) { return entry.id == id; });
    return found == entries.rend() ? nullptr : &*found;
  }
};

// Within the window an id must be known, from one slice after it on it must not be, unless ids were
// forgotten for want of room: then the newest ids_max must be known.
TEST(EventIdTable, AgreesWithAModel) {
  EXPECT_TRUE(rc::check("what is known, and what is not", [] {
    Model model{*rc::gen::inRange<uint64_t>(1, 40), {}};
    EventIdTable table(model.ids_max, kTableWindowMs);
    int64_t now_ms = 1'000'000;
    const int steps = *rc::gen::inRange(0, 400);
    for (int step = 0; step < steps; ++step) {
      now_ms += *rc::gen::inRange(0, 10) == 0
                    ? *rc::gen::inRange<int64_t>(0, kTableWindowMs + 5'000)
                    : *rc::gen::inRange<int64_t>(0, 400);
      table.Advance(now_ms);
      std::vector<uint64_t> batch =
          *rc::gen::container<std::vector<uint64_t>>(rc::gen::inRange<uint64_t>(0, 60));
      uint64_t taken = 0;
      const std::vector<Model::Entry> before = model.entries;
      for (uint64_t id : batch) {
        const Model::Entry* known = model.Find(id);
        const bool is_new = table.Insert(Id(id), now_ms);
        if (known != nullptr && known->at_ms + kTableWindowMs > now_ms) RC_ASSERT(!is_new);
        if (known == nullptr || known->at_ms + kTableWindowMs + kSliceMs <= now_ms)
          RC_ASSERT(is_new);
        if (!is_new) continue;
        ++taken;
        model.entries.push_back({id, now_ms});
        if (table.size() == model.ids_max && model.entries.size() > model.ids_max) {
          model.entries.erase(model.entries.begin(),
                              model.entries.end() - static_cast<ptrdiff_t>(model.ids_max));
        }
      }
      RC_ASSERT(table.size() <= model.ids_max);
      const bool none_gave_way = before.size() + taken <= model.ids_max;
      if (none_gave_way && *rc::gen::inRange(0, 4) == 0) {
        table.Undo(taken);
        model.entries = before;
      }
    }
  }));
}

}  // namespace
}  // namespace varve::ingest

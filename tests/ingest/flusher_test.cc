// How rows leave the journal: when, into which objects, and against what store.
#include <thread>

#include "core/clock.h"
#include "ingest/lake.h"
#include "record/log_row.h"
#include "store/faulty_store.h"
#include "store/memory_store.h"

namespace varve::ingest {
namespace {

// The flusher works on its own thread: this waits for what must come.
template <typename Condition>
bool Eventually(Condition condition) {
  constexpr int64_t kPatienceNs = 20'000'000'000;
  const int64_t end_ns = SystemClock().MonotonicNs() + kPatienceNs;
  while (!condition()) {
    if (SystemClock().MonotonicNs() > end_ns) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(Flusher, EventsGoIntoFilesByNamespaceAndHourOfEventTime) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  ASSERT_TRUE(Send(*lake->ingest, BatchJson("a", 4, 2)).ok());
  ASSERT_TRUE(Send(*lake->ingest, BatchJson("b", 1), "acme").ok());
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(Keys(*lake, "events/2026/02/02/00/").size(), 1u);
  EXPECT_EQ(Keys(*lake, "events/2026/02/02/01/").size(), 1u);
  std::vector<std::string> own = Keys(*lake, "ns/acme/events/2026/02/02/00/");
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(Keys(*lake, "").size(), 3u);
  auto meta = lake->store->Head(own[0]).value().metadata;
  for (const char* key :
       {"events", "bytes", "bytesPerEvent", "cpuMs", "minTs", "maxTs", "types", "format"}) {
    EXPECT_TRUE(meta.contains(key)) << key;
  }
  EXPECT_EQ(meta["events"], "1");
}

TEST(Flusher, FlushesWhenEnoughBytesWait) {
  TempDir dir;
  TestClock clock;
  LakeOptions options;
  options.flusher.events_flush_bytes = 10'000;
  auto lake = MustOpen(dir, clock, options);
  ASSERT_TRUE(Send(*lake->ingest, BatchJson("a", 10)).ok());
  EXPECT_EQ(lake->flusher->stats().units, 0u);
  ASSERT_TRUE(Send(*lake->ingest, BatchJson("b", 300)).ok());
  EXPECT_TRUE(Eventually([&] { return lake->flusher->stats().rows == 310; }));
}

TEST(Flusher, FlushesWhenARowHasWaitedLongEnough) {
  TempDir dir;
  LakeOptions options;
  options.flusher.events_flush_ms = 50;
  auto lake = MustOpen(dir, SystemClock(), options);
  ASSERT_TRUE(Send(*lake->ingest, BatchJson("a", 10)).ok());
  EXPECT_TRUE(Eventually([&] { return lake->flusher->stats().rows == 10; }));
}

TEST(Flusher, AUnitsFilesAreBounded) {
  TempDir dir;
  TestClock clock;
  LakeOptions options;
  options.flusher.unit_files_max = 20;
  auto lake = MustOpen(dir, clock, options);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(Send(*lake->ingest, BatchJson("h" + std::to_string(i), 15, 15)).ok());
    ASSERT_TRUE(Send(*lake->ingest, BatchJson("h" + std::to_string(i), 15, 15), "acme").ok());
  }
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(lake->flusher->stats().units, 12u);
  EXPECT_EQ(EventsInObjects(*lake).size(), 90u);
  EXPECT_EQ(EventsInObjects(*lake, "acme").size(), 90u);
}

TEST(Flusher, TailItemsGoIntoOneFileOfAHundredWithHeaderAndMetadata) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  ASSERT_TRUE(SendTail(*lake->ingest, TailJson("a", 60)).ok());
  EXPECT_EQ(lake->flusher->stats().units, 0u);
  ASSERT_TRUE(SendTail(*lake->ingest, TailJson("b", 60)).ok());
  ASSERT_TRUE(Eventually([&] { return lake->flusher->stats().units == 1; }));
  std::vector<std::string> keys = Keys(*lake, "raw-events/");
  ASSERT_EQ(keys.size(), 1u);
  const std::string& do_id = lake->flusher->instance().do_id;
  EXPECT_EQ(keys[0], "raw-events/" + std::to_string(clock.NowMs()) + "-" + do_id + "-1.ndjson");
  EXPECT_EQ(do_id.size(), 12u);
  auto meta = lake->store->Head(keys[0]).value();
  EXPECT_EQ(meta.content_type, "application/x-ndjson");
  EXPECT_EQ(meta.metadata, (std::map<std::string, std::string>{
                               {"doId", do_id}, {"batchSeq", "1"}, {"eventCount", "120"}}));
  std::string bytes = lake->store->Get(keys[0]).value();
  record::RawFile file = record::ReadRawFile(bytes).value();
  EXPECT_EQ(file.header.do_id, do_id);
  EXPECT_EQ(file.header.created_at, clock.NowMs());
  EXPECT_EQ(file.header.batch_seq, 1u);
  EXPECT_EQ(file.items.size(), 120u);
}

TEST(Flusher, TailItemsGoWhenTheirLastConnectionIsGone) {
  TempDir dir;
  TestClock clock;
  auto lake = MustOpen(dir, clock);
  ASSERT_TRUE(SendTail(*lake->ingest, TailJson("a", 3)).ok());
  ASSERT_TRUE(SendTail(*lake->ingest, TailJson("b", 3), "acme").ok());
  lake->ingest->TailIdle(NamespaceId::Parse("acme").value());
  ASSERT_TRUE(Eventually([&] { return lake->flusher->stats().units == 1; }));
  EXPECT_EQ(ItemsInObjects(*lake, "acme").size(), 3u);
  EXPECT_TRUE(ItemsInObjects(*lake).empty());
}

TEST(Flusher, BatchSeqGoesOnForEachNamespaceOverRestarts) {
  TempDir dir;
  TestClock clock;
  for (int life = 0; life < 3; ++life) {
    auto lake = MustOpen(dir, clock);
    std::string name = "l" + std::to_string(life);
    ASSERT_TRUE(SendTail(*lake->ingest, TailJson(name, 2)).ok());
    bool sent = life == 0 || SendTail(*lake->ingest, TailJson(name, 2), "acme").ok();
    ASSERT_TRUE(sent);
    ASSERT_TRUE(lake->Stop().ok());
    clock.AdvanceMs(1'000);
  }
  auto lake = MustOpen(dir, clock);
  auto sequences = [&](std::string_view prefix) {
    std::vector<std::string> found;
    for (const std::string& key : Keys(*lake, prefix)) {
      found.push_back(lake->store->Head(key).value().metadata["batchSeq"]);
    }
    return found;
  };
  EXPECT_EQ(sequences("raw-events/"), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(sequences("ns/acme/raw-events/"), (std::vector<std::string>{"1", "2"}));
}

TEST(Flusher, SpaceComesBackToTheJournal) {
  TempDir dir;
  TestClock clock;
  LakeOptions options;
  options.journal.bytes_max = 2 << 20;
  options.flusher.events_flush_bytes = 100'000;
  auto lake = MustOpen(dir, clock, options);
  uint64_t rows = 0;
  for (int i = 0; i < 300; ++i) {  // about 8 MB through 2 MB
    auto sent = Send(*lake->ingest, BatchJson("s" + std::to_string(i), 400));
    if (sent.ok()) {
      rows += 400;
    } else {
      ASSERT_EQ(sent.error().kind, ErrorKind::kExhausted);
      std::this_thread::yield();
      --i;
    }
  }
  ASSERT_TRUE(lake->Stop().ok());
  Rows found = EventsInObjects(*lake);
  EXPECT_EQ(found.size(), rows);
  EXPECT_EQ(rows, 300u * 400);
}

TEST(Flusher, AStoreThatRefusesCostsNothingButTime) {
  TempDir dir;
  TestClock clock;
  auto random = SeededRandom(5);
  store::MemoryStore memory(clock);
  store::FaultyStore faulty(memory, *random);
  faulty.SetChance(store::StoreCall::kPut, store::FaultKind::kFailBefore, 1'000);
  LakeOptions options;
  options.journal.bytes_max = 1 << 20;
  options.flusher.events_flush_bytes = 20'000;
  auto lake = MustOpen(dir, clock, options, &faulty);
  Rows sent;
  Result<BatchReply> reply = BatchReply{};
  for (int i = 0; reply.ok() && i < 1'000; ++i) {
    std::string name = "f" + std::to_string(i);
    reply = Send(*lake->ingest, BatchJson(name, 100));
    for (int j = 0; reply.ok() && j < 100; ++j) sent[name + "-" + std::to_string(j)] = 1;
  }
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(reply.error().code, "JOURNAL_FULL");
  EXPECT_EQ(Visible(*lake), sent);
  EXPECT_TRUE(Eventually([&] { return lake->flusher->stats().failures > 2; }));
  EXPECT_FALSE(lake->flusher->stats().last_error.empty());

  faulty.SetChance(store::StoreCall::kPut, store::FaultKind::kFailBefore, 0);
  EXPECT_TRUE(Eventually([&] { return Send(*lake->ingest, BatchJson("later", 1)).ok(); }));
  sent["later-0"] = 1;
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_EQ(EventsInObjects(*lake), sent);
  EXPECT_EQ(Visible(*lake), sent);
}

TEST(Flusher, OutcomesThatNobodyKnowsAddNoRow) {
  using store::FaultKind;
  TempDir dir;
  TestClock clock;
  auto random = SeededRandom(6);
  store::MemoryStore memory(clock);
  store::FaultyStore faulty(memory, *random);
  for (FaultKind kind : {FaultKind::kSucceedThenUnknown, FaultKind::kUnknownNotDone,
                         FaultKind::kConflictOnOwnWrite, FaultKind::kThrottle}) {
    faulty.SetChance(store::StoreCall::kPut, kind, 150);
  }
  LakeOptions options;
  options.flusher.events_flush_bytes = 1'000;
  options.flusher.raw_events_batch_size = 5;
  auto lake = MustOpen(dir, clock, options, &faulty);
  for (int i = 0; i < 30; ++i) {
    std::string name = "u" + std::to_string(i);
    ASSERT_TRUE(Send(*lake->ingest, BatchJson(name, 20, 3)).ok());
    ASSERT_TRUE(SendTail(*lake->ingest, TailJson(name, 5)).ok());
  }
  ASSERT_TRUE(lake->Stop().ok());
  EXPECT_GT(faulty.fired(FaultKind::kSucceedThenUnknown), 0u);
  EXPECT_GT(faulty.fired(FaultKind::kConflictOnOwnWrite), 0u);
  Rows events = EventsInObjects(*lake), items = ItemsInObjects(*lake);
  EXPECT_EQ(events.size(), 600u);
  EXPECT_EQ(items.size(), 150u);
  for (const auto& [name, count] : events) EXPECT_EQ(count, 1) << name;
  for (const auto& [name, count] : items) EXPECT_EQ(count, 1) << name;
}

TEST(Flusher, AQuerySeesEachRowOnceWhileRowsMove) {
  TempDir dir;
  TestClock clock;
  store::MemoryStore memory(clock);
  LakeOptions options;
  options.flusher.events_flush_bytes = 2'000;
  auto lake = MustOpen(dir, clock, options, &memory);
  std::atomic<int> acked{0};
  std::atomic<bool> sending{true};
  std::thread sender([&] {
    for (int i = 0; i < 150; ++i) {
      CHECK(Send(*lake->ingest, BatchJson("q" + std::to_string(i), 10, 2)).ok());
      acked = i + 1;
    }
    sending = false;
  });
  int views = 0;
  do {
    const int before = acked;
    Rows seen = Visible(*lake);
    EXPECT_GE(seen.size(), size_t(before) * 10);
    for (const auto& [name, count] : seen) EXPECT_EQ(count, 1) << name;
    ++views;
  } while (sending);
  sender.join();
  EXPECT_GT(views, 1);
  EXPECT_EQ(Visible(*lake).size(), 1'500u);
}

TEST(Flusher, AJournalThatWasTakenAwayIsNoticed) {
  TempDir dir;
  TestClock clock;
  auto random = SeededRandom(7);
  {
    auto lake = MustOpen(dir, clock);
    ASSERT_TRUE(SendTail(*lake->ingest, TailJson("held", 1)).ok());  // holds the journal back
    ASSERT_TRUE(Send(*lake->ingest, BatchJson("a", 1)).ok());
    lake->flusher->WhenDone(record::RecordKind::kEvents, "default", 2, [] {});
    ASSERT_TRUE(Eventually([&] { return lake->flusher->stats().units == 1; }));
  }
  std::filesystem::remove_all(dir.path() + "/journal");
  auto lake = OpenLake(dir.path(), {}, clock);
  ASSERT_FALSE(lake.ok());
  EXPECT_EQ(lake.error().code, "JOURNAL_CORRUPT");
}

}  // namespace
}  // namespace varve::ingest

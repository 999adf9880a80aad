// What the id log gives back after restarts, cuts and the end of time.
#include "ingest/event_id_log.h"

#include <algorithm>
#include <fstream>

#include "core/bytes.h"
#include "ingest/lake.h"

namespace varve::ingest {
namespace {

constexpr int64_t kLoggedMs = 1'770'000'000'000;
constexpr uint64_t kLogWindowMs = 24'000;

using Ids = std::vector<uint64_t>;  // the low halves

struct Opened {
  std::unique_ptr<EventIdLog> log;
  Ids ids;
};

struct Records {  // what the flusher hands over
  std::vector<std::vector<Hash128>> ids;
  std::vector<journal::Record> records;

  void Add(journal::Lsn lsn, const Ids& of_events, int64_t received_ms = kLoggedMs) {
    ids.emplace_back();
    for (uint64_t id : of_events) ids.back().push_back({id, id != 0 ? ~id : 0});
    journal::Record record{};
    record.lsn = lsn;
    record.received_ms = received_ms;
    record.event_ids = ids.back();
    records.push_back(record);
  }
};

class Log : public ::testing::Test {
 protected:
  Opened Open(int64_t now_ms = kLoggedMs, uint64_t ids_max = 1'000, uint64_t owner = 9) {
    Opened opened;
    auto log = EventIdLog::Open({dir_.path() + "/ids", ids_max, kLogWindowMs, owner}, now_ms,
                                [&](std::span<const Hash128> ids, int64_t) {
                                  for (const Hash128& id : ids) opened.ids.push_back(id.low);
                                });
    EXPECT_TRUE(log.ok()) << log.error().message;
    opened.log = std::make_unique<EventIdLog>(std::move(log).value());
    return opened;
  }
  void Append(EventIdLog& log, journal::Lsn lsn, const Ids& ids, int64_t now_ms = kLoggedMs) {
    Records records;
    records.Add(lsn, ids, now_ms);
    Status done = log.Append(records.records, now_ms);
    EXPECT_TRUE(done.ok()) << done.error().message;
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path() + "/ids")) {
      files.push_back(entry.path().string());
    }
    std::ranges::sort(files);
    return files;
  }

  TempDir dir_;
};

TEST_F(Log, GivesBackWhatWasAppendedInOrderWithoutTheEventsThatHaveNone) {
  {
    Opened opened = Open();
    EXPECT_EQ(opened.ids, Ids());
    Records unit;
    unit.Add(1, {11, 0, 12});
    unit.Add(2, {});
    unit.Add(3, {13});
    ASSERT_TRUE(opened.log->Append(unit.records, kLoggedMs).ok());
  }
  Opened again = Open();
  EXPECT_EQ(again.ids, (Ids{11, 12, 13}));
  Append(*again.log, 4, {14});
  EXPECT_EQ(Open().ids, (Ids{11, 12, 13, 14}));
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(Log, AUnitThatIsDoneAgainIsThereOnce) {
  Opened opened = Open();
  Append(*opened.log, 1, {11});
  Append(*opened.log, 1, {11});
  opened = Open();
  Append(*opened.log, 1, {11});
  EXPECT_EQ(Open().ids, Ids{11});
}

TEST_F(Log, NoIdsMakeNoFile) {
  Opened opened = Open();
  Records unit;
  unit.Add(1, {});
  ASSERT_TRUE(opened.log->Append(unit.records, kLoggedMs).ok());
  EXPECT_TRUE(Files().empty());
}

// Cut anywhere, flipped anywhere: blocks before the damage stay, and the log goes on.
TEST_F(Log, ATornEndCostsOnlyWhatWasTorn) {
  {
    Opened opened = Open();
    Append(*opened.log, 1, {1, 2});
    Append(*opened.log, 2, {3, 4});
  }
  const std::string path = Files().at(0);
  const auto size = std::filesystem::file_size(path);
  std::ifstream in(path, std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  for (size_t damage = 0; damage < 2 * size; ++damage) {
    for (const std::string& file : Files()) std::filesystem::remove(file);
    std::string bytes = damage < size ? whole.substr(0, damage) : whole;
    if (damage >= size) bytes[damage - size] ^= 0x40;
    std::ofstream(path, std::ios::binary) << bytes;
    Opened opened = Open();
    const size_t at = damage % size;
    EXPECT_EQ(opened.ids, at < size / 2 ? Ids() : (Ids{1, 2})) << damage;
    Append(*opened.log, 9, {5});
    EXPECT_EQ(Open().ids.back(), 5u) << damage;
  }
}

TEST_F(Log, FilesGoWhenTheirTimeIsOver) {
  Opened opened = Open();
  int64_t now_ms = kLoggedMs;
  for (journal::Lsn lsn = 1; lsn <= 200; ++lsn, now_ms += 600) {
    Append(*opened.log, lsn, {lsn}, now_ms);
    EXPECT_LE(Files().size(), 28u);
  }
  const Ids left = Open(now_ms).ids;
  EXPECT_EQ(left.back(), 200u);
  EXPECT_LE(left.front(), 200 - kLogWindowMs / 600 + 1);  // none too early
  EXPECT_GE(left.front(), 200 - kLogWindowMs / 600 - 5);
}

TEST_F(Log, FilesGoWhenLaterOnesHoldAsManyAsAreKept) {
  Opened opened = Open(kLoggedMs, 100);
  for (journal::Lsn lsn = 1; lsn <= 300; ++lsn) {
    Append(*opened.log, lsn, {lsn});
    EXPECT_LE(Files().size(), 18u);
  }
  Ids left = Open(kLoggedMs, 100).ids;
  EXPECT_GE(left.size(), 100u);
  EXPECT_LE(left.size(), 110u);
  EXPECT_LE(Open(kLoggedMs, 10).ids.size(), left.size());  // a smaller bound holds from now on
  EXPECT_LE(Open(kLoggedMs, 10).ids.size(), 20u);
}

TEST_F(Log, AJournalFromABackupGoesOnWithIdsOfItsOwn) {
  Opened opened = Open();
  Append(*opened.log, 5, {1});
  opened = Open();
  Append(*opened.log, 9, {2}, kLoggedMs + 10'000);
  auto log = EventIdLog::Open({dir_.path() + "/ids", 1'000, kLogWindowMs, 9, /*last_lsn=*/7},
                              kLoggedMs, [](std::span<const Hash128>, int64_t) {});
  ASSERT_TRUE(log.ok());
  Append(*log, 7, {3});  // had been there
  Append(*log, 9, {4});  // other events than at first
  EXPECT_EQ(Open().ids, (Ids{1, 2, 4}));
}

TEST_F(Log, AnotherOnesFilesAreNotBelieved) {
  Opened opened = Open();
  Append(*opened.log, 500, {1});
  EXPECT_EQ(Open(kLoggedMs, 1'000, /*owner=*/8).ids, Ids());
  opened = Open(kLoggedMs, 1'000, /*owner=*/8);
  Append(*opened.log, 1, {2});  // whose LSNs start anew
  EXPECT_EQ(Open(kLoggedMs, 1'000, /*owner=*/8).ids, Ids{2});
}

TEST_F(Log, ADirectoryThatIsNoneIsAnErrorAndTheNextTryGoesOn) {
  Opened opened = Open();
  Append(*opened.log, 1, {1});
  opened = Open();
  std::filesystem::rename(dir_.path() + "/ids", dir_.path() + "/away");
  std::ofstream(dir_.path() + "/ids") << "in the way";
  Records unit;
  unit.Add(2, {2}, kLoggedMs + 10'000);  // a slice later: a file of its own is due
  EXPECT_FALSE(opened.log->Append(unit.records, kLoggedMs + 10'000).ok());
  std::filesystem::remove(dir_.path() + "/ids");
  std::filesystem::rename(dir_.path() + "/away", dir_.path() + "/ids");
  EXPECT_TRUE(opened.log->Append(unit.records, kLoggedMs + 10'000).ok());
  EXPECT_EQ(Open(kLoggedMs + 10'000).ids, (Ids{1, 2}));
}

}  // namespace
}  // namespace varve::ingest

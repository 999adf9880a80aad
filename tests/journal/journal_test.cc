// What the journal promises while it runs and over a clean stop.
#include "journal/journal.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "journal_fixture.h"

namespace varve::journal {
namespace {

std::unique_ptr<Journal> MustOpen(JournalOptions options) {
  auto journal = OpenJournal(std::move(options), SystemClock());
  EXPECT_TRUE(journal.ok()) << (journal.ok() ? "" : journal.error().message);
  return std::move(journal).value();
}

TEST(Journal, GivesBackWhatWasAppendedNowAndAfterAReopen) {
  TempDir dir;
  AppendRequest request = EventsRequest(R"({"type":"a"})", "acme", "batch-1");
  request.kind = record::RecordKind::kWebhook;
  {
    auto journal = MustOpen(SmallOptions(dir.path()));
    EXPECT_EQ(journal->last_lsn(), 0u);
    EXPECT_EQ(AppendAndWait(*journal, request), 1u);
    EXPECT_EQ(journal->last_lsn(), 1u);
  }
  auto journal = MustOpen(SmallOptions(dir.path()));
  HotRecords hot = journal->Read(0, 100, kEverything);
  ASSERT_EQ(hot.records.size(), 1u);
  const Record& record = hot.records[0];
  EXPECT_EQ(record.lsn, 1u);
  EXPECT_EQ(record.kind, record::RecordKind::kWebhook);
  EXPECT_EQ(record.ns, "acme");
  EXPECT_EQ(record.batch_id, "batch-1");
  EXPECT_EQ(record.received_ms, request.received_ms);
  EXPECT_EQ(record.body, R"({"type":"a"})");
  ASSERT_EQ(record.events.size(), 1u);
  EXPECT_EQ(record.events[0].ts_ms, request.events[0].ts_ms);
  EXPECT_GT(AppendAndWait(*journal, EventsRequest("x")), 1u);
}

TEST(Journal, KeepsEventIdsBesideTheEventsThatHaveThem) {
  TempDir dir;
  AppendRequest with = EventsRequest(R"({"type":"a"}{"type":"b"})", "acme", "batch-1");
  with.events = {{1, 0, 12}, {2, 12, 12}};
  with.event_ids = {{}, {7, ~0ull}};
  {
    auto journal = MustOpen(SmallOptions(dir.path()));
    AppendAndWait(*journal, with);
    AppendAndWait(*journal, EventsRequest("without"));
  }
  auto journal = MustOpen(SmallOptions(dir.path()));
  HotRecords hot = journal->Read(0, 100, kEverything);
  ASSERT_EQ(hot.records.size(), 2u);
  const Record& record = hot.records[0];
  EXPECT_EQ(std::vector(record.event_ids.begin(), record.event_ids.end()), with.event_ids);
  ASSERT_EQ(record.events.size(), 2u);
  EXPECT_EQ(record.events[1].offset, 12u);
  EXPECT_EQ(record.ns, "acme");
  EXPECT_EQ(record.batch_id, "batch-1");
  EXPECT_EQ(record.body, with.body);
  EXPECT_TRUE(hot.records[1].event_ids.empty());
  EXPECT_EQ(hot.records[1].body, "without");
}

TEST(Journal, ReadsByRangeAndKind) {
  TempDir dir;
  auto journal = MustOpen(SmallOptions(dir.path()));
  for (int i = 1; i <= 6; ++i) {
    AppendRequest request = EventsRequest("body " + std::to_string(i));
    request.kind = i % 2 ? record::RecordKind::kEvents : record::RecordKind::kTail;
    AppendAndWait(*journal, std::move(request));
  }
  uint32_t events = 1u << static_cast<int>(record::RecordKind::kEvents);
  EXPECT_EQ(Bodies(*journal, 1, 5, events),
            (std::map<Lsn, std::string>{{3, "body 3"}, {5, "body 5"}}));
  EXPECT_EQ(Bodies(*journal, 6, 100).size(), 0u);
  EXPECT_EQ(Bodies(*journal, 2, 4).size(), 2u);
}

TEST(Journal, ManyAppendersEachHearOfTheirOwnRecordOnceAndShareSyncs) {
  TempDir dir;
  auto journal = MustOpen(SmallOptions(dir.path()));
  constexpr int kThreads = 4, kEach = 300;
  Acks acks;
  std::atomic<bool> reading{true};
  std::thread reader([&] {  // sees only whole, ordered prefixes meanwhile
    while (reading) {
      HotRecords hot = journal->Read(0, ~0ull, kEverything);
      for (size_t i = 0; i < hot.records.size(); ++i) ASSERT_EQ(hot.records[i].lsn, i + 1);
    }
  });
  std::vector<std::thread> appenders;
  for (int t = 0; t < kThreads; ++t) {
    appenders.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        std::string body = std::to_string(t) + ":" + std::to_string(i) + std::string(i * 3, '.');
        ASSERT_TRUE(journal->Append(EventsRequest(body), acks.Expect(body)).ok());
      }
    });
  }
  for (auto& thread : appenders) thread.join();
  auto acked = acks.Wait();
  reading = false;
  reader.join();
  EXPECT_EQ(acked.size(), size_t{kThreads * kEach});
  EXPECT_EQ(Bodies(*journal), acked);
  EXPECT_LT(journal->Stats().commits, acked.size());
  journal.reset();
  EXPECT_EQ(Bodies(*MustOpen(SmallOptions(dir.path()))), acked);
}

TEST(Journal, ReleasedSegmentsAreReusedAndTheNumberingGoesOn) {
  TempDir dir;
  JournalOptions options = SmallOptions(dir.path());
  options.bytes_max = 5 * options.segment_bytes;
  Lsn last = 0;
  {
    auto journal = MustOpen(options);
    for (int i = 0; i < 100; ++i) {  // 20 segments through room for 5
      last = AppendAndWait(*journal, EventsRequest(std::string(50'000, 'a' + i % 26)));
      journal->Release(last);
      ASSERT_LE(SegmentFiles(dir.path()).size(), 5u);
    }
    EXPECT_EQ(journal->Stats().hot_events, 0u);
    EXPECT_EQ(last, 100u);
    EXPECT_GT(journal->first_lsn(), 90u);
  }
  options.flushed_lsn = last;
  auto journal = MustOpen(options);
  EXPECT_GT(AppendAndWait(*journal, EventsRequest("x")), last);
}

TEST(Journal, AReleasedSegmentLivesAsLongAsAReaderPinsIt) {
  TempDir dir;
  JournalOptions options = SmallOptions(dir.path());
  auto journal = MustOpen(options);
  AppendAndWait(*journal, EventsRequest(std::string(1000, 'p')));
  HotRecords pinned = journal->Read(0, 1, kEverything);
  for (int i = 0; i < 40; ++i) {
    journal->Release(AppendAndWait(*journal, EventsRequest(std::string(100'000, 'q'))));
  }
  EXPECT_EQ(pinned.records[0].body, std::string(1000, 'p'));
}

TEST(Journal, RefusesWhenItsBoundIsReachedAndTakesAgainAfterARelease) {
  TempDir dir;
  JournalOptions options = SmallOptions(dir.path());
  options.bytes_max = 3 * options.segment_bytes;
  auto journal = MustOpen(options);
  std::map<Lsn, std::string> kept;
  Status refused;
  for (int i = 0; i < 1000 && refused.ok(); ++i) {
    Acks acks;
    std::string body(20'000, 'a' + i % 26);
    refused = journal->Append(EventsRequest(body), acks.Expect(body));
    if (!refused.ok()) break;
    kept.merge(acks.Wait());
  }
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(refused.error().code, "JOURNAL_FULL");
  EXPECT_EQ(journal->WouldTake(20'000).error().code, "JOURNAL_FULL");
  EXPECT_EQ(Bodies(*journal), kept);
  EXPECT_GT(kept.size(), 25u);

  journal->Release(kept.rbegin()->first);
  Acks acks;
  while (!journal->Append(EventsRequest("again"), acks.Expect("again")).ok()) {
    acks.Withdraw();
    std::this_thread::yield();  // the segment is being prepared
  }
  EXPECT_EQ(acks.Wait().size(), 1u);
}

TEST(Journal, BoundsItsRecordsAndTakesAgainAfterARelease) {
  TempDir dir;
  JournalOptions options = SmallOptions(dir.path());
  options.records_max = 40;
  auto journal = MustOpen(options);
  Lsn last = 0;
  for (int life = 0; life < 3; ++life) {
    Status status;
    for (int i = 0; i < 100; ++i) {
      Acks acks;
      status = journal->Append(EventsRequest("x"), acks.Expect("x"));
      if (!status.ok()) break;
      last = acks.Wait().begin()->first;
    }
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, "JOURNAL_FULL");
    journal->Release(last);
  }
  EXPECT_GT(last, 80u);
}

TEST(Journal, BoundsWhatWaitsForTheDisk) {
  TempDir dir;
  JournalOptions options = SmallOptions(dir.path());
  options.pending_bytes_max = 64 << 10;
  auto journal = MustOpen(options);
  std::atomic<int> done{0};
  int taken = 0;
  Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) {
    status = journal->Append(EventsRequest(std::string(10'000, 'x')), [&](Lsn) { ++done; });
    if (status.ok()) ++taken;
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kExhausted);
  journal->Close();
  EXPECT_EQ(done, taken);
}

TEST(Journal, RefusesARecordThatNoSegmentHolds) {
  TempDir dir;
  JournalOptions options = SmallOptions(dir.path());
  auto journal = MustOpen(options);
  auto status = journal->Append(EventsRequest(std::string(options.segment_bytes, 'x')), nullptr);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, "RECORD_TOO_LARGE");
  EXPECT_EQ(AppendAndWait(*journal, EventsRequest("small")), 1u);
}

TEST(Journal, ClosingCommitsWhatWasAppendedAndRefusesMore) {
  TempDir dir;
  auto journal = MustOpen(SmallOptions(dir.path()));
  std::atomic<int> done{0};
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(journal->Append(EventsRequest("x"), [&](Lsn) { ++done; }).ok());
  }
  journal->Close();
  EXPECT_EQ(done, 50);
  auto refused = journal->Append(EventsRequest("x"), nullptr);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "JOURNAL_CLOSED");
}

TEST(Journal, OneProcessAtATime) {
  TempDir dir;
  auto journal = MustOpen(SmallOptions(dir.path()));
  auto second = OpenJournal(SmallOptions(dir.path()), SystemClock());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "JOURNAL_LOCKED");
  journal.reset();
  EXPECT_TRUE(OpenJournal(SmallOptions(dir.path()), SystemClock()).ok());
}

TEST(Journal, LookingChangesNothingAndSeveralMayLook) {
  TempDir dir;
  {
    auto journal = MustOpen(SmallOptions(dir.path()));
    for (int i = 0; i < 20; ++i) AppendAndWait(*journal, EventsRequest("{\"n\":1}"));
  }
  std::ofstream(dir.path() + "/preparing.tmp") << "left over";
  const auto sizes = [&] {
    std::map<std::string, std::pair<uintmax_t, std::filesystem::file_time_type>> out;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      out[entry.path()] = {entry.file_size(), entry.last_write_time()};
    }
    return out;
  };
  const auto before = sizes();
  {
    auto one = OpenJournalToRead(SmallOptions(dir.path())).value();
    auto other = OpenJournalToRead(SmallOptions(dir.path())).value();
    EXPECT_EQ(one->Read(0, one->last_lsn(), kEverything).records.size(), 20u);
    EXPECT_EQ(other->last_lsn(), one->last_lsn());
    EXPECT_EQ(one->Append(EventsRequest("{}"), nullptr).error().code, "JOURNAL_READ_ONLY");
    EXPECT_EQ(OpenJournal(SmallOptions(dir.path()), SystemClock()).error().code, "JOURNAL_LOCKED");
  }
  EXPECT_EQ(sizes(), before);
  EXPECT_TRUE(OpenJournal(SmallOptions(dir.path()), SystemClock()).ok());
}

TEST(Journal, ADirectoryThatCannotBeMadeIsAClearError) {
  TempDir dir;
  std::ofstream(dir.path() + "/file") << "x";
  auto journal = OpenJournal(SmallOptions(dir.path() + "/file/journal"), SystemClock());
  ASSERT_FALSE(journal.ok());
  EXPECT_NE(journal.error().message.find(dir.path() + "/file/journal"), std::string::npos);
}

TEST(Journal, AJournalAndAStateOfDifferentTimesDoNotOpen) {
  TempDir dir;
  {
    auto journal = MustOpen(SmallOptions(dir.path()));
    for (int i = 0; i < 3; ++i) AppendAndWait(*journal, EventsRequest("x"));
  }
  JournalOptions options = SmallOptions(dir.path());
  options.flushed_lsn = 1000;
  auto journal = OpenJournal(options, SystemClock());
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.error().code, "JOURNAL_CORRUPT");
}

TEST(Journal, AnEmptyJournalGoesOnAfterWhatObjectsHold) {
  TempDir dir;
  JournalOptions options = SmallOptions(dir.path());
  options.flushed_lsn = 1000;
  auto journal = MustOpen(options);
  EXPECT_EQ(AppendAndWait(*journal, EventsRequest("x")), 1001u);
}

TEST(Journal, ReadingALotDoesNotStayResident) {
  TempDir dir;
  JournalOptions options = SmallOptions(dir.path());
  options.segment_bytes = 16 << 20;
  options.bytes_max = options.pending_bytes_max = 512 << 20;
  auto journal = MustOpen(options);
  Acks acks;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(journal->Append(EventsRequest(std::string(1 << 20, 'x')), acks.Expect("")).ok());
  }
  acks.Wait();
  auto resident_pages = [] {
    std::ifstream statm("/proc/self/statm");
    int64_t size = 0, resident = 0;
    statm >> size >> resident;
    return resident;
  };
  int64_t before = resident_pages();
  int64_t during = 0;
  {
    HotRecords hot = journal->Read(0, ~0ull, kEverything);
    uint64_t sum = 0;
    for (const Record& record : hot.records) {
      for (size_t i = 0; i < record.body.size(); i += 512) sum += record.body[i];
    }
    EXPECT_GT(sum, 0u);
    during = resident_pages();
  }
  // Against `during`: the heap that the appended bodies leave behind may shrink before it.
  EXPECT_GT(during - resident_pages(), 20'000);
  EXPECT_LT(resident_pages() - before, 4'000);
}

// In a child with a small file system of its own.
void FillTheDisk(const std::string& at) {
  CHECK(mount("tmpfs", at.c_str(), "tmpfs", 0, "size=2400k") == 0);
  JournalOptions options = SmallOptions(at + "/journal");
  options.pending_bytes_max = 100'000;
  auto journal = OpenJournal(options, SystemClock()).value();
  Acks acks;
  std::string code;
  for (int i = 0; code != "DISK_FULL"; ++i) {
    std::string body(30'000, 'a' + i % 26);
    Status status = journal->Append(EventsRequest(body), acks.Expect(body));
    if (status.ok()) continue;
    acks.Withdraw();
    code = status.error().code;
    CHECK(code == "DISK_FULL" || code == "BUSY");
  }
  std::map<Lsn, std::string> kept = acks.WaitFor(20);
  const std::map<Lsn, std::string> read = Bodies(*journal);
  CHECK(std::includes(read.begin(), read.end(), kept.begin(), kept.end()));
  CHECK(mount("tmpfs", at.c_str(), "tmpfs", MS_REMOUNT, "size=16m") == 0);
  while (!journal->Append(EventsRequest("room"), acks.Expect("room")).ok()) acks.Withdraw();
  kept = acks.Wait();  // also what was taken before the disk was known to be full
  CHECK(Bodies(*journal) == kept);
  journal.reset();
  CHECK(Bodies(*OpenJournal(options, SystemClock()).value()) == kept);
}

TEST(Journal, AFullDiskRefusesLosesNothingAndRecovers) {
  TempDir dir;
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0) CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
    mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    FillTheDisk(dir.path());
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace varve::journal

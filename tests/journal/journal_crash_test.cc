// What a crash, a power cut or a failing disk leaves, and what the next open makes of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <set>

#include "core/crash_point.h"
#include "journal/replay.h"
#include "journal/round.h"
#include "journal_fixture.h"

namespace varve::journal {
namespace {

using Model = std::map<Lsn, std::string>;

void ForManySeeds(void (*property)(uint64_t seed)) {
  constexpr uint64_t kSeeds = 25;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    property(seed);
    if (testing::Test::HasFatalFailure()) return;
  }
}

std::string RandomBody(Random& random) {
  size_t size = random.Below(4) == 0 ? random.Below(30'000) : random.Below(500);
  return std::string(size, static_cast<char>('a' + random.Below(26)));
}

// Appends some records with waits here and there; everything in the answer was acknowledged.
Model AppendSome(Journal& journal, Random& random, int count) {
  Acks acks;
  for (int i = 0; i < count; ++i) {
    std::string body = RandomBody(random);
    CHECK(journal.Append(EventsRequest(body), acks.Expect(body)).ok());
    if (random.Below(3) == 0) acks.Wait();
  }
  return acks.Wait();
}

// Of a running journal between two rounds: what a segment being prepared looks like is no matter.
void CopySegments(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::create_directories(to);
  for (const std::string& path : SegmentFiles(from)) {
    std::filesystem::copy(path, to + "/" + std::filesystem::path(path).filename().string());
  }
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// The last segment with records, and the page behind its last round.
struct End {
  std::shared_ptr<Segment> segment;
  uint64_t at = 0;
  Lsn next = 0;
};
End FindEnd(const std::string& directory, NameTable& names) {
  Replayed replayed = Replay(directory, names, ReplayMode::kRepair).value();
  CHECK(!replayed.segments.empty());
  End end{replayed.segments.back(), 0, replayed.last_lsn + 1};
  const IndexEntry& last = end.segment->entry(end.segment->record_count() - 1);
  auto header = ReadHeader(end.segment->file().base(), last.offset, end.segment->identity());
  end.at = AlignUp(last.offset + RecordBytes(*header), kPageBytes);
  return end;
}

// Writes a round that no one was told of, of which a power cut has kept only some sectors.
// Returns what it would have held.
std::vector<std::string> TearARound(const std::string& directory, Random& random) {
  NameTable names;
  End end = FindEnd(directory, names);
  std::vector<std::string> bodies;
  std::vector<Waiting> records;
  uint64_t room = end.segment->data_end() - end.at;
  for (uint64_t i = 0, bytes = 0; i < 1 + random.Below(4); ++i) {
    std::string body = RandomBody(random);
    AppendRequest request = EventsRequest(body);
    Waiting record;
    record.kind = static_cast<uint8_t>(request.kind);
    record.head = EncodeHead(request, record.kind);
    record.ns = "default";
    record.event_count = 1;
    record.body = body;
    record.bytes = AlignUp(record.head.size() + body.size(), kRecordAlignBytes);
    bytes += record.bytes;
    if (AlignUp(bytes, kPageBytes) > room) break;
    bodies.push_back(body);
    records.push_back(std::move(record));
  }
  if (records.empty()) return {};
  std::string before = ReadFile(end.segment->path());
  Round round;
  round.Begin(*end.segment, end.at, end.next);
  for (Waiting& record : records) round.Add(record, names);
  CHECK(round.Write().ok());
  std::string after = ReadFile(end.segment->path());
  constexpr uint64_t kSector = 512;
  for (uint64_t at = end.at; at < end.at + round.padded_bytes(); at += kSector) {
    if (random.Below(3) == 0) after.replace(at, kSector, before, at, kSector);
  }
  WriteFile(end.segment->path(), after);
  return bodies;
}

// Acknowledged records first, all of them; then at most a prefix of what was in flight.
void ExpectAckedAndPrefix(const Model& found, const Model& acked,
                          const std::vector<std::string>& in_flight) {
  auto at = found.begin();
  for (const auto& [lsn, body] : acked) {
    ASSERT_TRUE(at != found.end());
    ASSERT_TRUE(at->first == lsn);
    ASSERT_TRUE(at->second == body);
    ++at;
  }
  for (size_t i = 0; at != found.end(); ++at, ++i) {
    ASSERT_TRUE(i < in_flight.size());
    ASSERT_TRUE(at->second == in_flight[i]);
  }
}

void PowerCutsKeepWhatWasAcknowledged(uint64_t seed) {
  auto random = SeededRandom(seed);
  TempDir dir;
  std::string live = dir.path() + "/live", cut = dir.path() + "/cut";
  Model acked;
  for (int life = 0; life < 4; ++life) {
    auto opened = OpenJournal(SmallOptions(live), SystemClock());
    ASSERT_TRUE(opened.ok());
    acked.merge(AppendSome(**opened, *random, 1 + static_cast<int>(random->Below(30))));
    CopySegments(live, cut);  // as it is on the disk between two rounds: no clean stop
    opened->reset();
    auto in_flight = TearARound(cut, *random);
    CopySegments(cut, live);

    auto reopened = OpenJournal(SmallOptions(live), SystemClock());
    ASSERT_TRUE(reopened.ok()) << reopened.error().message;
    Model found = Bodies(**reopened);
    ExpectAckedAndPrefix(found, acked, in_flight);
    acked = found;
  }
}

TEST(JournalCrash, PowerCutsKeepWhatWasAcknowledged) {
  ForManySeeds(PowerCutsKeepWhatWasAcknowledged);
}

void AFlippedBitIsReportedOrHarmless(uint64_t seed) {
  auto random = SeededRandom(seed);
  TempDir dir;
  Model acked;
  {
    auto journal = OpenJournal(SmallOptions(dir.path()), SystemClock()).value();
    acked = AppendSome(*journal, *random, 40);
  }
  NameTable names;
  std::string path;
  uint64_t at = 0;
  {
    Replayed replayed = Replay(dir.path(), names, ReplayMode::kRepair).value();
    const auto& segment = replayed.segments[random->Below(replayed.segments.size())];
    const IndexEntry& last = segment->entry(segment->record_count() - 1);
    path = segment->path();
    at = random->Below(last.offset + sizeof(RecordHeader) + last.body_size);
  }
  std::string bytes = ReadFile(path);
  bytes[at] = static_cast<char>(bytes[at] ^ (1 << random->Below(8)));
  WriteFile(path, bytes);
  auto reopened = OpenJournal(SmallOptions(dir.path()), SystemClock());
  if (reopened.ok()) {
    bool intact = Bodies(**reopened) == acked;  // padding, a copy of the header, the seal
    ASSERT_TRUE(intact);
  } else {
    ASSERT_TRUE(reopened.error().code == "JOURNAL_CORRUPT");
    ASSERT_TRUE(reopened.error().message.find(path) != std::string::npos);
    ASSERT_TRUE(reopened.error().message.find("offset") != std::string::npos);
  }
}

TEST(JournalCrash, AFlippedBitIsReportedOrHarmless) {
  ForManySeeds(AFlippedBitIsReportedOrHarmless);
}

void ACutFileIsReportedOrLosesNothing(uint64_t seed) {
  auto random = SeededRandom(seed);
  TempDir dir;
  Model acked;
  {
    auto journal = OpenJournal(SmallOptions(dir.path()), SystemClock()).value();
    acked = AppendSome(*journal, *random, 60);
  }
  NameTable names;
  Lsn cut_lsn = 0;
  {
    Replayed replayed = Replay(dir.path(), names, ReplayMode::kRepair).value();
    const auto& segment = replayed.segments[random->Below(replayed.segments.size())];
    uint64_t size = kSegmentHeaderBytes + random->Below(segment->data_end() - kSegmentHeaderBytes);
    for (uint32_t i = 0; i < segment->record_count() && cut_lsn == 0; ++i) {
      const IndexEntry& e = segment->entry(i);
      auto header = ReadHeader(segment->file().base(), e.offset, segment->identity());
      bool seal = e.kind == kSealKind;
      if (!seal && e.offset + sizeof *header + PayloadBytes(*header) > size) {
        cut_lsn = segment->first_lsn() + i;
      }
    }
    std::filesystem::resize_file(segment->path(), size);
  }
  auto reopened = OpenJournal(SmallOptions(dir.path()), SystemClock());
  if (cut_lsn == 0) {
    ASSERT_TRUE(reopened.ok());
    bool intact = Bodies(**reopened) == acked;
    ASSERT_TRUE(intact);
  } else if (reopened.ok()) {  // the very end is gone: as after a torn round, a prefix is there
    Model found = Bodies(**reopened);
    bool prefix = found == Model(acked.begin(), acked.lower_bound(cut_lsn));
    ASSERT_TRUE(prefix);
  } else {
    ASSERT_TRUE(reopened.error().code == "JOURNAL_CORRUPT");
  }
}

TEST(JournalCrash, ACutFileIsReportedOrLosesNothing) {
  ForManySeeds(ACutFileIsReportedOrLosesNothing);
}

TEST(JournalCrash, AMissingSegmentIsCorruption) {
  TempDir dir;
  auto random = SeededRandom(1);
  {
    auto journal = OpenJournal(SmallOptions(dir.path()), SystemClock()).value();
    for (int i = 0; i < 40; ++i) AppendAndWait(*journal, EventsRequest(std::string(30'000, 'x')));
  }
  std::vector<std::string> files = SegmentFiles(dir.path());
  ASSERT_GE(files.size(), 4u);
  std::filesystem::remove(files[1]);
  auto reopened = OpenJournal(SmallOptions(dir.path()), SystemClock());
  ASSERT_FALSE(reopened.ok());
  EXPECT_EQ(reopened.error().kind, ErrorKind::kCorrupt);
}

// What a state database would say: objects hold everything up to here.
Lsn ReadFlushed(const std::string& directory) {
  Lsn lsn = 0;
  std::ifstream(directory + "/flushed") >> lsn;
  return lsn;
}

JournalOptions CrashOptions(const std::string& directory) {
  JournalOptions options = SmallOptions(directory + "/journal");
  options.bytes_max = 8 * options.segment_bytes;
  options.flushed_lsn = ReadFlushed(directory);
  return options;
}

// A child works through every path of the journal and writes each acknowledged LSN down; what it
// wrote to `acked_fd` survives it.
void ChildWork(const std::string& directory, int acked_fd) {
  auto journal = OpenJournal(CrashOptions(directory), SystemClock()).value();
  HotRecords pin;
  for (int i = 0; i < 60; ++i) {
    Lsn lsn = AppendAndWait(*journal, EventsRequest(std::string(20'000, 'a' + i % 26)));
    CHECK(write(acked_fd, &lsn, sizeof lsn) == sizeof lsn);
    if (i % 40 == 5) pin = journal->Read(lsn - 1, lsn, kEverything);
    if (i % 40 == 39) pin = {};
    if (i % 4 != 3 || lsn <= 10) continue;
    std::ofstream(directory + "/flushed.new") << lsn - 10;
    std::filesystem::rename(directory + "/flushed.new", directory + "/flushed");
    journal->Release(lsn - 10);
  }
}

std::optional<std::set<Lsn>> RunChild(const std::string& directory, const std::string& crash) {
  int fds[2];
  CHECK(pipe(fds) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(fds[0]);
    if (!crash.empty()) CHECK(CrashPoint::Arm(crash));
    ChildWork(directory, fds[1]);
    _exit(0);
  }
  close(fds[1]);
  std::set<Lsn> acked;
  for (Lsn lsn; read(fds[0], &lsn, sizeof lsn) == sizeof lsn;) acked.insert(lsn);
  close(fds[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status)) {
    EXPECT_EQ(WEXITSTATUS(status), 0);
    return std::nullopt;  // the place was not reached so often
  }
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  return acked;
}

TEST(JournalCrash, EveryCrashPointKeepsWhatWasAcknowledged) {
  for (std::string_view point : CrashPoint::Names()) {
    if (!point.starts_with("journal.")) continue;
    int fired = 0;
    for (bool used_before : {false, true}) {  // then recycling at open is met too
      for (const char* hit : {":1", ":2", ":7"}) {
        TempDir dir;
        if (used_before) RunChild(dir.path(), "");
        auto acked = RunChild(dir.path(), std::string(point) + hit);
        if (!acked) continue;
        ++fired;
        auto reopened = OpenJournal(CrashOptions(dir.path()), SystemClock());
        ASSERT_TRUE(reopened.ok()) << point << hit << ": " << reopened.error().message;
        Lsn first = (*reopened)->first_lsn();
        EXPECT_LE(first, ReadFlushed(dir.path()) + 1) << point << hit << " released too much";
        Model found = Bodies(**reopened);
        for (Lsn lsn : *acked) {
          bool kept = lsn < first || found.contains(lsn);
          EXPECT_TRUE(kept) << point << hit << " lost " << lsn;
        }
        Lsn last = (*reopened)->last_lsn();
        EXPECT_EQ(AppendAndWait(**reopened, EventsRequest("next")), last + 1);
      }
    }
    EXPECT_GT(fired, 0) << point << " was never reached";
  }
}

}  // namespace
}  // namespace varve::journal

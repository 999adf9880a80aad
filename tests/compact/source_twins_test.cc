// The same bytes that another program puts into the directory again are known, whatever their ETag.
#include "compact/source_twins.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "compact/source_content.h"
#include "compaction_lab.h"
#include "store/local_store.h"
#include "temp_dir.h"
#include "windows.h"

namespace varve::compact {
namespace {

class SourceTwinsTest : public ::testing::Test {
 protected:
  SourceTwinsTest()
      : store_(store::OpenLocalStore({.root = dir_.File("lake"), .fsync = false}, clock_).value()) {
    WindowOptions options;
    options.min_files = 1;
    windows_ = std::make_unique<Windows>(dir_.File("state.db"), clock_, options);
    twins_ = std::make_unique<SourceTwins>(*store_, *windows_->tracker);
  }

  // As another program does, at another time each.
  SourceFile Write(const std::string& key, const std::string& bytes) {
    const std::string path = dir_.File("lake/" + key);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path + ".tmp", std::ios::binary) << bytes;
    std::filesystem::rename(path + ".tmp", path);
    const timespec times[2] = {{++written_, 0}, {written_, 0}};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return There(key);
  }
  SourceFile There(const std::string& key) {
    const auto meta = store_->Head(key).value();
    SourceFile file;
    file.key = key;
    file.etag = meta.etag;
    file.size = meta.size;
    return file;
  }
  Arrival Put(const std::string& bytes) {
    Write(key_, bytes);
    return Now();
  }
  Arrival Now() {
    const SourceFile file = There(key_);
    return FileOf("users", kTen + 1, "w1", 0, file.etag, file.size);
  }
  size_t Find(const Arrival& arrival) { return twins_->Find(std::span(&arrival, 1)).value(); }
  NoteCounts FindAndNote(const Arrival& arrival) {
    Find(arrival);
    return windows_->Note({arrival});
  }
  std::string Compact(const Arrival& arrival) {
    EXPECT_EQ(FindAndNote(arrival).added, 1u);
    clock_.AdvanceMs(2 * kWindowMs);
    const std::string id = windows_->Dispatch()->window.workflow_id;
    windows_->SettleAll(id);
    windows_->End(id);
    return id;
  }
  void Remember(const std::string& id, const Arrival& arrival, const std::string& content) {
    ASSERT_TRUE(windows_->database
                    ->Transact([&](state::Session& session) {
                      return windows_->tracker->Remember(session, id,
                                                         {{arrival.key, arrival.etag, content}});
                    })
                    .ok());
  }
  std::string Content() { return *ContentOf(*store_, There(key_), ContentKind::kXxh3).value(); }
  SourceView ViewOf(const Arrival& arrival) { return windows_->ViewOf(arrival.key, arrival.etag); }

  TempDir dir_;
  ManualClock clock_{kTen};
  std::unique_ptr<store::ObjectStore> store_;
  std::unique_ptr<Windows> windows_;
  std::unique_ptr<SourceTwins> twins_;
  int64_t written_ = kTen / 1'000;
  const std::string key_ = "data/users/1795255200001-w1-0.parquet";
};

TEST_F(SourceTwinsTest, TheSameBytesPutAgainAreCompactedToo) {
  const Arrival first = Put("some bytes");
  const std::string id = Compact(first);
  Remember(id, first, Content());
  for (int i = 0; i < 2; ++i) {
    const Arrival again = Put("some bytes");
    ASSERT_NE(again.etag, first.etag);
    EXPECT_EQ(FindAndNote(again).already_compacted, 1u);
    EXPECT_EQ(ViewOf(again).standing, SourceStanding::kCompacted);
    EXPECT_EQ(ViewOf(again).workflow_id, id);
    EXPECT_EQ(Find(again), 0u) << "it is known";
  }
  EXPECT_TRUE(windows_->tracker->WasCompacted(key_).value());
  EXPECT_EQ(windows_->StatusOf("users").pending_files, 0u);
  // Nor is it claimed.
  const Status claimed = windows_->database->Transact([&](state::Session& session) {
    const Arrival now = Now();
    return windows_->tracker->Claim(session, "another", std::span(&now, 1));
  });
  ASSERT_FALSE(claimed.ok());
  EXPECT_EQ(claimed.error().code, "ALREADY_COMPACTED");
}

TEST_F(SourceTwinsTest, OtherBytesAreNew) {
  const Arrival first = Put("some bytes");
  Remember(Compact(first), first, Content());
  for (const char* other : {"same bytes", "and more bytes"}) {
    const Arrival arrival = Put(other);
    EXPECT_EQ(FindAndNote(arrival).added, 1u) << other;
    EXPECT_EQ(ViewOf(arrival).standing, SourceStanding::kPending) << other;
  }
  // They wait no more where the first are back.
  const Arrival back = Put("some bytes");
  EXPECT_EQ(FindAndNote(back).already_compacted, 1u);
  EXPECT_EQ(windows_->StatusOf("users").pending_files, 0u);
  EXPECT_EQ(windows_->StatusOf("users").windows_total, 0u);
}

TEST_F(SourceTwinsTest, BytesWithoutAContentAreNew) {
  Compact(Put("some bytes"));
  EXPECT_EQ(FindAndNote(Put("some bytes")).added, 1u);
}

TEST_F(SourceTwinsTest, AnAnnouncementOfBytesThatHaveGoneIsNoTwin) {
  const Arrival first = Put("some bytes");
  Remember(Compact(first), first, Content());
  const Arrival old = Put("some bytes");
  Put("same bytes");
  EXPECT_EQ(Find(old), 0u);
}

TEST_F(SourceTwinsTest, AnETagOfTheBytesIsTheirContent) {
  const auto put = store_->Put(key_, "some bytes", {}).value();
  ASSERT_EQ(ContentKindOf(put.etag), ContentKind::kMd5);
  Compact(Now());
  const Arrival copied = Put("some bytes");
  ASSERT_TRUE(store::IsForeignEtag(copied.etag));
  EXPECT_EQ(FindAndNote(copied).already_compacted, 1u);
  EXPECT_EQ(FindAndNote(Put("same bytes")).added, 1u);
}

TEST_F(SourceTwinsTest, BytesThatCameBeforeTheContentWasKnownAreLookedAtAgain) {
  const Arrival first = Put("some bytes");
  const std::string content = Content();
  const std::string id = Compact(first);
  const Arrival again = Put("some bytes");
  EXPECT_EQ(FindAndNote(again).added, 1u);
  Remember(id, first, content);
  const auto asked = windows_->tracker->Rechecks(10).value();
  ASSERT_EQ(asked, (std::vector<SourceId>{{key_, again.etag}}));
  EXPECT_EQ(Find(again), 1u);
  ASSERT_TRUE(windows_->tracker->Recheck(asked[0], again).ok());
  EXPECT_EQ(ViewOf(again).standing, SourceStanding::kCompacted);
  EXPECT_EQ(windows_->StatusOf("users").windows_total, 0u);
  EXPECT_TRUE(windows_->tracker->Rechecks(10)->empty());
}

TEST_F(SourceTwinsTest, ADatabaseOfAnEarlierVersionIsUpgraded) {
  const Arrival first = Put("some bytes");
  const std::string id = Compact(first);
  ASSERT_TRUE(windows_->database
                  ->Transact([](state::Session& session) -> Status {
                    TRY(session.Execute("ALTER TABLE window_sources DROP COLUMN content"));
                    return session.Execute(
                        "UPDATE varve_migrations SET version = 1"
                        " WHERE module = 'compact_windows'");
                  })
                  .ok());
  twins_.reset();
  windows_.reset();
  windows_ = std::make_unique<Windows>(dir_.File("state.db"), clock_);
  twins_ = std::make_unique<SourceTwins>(*store_, *windows_->tracker);
  EXPECT_EQ(ViewOf(first).standing, SourceStanding::kCompacted);
  EXPECT_EQ(windows_->Note({first}).already_compacted, 1u);
  Remember(id, first, Content());
  EXPECT_EQ(FindAndNote(Put("some bytes")).already_compacted, 1u);
}

TEST_F(SourceTwinsTest, AWorkflowTellsTheContentAndDeletesTheTwin) {
  CompactionLab lab(*store_, dir_.path(), clock_, true);
  std::vector<SourceFile> sources;
  std::vector<std::string> bytes;
  for (int i = 0; i < 4; ++i) {
    bytes.push_back(ParquetOf({.rows = {{kTen + i, std::to_string(i), i}}}));
    const std::string key = fmt::format("data/users/{}-w-{}.parquet", kTen, i);
    if (i == 3) {
      ASSERT_TRUE(store_->Put(key, bytes.back(), {}).ok());
    }
    sources.push_back(i == 3 ? There(key) : Write(key, bytes.back()));
    sources.back().writer = "w";
    sources.back().time_ms = kTen;
    sources.back().sequence = static_cast<uint64_t>(i);
  }
  const std::string id = lab.Start(lab.Request(sources, Iceberg()));
  lab.RunUntil(id, kDeletionStep);
  ASSERT_EQ(lab.account->contents.size(), 3u);  // the fourth's ETag says what it is
  for (const SourceFile& source : std::span(sources).first(3)) {
    EXPECT_EQ(ContentOf(*store_, source, ContentKind::kXxh3)->value(),
              lab.account->contents[source.key]);
  }
  Write(sources[0].key, bytes[0]);
  Write(sources[3].key, bytes[3]);
  std::string others = bytes[1];
  others[4] ^= 1;
  Write(sources[1].key, others);
  lab.Drain();
  EXPECT_EQ(lab.Keys("data/"), (std::vector<std::string>{sources[1].key}));
}

}  // namespace
}  // namespace varve::compact

// A journal that is looked at: its records as they are, in memory and on the disk.
#include <utility>

#include "journal/journal.h"
#include "journal/live_segments.h"
#include "journal/lock_file.h"
#include "journal/replay.h"

namespace varve::journal {
namespace {

Error ReadOnly() {
  return MakeError(ErrorKind::kInvalid, "JOURNAL_READ_ONLY", "the journal is open to be read only");
}

class JournalReader : public Journal {
 public:
  JournalReader(LockFile lock, std::unique_ptr<NameTable> names, Replayed replayed, Lsn last_lsn,
                uint64_t bytes_max)
      : lock_file_(std::move(lock)),
        names_(std::move(names)),
        torn_bytes_(replayed.torn_bytes),
        bytes_max_(bytes_max),
        live_(std::move(replayed.segments), last_lsn) {}

  Status Append(AppendRequest, std::function<void(Lsn)>) override { return ReadOnly(); }
  Status WouldTake(uint64_t) const override { return ReadOnly(); }
  HotRecords Read(Lsn after, Lsn upto, uint32_t kinds) const override {
    return live_.Read(after, upto, kinds);
  }
  Lsn last_lsn() const override { return live_.last_lsn(); }
  Lsn first_lsn() const override { return live_.first_lsn(); }
  void Release(Lsn) override {}
  JournalStats Stats() const override {
    JournalStats stats;
    live_.AddStats(&stats);
    stats.bytes_max = bytes_max_;
    stats.segments = live_.file_count();
    stats.torn_bytes_dropped = torn_bytes_;
    return stats;
  }
  void Close() override {}

 private:
  const LockFile lock_file_;
  const std::unique_ptr<NameTable> names_;
  const uint64_t torn_bytes_;
  const uint64_t bytes_max_;
  LiveSegments live_;
};

}  // namespace

Result<std::unique_ptr<Journal>> OpenJournalToRead(const JournalOptions& options) {
  LockFile lock = TRY(LockFile::Take(options.directory, LockFile::Mode::kRead));
  auto names = std::make_unique<NameTable>();
  Replayed replayed = TRY(Replay(options.directory, *names, ReplayMode::kLook));
  TRY(CheckCovers(replayed, options.flushed_lsn, options.directory));
  const Lsn last_lsn = std::max(replayed.last_lsn, options.flushed_lsn);
  return std::unique_ptr<Journal>(std::make_unique<JournalReader>(
      std::move(lock), std::move(names), std::move(replayed), last_lsn, options.bytes_max));
}

}  // namespace varve::journal

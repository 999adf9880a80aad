#include "journal/replay.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/bytes.h"
#include "core/log.h"
#include "fmt/format.h"

namespace varve::journal {
namespace {

struct Scan {
  std::vector<IndexEntry> entries;
  Lsn first_lsn = 0;
  uint64_t stopped_at = 0;  // the page where the next round would start
};

// The records from the segment's start, in unbroken LSN order.
Scan ScanRecords(const Segment& segment, NameTable& names) {
  Scan scan;
  const char* base = segment.file().base();
  uint64_t at = kSegmentHeaderBytes;
  while (at < segment.data_end()) {
    std::optional<RecordHeader> header = ReadHeader(base, at, segment.identity());
    bool next =
        header && (scan.entries.empty() || header->lsn == scan.first_lsn + scan.entries.size());
    if (!next || !PayloadIsWhole(base, at, *header)) {
      if (at % kPageBytes == 0) break;
      at = AlignUp(at, kPageBytes);  // the padding at a round's end
      continue;
    }
    if (scan.entries.empty()) scan.first_lsn = header->lsn;
    const char* ns =
        base + at + sizeof *header + header->event_count * EventBytes(header->has_event_ids != 0);
    scan.entries.push_back({header->received_ms, names.Intern({ns, header->ns_size}),
                            static_cast<uint32_t>(at), header->body_size, header->event_count,
                            header->batch_id_size, header->kind, header->has_event_ids != 0});
    at += RecordBytes(*header);
  }
  scan.stopped_at = at;
  return scan;
}

Error Damaged(const Segment& segment, uint64_t at, Lsn lsn) {
  return MakeError(
      ErrorKind::kCorrupt, "JOURNAL_CORRUPT",
      fmt::format(
          "journal segment {} is damaged at or before offset {}: record {} was acknowledged "
          "and cannot be read. Nothing has been changed. Restore the file, or let `varve "
          "doctor` say what is lost and set the damaged part aside",
          segment.path(), at, lsn));
}

// Looks behind the end of the last records: how many bytes of a torn round there are. kCorrupt if
// a later round is there.
Result<uint64_t> InspectTail(const Segment& segment, const Scan& scan, Lsn next_lsn) {
  const char* base = segment.file().base();
  const SegmentIdentity& identity = segment.identity();
  uint64_t bad_at = scan.stopped_at;
  if (!scan.entries.empty()) {  // the torn record may have followed whole ones of its round
    const IndexEntry& last = scan.entries.back();
    std::optional<RecordHeader> header = ReadHeader(base, last.offset, identity);
    if (header) bad_at = last.offset + RecordBytes(*header);
  }
  uint64_t torn_end = bad_at;
  bool begun = bad_at + sizeof(RecordHeader) <= segment.data_end() &&
               GetLe<uint64_t>(base + bad_at + offsetof(RecordHeader, epoch)) == identity.epoch;
  if (begun) torn_end = bad_at + sizeof(RecordHeader);
  auto note = [&](uint64_t at) -> Status {
    std::optional<RecordHeader> header = ReadHeader(base, at, identity);
    if (!header) return {};
    bool later = next_lsn != 0 ? header->lsn > next_lsn : at > kSegmentHeaderBytes;
    if (header->lsn == header->round_lsn && later) return Damaged(segment, bad_at, next_lsn);
    torn_end = std::max(torn_end, at + RecordBytes(*header));
    return {};
  };
  TRY(note(bad_at));
  for (uint64_t at = AlignUp(bad_at, kPageBytes); at < segment.data_end(); at += kPageBytes) {
    TRY(note(at));
  }
  return torn_end - bad_at;
}

Result<std::vector<uint64_t>> ListEpochs(const std::string& directory, ReplayMode mode) {
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr && errno == ENOENT && mode != ReplayMode::kRepair) {
    return std::vector<uint64_t>();  // a directory of tables, in which no server ever ran
  }
  if (dir == nullptr) return ErrnoError(errno, "list journal directory " + directory);
  std::vector<uint64_t> epochs;
  while (const dirent* entry = readdir(dir)) {
    std::string_view name = entry->d_name;
    if (auto epoch = EpochOfSegmentName(name)) epochs.push_back(*epoch);
    if (mode == ReplayMode::kRepair && name.ends_with(".tmp")) {
      unlink((directory + "/" + entry->d_name).c_str());
    }
  }
  closedir(dir);
  std::sort(epochs.begin(), epochs.end());
  return epochs;
}

bool HoldsRecordOf(const MappedFile& file, uint64_t epoch) {
  return file.bytes() > kSegmentHeaderBytes + sizeof(RecordHeader) &&
         GetLe<uint64_t>(file.base() + kSegmentHeaderBytes + offsetof(RecordHeader, epoch)) ==
             epoch;
}

// The segment of a file; under an identity that no record verifies with when its header is not its
// own (a recycling that a crash has cut short).
Result<std::shared_ptr<Segment>> OpenSegment(const std::string& path, uint64_t epoch,
                                             ReplayMode mode) {
  auto open = [&](uint64_t bytes) {
    return mode == ReplayMode::kRepair ? MappedFile::Open(path, bytes)
                                       : MappedFile::OpenToRead(path, bytes);
  };
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return ErrnoError(errno, "open journal segment " + path);
  auto size = std::max<uint64_t>(static_cast<uint64_t>(status.st_size), 2 * kPageBytes);
  MappedFile file = TRY(open(size));
  auto identity = ReadSegmentHeader({file.base(), kSegmentHeaderBytes});
  if (identity && identity->epoch == epoch) {
    if (identity->bytes != size) file = TRY(open(identity->bytes));
    return std::make_shared<Segment>(path, std::move(file), *identity);
  }
  if (HoldsRecordOf(file, epoch)) {
    return MakeError(ErrorKind::kCorrupt, "JOURNAL_CORRUPT",
                     "journal segment " + path +
                         " has records but both copies of its header (offsets 0 and 2048) are "
                         "damaged. Nothing has been changed. Restore the file, or let `varve "
                         "doctor` say what is lost");
  }
  return std::make_shared<Segment>(path, std::move(file), SegmentIdentity{epoch, 0, size});
}

struct Tail {  // the last segment with records, and where they end
  std::shared_ptr<Segment> segment;
  Scan scan;
};

}  // namespace

Result<Replayed> Replay(const std::string& directory, NameTable& names, ReplayMode mode) {
  Replayed out;
  Tail tail;
  bool tail_inspected_beyond = false;
  for (uint64_t epoch : TRY(ListEpochs(directory, mode))) {
    auto segment = TRY(OpenSegment(SegmentPath(directory, epoch), epoch, mode));
    out.last_epoch = std::max(out.last_epoch, epoch);
    Scan scan = ScanRecords(*segment, names);
    Lsn next_lsn = out.last_lsn == 0 ? 0 : out.last_lsn + 1;
    if (scan.entries.empty()) {
      // Epochs are written in order, so only the first file behind the records can hide any.
      if (!tail_inspected_beyond) out.torn_bytes += TRY(InspectTail(*segment, scan, next_lsn));
      tail_inspected_beyond = true;
      segment->file().DropPages();
      out.unused.push_back(std::move(segment));
      continue;
    }
    if (next_lsn != 0 && scan.first_lsn != next_lsn) {
      return Damaged(*tail.segment, tail.scan.stopped_at, next_lsn);
    }
    // A killed process may have left it unsynced.
    if (mode == ReplayMode::kRepair && fdatasync(segment->file().fd()) != 0) {
      return ErrnoError(errno, "sync journal segment " + segment->path());
    }
    segment->Publish(scan.first_lsn, scan.entries);
    segment->file().DropPages();
    out.last_lsn = scan.first_lsn + scan.entries.size() - 1;
    out.segments.push_back(segment);
    tail = {std::move(segment), std::move(scan)};
    tail_inspected_beyond = false;
    out.torn_bytes = 0;
  }
  if (tail.segment != nullptr) {
    out.torn_bytes += TRY(InspectTail(*tail.segment, tail.scan, out.last_lsn + 1));
    tail.segment->file().DropPages();
  }
  if (out.torn_bytes > 0 && mode == ReplayMode::kRepair) {
    LogWarn("journal.torn_tail_dropped",
            {{"bytes", out.torn_bytes}, {"after_lsn", out.last_lsn}, {"directory", directory}});
  }
  return out;
}

Status CheckCovers(const Replayed& replayed, Lsn flushed_lsn, const std::string& directory) {
  if (replayed.last_lsn == 0) return {};
  Lsn first = replayed.segments.front()->first_lsn();
  if (first <= flushed_lsn + 1 && replayed.last_lsn >= flushed_lsn) return {};
  return MakeError(
      ErrorKind::kCorrupt, "JOURNAL_CORRUPT",
      fmt::format(
          "journal {} holds records {} to {}, but the state database says that objects hold "
          "everything up to {}: they are not of one time (a backup of one of them?). Nothing "
          "has been changed; see `varve doctor`",
          directory, first, replayed.last_lsn, flushed_lsn));
}

}  // namespace varve::journal

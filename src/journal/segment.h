// One file of the journal, of fixed size, mapped for reading, with an index of its records in
// memory. The committer appends to one segment at a time; any thread may read what is published.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "journal/record_format.h"

namespace varve::journal {

// A record without its bytes. Its LSN is the segment's first LSN plus its place in the index.
struct IndexEntry {
  int64_t received_ms;
  const std::string* ns;  // interned for the journal's life
  uint32_t offset;        // of the record's header in the segment
  uint32_t body_size;
  uint32_t event_count;
  uint16_t batch_id_size;
  uint8_t kind;
  bool has_event_ids;
};
static_assert(sizeof(IndexEntry) == 32);

// Ownership of a segment's file descriptor and mapping.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Creates the file with zeros written through, so that no later write of it allocates, extends
  // or converts extents: those cost the fdatasync of a round three to five times its time.
  static Result<MappedFile> CreateZeroed(const std::string& path, uint64_t bytes);
  // Opens it at its present size; a size that is not `bytes` (cut by a failing disk) is restored
  // with zeros, which do not verify as records.
  static Result<MappedFile> Open(const std::string& path, uint64_t bytes);
  // The same view of a file that stays as it is.
  static Result<MappedFile> OpenToRead(const std::string& path, uint64_t bytes);

  Status WriteDurably(std::string_view bytes, uint64_t at);
  void DropPages() const;  // out of resident memory; they stay in the page cache
  int fd() const { return fd_; }
  int read_fd() const { return read_fd_; }  // cannot be written through, so it can be handed out
  const char* base() const { return base_; }
  uint64_t bytes() const { return bytes_; }

 private:
  Status Map(const std::string& path, uint64_t bytes);
  int fd_ = -1, read_fd_ = -1;
  const char* base_ = nullptr;
  uint64_t bytes_ = 0;
};

class Segment {
 public:
  Segment(std::string path, MappedFile file, SegmentIdentity identity);

  const std::string& path() const { return path_; }
  const SegmentIdentity& identity() const { return identity_; }
  const MappedFile& file() const { return file_; }
  MappedFile TakeFile() && { return std::move(file_); }
  uint64_t data_end() const { return identity_.bytes - kSegmentTailBytes; }

  // By the owner of the tail only (replay, then the committer).
  void Publish(Lsn first_lsn_of_entries, const std::vector<IndexEntry>& entries);

  uint32_t record_count() const { return published_.load(std::memory_order_acquire); }
  Lsn first_lsn() const { return first_lsn_.load(std::memory_order_acquire); }  // 0: no record
  Lsn end_lsn() const {               // one past the last; 0: no record
    uint32_t count = record_count();  // before first_lsn, which is set before the count
    return count == 0 ? 0 : first_lsn() + count;
  }
  const IndexEntry& entry(uint32_t i) const {  // i < a record_count() that this thread has read
    return (*chunks_[i / kChunkEntries])[i % kChunkEntries];
  }
  Record View(uint32_t i) const;

  // Whether no reader looks at it, nor will: once the journal has given it up, no pin is added. All
  // that readers did with it has then happened before.
  bool IsUnpinned() const { return pins_.load(std::memory_order_acquire) == 0; }

 private:
  friend class SegmentPin;
  static constexpr uint32_t kChunkEntries = 1024;
  using Chunk = std::array<IndexEntry, kChunkEntries>;

  std::string path_;
  MappedFile file_;
  SegmentIdentity identity_;
  std::atomic<Lsn> first_lsn_{0};
  std::atomic<uint32_t> published_{0};
  std::atomic<uint32_t> pins_{0};  // a count of our own: shared_ptr's does not order accesses
  std::vector<std::unique_ptr<Chunk>> chunks_;  // sized once, so that readers need no lock
};

// A reader's hold on a segment. Taken while the journal still has the segment.
class SegmentPin {
 public:
  explicit SegmentPin(std::shared_ptr<Segment> segment) : segment_(std::move(segment)) {
    segment_->pins_.fetch_add(1, std::memory_order_relaxed);
  }
  SegmentPin(SegmentPin&&) noexcept = default;
  SegmentPin& operator=(SegmentPin&&) = delete;
  ~SegmentPin() {
    if (segment_ != nullptr) segment_->pins_.fetch_sub(1, std::memory_order_release);
  }
  const Segment& operator*() const { return *segment_; }
  const Segment* operator->() const { return segment_.get(); }

 private:
  std::shared_ptr<Segment> segment_;
};

std::string SegmentPath(const std::string& directory, uint64_t epoch);
std::optional<uint64_t> EpochOfSegmentName(std::string_view name);
Status SyncDirectory(const std::string& directory);

}  // namespace varve::journal

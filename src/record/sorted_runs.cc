// A run is a sequence of {ts int64, size uint32, kind uint8, size bytes of JSON}, little-endian.
// The merge holds one buffer a run and a heap of their first events, by (time, run), which keeps
// the order of equal times; merged events are copied into a block for the file writer.
#include "record/sorted_runs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <queue>

#include "core/bytes.h"

namespace varve::record {

namespace {

constexpr size_t kHeaderBytes = 13;
constexpr size_t kWriteBytes = 1 << 20;
constexpr uint64_t kReadBytesMin = 64 << 10, kReadBytesMax = 4 << 20;
constexpr uint64_t kBlockBytesMin = 4 << 20, kBlockBytesMax = 64 << 20;

Error Truncated() { return MakeError(ErrorKind::kCorrupt, "a sorted run is cut short"); }

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return ErrnoError(errno, "write a sorted run");
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return {};
}

class RunReader {
 public:
  RunReader(int fd, size_t buffer_bytes) : fd_(fd), buffer_(buffer_bytes, '\0') {}

  // Steps to the next event. False at the run's end.
  Result<bool> Next();
  EventSlice event() const {
    const char* p = buffer_.data() + begin_;
    return {GetLe<int64_t>(p), p + kHeaderBytes, size_, static_cast<RecordKind>(p[12])};
  }

 private:
  Status Fill(size_t wanted);

  int fd_;
  std::string buffer_;
  uint64_t offset_ = 0;                           // in the file, of what is read next
  size_t begin_ = 0, end_ = 0, event_bytes_ = 0;  // in the buffer
  uint32_t size_ = 0;
};

// Makes `wanted` bytes from begin_ on available, or all that are left of the file.
Status RunReader::Fill(size_t wanted) {
  if (end_ - begin_ >= wanted) return {};
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (buffer_.size() < wanted) buffer_.resize(wanted);
  while (end_ < wanted) {
    const ssize_t got =
        ::pread(fd_, buffer_.data() + end_, buffer_.size() - end_, static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read a sorted run");
    if (got == 0) break;
    end_ += static_cast<size_t>(got);
    offset_ += static_cast<uint64_t>(got);
  }
  return {};
}

Result<bool> RunReader::Next() {
  begin_ += event_bytes_;
  event_bytes_ = 0;
  auto filled = Fill(kHeaderBytes);
  if (!filled.ok()) return std::move(filled).error();
  if (end_ == begin_) return false;
  if (end_ - begin_ < kHeaderBytes) return Truncated();
  size_ = GetLe<uint32_t>(buffer_.data() + begin_ + 8);
  filled = Fill(kHeaderBytes + size_);
  if (!filled.ok()) return std::move(filled).error();
  event_bytes_ = kHeaderBytes + size_;
  if (end_ - begin_ < event_bytes_) return Truncated();
  return true;
}

// Events copied out of the runs' buffers, until there are enough for the writer.
class Block {
 public:
  explicit Block(uint64_t bytes_max) : bytes_max_(bytes_max) {}
  bool Fits(const EventSlice& event) const {
    return slices_.empty() || text_.size() + event.size <= bytes_max_;
  }
  void Add(const EventSlice& event) {
    offsets_.push_back(text_.size());
    text_.append(event.data, event.size);
    slices_.push_back(event);
  }
  bool empty() const { return slices_.empty(); }
  std::span<const EventSlice> Slices() {
    for (size_t i = 0; i < slices_.size(); ++i) slices_[i].data = text_.data() + offsets_[i];
    return slices_;
  }
  void Clear() {
    text_.clear();
    offsets_.clear();
    slices_.clear();
  }

 private:
  const uint64_t bytes_max_;
  std::string text_;
  std::vector<size_t> offsets_;
  std::vector<EventSlice> slices_;
};

struct Head {
  int64_t ts_ms;
  uint32_t run;
  // Of a heap whose top is the largest.
  bool operator<(const Head& other) const {
    return ts_ms != other.ts_ms ? ts_ms > other.ts_ms : run > other.run;
  }
};

}  // namespace

SortedRuns::~SortedRuns() {
  for (const int fd : fds_) ::close(fd);
}

Status SortedRuns::Add(std::span<const EventSlice> sorted) {
  std::string name = directory_ + "/.varve-run-XXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoError(errno, "create a sorted run in " + directory_);
  fds_.push_back(fd);
  ::unlink(name.c_str());
  std::string out;
  for (const EventSlice& event : sorted) {
    AppendLe(out, event.ts_ms);
    AppendLe(out, event.size);
    AppendLe(out, static_cast<uint8_t>(event.kind));
    out.append(event.data, event.size);
    if (out.size() < kWriteBytes) continue;
    auto written = WriteAll(fd, out);
    if (!written.ok()) return written;
    out.clear();
  }
  return WriteAll(fd, out);
}

Status SortedRuns::Merge(uint64_t memory_bytes_max,
                         const std::function<Status(std::span<const EventSlice>)>& on_block) {
  Block block(std::clamp(memory_bytes_max / 4, kBlockBytesMin, kBlockBytesMax));
  const uint64_t read_bytes = std::clamp(memory_bytes_max / 2 / std::max<size_t>(fds_.size(), 1),
                                         kReadBytesMin, kReadBytesMax);
  std::vector<RunReader> readers;
  std::priority_queue<Head> heads;
  for (uint32_t run = 0; run < fds_.size(); ++run) {
    readers.emplace_back(fds_[run], read_bytes);
    if (TRY(readers[run].Next())) heads.push({readers[run].event().ts_ms, run});
  }
  while (!heads.empty()) {
    const uint32_t run = heads.top().run;
    heads.pop();
    if (!block.Fits(readers[run].event())) {
      auto taken = on_block(block.Slices());
      if (!taken.ok()) return taken;
      block.Clear();
    }
    block.Add(readers[run].event());
    if (TRY(readers[run].Next())) heads.push({readers[run].event().ts_ms, run});
  }
  return block.empty() ? Status() : on_block(block.Slices());
}

}  // namespace varve::record

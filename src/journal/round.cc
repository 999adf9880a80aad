#include "journal/round.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace varve::journal {
namespace {

constexpr char kZeroPage[kPageBytes] = {};

iovec Part(const char* data, size_t size) { return {const_cast<char*>(data), size}; }

// Drops the first n bytes of what parts[from, …) say; returns the new from.
size_t Advance(std::vector<iovec>& parts, size_t from, size_t n) {
  while (n > 0) {
    iovec& part = parts[from];
    size_t taken = std::min(n, part.iov_len);
    part.iov_base = static_cast<char*>(part.iov_base) + taken;
    part.iov_len -= taken;
    n -= taken;
    if (part.iov_len == 0) ++from;
  }
  return from;
}

}  // namespace

void Round::Begin(const Segment& segment, uint64_t at, Lsn first_lsn) {
  segment_ = &segment;
  at_ = at;
  bytes_ = 0;
  first_lsn_ = first_lsn;
  entries_.clear();
  parts_.clear();
}

void Round::Add(Waiting& record, NameTable& names) {
  StampHead(record.head, first_lsn_ + entries_.size(), first_lsn_, segment_->identity());
  entries_.push_back({record.received_ms, names.Intern(record.ns),
                      static_cast<uint32_t>(at_ + bytes_),
                      static_cast<uint32_t>(record.body.size()), record.event_count,
                      record.batch_id_size, record.kind, record.has_event_ids});
  parts_.push_back(Part(record.head.data(), record.head.size()));
  if (!record.body.empty()) parts_.push_back(Part(record.body.data(), record.body.size()));
  size_t padding = record.bytes - record.head.size() - record.body.size();
  if (padding > 0) parts_.push_back(Part(kZeroPage, padding));
  bytes_ += record.bytes;
}

Status Round::Write() {
  std::vector<iovec> parts = parts_;
  if (padded_bytes() > bytes_) parts.push_back(Part(kZeroPage, padded_bytes() - bytes_));
  uint64_t at = at_;
  for (size_t from = 0; from < parts.size();) {
    size_t count = std::min<size_t>(parts.size() - from, IOV_MAX);
    ssize_t n = pwritev(segment_->file().fd(), &parts[from], static_cast<int>(count),
                        static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return ErrnoError(n < 0 ? errno : EIO, "write journal segment " + segment_->path());
    }
    from = Advance(parts, from, static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  return {};
}

}  // namespace varve::journal

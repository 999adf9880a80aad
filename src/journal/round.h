// One round of a commit: records gathered, stamped, written with one pwritev, ready to be synced.
#pragma once

#include <sys/uio.h>

#include <functional>
#include <string>
#include <vector>

#include "core/result.h"
#include "journal/replay.h"
#include "journal/segment.h"

namespace varve::journal {

struct Waiting {  // a record between Append and its round
  std::string head;
  std::string body;
  std::string ns;
  int64_t received_ms = 0;
  uint64_t bytes = 0;  // on disk, with padding
  uint32_t event_count = 0;
  uint16_t batch_id_size = 0;
  uint8_t kind = kSealKind;
  bool has_event_ids = false;
  std::function<void(Lsn)> done;
};

class Round {
 public:
  // Forgets the previous round.
  void Begin(const Segment& segment, uint64_t at, Lsn first_lsn);
  // The record stays with the caller until the round is written.
  void Add(Waiting& record, NameTable& names);
  // Writes all of it, padded to a page. ENOSPC comes back as an error; nothing is acknowledged yet
  // and the same call can be made again.
  Status Write();

  bool empty() const { return entries_.empty(); }
  uint64_t bytes() const { return bytes_; }
  uint64_t padded_bytes() const { return AlignUp(bytes_, kPageBytes); }
  Lsn first_lsn() const { return first_lsn_; }
  const std::vector<IndexEntry>& entries() const { return entries_; }

 private:
  const Segment* segment_ = nullptr;
  uint64_t at_ = 0;
  uint64_t bytes_ = 0;
  Lsn first_lsn_ = 0;
  std::vector<IndexEntry> entries_;
  std::vector<iovec> parts_;
};

}  // namespace varve::journal

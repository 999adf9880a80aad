// What a journal's directory holds when it is opened.
//
// Records are taken in LSN order, segment after segment by epoch, as far as they verify. LSNs have
// no gaps, which is what tells a torn tail from damage:
//  - The records of a segment end where the next one does not verify. If another segment goes on
//    with exactly the next LSN, nothing is missing: what follows the end is padding, stale, or a
//    torn round that an earlier open has dropped.
//  - If nothing goes on, it is the tail. A round that starts later in the same segment proves that
//    the unreadable one had been synced before: damage. Otherwise it is torn, and dropped.
//  - Anything else is a gap: damage.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/result.h"
#include "journal/segment.h"

namespace varve::journal {

// Namespace names, each stored once; the pointers live as long as this.
class NameTable {
 public:
  const std::string* Intern(std::string_view name) {
    scratch_.assign(name);
    return &*names_.insert(scratch_).first;
  }

 private:
  std::string scratch_;
  std::unordered_set<std::string> names_;
};

struct Replayed {
  std::vector<std::shared_ptr<Segment>> segments;  // each with at least one record
  std::vector<std::shared_ptr<Segment>> unused;    // files without one: to be recycled
  Lsn last_lsn = 0;                                // 0: no record at all
  uint64_t last_epoch = 0;                         // the highest that any file has had
  uint64_t torn_bytes = 0;
};

enum class ReplayMode : uint8_t {
  kRepair,  // unfinished files are removed, cut ones get their size back, and what a killed process
            // has left unsynced is synced
  kLook,    // nothing is changed; the segments are for reading only
};

Result<Replayed> Replay(const std::string& directory, NameTable& names, ReplayMode mode);

// The state knows up to where objects hold the rows; the journal must cover the rest, or it is
// kCorrupt, JOURNAL_CORRUPT.
Status CheckCovers(const Replayed& replayed, Lsn flushed_lsn, const std::string& directory);

}  // namespace varve::journal

// The names in a directory in order, and the last few directories that were read, so that paging
// through a large one does not read it again for every page.
//
// What was read is believed as long as the directory itself has not changed: its ctime moves with
// every name that comes, goes or is replaced, whoever does it. The clock of a file system is
// coarse, so a directory that has changed just now is read again: a second change might show the
// same time.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "store/rooted_dir.h"

namespace varve::store {

struct DirectoryNames {
  std::string from;                // every name at or behind it, in byte order …
  std::vector<std::string> names;  // ascending; a directory's with a '/' behind it
  bool more = false;               // … up to the last of these; there are others behind
};

// Thread-safe.
class DirectoryReader {
 public:
  static constexpr size_t kNamesBytesMax = 4 << 20;  // of one directory at a time
  static constexpr size_t kKeptMax = 8;              // directories
  static constexpr size_t kKeptNamesMin = 256;       // smaller ones are quick to read
  static constexpr int64_t kSettledMs = 2'000;

  DirectoryReader(const RootedDir& root, const Clock& clock) : root_(root), clock_(clock) {}

  // The names at or behind `from` of the directory ("" or with a '/' behind it) that are parts of a
  // key; none where there is no such directory. May reach further back than asked.
  Result<std::shared_ptr<const DirectoryNames>> Names(const std::string& directory,
                                                      std::string_view from);
  uint64_t reads() const;  // of directories, for tests

 private:
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    int64_t changed_ns = 0;
    bool operator==(const Version&) const = default;
  };
  struct Kept {
    Version version;
    std::shared_ptr<const DirectoryNames> names;
  };

  static Version VersionOf(const struct stat& info);
  std::shared_ptr<const DirectoryNames> Find(const Version& version, std::string_view from);
  void Keep(const Version& version, std::shared_ptr<const DirectoryNames> names);

  const RootedDir& root_;
  const Clock& clock_;

  mutable std::mutex mutex_;  // guards the rest
  std::list<Kept> kept_;      // the last one used in front
  uint64_t reads_ = 0;
};

}  // namespace varve::store

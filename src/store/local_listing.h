// The keys below a directory in bytewise order of the whole key, a page at a time.
//
// 1. The order of whole keys is the order of a tree walk in which a directory sorts as its name
// with
//    a '/' behind it: "a-b" (0x2d) comes before "a/b" (0x2f), "a0" (0x30) after it.
// 2. A directory is read once for a page: of its names behind the start, only as many as the page
//    still has room for are kept, in a heap, so that memory is bounded by the page and not by the
//    directory. If its subdirectories turn out to be empty, it is read again from where it stopped.
// 3. Directories that hold no key with the prefix, or none behind the start, are not entered.
//
// Hidden: .varve, links and everything else that is neither file nor directory, and names that are
// no part of a key (CheckKey), because nobody could ask for them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "store/rooted_dir.h"

namespace varve::store {

class LocalListing {
 public:
  LocalListing(const RootedDir& root, std::string_view prefix, std::string_view start_after)
      : root_(root), prefix_(prefix), start_after_(start_after) {}

  // The next keys, ascending, at most keys_max. Fewer: there are no more.
  Result<std::vector<std::string>> Keys(size_t keys_max);

 private:
  struct Batch {
    std::vector<std::string> names;  // ascending; a directory's with a '/' behind it
    bool more = false;               // the directory holds others behind them
  };

  Status Walk(const std::string& directory);
  Result<Batch> Scan(const std::string& directory, const std::string& after) const;
  bool Wanted(std::string_view path, bool is_directory) const;
  size_t room() const { return keys_max_ - keys_.size(); }

  const RootedDir& root_;
  const std::string prefix_;
  const std::string start_after_;
  size_t keys_max_ = 0;
  std::vector<std::string> keys_;
};

}  // namespace varve::store

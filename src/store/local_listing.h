// The keys below a directory in bytewise order of the whole key, a page at a time.
//
// 1. The order of whole keys is the order of a tree walk in which a directory sorts as its name
//    with a '/' behind it: "a-b" (0x2d) comes before "a/b" (0x2f), "a0" (0x30) after it.
// 2. A directory's names come sorted from the reader, from the first that can be wanted on: a page
//    that starts in the middle of a large one costs a search and not another reading.
// 3. Directories that hold no key with the prefix, or none behind the start, are not entered.
//
// Hidden: .varve, links and everything else that is neither file nor directory, and names that are
// no part of a key (CheckKey), because nobody could ask for them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "store/directory_names.h"

namespace varve::store {

class LocalListing {
 public:
  LocalListing(DirectoryReader& reader, std::string_view prefix, std::string_view start_after)
      : reader_(reader), prefix_(prefix), start_after_(start_after) {}

  // The next keys, ascending, at most keys_max. Fewer: there are no more.
  Result<std::vector<std::string>> Keys(size_t keys_max);

 private:
  Status Walk(const std::string& directory);
  std::string FirstWanted(const std::string& directory) const;
  bool Wanted(std::string_view path) const;
  bool IsPast(std::string_view path) const;
  size_t room() const { return keys_max_ - keys_.size(); }

  DirectoryReader& reader_;
  const std::string prefix_;
  const std::string start_after_;
  size_t keys_max_ = 0;
  std::vector<std::string> keys_;
};

}  // namespace varve::store

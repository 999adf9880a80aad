#include "store/local_listing.h"

#include <algorithm>

#include "store/object_store.h"

namespace varve::store {

Result<std::vector<std::string>> LocalListing::Keys(size_t keys_max) {
  keys_max_ = keys_max;
  const std::string directory = prefix_.substr(0, prefix_.rfind('/') + 1);
  const std::string_view path = std::string_view(directory).substr(0, directory.size() - 1);
  // No key begins with something that is no path, such as "../" or "a//".
  if (directory.empty() || CheckKey(path).ok()) TRY(Walk(directory));
  return std::move(keys_);
}

Status LocalListing::Walk(const std::string& directory) {
  std::string from = FirstWanted(directory);
  for (;;) {
    const std::shared_ptr<const DirectoryNames> read = TRY(reader_.Names(directory, from));
    const std::vector<std::string>& names = read->names;
    for (auto it = std::lower_bound(names.begin(), names.end(), from); it != names.end(); ++it) {
      if (room() == 0) return {};
      std::string path = directory + *it;
      if (IsPast(path)) return {};
      if (!Wanted(path)) continue;
      if (path.ends_with('/')) {
        TRY(Walk(path));
      } else {
        keys_.push_back(std::move(path));
      }
    }
    if (!read->more) return {};
    from = names.back() + '\0';  // the least that sorts behind it
  }
}

// Names before it in the directory hold nothing that is wanted.
std::string LocalListing::FirstWanted(const std::string& directory) const {
  std::string from;
  if (start_after_.starts_with(directory)) {
    // A subdirectory that the start lies in sorts with its '/', behind its bare name.
    const std::string_view rest = std::string_view(start_after_).substr(directory.size());
    from = rest.substr(0, rest.find('/'));
    if (!from.empty()) from += '\0';
  }
  if (prefix_.starts_with(directory)) from = std::max(from, prefix_.substr(directory.size()));
  return from;
}

bool LocalListing::IsPast(std::string_view path) const {
  return path > prefix_ && !path.starts_with(prefix_);
}

bool LocalListing::Wanted(std::string_view path) const {
  if (!path.ends_with('/')) return path.starts_with(prefix_) && path > start_after_;
  const std::string_view common = std::string_view(prefix_).substr(0, path.size());
  if (!path.starts_with(common)) return false;
  return path > start_after_ || start_after_.starts_with(path);
}

}  // namespace varve::store

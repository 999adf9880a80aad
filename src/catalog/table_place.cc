#include "catalog/table_place.h"

#include <fmt/format.h>

#include <algorithm>

namespace varve::catalog {
namespace {

constexpr size_t kNameBytesMax = 128;

bool IsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view WithoutScheme(std::string_view location) {
  for (const std::string_view scheme : {"file://", "file:"}) {
    if (location.starts_with(scheme)) return location.substr(scheme.size());
  }
  return location;
}

}  // namespace

Status CheckTableName(std::string_view name) {
  const bool fits = !name.empty() && name.size() <= kNameBytesMax && IsWord(name[0]) &&
                    std::all_of(name.begin(), name.end(),
                                [](char c) { return IsWord(c) || c == '.' || c == '-'; });
  if (fits) return {};
  return MakeError(ErrorKind::kInvalid, "INVALID_TABLE_NAME",
                   "a table's name is 1 to 128 letters, digits, '_', '-' and '.', and begins with "
                   "a letter, a digit or '_'");
}

TablePlace::TablePlace(std::string root, std::string prefix, std::string name)
    : root_(std::move(root)), name_(std::move(name)), key_(std::move(prefix) + "/" + name_) {
  while (root_.ends_with("/")) root_.pop_back();
}

std::string TablePlace::Location(std::string_view key) const {
  return root_ + "/" + std::string(key);
}

Result<std::string> TablePlace::KeyOf(std::string_view location, std::string_view base) const {
  location = WithoutScheme(location);
  base = WithoutScheme(base);
  // The store's root when the table was made, if the table still has its key.
  std::string_view root = root_;
  if (base.ends_with("/" + key_)) root = base.substr(0, base.size() - key_.size() - 1);
  if (location.size() > root.size() + 1 && location.starts_with(root) &&
      location[root.size()] == '/') {
    std::string key(location.substr(root.size() + 1));
    TRY(store::CheckKey(key));
    return key;
  }
  return MakeError(ErrorKind::kInvalid, "FOREIGN_LOCATION",
                   fmt::format("'{}' is not on this store", location));
}

std::string LocalRoot(const store::ObjectStore& store) {
  constexpr std::string_view kProbe = "catalog";
  const auto path = store.LocalPath(kProbe);
  if (!path || !path->ends_with(kProbe)) return {};
  return path->substr(0, path->size() - kProbe.size() - 1);
}

}  // namespace varve::catalog

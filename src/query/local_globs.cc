// Globs over keys against a directory's files, a segment at a time.
#include <filesystem>
#include <system_error>

#include "query/query_builder.h"

namespace varve::query {

namespace {

bool Matches(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0;
  size_t star = std::string_view::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool ExistsUnder(const std::filesystem::path& directory, std::string_view glob) {
  const size_t slash = glob.find('/');
  const std::string_view segment = glob.substr(0, slash);
  const bool last = slash == std::string_view::npos;
  const std::string_view rest = last ? std::string_view() : glob.substr(slash + 1);
  std::error_code error;
  if (segment.find('*') == std::string_view::npos) {
    const std::filesystem::path child = directory / segment;
    return last ? std::filesystem::is_regular_file(child, error) : ExistsUnder(child, rest);
  }
  for (auto it = std::filesystem::directory_iterator(directory, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (!Matches(segment, it->path().filename().string())) continue;
    if (last ? it->is_regular_file(error) : ExistsUnder(it->path(), rest)) return true;
  }
  return false;
}

}  // namespace

GlobExists LocalGlobs(std::string root) {
  return [root = std::move(root)](const std::string& glob) -> Result<bool> {
    return ExistsUnder(root, glob);
  };
}

}  // namespace varve::query

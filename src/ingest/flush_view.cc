#include "ingest/flush_view.h"

#include <charconv>

#include "core/ulid.h"

namespace varve::ingest {
namespace {

// "a/b/name.ext" → "name".
std::string_view Stem(std::string_view key) {
  size_t slash = key.rfind('/');
  if (slash != std::string_view::npos) key.remove_prefix(slash + 1);
  return key.substr(0, key.find('.'));
}

}  // namespace

bool FlushView::SeesEventFile(std::string_view key) const {
  std::optional<Ulid> id = Ulid::Parse(Stem(key));
  if (!id || id->tag_instance() != instance) return true;
  return id->tag_unit() <= last_unit && !open_units.contains(id->tag_unit());
}

bool FlushView::SeesRawFile(std::string_view key) const {
  std::string_view stem = Stem(key);
  size_t last = stem.rfind('-');
  size_t first = stem.find('-');
  if (last == std::string_view::npos || first == last) return true;
  if (stem.substr(first + 1, last - first - 1) != do_id) return true;
  uint64_t seq = 0;
  const char* end = stem.data() + stem.size();
  auto [ptr, ec] = std::from_chars(stem.data() + last + 1, end, seq);
  if (ec != std::errc() || ptr != end) return true;
  return seq <= raw_seq_done;
}

}  // namespace varve::ingest

#include "app/sort_key.h"

namespace varve::app {

merge::SortKey ParseSortKey(const std::string& text) {
  merge::SortKey key;
  key.column = text;
  bool has_order = false, has_nulls = false;  // each once: what is before is the column's name
  while (true) {
    const size_t at = key.column.rfind(':');
    if (at == std::string::npos || at == 0) return key;
    const std::string word = key.column.substr(at + 1);
    if (!has_order && (word == "desc" || word == "asc")) {
      has_order = true;
      key.descending = word == "desc";
    } else if (!has_nulls && (word == "nulls-first" || word == "nulls-last")) {
      has_nulls = true;
      key.nulls_first = word == "nulls-first";
    } else {
      return key;
    }
    key.column.resize(at);
  }
}

}  // namespace varve::app

#include "app/sort_key.h"

namespace varve::app {

merge::SortKey ParseSortKey(const std::string& text) {
  merge::SortKey key;
  key.column = text;
  while (true) {
    const size_t at = key.column.rfind(':');
    if (at == std::string::npos || at == 0) return key;
    const std::string word = key.column.substr(at + 1);
    if (word == "desc" || word == "asc") {
      key.descending = word == "desc";
    } else if (word == "nulls-first" || word == "nulls-last") {
      key.nulls_first = word == "nulls-first";
    } else {
      return key;
    }
    key.column.resize(at);
  }
}

}  // namespace varve::app

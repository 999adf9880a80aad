// Names as readers that do not tell capitals from small letters see them.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace varve {

// Of ASCII.
inline std::string FoldCase(std::string_view name) {
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

}  // namespace varve

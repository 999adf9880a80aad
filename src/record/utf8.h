// Is a text UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <string_view>

namespace varve::record {

bool IsUtf8(std::string_view text);

}  // namespace varve::record

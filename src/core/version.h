#pragma once

#include <string_view>

namespace varve {
std::string_view Version();  // "0.1.0"
}

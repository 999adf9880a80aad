// Text that goes into SQL, quoted so that it stays one literal or one name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace varve::query {

std::string SqlString(std::string_view text);                   // 'it''s'
std::string SqlName(std::string_view name);                     // "a""b"
std::string SqlStringList(std::span<const std::string> texts);  // ['a', 'b']
std::string SqlTimestamp(int64_t ms);  // TIMESTAMPTZ '2026-02-01 00:00:00.000+00'

// An event type pattern as an expression over `type`: dot-separated segments, `*` within one
// segment, `**` over any number of them; a lone `*` is everything.
std::string TypeMatches(std::string_view pattern);

}  // namespace varve::query

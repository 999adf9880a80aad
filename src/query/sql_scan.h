// Finds where a statement starts and ends in SQL text: skips comments, quoted text of every kind.
#pragma once

#include <string_view>

namespace varve::query {

// Without leading and trailing blanks, comments and semicolons.
std::string_view TrimStatement(std::string_view sql);

// If the text begins with the word (letters in either case), what comes after it; else empty data.
bool TakeWord(std::string_view& sql, std::string_view word);

// If the text begins with "(", skips to behind the matching ")".
bool TakeParenthesised(std::string_view& sql);

}  // namespace varve::query

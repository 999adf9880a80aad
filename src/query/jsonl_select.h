// The 13 columns out of NDJSON event files, in plain DuckDB SQL: what record::EventDecoder does.
#pragma once

#include <string>

namespace varve::query {

std::string JsonlSelect(const std::string& glob);

}  // namespace varve::query

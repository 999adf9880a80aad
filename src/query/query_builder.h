// POST /query: a few fields become SQL that runs as printed, in varve's store or in any DuckDB that
// can read the files. Globs follow the range (a day, a month, a year, more) and include the hour,
// day and month levels' compacted files; Parquet and JSONL are united first and filtered then.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/namespace_id.h"
#include "core/result.h"

namespace varve::query {

// Does a glob over keys ("events/2026/02/02/*/*.parquet"; `*` stays within a segment) match any
// object?
using GlobExists = std::function<Result<bool>(const std::string& key_glob)>;
// Over the files of a directory.
GlobExists LocalGlobs(std::string root);

struct QueryBuilderContext {
  std::string store_root;  // in front of every key: a directory, or s3://bucket
  NamespaceId caller;
  bool any_namespace = false;  // the caller may ask for a namespace that is not its own
  GlobExists exists;
};

struct BuiltQuery {
  std::string sql;
  NamespaceId ns;
  bool isolated = false;       // the files are a tenant's own
  std::string ToJson() const;  // {"sql","namespace","isolated"}
};

// Body: {dateRange{start,end}, doId, doClass, eventTypes[], collection, colo, limit, orderBy,
// namespace}, all optional. Times are ISO 8601 or epoch numbers; end is exclusive. kInvalid
// INVALID_QUERY (details: field), kForbidden NAMESPACE_FORBIDDEN.
Result<BuiltQuery> BuildQuery(std::string_view body, const QueryBuilderContext& context);

}  // namespace varve::query

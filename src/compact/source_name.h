// The name of a writer's file: `data/{namespace}/{time}-{writer}-{sequence}.parquet`, in a tenant's
// part of the store behind `ns/{tenant}/`. The namespace may have slashes, and is one that a table
// can be named after; a time below 1e11 is in seconds, else in milliseconds, as event times are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/namespace_id.h"
#include "core/result.h"

namespace varve::compact {

inline constexpr std::string_view kSourcePrefix = "data/";
inline constexpr size_t kWriterBytesMax = 128;
inline constexpr int64_t kTimeMsMax = 253'402'300'799'999;  // the end of the year 9999

struct SourceName {
  NamespaceId tenant;
  std::string ns;  // of the data
  int64_t time_ms = 0;
  std::string writer;
  uint64_t sequence = 0;  // fits an int64_t
};

// prefix: with its final '/'. kInvalid, with what is wrong: PARTITION_FOLDER for one of a table's
// (`hour=…`), where compacted files lie; NOT_A_SOURCE for a key of another kind, or a time beyond
// the year 9999. Any bytes may be given.
Result<SourceName> ParseSourceName(std::string_view key, std::string_view prefix);

// Whether writers put files into the directory, or into ones below it; what compaction made
// (`hour=…`) is none of theirs. prefix: with its final '/'.
bool IsWritersDirectory(std::string_view directory, std::string_view prefix);

// The window that a time falls into: the largest multiple of size_ms that is not above it.
int64_t WindowStartOf(int64_t time_ms, uint64_t size_ms);

}  // namespace varve::compact

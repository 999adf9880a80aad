// How windows are formed and when they are compacted: the configuration's values, and what a
// namespace has of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "compact/compaction.h"
#include "compact/compaction_request.h"
#include "core/result.h"

namespace varve::compact {

inline constexpr int kPriorities = 4;  // P0 (first) to P3

struct WindowOptions {
  uint64_t window_size_ms = 3'600'000;
  uint64_t min_files = 10;
  uint64_t max_wait_ms = 300'000;  // unless the namespace has a priority
  uint64_t writer_inactive_ms = 1'800'000;
  uint64_t max_window_age_ms = 86'400'000;  // then also fewer files than min_files go
  uint64_t max_future_ms = 3'600'000;
  uint64_t sources_max = 10'000;    // of one workflow; the rest is the window's next round
  uint64_t bytes_max = 4ull << 30;  // likewise
  uint32_t concurrency_max = 2;     // workflows that have not committed yet
  uint64_t pressure_normal = 10;    // ready windows that wait …
  uint64_t pressure_severe = 20;
  uint64_t keep_ms = 604'800'000;  // rows of compacted files, at least
  CompactionSettings settings;
};

// What a namespace has of its own; nothing: as configured.
struct NamespaceOverrides {
  std::optional<int> priority;  // 0 to 3
  std::optional<uint64_t> min_files, wait_ms;
  std::optional<std::string> target_format, sort_by, partition_by, compression;
  std::optional<bool> delete_sources;
};

struct NamespaceSettings {
  std::optional<int> priority;
  uint64_t min_files = 0;
  uint64_t wait_ms = 0;
  bool single_file = true;  // one file alone is worth a compaction: the target is a table
  CompactionSettings compaction;
};

// P0 1 min, P1 5 min, P2 15 min, P3 60 min.
uint64_t WaitOfPriority(int priority);

// "ts, id desc": columns in order of weight; empty: the first of the usual names.
Result<std::vector<merge::SortKey>> ParseSortBy(std::string_view text);
std::string ToString(const std::vector<merge::SortKey>& keys);

// {"priority", "minFilesToCompact", "maxWaitTimeMs", "targetFormat", "sortBy", "partitionBy",
// "compression", "deleteSources"}: those that are there replace what `before` says, null takes
// away. Checked whole: kInvalid, INVALID_FIELD, names the field.
Result<NamespaceOverrides> ReadOverrides(std::string_view json, const NamespaceOverrides& before);
std::string ToJson(const NamespaceOverrides& overrides);  // only what is there

NamespaceSettings Resolve(const WindowOptions& options, const NamespaceOverrides& overrides);

}  // namespace varve::compact

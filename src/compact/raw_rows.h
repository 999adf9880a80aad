// From raw files to the rows of a plan's outputs. Pure: the same sources in the same order always
// give the same files, which is what lets a plan be done again after a crash.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compact/raw_ledger.h"
#include "core/namespace_id.h"
#include "core/result.h"
#include "record/log_row.h"

namespace varve::compact {

struct RawPaths {
  std::string raw_prefix = "raw-events";
  std::string parquet_prefix = "logs/workers";
};

struct RawKey {
  NamespaceId ns;
  std::string_view rest;  // behind "[ns/{ns}/]{raw_prefix}/"
};
// Nothing where the key names no raw file, or one outside every namespace.
std::optional<RawKey> ParseRawKey(std::string_view key, std::string_view raw_prefix);

struct RawSource {
  SourceId id;
  std::string bytes;
  uint64_t items = 0;
};

struct QuarantineFile {
  std::string key;
  std::string bytes;  // a line {key, line, reason, text} for each bad line
  uint64_t lines = 0;
};

struct LogFile {
  std::string directory;
  std::string bytes;
  int64_t rows = 0;
  std::vector<std::string> source_keys;
};

struct RowCounts {
  std::map<std::string, uint64_t> by_level;  // at most kLabelsMax names, then "other"
  std::map<std::string, uint64_t> by_outcome;
  void Add(const RowCounts& more);
};

// Rows of several raw files, by namespace and hour of event time.
class RowGroups {
 public:
  explicit RowGroups(RawPaths paths) : paths_(std::move(paths)) {}

  // All of the source's rows, or an Error and none. kInvalid: its header is bad, it is empty, or
  // it makes more rows or hours than one raw file may (RAW_FILE_TOO_LARGE).
  Status Add(const RawSource& source);
  uint64_t rows() const { return rows_; }
  uint64_t row_bytes() const { return row_bytes_; }
  size_t files() const { return groups_.size(); }

  // Parquet, in the order of the directories; leaves this empty but for quarantine and counts.
  Result<std::vector<LogFile>> Encode(record::LogCodec codec);
  const std::vector<QuarantineFile>& quarantine() const { return quarantine_; }
  const RowCounts& counts() const { return counts_; }

 private:
  struct Group {
    std::vector<record::LogRow> rows;
    std::vector<std::string> source_keys;
  };
  RawPaths paths_;
  std::map<std::string, Group> groups_;  // by directory
  uint64_t rows_ = 0;
  uint64_t row_bytes_ = 0;
  std::vector<QuarantineFile> quarantine_;
  RowCounts counts_;
};

// "[ns/x/]logs/workers/year=2026/month=02/day=02/hour=14/". Times outside the years 1 to 9999 count
// as the nearest hour inside them.
std::string HourDirectory(const NamespaceId& ns, std::string_view parquet_prefix, int64_t ms);

}  // namespace varve::compact

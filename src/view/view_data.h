// What views need of the lake, as whoever wires the process gives it: what a statement is, one
// snapshot of what it reads, and its answer as a Parquet file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespace_id.h"
#include "core/result.h"
#include "view/view.h"

namespace varve::view {

struct CheckedSql {
  std::string sql;                   // what is kept
  std::vector<std::string> sources;  // lake tables that it reads
  std::string not_incremental;       // why; empty: its answer over more files only gets rows more
};

struct FileId {
  std::string key, etag;
  auto operator<=>(const FileId&) const = default;
};

// The files whose rows one snapshot of a view's only table has.
struct Contents {
  struct Source {
    FileId id;
    bool in_table = false;  // its rows are there as a compacted file's
  };
  std::vector<Source> sources;  // every writer's file that is there
  std::set<std::string> files;  // the table's, and plain compacted ones, by key
  bool exact = true;            // false: more writers' files may be in `files` than are known here
  std::string basis;            // statement, columns and build: what else the answer hangs on
};

struct Wanted {
  std::optional<std::set<std::string>> only = {};  // keys of files to be read; none: all
  std::string base = {};  // an object of earlier rows that are put in front; empty: none
};

struct Answer {
  uint64_t rows = 0, bytes = 0;
  std::vector<std::string> left_out;  // files that could not be read, and why
};

// One snapshot for one refresh. Used by one thread.
class ViewInput {
 public:
  virtual ~ViewInput() = default;
  // Of a view that is kept incrementally; empty of others.
  virtual const Contents& contents() const = 0;
  // The writers' files that are known to be compacted, and to be so into the file; nothing: it is
  // not known what it was made of.
  virtual Result<std::optional<std::vector<FileId>>> MadeOf(const std::string& file) = 0;
  // The answer, as a new file at the path. kConflict, BASE_DIFFERS: its columns are not the base's.
  // kInvalid, VIEW_TOO_LARGE. kCancelled once stopped.
  virtual Result<Answer> Run(const Wanted& wanted, const std::string& path,
                             std::stop_token stop) = 0;
};

class ViewData {
 public:
  virtual ~ViewData() = default;
  // kInvalid: what a query of it would be refused for, VIEW_SOURCE_UNKNOWN, VIEW_OF_VIEW,
  // VIEW_OF_CATALOG.
  virtual Result<CheckedSql> Check(const NamespaceId& tenant, std::string_view sql) = 0;
  virtual Result<std::unique_ptr<ViewInput>> Open(const View& view) = 0;
};

}  // namespace varve::view

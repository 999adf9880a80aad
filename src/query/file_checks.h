// Which Parquet files can be read, and how: each file is looked at once, and remembered by its
// path, size and modification time.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "query/snapshot.h"
#include "query/table_shape.h"

namespace varve::query {

struct FileColumn {
  std::string name;
  // What the column holds, as far as reading it as another type goes.
  enum Kind : uint8_t { kPlain, kInstant, kNumber, kNested } kind = kPlain;
};

struct FileShape {
  bool readable = false;
  bool exact = false;               // the table's own columns, types and order
  std::string problem;              // of a file that is not readable
  std::vector<FileColumn> columns;  // of a readable one that is not exact
};

// Reads a footer and checks it. Never fails: what is wrong is in the shape.
FileShape ReadFileShape(const std::string& path, std::span<const TableColumn> table);

// Thread-safe.
class FileChecks {
 public:
  explicit FileChecks(size_t files_max) : files_max_(files_max) {}
  // In the order of the files.
  std::vector<FileShape> Shapes(std::span<const FileRef> files, std::span<const TableColumn> table);

 private:
  struct Entry {
    uint64_t size = 0;
    int64_t modified_ms = 0;
    FileShape shape;
  };
  const size_t files_max_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;  // by path
};

}  // namespace varve::query

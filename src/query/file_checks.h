// Which Parquet files can be read, and how: each file is looked at once, and remembered by its
// path, size and modification time.
#pragma once

#include <cstdint>
#include <memory>
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

// What files of one schema have in common.
struct LakeColumns {
  table::Schema schema;  // ids: the file's field ids
  bool has_field_ids = false;
};

// A lake table's file, or one that is to become so.
struct LakeShape {
  std::shared_ptr<const LakeColumns>
      columns;  // the same for files of one schema; none: see problem
  std::string problem;
};

// Reads a footer and checks it. Never fails: what is wrong is in the shape.
FileShape ReadFileShape(const std::string& path, std::span<const TableColumn> table);

// What was found out of files, as long as they are the same. Thread-safe.
template <typename Shape>
class FileMemory {
 public:
  explicit FileMemory(size_t files_max) : files_max_(files_max) {}

  // In the order of the files; read(path) gives the shapes that are not known.
  template <typename Read>
  std::vector<Shape> Shapes(std::span<const FileRef> files, const Read& read) {
    std::vector<Shape> shapes(files.size());
    std::vector<size_t> unknown = Known(files, shapes);
    if (unknown.empty()) return shapes;
    for (size_t i : unknown) shapes[i] = read(files[i].path);
    const std::lock_guard lock(mutex_);
    if (entries_.size() + unknown.size() > files_max_) entries_.clear();
    for (size_t i : unknown) {
      entries_[files[i].path] = {files[i].size, files[i].modified_ms, shapes[i]};
    }
    return shapes;
  }

 private:
  struct Entry {
    uint64_t size = 0;
    int64_t modified_ms = 0;
    Shape shape;
  };

  // Those that are not.
  std::vector<size_t> Known(std::span<const FileRef> files, std::vector<Shape>& shapes) {
    std::vector<size_t> unknown;
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < files.size(); ++i) {
      const auto it = entries_.find(files[i].path);
      if (it != entries_.end() && it->second.size == files[i].size &&
          it->second.modified_ms == files[i].modified_ms) {
        shapes[i] = it->second.shape;
      } else {
        unknown.push_back(i);
      }
    }
    return unknown;
  }

  const size_t files_max_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;  // by path
};

class FileChecks {
 public:
  explicit FileChecks(size_t files_max) : shapes_(files_max), lake_shapes_(files_max) {}

  std::vector<FileShape> Shapes(std::span<const FileRef> files,
                                std::span<const TableColumn> table) {
    return shapes_.Shapes(files,
                          [&](const std::string& path) { return ReadFileShape(path, table); });
  }
  std::vector<LakeShape> LakeShapes(std::span<const FileRef> files) {
    return lake_shapes_.Shapes(files,
                               [this](const std::string& path) { return ReadLakeShape(path); });
  }

 private:
  LakeShape ReadLakeShape(const std::string& path);

  FileMemory<FileShape> shapes_;
  FileMemory<LakeShape> lake_shapes_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::weak_ptr<const LakeColumns>> lake_columns_;  // by schema
};

}  // namespace varve::query

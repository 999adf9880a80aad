// The Parquet files that are read: footers once, then ranges. However many there are, a bounded
// number is open at a time.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/result.h"
#include "parquet/buffer.h"

namespace parquet {
class FileMetaData;
}

namespace varve::parquet {

// Thread-safe.
class InputFiles {
 public:
  InputFiles(std::vector<std::string> paths, size_t open_max);
  ~InputFiles();
  InputFiles(const InputFiles&) = delete;

  size_t size() const { return files_.size(); }
  const std::string& path(size_t file) const { return files_[file]->path; }
  // As it was when it was first opened; a file that has become another one is an error.
  uint64_t file_bytes(size_t file) const { return files_[file]->bytes; }

  // Checks both magics and the footer's length; kCorrupt names the file.
  Result<std::shared_ptr<::parquet::FileMetaData>> ReadFooter(size_t file);
  // Exactly these bytes.
  Result<Buffer> Read(size_t file, uint64_t offset, size_t bytes);
  // Forgets the descriptor until the file is read again.
  void Close(size_t file);

 private:
  struct File {
    std::string path;
    int fd = -1;
    uint32_t readers = 0;  // that are using fd
    bool seen = false;
    uint64_t bytes = 0, device = 0, inode = 0;
    std::list<size_t>::iterator used;  // in used_, while open
  };

  Result<int> Acquire(size_t file);
  void Release(size_t file);
  void CloseOne();

  const size_t open_max_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<File>> files_;
  std::list<size_t> used_;  // open ones, the latest last
};

}  // namespace varve::parquet

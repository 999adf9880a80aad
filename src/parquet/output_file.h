// A file that appears whole under its name, or not at all. Its bytes are written by a thread of its
// own, a few blocks behind the caller, and past the page cache where the file system can: copying
// them into it costs more than all of the disk's work, and drops what others read again.
#pragma once

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/result.h"
#include "core/xxh3_stream.h"

namespace varve::parquet {

class OutputFile {
 public:
  explicit OutputFile(const std::string& path, bool digested = false);
  ~OutputFile();  // without Publish nothing is left
  OutputFile(const OutputFile&) = delete;

  const std::string& directory() const { return directory_; }
  // Creates the file under another name in its directory. kInvalid, NOT_A_FILE: its own name is
  // that of a directory, a device, a link.
  Status Open();
  // Takes the bytes; an error may be that of an earlier call.
  Status Append(std::string_view bytes);
  // All bytes are written; sync: and on the disk. No more can be appended.
  Status Complete(bool sync);
  // Of all bytes of a digested file, once they are written: "x" and 32 hex digits, XXH3 of 128
  // bits. As the bytes go past the page cache, reading them again for it would cost what writing
  // them did. Empty: it is not digested.
  std::string Digest() const;
  // Completes the file, if that is not done, and gives it its name. kConflict, OUTPUT_EXISTS: a
  // file has the name, and is not to be replaced.
  Status Publish(bool sync, bool replace = true);
  // Removes what processes that were killed have left of a file of that name, or of one with a
  // number after it.
  static void RemoveLeftovers(const std::string& path);

 private:
  struct FreeDeleter {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  struct Block {
    std::unique_ptr<char, FreeDeleter> bytes;  // kBlockBytes of them, aligned for the disk
    size_t size = 0;
  };

  void WriteBlocks();
  Status WriteBlock(const Block& block);
  Block NewBlock();
  Status HandOver();
  void StopWriter();
  Status Name(bool replace);

  const std::string path_;
  std::string directory_, temp_;
  int fd_ = -1;
  bool complete_ = false;
  bool direct_ = false;             // the writer's: past the page cache
  Block block_;                     // the caller's
  std::optional<Xxh3Stream> hash_;  // of the blocks handed over
  std::thread writer_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Block> handed_;  // to be written; the first is the writer's
  std::vector<Block> spare_;
  bool stop_ = false;
  Status error_;
};

}  // namespace varve::parquet

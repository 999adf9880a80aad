// A file that appears whole under its name, or not at all. Its bytes are written by a thread of its
// own, a block behind the caller.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "core/result.h"

namespace varve::record {

class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // without Publish nothing is left
  OutputFile(const OutputFile&) = delete;

  const std::string& directory() const { return directory_; }
  // Creates the file under another name in its directory.
  Status Open();
  // Takes the bytes; an error may be that of an earlier call.
  Status Append(std::string_view bytes);
  // Gives the file its name once all bytes are written; sync: and on the disk.
  Status Publish(bool sync);

 private:
  void WriteBlocks();
  Status HandOver();
  void StopWriter();

  const std::string path_;
  std::string directory_, temp_;
  int fd_ = -1;
  std::string block_;  // the caller's
  std::thread writer_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string handed_;  // the writer's until it is empty
  bool stop_ = false;
  Status error_;
};

}  // namespace varve::record

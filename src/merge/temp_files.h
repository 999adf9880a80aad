// A directory for a merge's intermediate files, made when the first is needed and gone with it.
#pragma once

#include <filesystem>
#include <string>

#include "core/result.h"

namespace varve::merge {

class TempFiles {
 public:
  // `beside`: the output, whose directory is taken if `directory` is empty.
  TempFiles(const std::string& directory, const std::string& beside) {
    parent_ = directory.empty() ? std::filesystem::path(beside).parent_path().string() : directory;
    if (parent_.empty()) parent_ = ".";
  }
  ~TempFiles() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TempFiles(const TempFiles&) = delete;

  Result<std::string> Next();

 private:
  std::string parent_, path_;
  size_t count_ = 0;
};

}  // namespace varve::merge

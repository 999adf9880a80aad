// A directory for a merge's intermediate files, made when the first is needed and gone with it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/result.h"

namespace varve::merge {

class TempFiles {
 public:
  // `beside`: the output, whose directory is taken if `directory` is empty.
  TempFiles(const std::string& directory, const std::string& beside) {
    parent_ = directory.empty() ? std::filesystem::path(beside).parent_path().string() : directory;
    if (parent_.empty()) parent_ = ".";
  }
  ~TempFiles();
  TempFiles(const TempFiles&) = delete;

  // A path; of: what the file is made of, as a user knows it.
  Result<std::string> Next(std::string of);
  // The error, with what a file is made of in place of its path. What is wrong with the order of
  // such a file is no fault of the inputs.
  Error Explained(Error error) const;
  // Removes what merges that were killed have left there.
  void RemoveLeftovers() const;

 private:
  std::string parent_, path_;
  int lock_ = -1;                     // on the directory, as long as it is used
  std::vector<std::string> made_of_;  // by number
};

}  // namespace varve::merge

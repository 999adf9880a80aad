// A file that is written out of sight, in .varve/tmp, and then takes its place in one step.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "store/rooted_dir.h"

namespace varve::store {

inline constexpr std::string_view kTempDir = ".varve/tmp";

class TempFile {
 public:
  // renameat2: false, as on a file system without it.
  static Result<TempFile> Create(RootedDir& root, bool renameat2);
  // A file of somebody else's, which stays where it is unless it is published.
  static Result<TempFile> Adopt(const std::string& path, bool renameat2);
  TempFile(TempFile&& other) noexcept;
  TempFile& operator=(TempFile&&) = delete;
  ~TempFile();  // removes the file unless it was published or adopted

  int fd() const { return file_.get(); }

  // 0, or errno. Atomic; the directory is not synced here.
  int PublishOver(int directory, const std::string& name);  // replaces what is there
  int PublishNew(int directory, const std::string& name);   // EEXIST if something is there

 private:
  TempFile(UniqueFd directory, UniqueFd file, std::string name, bool renameat2)
      : directory_(std::move(directory)),
        file_(std::move(file)),
        name_(std::move(name)),
        renameat2_(renameat2) {}

  UniqueFd directory_;
  UniqueFd file_;
  std::string name_;  // empty once published
  bool renameat2_;
  bool stays_ = false;  // adopted, and not published under a second name
};

}  // namespace varve::store

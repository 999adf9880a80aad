// Standard output and -o FILE. A reader that has gone (a closed pipe) is no failure: the command
// ends quietly. A full disk is one.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::app {

class Output {
 public:
  // "" or "-": standard output. Else a file, written beside and renamed by Finish, so that a failed
  // command leaves no half file.
  static Result<std::unique_ptr<Output>> Open(const std::string& path);
  ~Output();

  bool Write(std::string_view bytes);  // false: the reader has gone, or an error (see Finish)
  Status Finish();                     // flushes; the error of an earlier Write
  bool reader_gone() const { return gone_; }

 private:
  Output(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  bool WriteAll(std::string_view bytes);
  int fd_;
  std::string path_;  // empty: standard output
  std::string buffer_;
  int errno_ = 0;
  bool gone_ = false;
  bool finished_ = false;
};

// The whole text; the command's exit code.
int WriteStdout(std::string_view text);
// A message for whoever runs the command. Where nobody can see it (closed, full), the command goes
// on: what it does is done all the same.
void WriteStderr(std::string_view text);

// Standard streams that are closed stay errors of whoever uses them: a file that is opened later
// must not get their numbers, and messages among its bytes.
void ReserveStandardStreams();

bool StdinIsTerminal();
bool StdoutIsTerminal();
bool StderrIsTerminal();

}  // namespace varve::app

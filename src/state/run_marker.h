// Whether the last process that held a database stopped cleanly.
//
// Every process that has the database open holds a shared lock on `<path>.lock`. The one that finds
// nobody else there (it gets the exclusive lock) reads the marker row: "running" means that the
// last one was killed, and the file is checked before use. It then writes "running". The last to
// close writes "clean", but only if it or nobody was killed meanwhile: a killed process leaves
// "running".
#pragma once

#include <string>

#include "core/result.h"

namespace varve::state {

class RunMarker {
 public:
  static Result<RunMarker> Take(const std::string& database_path);
  RunMarker(RunMarker&& other) noexcept;
  RunMarker& operator=(RunMarker&&) = delete;
  ~RunMarker();  // gives the lock back

  bool alone() const { return alone_; }  // nobody else had the database open
  void Share();                          // lets others in; after the check
  bool TryAlone();                       // for closing: are we the last?

 private:
  RunMarker(int fd, bool alone) : fd_(fd), alone_(alone) {}
  int fd_;
  bool alone_;
};

}  // namespace varve::state

// Named places where a test may end the process as `kill -9` would: VARVE_CRASH=name:hit makes the
// hit-th passage (1 = first) of that place fatal. `varve debug crash-points` lists them all, so a
// new place is covered by the crash tests without being named there.
//
//   namespace { const CrashPoint kAfterPut{"flush.after_put"}; }
//   … kAfterPut.Hit();
#pragma once

#include <atomic>
#include <string_view>
#include <vector>

namespace varve {

class CrashPoint {
 public:
  explicit CrashPoint(std::string_view name);  // namespace scope only; the name is unique
  CrashPoint(const CrashPoint&) = delete;
  CrashPoint& operator=(const CrashPoint&) = delete;

  void Hit() const;
  std::string_view name() const { return name_; }

  static std::vector<std::string_view> Names();
  // From VARVE_CRASH's text; called once by app before any thread starts. False: no such point.
  static bool Arm(std::string_view name_and_hit);

 private:
  std::string_view name_;
  mutable std::atomic<int> hits_left_{0};
};

}  // namespace varve

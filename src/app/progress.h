// A line on a terminal's standard error that is drawn over; nothing where that is no terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace varve::app {

class ProgressLine {
 public:
  explicit ProgressLine(bool wanted);
  ~ProgressLine() { Clear(); }

  // done of total in the unit of bytes (total 0: not known); count of what ("events").
  void Show(std::string_view name, uint64_t done, uint64_t total, uint64_t count,
            std::string_view what);
  void Clear();

 private:
  bool wanted_;
  bool shown_ = false;
  int64_t started_ns_ = 0, drawn_ns_ = 0;
};

std::string HumanBytes(uint64_t bytes);
std::string HumanCount(uint64_t count);  // 1,234,567

}  // namespace varve::app

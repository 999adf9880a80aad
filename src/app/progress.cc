#include "app/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/output.h"
#include "core/clock.h"

namespace varve::app {
namespace {
constexpr int kBarCells = 24;
constexpr int64_t kDrawEveryNs = 100'000'000;
}  // namespace

ProgressLine::ProgressLine(bool wanted)
    : wanted_(wanted && StderrIsTerminal()), started_ns_(SystemClock().MonotonicNs()) {}

void ProgressLine::Show(std::string_view name, uint64_t done, uint64_t total, uint64_t count,
                        std::string_view what) {
  int64_t now = SystemClock().MonotonicNs();
  if (!wanted_ || now - drawn_ns_ < kDrawEveryNs) return;
  drawn_ns_ = now;
  double seconds = std::max(1e-3, static_cast<double>(now - started_ns_) / 1e9);
  std::string bar;
  if (total > 0) {
    double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    int cells = static_cast<int>(part * kBarCells);
    bar = fmt::format("[{}{}] {:3.0f}%  ", std::string(static_cast<size_t>(cells), '#'),
                      std::string(static_cast<size_t>(kBarCells - cells), ' '), part * 100);
  }
  WriteStderr(fmt::format("\r\033[K{}  {}{}  {} {}  {}/s", name, bar, HumanBytes(done),
                          HumanCount(count), what,
                          HumanCount(static_cast<uint64_t>(static_cast<double>(count) / seconds))));
  shown_ = true;
}

void ProgressLine::Clear() {
  if (shown_) WriteStderr("\r\033[K");
  shown_ = false;
}

std::string HumanBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string HumanCount(uint64_t count) {
  std::string digits = fmt::format("{}", count);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

}  // namespace varve::app

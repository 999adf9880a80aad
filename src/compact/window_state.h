// The states of a window's round, and what leads from one to the next. Changes are values: made,
// asked whether they apply, applied; window_tracker.h keeps the result.
//
//   pending → processing → dispatched → gone
//      ↑___________|            |
//      ↑________________________|
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::compact {

enum class WindowState : uint8_t {
  kPending,     // files come in
  kProcessing,  // its files are being pinned; never seen outside of the transaction that does it
  kDispatched,  // a workflow has them
  kGone,        // nothing of it is left to do
};

std::string_view ToString(WindowState state);
std::optional<WindowState> ParseWindowState(std::string_view text);

struct Window {
  int64_t ns_id = 0;
  int64_t start_ms = 0, end_ms = 0;
  int64_t round = 1;  // late files of a window are a later round of it
  WindowState state = WindowState::kPending;
  int64_t files = 0, bytes = 0;
  int64_t first_seen_ms = 0, last_seen_ms = 0;  // by arrival
  int64_t not_before_ms = 0;                    // a pause after its files were given back
  std::string workflow_id;
  int64_t dispatched_ms = 0;
  int64_t settled_ms = 0;  // the workflow has committed
  bool halted = false;     // the workflow waits for an operator
};

struct WindowChange {
  enum class Kind : uint8_t { kTake, kConfirm, kGiveBack, kFinish };
  Kind kind = Kind::kTake;
  int64_t now_ms = 0;
  std::string workflow_id = {};  // kConfirm; kGiveBack and kFinish of a dispatched one
  int64_t not_before_ms = 0;     // kGiveBack
};

// kConflict: INVALID_TRANSITION, or WORKFLOW_MISMATCH where another workflow has the window.
Status CanApply(const Window& window, const WindowChange& change);
Status Apply(Window& window, const WindowChange& change);

}  // namespace varve::compact

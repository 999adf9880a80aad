#include "compact/window_state.h"

#include <fmt/format.h>

namespace varve::compact {
namespace {

constexpr std::string_view kNames[] = {"pending", "processing", "dispatched", "gone"};
constexpr std::string_view kChanges[] = {"take", "confirm", "give back", "finish"};

bool Leads(WindowState from, WindowChange::Kind kind) {
  switch (kind) {
    case WindowChange::Kind::kTake:
      return from == WindowState::kPending;
    case WindowChange::Kind::kConfirm:
      return from == WindowState::kProcessing;
    case WindowChange::Kind::kGiveBack:
      return from == WindowState::kProcessing || from == WindowState::kDispatched;
    case WindowChange::Kind::kFinish:
      return from == WindowState::kDispatched;
  }
  return false;
}

}  // namespace

std::string_view ToString(WindowState state) { return kNames[static_cast<size_t>(state)]; }

std::optional<WindowState> ParseWindowState(std::string_view text) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == text) return static_cast<WindowState>(i);
  }
  return std::nullopt;
}

Status CanApply(const Window& window, const WindowChange& change) {
  if (!Leads(window.state, change.kind)) {
    return MakeError(
        ErrorKind::kConflict, "INVALID_TRANSITION",
        fmt::format("{}: the window of {} is {}", kChanges[static_cast<size_t>(change.kind)],
                    window.start_ms, ToString(window.state)));
  }
  const bool dispatched = window.state == WindowState::kDispatched;
  if (dispatched && change.workflow_id != window.workflow_id) {
    return MakeError(ErrorKind::kConflict, "WORKFLOW_MISMATCH",
                     fmt::format("the window of {} is with workflow {}, not {}", window.start_ms,
                                 window.workflow_id, change.workflow_id));
  }
  return {};
}

Status Apply(Window& window, const WindowChange& change) {
  TRY(CanApply(window, change));
  switch (change.kind) {
    case WindowChange::Kind::kTake:
      window.state = WindowState::kProcessing;
      break;
    case WindowChange::Kind::kConfirm:
      window.state = WindowState::kDispatched;
      window.workflow_id = change.workflow_id;
      window.dispatched_ms = change.now_ms;
      break;
    case WindowChange::Kind::kGiveBack:
      window.state = WindowState::kPending;
      window.workflow_id.clear();
      window.dispatched_ms = window.settled_ms = 0;
      window.halted = false;
      window.not_before_ms = change.not_before_ms;
      break;
    case WindowChange::Kind::kFinish:
      window.state = WindowState::kGone;
      break;
  }
  return {};
}

}  // namespace varve::compact

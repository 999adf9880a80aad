#include "workflow/workflow.h"

#include <fmt/format.h>

#include <array>

namespace varve::workflow {
namespace {

constexpr std::array<std::string_view, 6> kStateNames = {"active",    "paused", "cancelling",
                                                         "succeeded", "failed", "cancelled"};
constexpr std::array<std::string_view, 4> kOperationNames = {"pause", "resume", "retry", "cancel"};

struct Transition {
  WorkflowState from;
  Operation operation;
  WorkflowState to;
};

constexpr Transition kTransitions[] = {
    {WorkflowState::kActive, Operation::kPause, WorkflowState::kPaused},
    {WorkflowState::kActive, Operation::kCancel, WorkflowState::kCancelling},
    {WorkflowState::kPaused, Operation::kResume, WorkflowState::kActive},
    {WorkflowState::kPaused, Operation::kCancel, WorkflowState::kCancelling},
    {WorkflowState::kFailed, Operation::kRetry, WorkflowState::kActive},
    {WorkflowState::kFailed, Operation::kCancel, WorkflowState::kCancelling},
};

}  // namespace

std::string_view ToString(WorkflowState state) { return kStateNames[static_cast<size_t>(state)]; }

std::string_view ToString(Operation operation) {
  return kOperationNames[static_cast<size_t>(operation)];
}

std::optional<WorkflowState> ParseWorkflowState(std::string_view text) {
  for (size_t i = 0; i < kStateNames.size(); ++i) {
    if (kStateNames[i] == text) return static_cast<WorkflowState>(i);
  }
  return {};
}

Result<WorkflowState> Apply(WorkflowState state, Operation operation) {
  std::string allowed;
  for (const Transition& transition : kTransitions) {
    if (transition.from != state) continue;
    if (transition.operation == operation) return transition.to;
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", ToString(transition.operation));
  }
  return MakeError(ErrorKind::kConflict, "WORKFLOW_STATE",
                   fmt::format("{} is not possible: the workflow is {}{}{}", ToString(operation),
                               ToString(state), allowed.empty() ? "" : "; possible: ", allowed));
}

}  // namespace varve::workflow

// A workflow: durable steps, one after the other, that go on after any crash where they were. This
// is the value and its rules; workflow_store.h keeps it, engine.h runs it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::workflow {

enum class WorkflowState : uint8_t {
  kActive,      // its step runs, or will at next_ms
  kPaused,      // by an operator; nothing runs
  kCancelling,  // an operator wants it gone; it is being undone
  kSucceeded,
  kFailed,  // a step's error was final, or came too often; an operator may have it tried again
  kCancelled,
};

enum class Operation : uint8_t { kPause, kResume, kRetry, kCancel };

std::string_view ToString(WorkflowState state);
std::string_view ToString(Operation operation);
std::optional<WorkflowState> ParseWorkflowState(std::string_view text);

// The state that an operator's wish leads to; kConflict, WORKFLOW_STATE, with what would be
// allowed.
Result<WorkflowState> Apply(WorkflowState state, Operation operation);

inline bool HasEnded(WorkflowState state) {
  return state == WorkflowState::kSucceeded || state == WorkflowState::kFailed ||
         state == WorkflowState::kCancelled;
}

struct Workflow {
  std::string id;       // a ULID
  std::string kind;     // names the definition that runs it
  std::string subject;  // what it is about, for lists: "users 2026-11-21T10:00Z"
  std::string params_json;
  std::string data_json = "{}";  // what its steps have found out so far
  WorkflowState state = WorkflowState::kActive;
  std::string step;       // the one that runs or comes next; the last one once it has ended
  uint32_t attempts = 0;  // of that step, that have failed
  int64_t next_ms = 0;    // not before
  std::string error;      // of the last attempt; empty once it succeeded
  std::string error_code;
  int64_t created_ms = 0, updated_ms = 0, ended_ms = 0;
};

struct StepRecord {
  std::string step;
  int64_t started_ms = 0, ended_ms = 0;  // ended 0: it has not
  uint32_t attempts = 0;                 // that it took, the good one included
  std::string error = {};                // the last one, also of a step that succeeded in the end
  std::string detail_json = "{}";        // rows, bytes, files: for whoever looks
};

}  // namespace varve::workflow

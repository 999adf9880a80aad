// A materialised view: a SELECT of a tenant's whose answer lies in `_views/{name}/data.parquet`,
// and how it stands with what its tables have had since.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespace_id.h"
#include "core/result.h"

namespace varve::view {

enum class Mode : uint8_t {
  kStreaming,  // files of its sources make it due
  kScheduled,  // time does
  kManual,     // an operator does
};

enum class Upkeep : uint8_t {
  kFull,         // the statement runs over everything
  kIncremental,  // over the files that are new, wherever the answer is the same
};

std::string_view ToString(Mode mode);
std::string_view ToString(Upkeep upkeep);
std::optional<Mode> ParseMode(std::string_view text);
std::optional<Upkeep> ParseUpkeep(std::string_view text);

inline constexpr size_t kNameBytesMax = 64;
inline constexpr uint64_t kPeriodMsMax = 366ull * 86'400'000;

// 1 to 64 of [a-z0-9_-], the first none of '-'; "status" is a path of the API. kInvalid,
// INVALID_VIEW_NAME.
Status CheckViewName(std::string_view name);

// What somebody wants a view to be.
struct ViewRequest {
  NamespaceId tenant;
  std::string name;
  std::string sql;
  Mode mode = Mode::kStreaming;
  Upkeep upkeep = Upkeep::kFull;
  uint64_t debounce_ms = 0;  // a streaming one is due when it has been quiet for so long …
  uint64_t max_wait_ms = 0;  // … or so long after its first change
  uint64_t interval_ms = 0;  // of a scheduled one
};

// A JSON object; periods that it does not name are those given. kInvalid: INVALID_JSON,
// INVALID_FIELD with the field in the details, INVALID_VIEW_NAME.
struct PeriodDefaults {
  uint64_t debounce_ms = 1'000;
  uint64_t max_wait_ms = 5'000;
};
Result<ViewRequest> ReadViewRequest(const NamespaceId& tenant, std::string_view json,
                                    const PeriodDefaults& defaults);

// The object that a view's readers see, and what of the lake's is in it.
struct Output {
  std::string workflow_id;  // that made it
  std::string etag;
  std::string basis;   // what its rows hang on besides the files: see view_data.h
  bool exact = false;  // whether the files that are known to be in it are all, and no more
  std::string type;    // "full" or "incremental": how it was made
  uint64_t rows = 0, bytes = 0;
  int64_t published_ms = 0;
};

struct View {
  int64_t id = 0;
  ViewRequest request;
  std::vector<std::string> sources;  // lake tables
  int64_t revision = 1;              // of the request
  int64_t created_ms = 0, updated_ms = 0;
  bool dropping = false;

  int64_t first_change_ms = 0, last_change_ms = 0;  // 0: nothing has come since the last refresh
  uint64_t changes = 0;                             // files of these; as many as are remembered

  std::string workflow_id;  // of the refresh that is under way; empty: none is
  bool running = false;     // its first step has begun
  int64_t dispatched_ms = 0;
  int64_t not_before_ms = 0;  // after a failure

  uint64_t refreshes = 0;
  uint64_t failures = 0;  // in a row
  std::string error, error_code;
  int64_t error_ms = 0;

  std::optional<Output> output;
};

// "idle", "pending": something waits; "dispatched": a refresh was made; "processing": it runs.
std::string_view StateOf(const View& view);

// When a refresh is to begin of itself; nothing: not before something happens.
std::optional<int64_t> DueAt(const View& view);

// Where it lies. A generation is the same bytes under a name that no later output takes.
std::string FolderOf(const NamespaceId& tenant, std::string_view name);
std::string OutputKey(const View& view);
std::string GenerationKey(const View& view, std::string_view workflow_id);

}  // namespace varve::view

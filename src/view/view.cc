#include "view/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace varve::view {

using Json = nlohmann::json;

namespace {

constexpr std::array<std::string_view, 3> kModes = {"streaming", "scheduled", "manual"};
constexpr std::array<std::string_view, 2> kUpkeeps = {"full", "incremental"};
constexpr std::array<std::string_view, 7> kFields = {
    "name", "sql", "mode", "refresh", "debounceMs", "maxWaitMs", "intervalMs"};

template <typename Enum>
std::optional<Enum> ParseOneOf(const auto& names, std::string_view text) {
  const auto found = std::ranges::find(names, text);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

Error BadViewField(std::string_view field, std::string_view what) {
  return MakeError(ErrorKind::kInvalid, "INVALID_FIELD", fmt::format("{}: {}", field, what),
                   Json{{"field", std::string(field)}}.dump());
}

Result<std::string> TextField(const Json& body, const char* name, const char* otherwise) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) {
    if (otherwise == nullptr) return BadViewField(name, "is needed, as text");
    return std::string(otherwise);
  }
  if (!found->is_string()) return BadViewField(name, "must be text");
  return found->get<std::string>();
}

Status ReadPeriod(const Json& body, const char* name, uint64_t& period) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) return {};
  if (!found->is_number_unsigned() || found->get<uint64_t>() > kPeriodMsMax) {
    return BadViewField(name, fmt::format("must be milliseconds, 0 to {}", kPeriodMsMax));
  }
  period = found->get<uint64_t>();
  return {};
}

}  // namespace

std::string_view ToString(Mode mode) { return kModes[static_cast<size_t>(mode)]; }
std::string_view ToString(Upkeep upkeep) { return kUpkeeps[static_cast<size_t>(upkeep)]; }
std::optional<Mode> ParseMode(std::string_view text) { return ParseOneOf<Mode>(kModes, text); }
std::optional<Upkeep> ParseUpkeep(std::string_view text) {
  return ParseOneOf<Upkeep>(kUpkeeps, text);
}

Status CheckViewName(std::string_view name) {
  const bool known = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (known && !name.empty() && name.size() <= kNameBytesMax && name.front() != '-' &&
      name != "status") {
    return {};
  }
  return MakeError(
      ErrorKind::kInvalid, "INVALID_VIEW_NAME",
      fmt::format("a view's name is 1 to {} of [a-z0-9_-], not with '-' first, and not "
                  "'status'",
                  kNameBytesMax));
}

Result<ViewRequest> ReadViewRequest(const NamespaceId& tenant, std::string_view json,
                                    const PeriodDefaults& defaults) {
  const Json body = Json::parse(json, nullptr, false);
  if (!body.is_object()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "the body is not a JSON object");
  }
  for (const auto& [name, value] : body.items()) {
    if (std::ranges::find(kFields, name) == kFields.end()) {
      return BadViewField(name, "is not known");
    }
  }
  ViewRequest request;
  request.tenant = tenant;
  request.name = TRY(TextField(body, "name", nullptr));
  TRY(CheckViewName(request.name));
  request.sql = TRY(TextField(body, "sql", nullptr));
  const auto mode = ParseMode(TRY(TextField(body, "mode", "streaming")));
  if (!mode) return BadViewField("mode", "streaming, scheduled or manual");
  request.mode = *mode;
  const auto upkeep = ParseUpkeep(TRY(TextField(body, "refresh", "full")));
  if (!upkeep) return BadViewField("refresh", "full or incremental");
  request.upkeep = *upkeep;
  request.debounce_ms = defaults.debounce_ms;
  request.max_wait_ms = defaults.max_wait_ms;
  TRY(ReadPeriod(body, "debounceMs", request.debounce_ms));
  TRY(ReadPeriod(body, "maxWaitMs", request.max_wait_ms));
  TRY(ReadPeriod(body, "intervalMs", request.interval_ms));
  if (request.mode == Mode::kScheduled && request.interval_ms == 0) {
    return BadViewField("intervalMs", "a scheduled view needs one, of at least 1");
  }
  return request;
}

std::string_view StateOf(const View& view) {
  if (!view.workflow_id.empty()) return view.running ? "processing" : "dispatched";
  return view.first_change_ms > 0 ? "pending" : "idle";
}

std::optional<int64_t> DueAt(const View& view) {
  if (view.dropping || !view.workflow_id.empty()) return std::nullopt;
  const auto ms = [](uint64_t period) { return static_cast<int64_t>(period); };
  int64_t due = 0;
  if (view.request.mode == Mode::kScheduled) {
    due = view.dispatched_ms == 0 ? view.created_ms
                                  : view.dispatched_ms + ms(view.request.interval_ms);
  } else if (view.request.mode == Mode::kStreaming && view.first_change_ms > 0) {
    due = std::min(view.last_change_ms + ms(view.request.debounce_ms),
                   view.first_change_ms + ms(view.request.max_wait_ms));
  } else {
    return std::nullopt;
  }
  return std::max(due, view.not_before_ms);
}

std::string FolderOf(const NamespaceId& tenant, std::string_view name) {
  return fmt::format("{}_views/{}/", tenant.StorePrefix(), name);
}

std::string OutputKey(const View& view) {
  return FolderOf(view.request.tenant, view.request.name) + "data.parquet";
}

std::string GenerationKey(const View& view, std::string_view workflow_id) {
  return fmt::format("{}generations/{}.parquet", FolderOf(view.request.tenant, view.request.name),
                     workflow_id);
}

}  // namespace varve::view

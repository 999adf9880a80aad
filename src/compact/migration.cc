#include "compact/migration.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "catalog/publication.h"
#include "compact/compaction_request.h"
#include "compact/compaction_state.h"
#include "compact/compaction_workflow.h"
#include "compact/window_report.h"

namespace varve::compact {

using Json = nlohmann::json;

namespace {

constexpr uint64_t kLookMs = 1'000;  // at compactions that are under way
constexpr uint64_t kLeaseLookMs = 5'000;
constexpr const char* kInitialize = "initialize";
constexpr const char* kNamespace = "namespace";
constexpr const char* kPublish = "publish";
constexpr const char* kFinalize = "finalize";
constexpr size_t kNameBytesMax = 512;

Error BadField(const char* field, std::string what) {
  return MakeError(ErrorKind::kInvalid, "INVALID_FIELD", fmt::format("{}: {}", field, what),
                   Json{{"field", field}}.dump());
}

// What another namespace's turn does not mend.
bool IsRefusal(const Error& error) {
  return error.kind == ErrorKind::kInvalid || error.kind == ErrorKind::kNotFound;
}

// The next namespace's turn.
workflow::Next GoToNext(MigrationState& state) {
  ++state.current;
  return workflow::Next{state.current < state.namespaces.size() ? kNamespace : kFinalize};
}

workflow::Next Fail(const Error& error, MigrationState& state) {
  state.namespaces[state.current].status = "failed";
  state.namespaces[state.current].error = error.message;
  return GoToNext(state);
}

// Of numbers, without windows; no namespace: all of the tenant's.
StatusFilter FilterOf(const MigrationRequest& request, const std::string& ns) {
  StatusFilter filter;
  filter.tenant = request.tenant;
  filter.ns = ns;
  filter.windows_max = filter.writers_max = 1;
  return filter;
}

Error Unreadable() { return MakeError(ErrorKind::kCorrupt, "a migration's data cannot be read"); }

// What a request to ParqueDB may have beside the namespaces and their target. Batches are cut by
// bytes here (compaction.batch_bytes_max), so that a number of rows for them is of no effect.
Status ReadFurtherFields(const Json& body, MigrationRequest& request) {
  const Json from = body.value("from", Json());
  if (!from.is_null() && from != "auto") return BadField("from", "auto: each as it is");
  const Json batch = body.value("batchSize", Json());
  if (!batch.is_null() && !(batch.is_number_unsigned() && batch > 0)) {
    return BadField("batchSize", "a number");
  }
  const Json drop = body.value("deleteSource", Json());
  if (drop.is_null()) return {};
  if (!drop.is_boolean()) return BadField("deleteSource", "true or false");
  request.delete_sources = drop.get<bool>();
  return {};
}

}  // namespace

Result<MigrationRequest> ReadMigrationRequest(const NamespaceId& tenant, std::string_view json) {
  const Json body = Json::parse(json, nullptr, false);
  if (!body.is_object()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "the body is not a JSON object");
  }
  MigrationRequest request;
  request.tenant = tenant;
  const auto to = body.find("to");
  if (to != body.end() && to->is_string()) request.to = to->get<std::string>();
  const auto target = ParseTargetFormat(request.to);
  if (!target.ok() || !target->tables.any()) {
    return BadField("to", "iceberg, delta or iceberg+delta");
  }
  TRY(ReadFurtherFields(body, request));
  const auto names = body.find("namespaces");
  if (names == body.end() || names->is_null()) return request;
  if (!names->is_array()) return BadField("namespaces", "a list of names");
  if (names->size() > kMigrationNamespacesMax) {
    return MakeError(ErrorKind::kInvalid, "TOO_MANY_NAMESPACES",
                     fmt::format("{} namespaces; at most {} go into one migration", names->size(),
                                 kMigrationNamespacesMax));
  }
  for (const Json& name : *names) {
    if (!name.is_string() || name.get_ref<const std::string&>().empty() ||
        name.get_ref<const std::string&>().size() > kNameBytesMax) {
      return BadField("namespaces", "a list of names");
    }
    request.namespaces.push_back(name.get<std::string>());
  }
  return request;
}

std::string ToJson(const MigrationRequest& request) {
  Json out = {
      {"tenant", request.tenant.name()}, {"to", request.to}, {"namespaces", request.namespaces}};
  if (request.delete_sources) out["deleteSource"] = *request.delete_sources;
  return out.dump();
}

Result<MigrationRequest> ParseMigrationRequest(std::string_view json) {
  const Json body = Json::parse(json, nullptr, false);
  if (!body.is_object() || !body.contains("tenant") || !body["tenant"].is_string()) {
    return Unreadable();
  }
  const auto tenant = NamespaceId::Parse(body["tenant"].get<std::string>());
  if (!tenant.ok()) return Unreadable();
  auto request = ReadMigrationRequest(*tenant, json);
  return request.ok() ? std::move(request) : Result<MigrationRequest>(Unreadable());
}

std::string ToJson(const MigrationState& state) {
  Json list = Json::array();
  for (const MigratedNamespace& one : state.namespaces) {
    list.push_back({{"namespace", one.ns},
                    {"status", one.status},
                    {"error", one.error},
                    {"files", one.files},
                    {"bytes", one.bytes},
                    {"rows", one.rows},
                    {"quarantined", one.quarantined},
                    {"published", one.published},
                    {"last", one.last},
                    {"waitsFor", one.waits_for}});
  }
  return Json{{"namespaces", std::move(list)},
              {"current", state.current},
              {"discoveredMs", state.discovered_ms}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<MigrationState> ParseMigrationState(std::string_view json) {
  MigrationState state;
  try {
    const Json body = Json::parse(json);
    state.current = body.value("current", size_t{0});
    state.discovered_ms = body.value("discoveredMs", int64_t{0});
    for (const Json& one : body.value("namespaces", Json::array())) {
      state.namespaces.push_back(
          {one.at("namespace"), one.at("status"), one.at("error"), one.at("files"), one.at("bytes"),
           one.at("rows"), one.value("quarantined", uint64_t{0}), one.value("published", false),
           one.value("last", ""), one.value("waitsFor", "")});
    }
  } catch (const Json::exception&) {
    return Unreadable();
  }
  if (state.current > state.namespaces.size()) return Unreadable();
  return state;
}

Result<std::string> StartMigration(workflow::WorkflowStore& workflows,
                                   const MigrationRequest& request) {
  const std::string subject = request.tenant.name();
  for (const auto state : {workflow::WorkflowState::kActive, workflow::WorkflowState::kPaused,
                           workflow::WorkflowState::kCancelling}) {
    for (const auto& one : TRY(workflows.List({std::string(kMigrationKind), state, {}, 1000}))) {
      if (one.subject != subject) continue;
      return MakeError(ErrorKind::kConflict, "ALREADY_RUNNING",
                       fmt::format("the migration {} is under way", one.id),
                       Json{{"id", one.id}}.dump());
    }
  }
  return workflows.Create(kMigrationKind, subject, ToJson(request), kInitialize);
}

Result<workflow::Next> MigrationWorkflow::Run(std::string_view step, workflow::StepRun& run) {
  const MigrationRequest request = TRY(ParseMigrationRequest(run.workflow.params_json));
  MigrationState state = TRY(ParseMigrationState(run.data_json));
  workflow::Next next;
  if (step == kInitialize) {
    next = TRY(Initialize(request, run.workflow.created_ms, state));
  } else if (step == kNamespace) {
    next = TRY(GoOn(request, run.workflow.created_ms, state));
  } else if (step == kPublish) {
    next = TRY(Publish(request, run.stop, state));
  } else if (step != kFinalize) {
    return MakeError(ErrorKind::kInvalid, fmt::format("a migration has no step '{}'", step));
  }
  run.data_json = ToJson(state);
  run.detail_json = run.data_json;
  return next;
}

Status MigrationWorkflow::Undo(std::string_view step, workflow::StepRun& run) {
  if (step != kPublish) return {};
  const MigrationRequest request = TRY(ParseMigrationRequest(run.workflow.params_json));
  const MigrationState state = TRY(ParseMigrationState(run.data_json));
  const std::string table = TRY(TableNameOf(state.namespaces[state.current].ns));
  return tables_(request.tenant).Level(table);
}

Result<workflow::Next> MigrationWorkflow::Initialize(const MigrationRequest& request,
                                                     int64_t since_ms, MigrationState& state) {
  for (const std::string& ns : TRY(Known(request))) TRY(Keep(request, ns));
  const auto found = [&](const std::string& ns) { return Keep(request, ns); };
  if (TRY(DiscoverSources(place_, windows_, request.tenant, request.namespaces, since_ms, found))) {
    return workflow::Next{kInitialize, kLookMs};
  }
  std::vector<std::string> names = request.namespaces;
  if (names.empty()) names = TRY(Known(request));
  if (names.size() > kMigrationNamespacesMax) {
    return MakeError(ErrorKind::kInvalid, "TOO_MANY_NAMESPACES",
                     fmt::format("there are more than {} namespaces: name those to be migrated",
                                 kMigrationNamespacesMax));
  }
  state = {};
  state.discovered_ms = windows_.clock().NowMs();
  for (std::string& name : names) {
    const bool named = std::ranges::any_of(
        state.namespaces, [&](const MigratedNamespace& other) { return other.ns == name; });
    if (!named) state.namespaces.emplace_back().ns = std::move(name);
  }
  return workflow::Next{state.namespaces.empty() ? kFinalize : kNamespace};
}

// Of those that are asked for.
Result<std::vector<std::string>> MigrationWorkflow::Known(const MigrationRequest& request) {
  std::vector<std::string> names;
  const std::vector<std::string>& asked = request.namespaces;
  for (const std::string& ns : asked) {
    if (!TRY(ReadStatus(windows_, FilterOf(request, ns))).namespaces.empty()) names.push_back(ns);
  }
  if (!asked.empty()) return names;
  StatusFilter all = FilterOf(request, {});
  all.namespaces_max = kMigrationNamespacesMax + 1;
  for (const NamespaceStatus& one : TRY(ReadStatus(windows_, all)).namespaces) {
    names.push_back(one.row.ns);
  }
  return names;
}

// At once, not at its turn: a compaction that begins by itself meanwhile is to keep them too.
Status MigrationWorkflow::Keep(const MigrationRequest& request, const std::string& ns) {
  if (request.delete_sources.value_or(true)) return {};
  TRY(windows_.Configure(request.tenant, ns, R"({"deleteSources":false})"));
  return {};
}

// A look at the namespace whose turn it is.
Result<workflow::Next> MigrationWorkflow::GoOn(const MigrationRequest& request, int64_t since_ms,
                                               MigrationState& state) {
  MigratedNamespace& migrated = state.namespaces[state.current];
  if (migrated.status == "pending") {
    const Status known = CheckKnown(request, migrated.ns);
    if (!known.ok() && !IsRefusal(known.error())) return known.error();
    if (!known.ok()) return Fail(known.error(), state);
    const auto lacks = LacksFormat(request, migrated);
    if (!lacks.ok() && !IsRefusal(lacks.error())) return lacks.error();
    if (!lacks.ok()) return Fail(lacks.error(), state);
    if (*lacks) return workflow::Next{kPublish};
    const Status begun = Begin(request, migrated);
    if (!begun.ok() && !IsRefusal(begun.error())) return begun.error();
    if (!begun.ok()) return Fail(begun.error(), state);
  }
  if (migrated.last.empty()) {
    if (TRY(DispatchMore(request, std::max(since_ms, state.discovered_ms), migrated))) {
      return workflow::Next{kNamespace, kLookMs};
    }
    migrated.last = TRY(NewestCompaction());
  }
  if (TRY(Unfinished(request, migrated, workflow::WorkflowState::kActive))) {
    return workflow::Next{kNamespace, kLookMs};
  }
  TRY(AddUp(request, since_ms, migrated));
  if (migrated.error.empty()) migrated.error = TRY(WhatHolds(request, migrated));
  // A compaction that was under way has made the table, for the target that there was before.
  const bool lacks = !migrated.published && TRY(LacksFormat(request, migrated));
  if (lacks && migrated.error.empty()) return workflow::Next{kPublish};
  migrated.quarantined = TRY(CountsOf(request, migrated.ns)).quarantined_files;
  const bool made = migrated.files > 0 || migrated.published;
  migrated.status = !migrated.error.empty() ? "failed" : made ? "completed" : "skipped";
  if (migrated.quarantined > 0 && migrated.error.empty()) {
    migrated.error = fmt::format("files in quarantine: {}; `varve compaction status {}` says why",
                                 migrated.quarantined, migrated.ns);
    if (!made) migrated.status = "failed";
  }
  return GoToNext(state);
}

// None of them is known of a namespace that only a table tells of.
Result<NamespaceStatus> MigrationWorkflow::CountsOf(const MigrationRequest& request,
                                                    const std::string& ns) {
  auto status = TRY(ReadStatus(windows_, FilterOf(request, ns)));
  return status.namespaces.empty() ? NamespaceStatus{} : std::move(status.namespaces.front());
}

// Which of the namespace's compactions waits for an operator, with files that the target lacks.
Result<std::string> MigrationWorkflow::WhatHolds(const MigrationRequest& request,
                                                 const MigratedNamespace& migrated) {
  const auto paused = TRY(Unfinished(request, migrated, workflow::WorkflowState::kPaused));
  if (paused) return fmt::format("the compaction {} is paused", paused->id);
  if (TRY(CountsOf(request, migrated.ns)).running_files == 0) return std::string();
  const auto failed = TRY(Unfinished(request, migrated, workflow::WorkflowState::kFailed));
  if (!failed) return std::string();
  return fmt::format(
      "the compaction {} has failed and holds its files: `varve workflow retry {}`, "
      "or cancel it: {}",
      failed->id, failed->id, failed->error);
}

Result<bool> MigrationWorkflow::LacksFormat(const MigrationRequest& request,
                                            const MigratedNamespace& migrated) {
  const std::string table = TRY(TableNameOf(migrated.ns));
  const catalog::Formats there = TRY(tables_(request.tenant).FormatsOf(table));
  const catalog::Formats wanted = TRY(ParseTargetFormat(request.to)).tables;
  return there.any() && ((wanted.iceberg && !there.iceberg) || (wanted.delta && !there.delta));
}

Result<workflow::Next> MigrationWorkflow::Publish(const MigrationRequest& request,
                                                  const std::stop_token& stop,
                                                  MigrationState& state) {
  MigratedNamespace& migrated = state.namespaces[state.current];
  const std::string table = TRY(TableNameOf(migrated.ns));
  catalog::PublishOptions options;
  options.stopped = [&] { return stop.stop_requested(); };
  const auto done = catalog::PublishTable(tables_(request.tenant), table,
                                          TRY(ParseTargetFormat(request.to)).tables, options);
  migrated.waits_for.clear();
  if (!done.ok() && done.error().code == "LEASED") {
    migrated.waits_for = done.error().message;
    return workflow::Next{kPublish, kLeaseLookMs};
  }
  if (!done.ok() && IsRefusal(done.error())) return Fail(done.error(), state);
  if (!done.ok()) return done.error();
  migrated.published = true;
  return workflow::Next{kNamespace};  // where it begins
}

// What is not there would be remembered as a namespace for ever.
Status MigrationWorkflow::CheckKnown(const MigrationRequest& request, const std::string& ns) {
  if (!TRY(ReadStatus(windows_, FilterOf(request, ns))).namespaces.empty()) return {};
  const std::string table = TRY(TableNameOf(ns));
  if (TRY(tables_(request.tenant).FormatsOf(table)).any()) return {};
  return MakeError(ErrorKind::kNotFound, "NAMESPACE_UNKNOWN",
                   fmt::format("there is no namespace '{}': no writer's file of it has been "
                               "announced, and there is no table",
                               ns));
}

Status MigrationWorkflow::Begin(const MigrationRequest& request, MigratedNamespace& migrated) {
  Json settings = {{"targetFormat", request.to}};
  if (request.delete_sources) settings["deleteSources"] = *request.delete_sources;
  TRY(windows_.Configure(request.tenant, migrated.ns, settings.dump()));
  migrated.status = "running";
  return {};
}

// False: all that waited when the migration began has a compaction, or can have none. What comes
// later goes to the new target by itself, or a migration would not end while anybody writes.
Result<bool> MigrationWorkflow::DispatchMore(const MigrationRequest& request, int64_t discovered_ms,
                                             const MigratedNamespace& migrated) {
  DispatchWish wish;
  wish.tenant = request.tenant;
  wish.ns = migrated.ns;
  wish.seen_by_ms = discovered_ms;
  wish.force = true;
  uint64_t dispatched = 0;
  while (TRY(windows_.Dispatch(wish, start_))) ++dispatched;
  if (dispatched > 0 && started_) started_();
  if (!TRY(windows_.Waits(wish))) return false;
  // What waits behind a compaction that waits for its operator waits too.
  return TRY(CountsOf(request, migrated.ns)).halted == 0;
}

// Ids are in the order of time. "0": there is none, which is before all.
Result<std::string> MigrationWorkflow::NewestCompaction() {
  const auto newest = TRY(workflows_.List({.kind = std::string(kCompactionKind), .rows_max = 1}));
  return newest.empty() ? "0" : newest[0].id;
}

// A compaction of the namespace, of which the windows may not know: an operator can start one for
// any files. One that waits for its sources' grace has done what it is to do.
Result<std::optional<workflow::Workflow>> MigrationWorkflow::Unfinished(
    const MigrationRequest& request, const MigratedNamespace& migrated,
    workflow::WorkflowState state) {
  workflow::ListFilter filter{
      .kind = std::string(kCompactionKind), .state = state, .rows_max = 1000};
  while (true) {
    auto page = TRY(workflows_.List(filter));
    for (workflow::Workflow& one : page) {
      if (one.id > migrated.last || one.step == kDeletionStep) continue;
      const auto asked = ParseCompactionRequest(one.params_json);
      if (!asked.ok() || asked->tenant != request.tenant || asked->ns != migrated.ns) continue;
      return std::optional(std::move(one));
    }
    if (page.size() < filter.rows_max) return std::optional<workflow::Workflow>();
    filter.before = page.back().id;
  }
}

// What the namespace's compactions have done, from the migration's begin to `last`.
Status MigrationWorkflow::AddUp(const MigrationRequest& request, int64_t since_ms,
                                MigratedNamespace& migrated) {
  migrated.files = migrated.bytes = migrated.rows = 0;
  migrated.error.clear();
  workflow::ListFilter filter{.kind = std::string(kCompactionKind), .rows_max = 1000};
  while (true) {
    const auto page = TRY(workflows_.List(filter));
    for (const workflow::Workflow& one : page) {
      if (one.created_ms < since_ms) return {};
      const auto asked = ParseCompactionRequest(one.params_json);
      if (!asked.ok() || asked->tenant != request.tenant || asked->ns != migrated.ns) continue;
      if (one.id > migrated.last) continue;
      const bool done =
          one.state == workflow::WorkflowState::kSucceeded ||
          (one.state == workflow::WorkflowState::kActive && one.step == kDeletionStep);
      if (!done) {
        migrated.error =
            fmt::format("the compaction {} is {}: {}", one.id, ToString(one.state), one.error);
        continue;
      }
      const CompactionState made = TRY(ParseCompactionState(one.data_json));
      for (size_t i = 0; i < made.sources.size() && i < asked->sources.size(); ++i) {
        if (made.sources[i].state != SourceFate::kTaken) continue;
        ++migrated.files;
        migrated.bytes += asked->sources[i].size;
        migrated.rows += made.sources[i].rows;
      }
    }
    if (page.size() < filter.rows_max) return {};
    filter.before = page.back().id;
  }
}

}  // namespace varve::compact

#include "app/direct_compaction.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <stop_token>
#include <thread>

#include "app/commands.h"
#include "app/compaction.h"
#include "app/table_access.h"
#include "compact/compaction_plan.h"
#include "compact/compaction_state.h"
#include "core/clock.h"
#include "store/local_store.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;
using workflow::WorkflowState;

constexpr uint32_t kAttemptsMax = 4;
constexpr uint64_t kRetryMsMax = 5'000;
constexpr auto kWaitStep = std::chrono::milliseconds(20);

bool GoesOn(WorkflowState state) {
  return state == WorkflowState::kActive || state == WorkflowState::kCancelling;
}

}  // namespace

Result<std::unique_ptr<DirectCompaction>> DirectCompaction::Open(
    const Config& config, std::function<void(const merge::MergeProgress&)> progress) {
  const DataDirPaths paths(config.data_dir);
  std::error_code ignored;
  if (!std::filesystem::is_directory(paths.root, ignored)) {
    return MakeError(ErrorKind::kNotFound, "there is no data directory '" + paths.root + "'");
  }
  TRY(MakeDataDir(paths));
  DataDirLock lock = TRY(DataDirLock::Take(paths, DataDirLock::Mode::kExclusive));
  std::unique_ptr<DirectCompaction> out(new DirectCompaction(std::move(lock)));
  out->data_prefix_ = config.compaction.prefix + "/";
  out->store_ = TRY(store::OpenLocalStore(StoreOptionsOf(config, paths), SystemClock()));
  out->database_ = TRY(state::Database::Open(paths.state));
  out->tables_ = OpenTenantTables(*out->store_, config, paths, TablesUse::kAlone);
  out->windows_ = TRY(compact::WindowTracker::Open(WindowOptionsOf(config.compaction),
                                                   *out->database_, SystemClock()));
  out->kept_ = TRY(workflow::WorkflowStore::Open(*out->database_, SystemClock(), SystemRandom(),
                                                 config.workflow.ended_max));
  compact::CompactionOptions options = CompactionOptionsOf(config, paths);
  options.progress = std::move(progress);
  Config impatient = config;  // somebody waits for it
  impatient.workflow.engine.attempts_max = kAttemptsMax;
  impatient.workflow.engine.retry_max_ms = kRetryMsMax;
  out->workflows_ = TRY(Workflows::Open(
      impatient, {*out->store_, *out->tables_, *out->kept_, *out->windows_}, std::move(options)));
  return out;
}

Result<std::vector<compact::SourceFile>> DirectCompaction::Sources(
    const std::vector<std::string>& keys, const std::string& prefix) {
  std::set<std::string> all(keys.begin(), keys.end());
  if (!prefix.empty()) {
    for (const store::ObjectMeta& object : TRY(store::ListAll(*store_, prefix))) {
      const size_t slash = object.key.rfind('/') + 1;
      const bool compacted = object.key.compare(slash, 10, "compacted-") == 0;
      if (object.key.ends_with(".parquet") && !compacted) all.insert(object.key);
    }
  }
  if (all.empty()) {
    return MakeError(
        ErrorKind::kInvalid, "BAD_FILE_COUNT",
        fmt::format("no .parquet file below --prefix '{}' waits for compaction", prefix));
  }
  if (all.size() > compact::kCompactionSourcesMax) {
    return MakeError(ErrorKind::kInvalid, "BAD_FILE_COUNT",
                     fmt::format("{} files are named or below --prefix '{}'; at most {} are "
                                 "compacted at once",
                                 all.size(), prefix, compact::kCompactionSourcesMax));
  }
  std::vector<compact::SourceFile> sources;
  for (const std::string& key : all) {
    auto meta = store_->Head(key);
    if (!meta.ok()) return std::move(meta).error().Context("'" + key + "'");
    compact::SourceFile source;
    source.key = key;
    source.etag = meta->etag;
    source.size = meta->size;
    source.time_ms = meta->modified_ms;
    sources.push_back(std::move(source));
  }
  return sources;
}

Result<std::string> DirectCompaction::Plan(const compact::CompactionRequest& request) {
  workflow::Workflow nothing;
  workflow::StepRun step{.workflow = nothing, .data_json = {}, .stop = {}};
  compact::CompactionOptions options;
  compact::CompactionState state;
  compact::CompactionRun run{request, options, *store_, tables_->Of(request.tenant), step, state};
  TRY(compact::PlanCompaction(run));
  Json json = {{"table", state.table}, {"target", ToString(request.settings.target)}};
  json.update(Json::parse(compact::PlanDetail(request, state)));
  return json.dump() + "\n";
}

// Those of them that are writers' files.
Result<std::vector<compact::Arrival>> DirectCompaction::ArrivalsOf(
    const compact::CompactionRequest& request) const {
  std::vector<compact::Arrival> arrivals;
  for (const compact::SourceFile& source : request.sources) {
    auto name = compact::ParseSourceName(source.key, data_prefix_);
    if (!name.ok()) continue;
    compact::Arrival& arrival = arrivals.emplace_back();
    arrival.name = std::move(*name);
    arrival.key = source.key;
    arrival.etag = source.etag;
    arrival.size = source.size;
    arrival.current = true;
  }
  return arrivals;
}

Result<std::string> DirectCompaction::Start(const compact::CompactionRequest& request) {
  const auto arrivals = TRY(ArrivalsOf(request));
  const compact::StartWorkflow start = workflows_->starter();
  std::string id;
  TRY(database_->Transact([&](state::Session& session) -> Status {
    id = TRY(start(session, request));
    return windows_->Claim(session, id, arrivals);
  }));
  return id;
}

Result<size_t> DirectCompaction::RunAll() {
  std::stop_source stop;
  // The merge asks the token; who presses Ctrl-C is heard by a thread of its own.
  std::jthread listener([&stop](const std::stop_token& done) {
    while (!done.stop_requested() && !Interrupted()) std::this_thread::sleep_for(kWaitStep);
    if (Interrupted()) stop.request_stop();
  });
  std::set<std::string> ran;
  while (true) {
    bool waits = false;
    for (const WorkflowState state : {WorkflowState::kActive, WorkflowState::kCancelling}) {
      for (const auto& one : TRY(kept_->List({.state = state}))) {
        ran.insert(one.id);
        waits = waits || GoesOn(one.state);
      }
    }
    if (!waits) return ran.size();
    if (Interrupted()) {
      return MakeError(ErrorKind::kCancelled, "INTERRUPTED",
                       "interrupted; the next `varve compact` goes on where this one was");
    }
    if (!TRY(workflows_->engine().RunOnce(stop.get_token()))) {
      std::this_thread::sleep_for(kWaitStep);
    }
  }
}

Status DirectCompaction::Abandon(const std::string& id) {
  TRY(kept_->Operate(id, workflow::Operation::kCancel));
  TRY(RunAll());
  return {};
}

Result<std::string> DirectCompaction::Summary(const std::string& id) {
  const workflow::Workflow workflow = TRY(kept_->Get(id));
  if (workflow.state != WorkflowState::kSucceeded) {
    return MakeError(
        ErrorKind::kInternal, workflow.error_code,
        fmt::format("{} at step {}: {}", ToString(workflow.state), workflow.step, workflow.error));
  }
  Json json = {{"id", id}, {"state", ToString(workflow.state)}, {"steps", Json::array()}};
  for (const workflow::StepRecord& step : TRY(kept_->Steps(id))) {
    json["steps"].push_back({{"step", step.step},
                             {"ms", step.ended_ms - step.started_ms},
                             {"attempts", step.attempts},
                             {"detail", Json::parse(step.detail_json, nullptr, false)}});
  }
  return json.dump() + "\n";
}

Status DirectCompaction::CheckTaken(const std::string& id) {
  const workflow::Workflow workflow = TRY(kept_->Get(id));
  const auto request = TRY(compact::ParseCompactionRequest(workflow.params_json));
  const auto state = TRY(compact::ParseCompactionState(workflow.data_json));
  if (state.sources.empty() || state.CountOf(compact::SourceFate::kTaken) > 0) return {};
  return MakeError(
      ErrorKind::kInvalid, "NOTHING_COMPACTED",
      fmt::format("nothing was compacted: all of {} files stay where they are; '{}': {}",
                  state.sources.size(), request.sources[0].key, state.sources[0].why));
}

}  // namespace varve::app

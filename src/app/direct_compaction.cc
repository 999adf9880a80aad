#include "app/direct_compaction.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <stop_token>
#include <thread>

#include "app/commands.h"
#include "compact/compaction_plan.h"
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
  auto store = TRY(store::OpenLocalStore({.root = paths.root}, SystemClock()));
  auto database = TRY(state::Database::Open(paths.own + "/compact.db"));
  compact::CompactionOptions options = CompactionOptionsOf(config, paths);
  options.work_directory = paths.own + "/compact-merges";
  options.progress = std::move(progress);
  Config impatient = config;  // somebody waits for it
  impatient.workflow.engine.attempts_max = kAttemptsMax;
  impatient.workflow.engine.retry_max_ms = kRetryMsMax;
  auto workflows =
      TRY(Workflows::Open(impatient, paths, *store, *database, nullptr, std::move(options)));
  return std::unique_ptr<DirectCompaction>(new DirectCompaction(
      std::move(lock), std::move(store), std::move(database), std::move(workflows)));
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
  if (all.empty() || all.size() > compact::kCompactionSourcesMax) {
    return MakeError(ErrorKind::kInvalid, "BAD_FILE_COUNT",
                     fmt::format("{} files are named; 1 to {} are compacted at once", all.size(),
                                 compact::kCompactionSourcesMax));
  }
  std::vector<compact::SourceFile> sources;
  for (const std::string& key : all) {
    auto meta = store_->Head(key);
    if (!meta.ok()) return std::move(meta).error();
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
  workflow::StepRun step{.workflow = nothing};
  compact::CompactionOptions options;
  compact::CompactionState state;
  compact::CompactionRun run{request, options, *store_, workflows_->tables().Of(request.tenant),
                             step,    state};
  TRY(compact::PlanCompaction(run));
  Json json = {{"table", state.table}, {"target", ToString(request.settings.target)}};
  json.update(Json::parse(compact::PlanDetail(request, state)));
  return json.dump() + "\n";
}

Result<std::string> DirectCompaction::Start(const compact::CompactionRequest& request) {
  return workflows_->store().Create(compact::kCompactionKind, compact::SubjectOf(request),
                                    compact::ToJson(request), compact::kCompactionFirstStep);
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
      for (const auto& one : TRY(workflows_->store().List({.state = state}))) {
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
  TRY(workflows_->store().Operate(id, workflow::Operation::kCancel));
  TRY(RunAll());
  return {};
}

Result<std::string> DirectCompaction::Summary(const std::string& id) {
  const workflow::Workflow workflow = TRY(workflows_->store().Get(id));
  if (workflow.state != WorkflowState::kSucceeded) {
    return MakeError(
        ErrorKind::kInternal, workflow.error_code,
        fmt::format("{} at step {}: {}", ToString(workflow.state), workflow.step, workflow.error));
  }
  Json json = {{"id", id}, {"state", ToString(workflow.state)}, {"steps", Json::array()}};
  for (const workflow::StepRecord& step : TRY(workflows_->store().Steps(id))) {
    json["steps"].push_back({{"step", step.step},
                             {"ms", step.ended_ms - step.started_ms},
                             {"attempts", step.attempts},
                             {"detail", Json::parse(step.detail_json, nullptr, false)}});
  }
  return json.dump() + "\n";
}

}  // namespace varve::app

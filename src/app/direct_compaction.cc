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
#include "app/output.h"
#include "app/table_access.h"
#include "compact/compaction_plan.h"
#include "compact/compaction_request.h"
#include "compact/compaction_state.h"
#include "compact/compaction_workflow.h"
#include "compact/source_twins.h"
#include "core/clock.h"
#include "store/local_store.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;
using workflow::WorkflowState;

constexpr uint32_t kAttemptsMax = 4;
constexpr uint64_t kRetryMsMax = 5'000;
constexpr auto kWaitStep = std::chrono::milliseconds(20);
constexpr uint32_t kWorkflowsListed = 1000;

Error NothingWaits(const std::string& prefix) {
  return MakeError(ErrorKind::kInvalid, "BAD_FILE_COUNT",
                   prefix.empty() ? "the files are compacted; they wait for their deletion"
                                  : fmt::format("no .parquet file below --prefix '{}' waits for "
                                                "compaction",
                                                prefix));
}

// What it made is committed; its sources' grace is not over.
bool Rests(const workflow::Workflow& one, int64_t now_ms) {
  return one.state == WorkflowState::kActive && one.kind == compact::kCompactionKind &&
         one.step == compact::kDeletionStep && one.next_ms > now_ms;
}

void TellOfGrace(const workflow::Workflow& one) {
  WriteStderr(
      fmt::format("waiting until {}: the sources of {} are deleted then; if this is "
                  "interrupted, by the next `varve compact` after it\n",
                  FormatIso(one.next_ms), one.id));
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
  if (all.empty()) return NothingWaits(prefix);
  if (all.size() > compact::kCompactionSourcesMax) {
    return MakeError(ErrorKind::kInvalid, "BAD_FILE_COUNT",
                     fmt::format("{} files are named or below --prefix '{}'; at most {} are "
                                 "compacted at once",
                                 all.size(), prefix, compact::kCompactionSourcesMax));
  }
  const auto spent = TRY(Spent());
  std::vector<compact::SourceFile> sources;
  for (const std::string& key : all) {
    auto meta = store_->Head(key);
    if (!meta.ok()) return std::move(meta).error().Context("'" + key + "'");
    if (spent.contains({key, meta->etag})) continue;
    compact::SourceFile source;
    source.key = key;
    source.etag = meta->etag;
    source.size = meta->size;
    source.time_ms = meta->modified_ms;
    sources.push_back(std::move(source));
  }
  // Those that stay after their compaction; who names one is told of it.
  const std::set<std::string> named(keys.begin(), keys.end());
  std::vector<compact::SourceId> ids;
  std::vector<compact::Arrival> arrivals;
  for (const compact::SourceFile& source : sources) {
    ids.push_back({source.key, source.etag});
    arrivals.push_back({.name = {}, .key = source.key, .etag = source.etag, .size = source.size});
  }
  TRY(compact::SourceTwins(*store_, *windows_).Find(arrivals));
  const std::vector<compact::SourceView> views = TRY(windows_->View(ids));
  std::vector<compact::SourceFile> left;
  for (size_t i = 0; i < sources.size(); ++i) {
    const bool done = views[i].standing == compact::SourceStanding::kCompacted;
    if (!done || named.contains(sources[i].key)) left.push_back(std::move(sources[i]));
  }
  if (left.empty()) return NothingWaits(prefix);
  return left;
}

Result<std::set<std::pair<std::string, std::string>>> DirectCompaction::Spent() {
  std::set<std::pair<std::string, std::string>> spent;
  const int64_t now_ms = SystemClock().NowMs();
  for (const auto& one :
       TRY(kept_->List({.state = WorkflowState::kActive, .rows_max = kWorkflowsListed}))) {
    if (!Rests(one, now_ms)) continue;
    const auto request = TRY(compact::ParseCompactionRequest(one.params_json));
    const auto state = TRY(compact::ParseCompactionState(one.data_json));
    for (size_t i = 0; i < state.sources.size() && i < request.sources.size(); ++i) {
      const compact::SourceFile& source = request.sources[i];
      if (state.sources[i].state != compact::SourceFate::kTaken) continue;
      spent.emplace(source.key, source.etag);
    }
  }
  return spent;
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

Result<size_t> DirectCompaction::RunAll(const std::string& id) {
  return RunUntilRest([&id](const workflow::Workflow& one) { return one.id == id; });
}

Result<size_t> DirectCompaction::RunAllWithGraces() {
  return RunUntilRest([](const workflow::Workflow&) { return true; });
}

Result<size_t> DirectCompaction::RunUntilRest(const WaitsFor& waits_for) {
  std::stop_source stop;
  // The merge asks the token; who presses Ctrl-C is heard by a thread of its own.
  std::jthread listener([&stop](const std::stop_token& done) {
    while (!done.stop_requested() && !Interrupted()) std::this_thread::sleep_for(kWaitStep);
    if (Interrupted()) stop.request_stop();
  });
  std::set<std::string> ran, told;
  while (true) {
    size_t left = 0, resting = 0;
    for (const WorkflowState state : {WorkflowState::kActive, WorkflowState::kCancelling}) {
      for (const auto& one : TRY(kept_->List({.state = state, .rows_max = kWorkflowsListed}))) {
        ran.insert(one.id);
        ++left;
        if (!Rests(one, SystemClock().NowMs())) continue;
        if (!waits_for(one)) {
          ++resting;
        } else if (told.insert(one.id).second) {
          TellOfGrace(one);
        }
      }
    }
    if (left == resting) return ran.size() - left;
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

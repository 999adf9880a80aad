#include "view/refresh_workflow.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/crash_point.h"
#include "view/view_tables.h"

namespace varve::view {

using Json = nlohmann::json;
using workflow::Next;
using workflow::StepRun;

namespace {

const CrashPoint kAnswered{"view.after_answer"};
const CrashPoint kGenerationPut{"view.after_generation"};
const CrashPoint kOutputPut{"view.after_output"};

constexpr uint64_t kCopyBytes = 8ull << 20;
constexpr size_t kLeftOutShown = 10;
constexpr const char* kParquetType = "application/vnd.apache.parquet";

// What run has found out, for publish.
struct RefreshState {
  int64_t revision = 0;
  Output output;
};

std::string ToJson(const RefreshState& state) {
  return Json{{"revision", state.revision},  {"etag", state.output.etag},
              {"basis", state.output.basis}, {"exact", state.output.exact},
              {"type", state.output.type},   {"rows", state.output.rows},
              {"bytes", state.output.bytes}}
      .dump();
}

Result<RefreshState> ParseRefreshState(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  RefreshState state;
  try {
    parsed.at("revision").get_to(state.revision);
    parsed.at("etag").get_to(state.output.etag);
    parsed.at("basis").get_to(state.output.basis);
    parsed.at("exact").get_to(state.output.exact);
    parsed.at("type").get_to(state.output.type);
    parsed.at("rows").get_to(state.output.rows);
    parsed.at("bytes").get_to(state.output.bytes);
  } catch (const Json::exception&) {
    return MakeError(ErrorKind::kCorrupt, "a refresh's data cannot be read");
  }
  return state;
}

bool IsGone(const Error& error) { return error.kind == ErrorKind::kNotFound; }

std::string_view TypeName(RefreshPlan::Type type) {
  if (type == RefreshPlan::Type::kFull) return "full";
  return type == RefreshPlan::Type::kIncremental ? "incremental" : "nothing";
}

std::string DetailOf(const RefreshPlan& plan, const Answer& answer) {
  Json detail = {{"type", TypeName(plan.type)}, {"rows", answer.rows}, {"bytes", answer.bytes}};
  if (!plan.why.empty()) detail["why"] = plan.why;
  if (plan.type == RefreshPlan::Type::kIncremental) detail["files"] = plan.read.size();
  if (!answer.left_out.empty()) {
    const size_t shown = std::min(answer.left_out.size(), kLeftOutShown);
    detail["leftOut"] = std::vector<std::string>(
        answer.left_out.begin(), answer.left_out.begin() + static_cast<std::ptrdiff_t>(shown));
  }
  return detail.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void RemoveFile(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

// The object's bytes as a file of this machine.
Status CopyObject(store::ObjectStore& store, const std::string& key, const std::string& path) {
  RemoveFile(path);
  if (const auto local = store.LocalPath(key)) {
    std::error_code failed;
    std::filesystem::copy_file(*local, path, failed);
    if (failed) return MakeError(ErrorKind::kInternal, "copy " + key + ": " + failed.message());
    return {};
  }
  const uint64_t size = TRY(store.Head(key)).size;
  std::ofstream out(path, std::ios::binary);
  for (uint64_t at = 0; at < size && out; at += kCopyBytes) {
    out << TRY(store.Get(key, store::ByteRange{at, kCopyBytes}));
  }
  out.close();
  if (!out) return MakeError(ErrorKind::kInternal, "copy " + key + " to " + path);
  return {};
}

store::PutOptions PutAs(const std::string& workflow_id) {
  store::PutOptions options;
  options.content_type = kParquetType;
  options.metadata["varve-refresh"] = workflow_id;
  return options;
}

}  // namespace

RefreshWorkflow::RefreshWorkflow(RefreshOptions options, ViewStore& views, ViewData& data,
                                 store::ObjectStore& store, std::function<void()> freed)
    : options_(std::move(options)),
      views_(views),
      data_(data),
      store_(store),
      freed_(std::move(freed)) {}

Status RefreshWorkflow::SweepWork() {
  std::error_code failed;
  std::filesystem::remove_all(options_.work_directory, failed);
  if (!failed) std::filesystem::create_directories(options_.work_directory, failed);
  if (!failed) return {};
  return MakeError(ErrorKind::kInternal,
                   options_.work_directory + " cannot be made: " + failed.message());
}

std::string RefreshWorkflow::WorkPath(const StepRun& run) const {
  return fmt::format("{}/{}.parquet", options_.work_directory, run.workflow.id);
}

Result<View> RefreshWorkflow::OwnView(const StepRun& run) const {
  const RefreshParams params = TRY(ParseRefreshParams(run.workflow.params_json));
  auto view = TRY(views_.GetById(params.view_id));
  if (!view || view->dropping) {
    return MakeError(ErrorKind::kInvalid, "VIEW_DROPPED", "the view was dropped");
  }
  if (view->workflow_id != run.workflow.id) {
    return MakeError(ErrorKind::kInvalid, "REFRESH_SUPERSEDED",
                     "the view is no longer this refresh's");
  }
  return std::move(*view);
}

Result<Next> RefreshWorkflow::Run(std::string_view step, StepRun& run) {
  if (step == "plan") return Plan(run);
  if (step == "run") return RunStatement(run);
  if (step == "publish") return Publish(run);
  if (step == "done") return Done(run);
  return MakeError(ErrorKind::kCorrupt, fmt::format("a refresh has no step '{}'", step));
}

Result<uint64_t> RefreshWorkflow::CleanUp(const View& view) {
  const auto keep_ms = static_cast<int64_t>(options_.keep_ms);
  const int64_t now_ms = views_.clock().NowMs();
  size_t kept = 0;
  uint64_t wait_ms = 0;
  for (const auto& generation : TRY(views_.Replaced(view.id))) {
    const int64_t until_ms = generation.replaced_ms + keep_ms;
    if (until_ms > now_ms) {
      if (kept++ == 0) wait_ms = static_cast<uint64_t>(until_ms - now_ms);
      continue;
    }
    TRY(store_.Delete(GenerationKey(view, generation.workflow_id)));
    TRY(views_.Forget(view.id, generation.workflow_id));
  }
  return kept < options_.generations_max ? 0 : wait_ms;
}

Result<Next> RefreshWorkflow::Plan(StepRun& run) {
  const View view = TRY(OwnView(run));
  const uint64_t wait_ms = TRY(CleanUp(view));
  if (wait_ms > 0) return Next{"plan", wait_ms};
  const int64_t id = view.id;
  const std::string workflow_id = run.workflow.id;
  run.detail_json = Json{{"changes", view.changes}}.dump();
  run.with_end = [this, id, workflow_id](state::Session& session) {
    return views_.Begin(session, id, workflow_id);
  };
  return Next{"run"};
}

// Whether both objects are there as they were saved.
Result<bool> RefreshWorkflow::IsBase(const View& view) {
  if (!view.output) return false;
  for (const std::string& key : {GenerationKey(view, view.output->workflow_id), OutputKey(view)}) {
    const auto object = store_.Head(key);
    if (!object.ok() && !IsGone(object.error())) return object.error();
    if (!object.ok() || object->etag != view.output->etag) return false;
  }
  return true;
}

Result<RefreshPlan> RefreshWorkflow::Decide(const View& view, ViewInput& input, bool full) {
  RefreshPlan plan;
  if (full || view.request.upkeep == Upkeep::kFull) return plan;
  if (!view.output) {
    plan.why = "there is no output yet";
  } else if (!view.output->exact) {
    plan.why = "it is not known which files are in the output";
  } else if (view.output->basis != input.contents().basis) {
    plan.why = "the statement, its table's columns or this program are others now";
  } else if (!TRY(IsBase(view))) {
    plan.why = "the output is not there as it was";
  } else {
    return PlanRefresh(TRY(views_.CoveredOf(view.id)), input, options_.incremental_files);
  }
  return plan;
}

Result<Next> RefreshWorkflow::RunStatement(StepRun& run) {
  const View view = TRY(OwnView(run));
  const RefreshParams params = TRY(ParseRefreshParams(run.workflow.params_json));
  const auto input = TRY(data_.Open(view));
  RefreshPlan plan = TRY(Decide(view, *input, params.full));
  const std::string workflow_id = run.workflow.id;
  const int64_t id = view.id;
  if (plan.type == RefreshPlan::Type::kNothing) {
    TRY(store_.Delete(GenerationKey(view, workflow_id)));  // of an attempt that found something
    run.detail_json = DetailOf(plan, {});
    run.with_end = [this, id, workflow_id, plan](state::Session& session) -> Status {
      TRY(StageChange(session, id, workflow_id, plan));
      return views_.Keep(session, id, workflow_id);
    };
    return Next{"done"};
  }
  const std::string path = WorkPath(run);
  Wanted wanted;
  if (plan.type == RefreshPlan::Type::kIncremental) {
    wanted = {plan.read, GenerationKey(view, view.output->workflow_id)};
  }
  Result<Answer> answer = input->Run(wanted, path, run.stop);
  if (!answer.ok() && answer.error().code == "BASE_DIFFERS") {
    plan = {};
    plan.why = answer.error().message;
    answer = input->Run({}, path, run.stop);
  }
  if (!answer.ok()) {
    RemoveFile(path);
    return std::move(answer).error();
  }
  kAnswered.Hit();
  const store::ObjectMeta put =
      TRY(store_.PutFile(GenerationKey(view, workflow_id), path, PutAs(workflow_id)));
  kGenerationPut.Hit();
  const bool counts = view.request.upkeep == Upkeep::kIncremental;
  const Contents& contents = input->contents();
  const bool full = plan.type == RefreshPlan::Type::kFull;
  const bool few = contents.sources.size() + contents.files.size() <= options_.account_files_max;
  RefreshState state;
  state.revision = view.revision;
  state.output.etag = put.etag;
  state.output.basis = contents.basis;
  state.output.exact = counts && few && answer->left_out.empty() && (contents.exact || !full);
  state.output.type = TypeName(plan.type);
  state.output.rows = answer->rows;
  state.output.bytes = answer->bytes;
  run.data_json = ToJson(state);
  run.detail_json = DetailOf(plan, *answer);
  const Contents staged = full && state.output.exact ? contents : Contents();
  run.with_end = [id, workflow_id, plan, full, staged](state::Session& session) -> Status {
    return full ? StageAll(session, id, workflow_id, staged)
                : StageChange(session, id, workflow_id, plan);
  };
  return Next{"publish"};
}

Status RefreshWorkflow::PutOutput(const View& view, const std::string& generation,
                                  const std::string& etag, const std::string& copy) {
  const auto there = store_.Head(OutputKey(view));
  if (!there.ok() && !IsGone(there.error())) return there.error();
  if (there.ok() && there->etag == etag) return {};
  TRY(CopyObject(store_, GenerationKey(view, generation), copy));
  TRY(store_.PutFile(OutputKey(view), copy, PutAs(generation)));
  return {};
}

Result<Next> RefreshWorkflow::Publish(StepRun& run) {
  const View view = TRY(OwnView(run));
  RefreshState state = TRY(ParseRefreshState(run.data_json));
  if (view.revision != state.revision) return Next{"plan"};
  TRY(PutOutput(view, run.workflow.id, state.output.etag, WorkPath(run)));
  kOutputPut.Hit();
  state.output.workflow_id = run.workflow.id;
  state.output.published_ms = views_.clock().NowMs();
  run.detail_json = Json{{"key", OutputKey(view)}, {"etag", state.output.etag}}.dump();
  run.with_end = [this, id = view.id, state](state::Session& session) -> Status {
    TRY(views_.Publish(session, id, state.revision, state.output));
    return {};
  };
  return Next{"done"};
}

Result<Next> RefreshWorkflow::Done(StepRun& run) {
  const RefreshParams params = TRY(ParseRefreshParams(run.workflow.params_json));
  const auto view = TRY(views_.GetById(params.view_id));
  // Not published after all: the statement was replaced in the last moment.
  if (view && !view->dropping && view->workflow_id == run.workflow.id) return Next{"plan"};
  if (freed_) freed_();
  return Next{};
}

Status RefreshWorkflow::Undo(std::string_view step, StepRun& run) {
  if (step == "done") return MakeError(ErrorKind::kConflict, "the refresh is published");
  const RefreshParams params = TRY(ParseRefreshParams(run.workflow.params_json));
  RemoveFile(WorkPath(run));
  const auto view = TRY(views_.GetById(params.view_id));
  if (!view || view->workflow_id != run.workflow.id) return {};
  TRY(store_.Delete(GenerationKey(*view, run.workflow.id)));
  run.with_end = [this, id = view->id, workflow_id = run.workflow.id](state::Session& session) {
    return views_.Release(
        session, id, workflow_id,
        MakeError(ErrorKind::kCancelled, "CANCELLED", "the refresh was cancelled"));
  };
  return {};
}

}  // namespace varve::view

#include "catalog/delta_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "catalog/checked_store.h"
#include "core/bytes.h"
#include "core/crash_point.h"
#include "core/log.h"
#include "table/delta/checkpoint.h"
#include "table/delta/partition_columns.h"
#include "table/json_reading.h"

namespace varve::catalog {
namespace {

namespace dl = table::delta;

const CrashPoint kAfterCommit{"delta.after_commit"};
const CrashPoint kAfterCheckpoint{"delta.after_checkpoint"};
const CrashPoint kAfterPointer{"delta.after_last_checkpoint"};

constexpr const char* kCommitSuffix = ".json";
constexpr const char* kCheckpointSuffix = ".checkpoint.parquet";
constexpr size_t kVersionDigits = 20;
constexpr size_t kPointerBytesMax = 16 << 20;  // newer writers put the schema into it
constexpr size_t kListedBehind = 100;

Error NoSuchDelta(const TablePlace& place) {
  return MakeError(ErrorKind::kNotFound, "NO_SUCH_TABLE",
                   fmt::format("there is no Delta table '{}'", place.name()));
}

std::optional<int64_t> Number(std::string_view text) {
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

// What no reader would take is not written.
Result<std::string> Written(const dl::Commit& commit) {
  std::string bytes = TRY(dl::WriteCommit(commit));
  if (bytes.size() <= dl::kCommitBytesMax) return bytes;
  return MakeError(
      ErrorKind::kInvalid, "TOO_MANY_FILES",
      fmt::format("a Delta commit of {} files is larger than its {} MiB",
                  commit.adds.size() + commit.removes.size(), dl::kCommitBytesMax >> 20));
}

Error MissingCommit(const TablePlace& place, int64_t missing, int64_t behind) {
  return MakeError(
      ErrorKind::kCorrupt, "COMMIT_MISSING",
      fmt::format("the Delta table '{}': version {} is missing, version {} is there; put '{}' back",
                  place.name(), missing, behind, DeltaLogKey(place, missing, kCommitSuffix)));
}

// A pointer that cannot be read is none: the log is listed then.
std::optional<int64_t> PointerVersion(std::string_view text) {
  const auto pointer = table::ParseObject(text, kPointerBytesMax);
  if (!pointer.ok()) return std::nullopt;
  const auto version = table::Need<int64_t>(*pointer, "version");
  if (!version.ok() || *version < 0) return std::nullopt;
  return *version;
}

// Others' features may bind those who write, and not those who read.
Status CheckChangeable(const std::string& name, const dl::State& state) {
  const Status known = dl::CheckWriterProtocol(state.protocol);
  if (known.ok()) return known;
  return Error(known.error()).Context("the table '" + name + "'");
}

}  // namespace

std::string DeltaLogKey(const TablePlace& place, int64_t version, std::string_view suffix) {
  return place.Key(fmt::format("_delta_log/{:020}{}", version, suffix));
}

std::string DeltaPointerKey(const TablePlace& place) {
  return place.Key("_delta_log/_last_checkpoint");
}

std::optional<std::string> DeltaFileKey(const TablePlace& place, std::string_view path) {
  const auto decoded = dl::DecodePath(path);
  const bool is_elsewhere =
      !decoded || decoded->find("://") != std::string::npos || decoded->starts_with("/");
  return is_elsewhere ? std::nullopt : std::optional(place.Key(*decoded));
}

std::optional<int64_t> DeltaVersionOf(std::string_view key, std::string_view suffix) {
  const size_t slash = key.rfind('/');
  if (slash != std::string_view::npos) key.remove_prefix(slash + 1);
  if (key.size() != kVersionDigits + suffix.size() || !key.ends_with(suffix)) return std::nullopt;
  return Number(key.substr(0, kVersionDigits));
}

DeltaTables::DeltaTables(store::ObjectStore& store, const Clock& clock, Random& random,
                         DeltaOptions options)
    : store_(store), clock_(clock), options_(std::move(options)), random_(random) {}

TablePlace DeltaTables::Place(const std::string& name) const {
  return {options_.catalog.root, options_.catalog.prefix, name};
}

std::string DeltaTables::Nonce() {
  const std::lock_guard lock(mutex_);
  std::string bytes;
  AppendLe(bytes, random_.Next());
  return HexEncode(bytes);
}

// A commit behind one that is missing; nothing where the log ends there.
Result<std::optional<int64_t>> DeltaTables::Behind(const TablePlace& place, int64_t missing) {
  const std::string after = DeltaLogKey(place, missing, kCommitSuffix);
  for (const auto& object :
       TRY(store_.List(place.Key("_delta_log/"), after, kListedBehind)).objects) {
    if (const auto version = DeltaVersionOf(object.key, kCommitSuffix)) return version;
  }
  return std::optional<int64_t>();
}

Status DeltaTables::Forward(const TablePlace& place, int64_t until, dl::State& state) {
  std::optional<int64_t> behind;  // the last commit that was not there
  while (state.version < until) {
    const std::string key = DeltaLogKey(place, state.version + 1, kCommitSuffix);
    auto bytes = ReadChecked(store_, key);
    if (!bytes.ok()) {
      if (bytes.error().kind != ErrorKind::kNotFound) return std::move(bytes).error();
      // As of a version that is older than the oldest checkpoint.
      if (state.version < 0 && until < kDeltaVersionMax) return {};
      if (behind) return MissingCommit(place, state.version + 1, *behind);
      behind = TRY(Behind(place, state.version + 1));
      if (!behind) return {};
      continue;  // others may have put both since
    }
    behind.reset();
    auto commit = dl::ParseCommit(*bytes);
    Status applied = commit.ok() ? state.Apply(state.version + 1, *commit) : commit.error();
    if (!applied.ok()) return Error(applied.error()).Context("'" + key + "'");
  }
  return {};
}

// The version that `_last_checkpoint` names; -1 if there is none.
Result<int64_t> DeltaTables::Pointer(const TablePlace& place) {
  const auto pointer = store_.Get(DeltaPointerKey(place));
  if (pointer.ok()) return PointerVersion(*pointer).value_or(-1);
  if (pointer.error().kind != ErrorKind::kNotFound) return pointer.error();
  return int64_t{-1};
}

Result<dl::State> DeltaTables::NewestSound(const TablePlace& place,
                                           const std::set<int64_t>& versions) {
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    const auto bytes = ReadChecked(store_, DeltaLogKey(place, *version, kCheckpointSuffix));
    if (!bytes.ok() && bytes.error().kind == ErrorKind::kNotFound) continue;
    if (!bytes.ok()) return bytes.error();
    auto state = dl::ReadCheckpoint(*bytes, *version);
    if (state.ok()) return state;
    LogWarn("catalog.bad_checkpoint",
            {{"table", place.name()}, {"version", *version}, {"error", state.error().message}});
  }
  return dl::State();
}

// The newest checkpoint that is not after until; an empty state if there is none.
Result<DeltaHead> DeltaTables::FromCheckpoint(const TablePlace& place, int64_t until,
                                              int64_t pointer) {
  DeltaHead head;
  if (pointer >= 0 && pointer <= until) {
    head.state = TRY(NewestSound(place, {pointer}));
    if (head.state.version >= 0) return head;
    head.lost = LostCheckpoint{.key = DeltaLogKey(place, pointer, kCheckpointSuffix)};
  }
  bool is_other_form = false;  // in parts or a v2 one, which other writers have made
  const std::string front = DeltaLogKey(place, pointer, ".checkpoint.");
  std::set<int64_t> versions;
  for (const auto& object : TRY(store::ListAll(store_, place.Key("_delta_log/")))) {
    const auto version = DeltaVersionOf(object.key, kCheckpointSuffix);
    if (version && *version <= until && *version != pointer) versions.insert(*version);
    if (!head.lost || !object.key.starts_with(front)) continue;
    (object.key == head.lost->key ? head.lost->is_there : is_other_form) = true;
  }
  if (is_other_form) head.lost.reset();
  head.state = TRY(NewestSound(place, versions));
  return head;
}

Result<DeltaHead> DeltaTables::Head(const TablePlace& place, int64_t until) {
  const int64_t pointer = TRY(Pointer(place));
  DeltaHead head = TRY(FromCheckpoint(place, until, pointer));
  dl::State& state = head.state;
  TRY(Forward(place, until, state));
  // A pointer is written behind its checkpoint, and that behind its commit.
  if (until == kDeltaVersionMax && pointer > state.version) {
    return MakeError(ErrorKind::kCorrupt, "COMMIT_MISSING",
                     fmt::format("the Delta table '{}': '{}' names version {}, and the last one "
                                 "that is there is {}; put the others back, or, to give them up, "
                                 "remove that file",
                                 place.name(), DeltaPointerKey(place), pointer, state.version));
  }
  if (state.version < 0) return NoSuchDelta(place);
  return head;
}

Result<DeltaHead> DeltaTables::LoadHead(const std::string& name) {
  TRY(CheckTableName(name));
  return Head(Place(name), kDeltaVersionMax);
}

Result<dl::State> DeltaTables::Load(const std::string& name) {
  return std::move(TRY(LoadHead(name)).state);
}

Result<dl::State> DeltaTables::LoadToChange(const std::string& name) {
  dl::State state = TRY(Load(name));
  TRY(CheckChangeable(name, state));
  return state;
}

Result<dl::State> DeltaTables::LoadVersion(const std::string& name, int64_t version) {
  TRY(CheckTableName(name));
  dl::State state = std::move(TRY(Head(Place(name), version)).state);
  if (state.version != version) {
    return MakeError(ErrorKind::kNotFound, "NO_SUCH_VERSION",
                     fmt::format("the Delta table '{}' has no version {}", name, version));
  }
  return state;
}

Result<dl::State> DeltaTables::Create(const std::string& name, const std::string& id,
                                      const table::Schema& schema,
                                      const std::map<std::string, std::string>& configuration,
                                      const dl::Change& first) {
  TRY(CheckTableName(name));
  const TablePlace place = Place(name);
  auto there = Head(place, kDeltaVersionMax);
  if (there.ok() && there->state.table.id == id) return std::move(there->state);
  if (there.ok()) {
    return MakeError(ErrorKind::kConflict, "TABLE_EXISTS",
                     fmt::format("the Delta table '{}' exists", name));
  }
  if (there.error().kind != ErrorKind::kNotFound) return there.error();
  dl::Commit commit =
      TRY(dl::CreateCommit(id, name, schema, configuration, Nonce(), clock_.NowMs()));
  commit.adds = first.adds;
  commit.txns = first.brought;
  if (first.txn) commit.txns.push_back(*first.txn);
  const std::string bytes = TRY(Written(commit));
  const PutOutcome put =
      TRY(PutNew(store_, DeltaLogKey(place, 0, kCommitSuffix), bytes, "application/json"));
  if (put == PutOutcome::kRejected) {
    return MakeError(ErrorKind::kConflict, "TABLE_EXISTS",
                     fmt::format("the Delta table '{}' was just created by another", name));
  }
  dl::State state;
  TRY(state.Apply(0, commit));
  return state;
}

Result<DeltaCommit> DeltaTables::Commit(const std::string& name, const dl::Change& change) {
  return Update(name, [&](const dl::State&) { return std::optional<dl::Change>(change); });
}

Result<DeltaCommit> DeltaTables::Update(const std::string& name, const NextChange& next) {
  TRY(CheckTableName(name));
  const TablePlace place = Place(name);
  DeltaHead head = TRY(Head(place, kDeltaVersionMax));
  dl::State& state = head.state;
  DeltaCommit done;
  for (; done.attempts <= options_.catalog.commit_attempts_max; ++done.attempts) {
    TRY(CheckChangeable(name, state));  // another may have raised it meanwhile
    const std::optional<dl::Change> change = TRY(next(state));
    dl::Built built;
    built.already_done = !change;
    if (change) built = TRY(dl::BuildCommit(state, *change, clock_.NowMs()));
    done.already_done = built.already_done;
    done.version = state.version + (built.already_done ? 0 : 1);
    if (built.already_done) return done;
    const std::string bytes = TRY(Written(built.commit));
    const PutOutcome put = TRY(
        PutNew(store_, DeltaLogKey(place, done.version, kCommitSuffix), bytes, "application/json"));
    if (put == PutOutcome::kRejected) {
      const int64_t before = state.version;
      TRY(Forward(place, kDeltaVersionMax, state));
      if (state.version == before) {
        return MakeError(ErrorKind::kRetryable, "STALE_READ",
                         fmt::format("'{}': version {} is there and is not", name, done.version));
      }
      continue;
    }
    kAfterCommit.Hit();
    TRY(state.Apply(done.version, built.commit));
    const bool is_due = done.version > 0 && done.version % options_.checkpoint_interval == 0;
    if (is_due || head.lost) {
      // The commit is done; a checkpoint that fails costs readers time, and the next one is tried.
      const Status checkpointed = Checkpoint(name, state);
      if (!checkpointed.ok()) {
        LogWarn(
            "catalog.no_checkpoint",
            {{"table", name}, {"version", done.version}, {"error", checkpointed.error().message}});
      }
    }
    return done;
  }
  return MakeError(ErrorKind::kConflict, "TOO_MANY_CONFLICTS",
                   fmt::format("'{}': {} commits of others came first", name,
                               options_.catalog.commit_attempts_max));
}

Status DeltaTables::Checkpoint(const std::string& name, const dl::State& state) {
  const TablePlace place = Place(name);
  const dl::Checkpoint checkpoint = TRY(dl::WriteCheckpoint(state, clock_.NowMs()));
  const std::string key = DeltaLogKey(place, state.version, kCheckpointSuffix);
  store::PutOptions options;
  options.precondition = store::Precondition::kIfAbsent;
  const auto put = store_.Put(key, checkpoint.bytes, options);
  // Another's checkpoint of this version says the same. After an unknown outcome it is looked for.
  if (!put.ok() && put.error().kind != ErrorKind::kConflict) {
    if (!store_.Head(key).ok()) return put.error();
  }
  kAfterCheckpoint.Hit();
  const std::string pointer_key = DeltaPointerKey(place);
  const auto now = store_.Get(pointer_key);
  if (now.ok() && PointerVersion(*now).value_or(-1) >= state.version) return {};
  TRY(store_.Put(pointer_key,
                 fmt::format(R"({{"version":{},"size":{}}})", state.version, checkpoint.actions),
                 {}));
  kAfterPointer.Hit();
  return {};
}

Status DeltaTables::Evolve(const std::string& name, const table::Schema& file) {
  TRY(CheckTableName(name));
  for (uint32_t i = 0; i < options_.catalog.commit_attempts_max; ++i) {
    const dl::State state = TRY(LoadToChange(name));
    const table::Schema schema = TRY(dl::SchemaFromJson(state.table.schema_json));
    const table::Evolution evolution = TRY(table::EvolveSchema(schema, file, INT32_MAX / 2));
    if (!evolution.changed) return {};
    TRY(dl::CheckTakesFiles(state.table));
    if (evolution.widened) {
      return MakeError(ErrorKind::kInvalid, "SCHEMA_MISMATCH",
                       "a Delta table's column cannot become wider by protocol 1/2");
    }
    dl::Change change;
    change.operation = "ADD COLUMNS";
    change.commit_id = Nonce();
    change.table_id = state.table.id;
    change.table = state.table;
    change.table->schema_json = TRY(dl::SchemaToJson(evolution.schema));
    change.old_schema_json = state.table.schema_json;
    const auto done = Commit(name, change);
    if (done.ok()) return {};
    if (done.error().kind != ErrorKind::kConflict) return done.error();
  }
  return MakeError(ErrorKind::kConflict, "TOO_MANY_CONFLICTS",
                   fmt::format("'{}': others' commits came first", name));
}

Result<std::vector<DeltaTables::LogEntry>> DeltaTables::History(const std::string& name) {
  TRY(CheckTableName(name));
  const TablePlace place = Place(name);
  std::vector<LogEntry> out;
  for (const auto& object : TRY(store::ListAll(store_, place.Key("_delta_log/")))) {
    const auto version = DeltaVersionOf(object.key, kCommitSuffix);
    if (!version) continue;
    const dl::Commit commit = TRY(dl::ParseCommit(TRY(ReadChecked(store_, object.key))));
    LogEntry entry;
    entry.version = *version;
    entry.timestamp_ms = dl::TimestampOf(commit);
    entry.operation = dl::OperationOf(commit);
    entry.adds = commit.adds.size();
    entry.removes = commit.removes.size();
    out.push_back(std::move(entry));
  }
  if (out.empty()) return NoSuchDelta(place);
  return out;
}

}  // namespace varve::catalog

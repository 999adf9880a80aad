#include "compact/compaction_sources.h"

#include <atomic>
#include <nlohmann/json.hpp>
#include <set>

#include "catalog/maintenance.h"
#include "compact/source_content.h"
#include "core/crash_point.h"

namespace varve::compact {
namespace {

const CrashPoint kBeforeDelete{"compaction.before_delete"};
const CrashPoint kDeleted{"compaction.deleted"};

// Only a table that had a source can still need one.
Result<std::set<std::string>> Needed(CompactionRun& run) {
  if (!run.to_table() || (run.state.removed.empty() && run.state.late.empty())) {
    return std::set<std::string>();
  }
  return catalog::Maintenance(run.tables).References(run.state.table);
}

// The same bytes put again, under another ETag: the windows know them as compacted (SourceTwins).
Result<bool> IsTwin(CompactionRun& run, size_t i) {
  const SourceFile& source = run.request.sources[i];
  const std::string& noted = run.state.sources[i].content;
  const std::string& content = noted.empty() ? source.etag : noted;
  const ContentKind kind = ContentKindOf(content);
  if (kind == ContentKind::kNone) return false;
  const auto meta = run.store.Head(source.key);
  if (!meta.ok() && meta.error().kind == ErrorKind::kNotFound) return false;
  TRY(meta);
  const bool foreign = store::IsForeignEtag(source.etag) || store::IsForeignEtag(meta->etag);
  if (!foreign || meta->size != source.size) return false;
  SourceFile now = source;
  now.etag = meta->etag;
  return TRY(ContentOf(run.store, now, kind)) == content;
}

}  // namespace

std::vector<SourceOutcome> OutcomesOf(const CompactionRequest& request,
                                      const CompactionState& state) {
  std::vector<SourceOutcome> outcomes;
  for (size_t i = 0; i < state.sources.size(); ++i) {
    const CompactionSource& source = state.sources[i];
    SourceOutcome outcome;
    outcome.key = request.sources[i].key;
    outcome.etag = request.sources[i].etag;
    outcome.why = source.why;
    outcome.end = source.state == SourceFate::kTaken         ? SourceEnd::kCompacted
                  : source.state == SourceFate::kQuarantined ? SourceEnd::kQuarantined
                                                             : SourceEnd::kChanged;
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

Status FindContents(CompactionRun& run) {
  const CompactionSettings& settings = run.request.settings;
  if (settings.delete_sources && settings.grace_ms == 0) return {};
  return ForEach(run, run.state.sources.size(), [&](size_t i) -> Status {
    CompactionSource& source = run.state.sources[i];
    const SourceFile& file = run.request.sources[i];
    if (source.state != SourceFate::kTaken || !store::IsForeignEtag(file.etag)) return {};
    if (!source.content.empty()) return {};
    source.content = TRY(ContentOf(run.store, file, ContentKind::kXxh3)).value_or("");
    return {};
  });
}

std::vector<SourceContent> ContentsOf(const CompactionRequest& request,
                                      const CompactionState& state) {
  std::vector<SourceContent> contents;
  for (size_t i = 0; i < state.sources.size(); ++i) {
    if (state.sources[i].content.empty()) continue;
    contents.push_back({request.sources[i].key, request.sources[i].etag, state.sources[i].content});
  }
  return contents;
}

Status DeleteSources(CompactionRun& run) {
  const std::set<std::string> needed = TRY(Needed(run));
  std::atomic<size_t> deleted = 0, kept = 0, changed = 0, gone = 0;
  TRY(ForEach(run, run.state.sources.size(), [&](size_t i) -> Status {
    if (run.state.sources[i].state != SourceFate::kTaken) return {};
    const SourceFile& source = run.request.sources[i];
    if (needed.contains(source.key)) {
      ++kept;
      return {};
    }
    const std::optional<bool> pinned = TRY(IsPinned(run.store, source));
    if (!pinned.value_or(false) && !TRY(IsTwin(run, i))) {
      ++(pinned ? changed : gone);
      return {};
    }
    kBeforeDelete.Hit();
    TRY(run.store.Delete(source.key));
    kDeleted.Hit();
    ++deleted;
    return {};
  }));
  run.step.detail_json = nlohmann::ordered_json({{"deleted", deleted.load()},
                                                 {"gone", gone.load()},
                                                 {"changed", changed.load()},
                                                 {"keptForSnapshots", kept.load()}})
                             .dump();
  return {};
}

}  // namespace varve::compact

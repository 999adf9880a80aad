#include "app/lake_reader.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "catalog/snapshot_files.h"
#include "compact/compaction_request.h"
#include "compact/compaction_state.h"
#include "compact/source_name.h"
#include "compact/window_report.h"
#include "query/table_names.h"

namespace varve::app {

using compact::SourceStanding;

namespace {

catalog::AsOf AsOfOf(const query::TableRef& ref) {
  catalog::AsOf as_of;
  if (ref.at == query::TableRef::At::kVersion) as_of.snapshot_id = ref.value;
  if (ref.at == query::TableRef::At::kTime) as_of.time_ms = ref.value;
  return as_of;
}

// The table "a.b" has the data of the namespace a/b, or a.b.
std::set<std::string> NamespacesOf(const std::string& table) {
  std::string path = table;
  std::ranges::replace(path, '.', '/');
  return {path, table};
}

// "compacted-{window start}-{workflow}-{number}.parquet": the workflow, whose id is in
// small letters there.
std::optional<std::string> WorkflowOfPlainFile(std::string_view key) {
  constexpr std::string_view kBegin = "compacted-";
  const std::string_view name = key.substr(key.rfind('/') + 1);
  if (!name.starts_with(kBegin) || !name.ends_with(".parquet")) return {};
  const size_t last = name.rfind('-');
  const size_t first = name.find('-', kBegin.size());
  if (first == std::string_view::npos || first >= last) return {};
  std::string id(name.substr(first + 1, last - first - 1));
  std::ranges::transform(id, id.begin(), [](unsigned char c) { return std::toupper(c); });
  return id;
}

}  // namespace

struct LakeReader::Written {
  std::vector<std::string> prefixes;
  std::vector<store::ObjectMeta> sources, plain;
  std::vector<compact::SourceId> ids;       // of sources, in their order
  std::vector<compact::SourceView> before;  // view 0, likewise
};

query::FileRef LakeReader::RefOf(const std::string& key, uint64_t size, int64_t modified_ms) const {
  return {key, store_.LocalPath(key).value_or(""), size, modified_ms};
}

Result<query::FileRef> LakeReader::Find(const std::string& key) {
  const store::ObjectMeta object = TRY(store_.Head(key));
  return RefOf(key, object.size, object.modified_ms);
}

Result<LakeReader::Written> LakeReader::ListWritten(const NamespaceId& tenant,
                                                    const std::string& table) {
  Written written;
  for (const std::string& ns : NamespacesOf(table)) {
    written.prefixes.push_back(tenant.StorePrefix() + data_prefix_ + ns + "/");
    for (store::ObjectMeta& object : TRY(store::ListAll(store_, written.prefixes.back()))) {
      const auto name = compact::ParseSourceName(object.key, data_prefix_);
      if (name.ok() && name->ns == ns) {
        written.ids.push_back({object.key, object.etag});
        written.sources.push_back(std::move(object));
      } else if (WorkflowOfPlainFile(object.key)) {
        written.plain.push_back(std::move(object));
      }
    }
  }
  written.before = TRY(windows_.View(written.ids));
  TRY(FindTwins(written));
  const bool replaced = std::ranges::any_of(written.before, [](const compact::SourceView& view) {
    return view.standing == SourceStanding::kCompacted;
  });
  if (!replaced) return written;
  written.plain.clear();
  for (const std::string& prefix : written.prefixes) {
    for (store::ObjectMeta& object : TRY(store::ListAll(store_, prefix))) {
      if (WorkflowOfPlainFile(object.key)) written.plain.push_back(std::move(object));
    }
  }
  return written;
}

Status LakeReader::FindTwins(Written& written) {
  std::vector<compact::Arrival> unknown;
  for (size_t i = 0; i < written.ids.size(); ++i) {
    const SourceStanding standing = written.before[i].standing;
    if (standing != SourceStanding::kUnknown && standing != SourceStanding::kChanged) continue;
    compact::Arrival& arrival = unknown.emplace_back();
    arrival.key = written.ids[i].key;
    arrival.etag = written.ids[i].etag;
    arrival.size = written.sources[i].size;
  }
  if (TRY(twins_.Find(unknown)) > 0) written.before = TRY(windows_.View(written.ids));
  return {};
}

Status LakeReader::TakeTable(const NamespaceId& tenant, const std::string& table,
                             query::LakeTable& out, std::set<std::string>& keys) {
  catalog::LakeTables& tables = tables_.Of(tenant);
  if (!TRY(tables.FormatsOf(table)).any()) return {};
  catalog::SnapshotFiles files = TRY(catalog::FilesAsOf(tables, table, AsOfOf(out.ref)));
  TRY(catalog::CheckReadable(files, table));
  out.schema = std::move(files.schema);
  out.names = std::move(files.names);
  out.by_id = files.by_id;
  for (const table::DataFile& file : files.deleted.positions) {
    out.deletes.push_back(RefOf(file.path, file.bytes, 0));
  }
  if (!out.deletes.empty()) out.delete_roots = std::move(files.deleted.roots);
  out.constants = std::move(files.constants);
  for (const table::DataFile& file : files.files) {
    out.files.push_back(RefOf(file.path, file.bytes, 0));
    keys.insert(file.path);
  }
  return {};
}

Result<bool> LakeReader::IsCommitted(const std::string& workflow_id,
                                     const std::set<std::string>& keys) {
  const auto workflow = workflows_.Get(workflow_id);
  if (!workflow.ok()) {
    if (workflow.error().code == "WORKFLOW_NOT_FOUND") return false;
    return workflow.error();
  }
  const auto state = TRY(compact::ParseCompactionState(workflow->data_json));
  return std::ranges::any_of(state.outputs,
                             [&](const auto& output) { return keys.contains(output.key); });
}

Status LakeReader::AddSources(const Written& written, const std::set<std::string>& keys,
                              query::LakeTable& out, view::Contents* contents) {
  const auto after = TRY(windows_.View(written.ids));
  std::map<std::string, bool> committed;  // by workflow that was not done in view 0
  for (size_t i = 0; i < written.sources.size(); ++i) {
    const store::ObjectMeta& source = written.sources[i];
    if (contents != nullptr) contents->sources.push_back({{source.key, source.etag}, true});
    if (written.before[i].standing == SourceStanding::kCompacted) continue;
    const std::string& workflow = after[i].workflow_id;
    if (!workflow.empty() && !committed.contains(workflow)) {
      committed[workflow] = !keys.empty() && TRY(IsCommitted(workflow, keys));
    }
    if (keys.contains(source.key) || (!workflow.empty() && committed[workflow])) continue;
    out.sources.push_back(RefOf(source.key, source.size, source.modified_ms));
    if (contents != nullptr) contents->sources.back().in_table = false;
  }
  for (const store::ObjectMeta& plain : written.plain) {
    if (keys.contains(plain.key) || committed.contains(*WorkflowOfPlainFile(plain.key))) continue;
    out.sources.push_back(RefOf(plain.key, plain.size, plain.modified_ms));
    if (contents != nullptr) contents->files.insert(plain.key);
  }
  return {};
}

// A writer's file that came after the first listing, and is compacted already, may be in the
// table's files though no listing has it.
Result<bool> LakeReader::NothingCameMeanwhile(const Written& written) {
  std::set<compact::SourceId> known(written.ids.begin(), written.ids.end());
  std::vector<compact::SourceId> came;
  for (const std::string& prefix : written.prefixes) {
    for (const store::ObjectMeta& object : TRY(store::ListAll(store_, prefix))) {
      const compact::SourceId id{object.key, object.etag};
      const bool source = compact::ParseSourceName(object.key, data_prefix_).ok();
      if (source && !known.contains(id)) came.push_back(id);
    }
  }
  const auto views = TRY(windows_.View(came));
  return std::ranges::all_of(views, [](const compact::SourceView& view) {
    return view.standing == SourceStanding::kUnknown || view.standing == SourceStanding::kPending;
  });
}

Result<std::optional<std::vector<view::FileId>>> LakeReader::MadeOf(const std::string& file) {
  const std::optional<std::vector<view::FileId>> unknown;
  const auto id = WorkflowOfPlainFile(file);
  if (!id) return unknown;
  const auto workflow = workflows_.Get(*id);
  if (!workflow.ok() && workflow.error().code != "WORKFLOW_NOT_FOUND") return workflow.error();
  if (!workflow.ok() || workflow->kind != compact::kCompactionKind) return unknown;
  const auto request = TRY(compact::ParseCompactionRequest(workflow->params_json));
  const auto state = TRY(compact::ParseCompactionState(workflow->data_json));
  const bool made = std::ranges::any_of(
      state.outputs, [&](const compact::CompactionOutput& output) { return output.key == file; });
  if (!made || state.sources.size() != request.sources.size()) return unknown;
  std::vector<view::FileId> sources;
  for (size_t i = 0; i < request.sources.size(); ++i) {
    if (state.sources[i].state != compact::SourceFate::kTaken) continue;
    sources.push_back({request.sources[i].key, request.sources[i].etag});
  }
  return std::optional(std::move(sources));
}

Result<std::optional<query::LakeTable>> LakeReader::TakeView(const NamespaceId& tenant,
                                                             const query::TableRef& ref) {
  const std::optional<query::LakeTable> none;
  if (ref.at != query::TableRef::At::kNow || !ref.name.starts_with(query::kViewSchema)) return none;
  const auto view =
      views_.Get(tenant, std::string_view(ref.name).substr(query::kViewSchema.size()));
  if (!view.ok() && view.error().code != "VIEW_NOT_FOUND") return view.error();
  if (!view.ok() || !view->output) return none;
  query::LakeTable out;
  out.ref = ref;
  out.sources.push_back(TRY(Find(view::GenerationKey(*view, view->output->workflow_id))));
  return std::optional(std::move(out));
}

Result<std::optional<query::LakeTable>> LakeReader::Take(const NamespaceId& tenant,
                                                         const query::TableRef& ref,
                                                         view::Contents* contents) {
  if (auto view = TRY(TakeView(tenant, ref))) return view;
  const std::string table = query::TableOf(ref.name);
  if (!catalog::CheckTableName(table).ok()) return std::optional<query::LakeTable>();
  query::LakeTable out;
  out.ref = ref;
  std::set<std::string> keys;
  const bool now = ref.at == query::TableRef::At::kNow;
  Written written;
  if (now) written = TRY(ListWritten(tenant, table));
  TRY(TakeTable(tenant, table, out, keys));
  if (now) TRY(AddSources(written, keys, out, contents));
  if (now && contents != nullptr) {
    contents->files.insert(keys.begin(), keys.end());
    contents->exact = TRY(NothingCameMeanwhile(written));
  }
  if (out.schema.fields.empty() && out.sources.empty()) return std::optional<query::LakeTable>();
  return std::optional(std::move(out));
}

Result<std::vector<std::string>> LakeReader::Names(const NamespaceId& tenant, size_t names_max) {
  std::set<std::string> names;
  for (const std::string& name : TRY(tables_.Of(tenant).List())) {
    names.insert(query::NameInSql(name));
  }
  compact::StatusFilter filter{.tenant = tenant, .namespaces_max = names_max, .windows_max = 1};
  for (const auto& known : TRY(compact::ReadStatus(windows_, filter)).namespaces) {
    if (auto name = compact::TableNameOf(known.row.ns); name.ok())
      names.insert(query::NameInSql(*name));
  }
  for (const view::View& view : TRY(views_.List(&tenant))) {
    if (view.output) names.insert(std::string(query::kViewSchema) + view.request.name);
  }
  std::vector<std::string> out(names.begin(), names.end());
  out.resize(std::min(out.size(), names_max));
  return out;
}

}  // namespace varve::app

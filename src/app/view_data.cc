#include "app/view_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <set>

#include "core/bytes.h"
#include "core/version.h"
#include "query/table_names.h"

namespace varve::app {
namespace {

// They say how this process is set, not what a row is.
constexpr std::array<std::string_view, 2> kOfTheProcess = {"current_setting", "getvariable"};

class NoTables : public query::SnapshotSource {
 public:
  Result<query::Snapshot> Take(const NamespaceId&, const query::TimeRange&) override {
    return query::Snapshot();
  }
};

std::string Quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    out += c;
    if (c == quote) out += c;
  }
  return out + quote;
}

// "a.b.c" as SQL names it: schema "a.b", table "c".
std::string TableInSql(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return Quoted(name, '"');
  return Quoted(name.substr(0, dot), '"') + "." + Quoted(name.substr(dot + 1), '"');
}

std::string NoRowsOf(const std::string& sql) {
  return fmt::format("SELECT * FROM (\n{}\n) LIMIT 0", sql);
}

Result<std::string> Ask(query::Engine& engine, query::QueryRequest request,
                        const std::atomic<bool>* cancelled) {
  std::string out;
  TRY(engine.Run(
      request,
      [&](std::string_view bytes) {
        out += bytes;
        return true;
      },
      cancelled));
  return out;
}

// A snapshot of one table, taken once; or of all that the engine sees, taken by each statement.
class LakeViewInput : public view::ViewInput, private query::SnapshotSource {
 public:
  LakeViewInput(const ViewLimits& limits, query::Engine& engine, query::SnapshotSource& snapshots,
                LakeReader& reader, const view::View& view)
      : limits_(limits),
        engine_(engine),
        snapshots_(snapshots),
        reader_(reader),
        view_(view),
        base_name_(std::string(query::kViewSchema) + view.request.name) {}

  Status TakeOnce() {
    if (view_.sources.size() != 1) {
      return MakeError(ErrorKind::kCorrupt, "an incremental view has one source");
    }
    const std::string name = query::NameInSql(view_.sources[0]);
    table_ = TRY(reader_.Take(view_.request.tenant, {name}, &contents_));
    taken_ = true;
    const std::string columns = TRY(Columns("SELECT * FROM " + TableInSql(name), nullptr));
    // Rows that are deleted from files that stay are no rows of new files.
    std::string deletes;
    if (table_) {
      for (const query::FileRef& file : table_->deletes) deletes += "\n" + file.key;
    }
    contents_.basis = HexEncode(
        Sha256(fmt::format("{}\n{}\n{}{}", Version(), view_.request.sql, columns, deletes)));
    return {};
  }

  const view::Contents& contents() const override { return contents_; }

  Result<std::optional<std::vector<view::FileId>>> MadeOf(const std::string& file) override {
    return reader_.MadeOf(file);
  }

  Result<view::Answer> Run(const view::Wanted& wanted, const std::string& path,
                           std::stop_token stop) override {
    std::atomic<bool> cancelled{false};
    const std::stop_callback on_stop(stop, [&] { cancelled.store(true); });
    only_ = wanted.only;
    std::string sql = view_.request.sql;
    if (!wanted.base.empty()) {
      const std::string base = "SELECT * FROM " + TableInSql(base_name_);
      // Rows come through a file unchanged only where its columns have the types they came with.
      if (TRY(Columns(base, &cancelled)) != TRY(Columns(sql, &cancelled))) {
        return MakeError(ErrorKind::kConflict, "BASE_DIFFERS",
                         "columns of the output's file have other types than the statement's");
      }
      sql = fmt::format("{} UNION ALL SELECT * FROM (\n{}\n)", base, sql);
    }
    return Write(sql, path, cancelled);
  }

 private:
  query::QueryRequest RequestFor(std::string sql, query::ResultFormat format) {
    query::QueryRequest request;
    request.ns = view_.request.tenant;
    request.sql = std::move(sql);
    request.format = format;
    request.source = this;
    return request;
  }

  // Names and types, as bytes that are equal where they are.
  Result<std::string> Columns(const std::string& sql, const std::atomic<bool>* cancelled) {
    return Ask(engine_, RequestFor(NoRowsOf(sql), query::ResultFormat::kArrowStream), cancelled);
  }

  Error TooLarge(std::string_view what, uint64_t max) const {
    return MakeError(ErrorKind::kInvalid, "VIEW_TOO_LARGE",
                     fmt::format("the answer has more than {} {}", max, what));
  }

  Result<view::Answer> Write(const std::string& sql, const std::string& path,
                             const std::atomic<bool>& cancelled) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    if (!out) return ErrnoError(errno, "open " + path);
    view::Answer answer;
    const auto written = engine_.Run(
        RequestFor(sql, query::ResultFormat::kParquet),
        [&](std::string_view bytes) {
          answer.bytes += bytes.size();
          if (answer.bytes > limits_.bytes_max) return false;
          out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
          return out.good();
        },
        &cancelled);
    if (answer.bytes > limits_.bytes_max) return TooLarge("bytes", limits_.bytes_max);
    const int failed = errno;
    if (!out.good()) return ErrnoError(failed, "write " + path);
    if (!written.ok()) return written.error();
    out.close();
    if (out.fail()) return ErrnoError(errno, "write " + path);
    if (written->rows > limits_.rows_max) return TooLarge("rows", limits_.rows_max);
    answer.rows = written->rows;
    answer.left_out = written->warnings;
    return answer;
  }

  Result<query::Snapshot> Take(const NamespaceId& ns, const query::TimeRange& range) override {
    return snapshots_.Take(ns, range);
  }

  Result<std::vector<query::LakeTable>> TakeTables(const NamespaceId& ns,
                                                   std::span<const query::TableRef> refs) override {
    if (!taken_) return snapshots_.TakeTables(ns, refs);
    std::vector<query::LakeTable> out;
    for (const query::TableRef& ref : refs) {
      if (ref.name == base_name_) {
        if (auto base = TRY(reader_.Take(ns, ref))) out.push_back(std::move(*base));
      } else if (table_ && table_->ref == ref) {
        out.push_back(TRY(Restricted(*table_)));
      }
    }
    return out;
  }

  // To the files that are wanted: also one that is compacted already, as long as it is there.
  Result<query::LakeTable> Restricted(query::LakeTable table) {
    table.only = only_;
    if (!only_) return table;
    std::set<std::string> missing = *only_;
    for (const auto* files : {&table.files, &table.sources}) {
      for (const query::FileRef& file : *files) missing.erase(file.key);
    }
    for (const std::string& key : missing) table.sources.push_back(TRY(reader_.Find(key)));
    return table;
  }

  const ViewLimits limits_;
  query::Engine& engine_;
  query::SnapshotSource& snapshots_;
  LakeReader& reader_;
  const view::View view_;
  const std::string base_name_;
  bool taken_ = false;
  view::Contents contents_;
  std::optional<query::LakeTable> table_;
  std::optional<std::set<std::string>> only_;
};

}  // namespace

// Which of the functions DuckDB itself says give the same for the same row at any time.
Result<std::string> LakeViewData::WhyNotIncremental(const NamespaceId& tenant,
                                                    const query::StatementFacts& facts) {
  if (!facts.not_row_wise.empty()) return facts.not_row_wise;
  if (facts.lake.size() != 1 || facts.reads_events || facts.reads_logs) {
    return std::string("it reads something else than one lake table");
  }
  if (facts.lake[0].at != query::TableRef::At::kNow) return std::string("it has AT");
  if (facts.functions.empty()) return std::string();
  std::string names;
  for (const std::string& name : facts.functions) {
    names += (names.empty() ? "" : ", ") + Quoted(name, '\'');
  }
  NoTables no_tables;
  query::QueryRequest request;
  request.ns = tenant;
  request.sql = fmt::format(
      "SELECT function_name FROM duckdb_functions() WHERE function_name IN ({}) GROUP BY 1 HAVING "
      "bool_and(function_type = 'scalar' AND coalesce(stability, '') = 'CONSISTENT')",
      names);
  request.format = query::ResultFormat::kCsv;
  request.source = &no_tables;
  const std::string known = "\n" + TRY(Ask(engine_, request, nullptr));
  for (const std::string& name : facts.functions) {
    const bool in_csv = known.find("\n" + name + "\n") != std::string::npos ||
                        known.find("\n" + name + "\r\n") != std::string::npos ||
                        known.find("\n\"" + name + "\"") != std::string::npos;
    if (!in_csv || std::ranges::find(kOfTheProcess, name) != kOfTheProcess.end()) {
      return fmt::format("{} is an aggregate, or not known to give the same for a row every time",
                         name);
    }
  }
  return std::string();
}

Result<view::CheckedSql> LakeViewData::Check(const NamespaceId& tenant, std::string_view sql) {
  const query::StatementFacts facts = TRY(engine_.Check(tenant, sql, nullptr));
  if (facts.explain) {
    return MakeError(ErrorKind::kInvalid, "SQL_NOT_ALLOWED", "a view is one SELECT, no EXPLAIN");
  }
  if (facts.reads_catalog) {
    return MakeError(ErrorKind::kInvalid, "VIEW_OF_CATALOG",
                     "a view cannot read which tables there are");
  }
  view::CheckedSql checked;
  checked.sql = facts.sql;
  std::set<std::string> sources;
  std::string unknown;  // or a name of WITH
  for (const query::TableRef& ref : facts.lake) {
    if (ref.name.starts_with(query::kViewSchema)) {
      return MakeError(ErrorKind::kInvalid, "VIEW_OF_VIEW",
                       fmt::format("a view cannot read the view {}", ref.name));
    }
    if (TRY(snapshots_.TakeTables(tenant, std::span(&ref, 1))).empty()) {
      unknown = ref.name;
    } else {
      sources.insert(query::TableOf(ref.name));
    }
  }
  query::QueryRequest request;
  request.ns = tenant;
  request.sql = NoRowsOf(facts.sql);
  request.format = query::ResultFormat::kCsv;
  const auto bound = Ask(engine_, request, nullptr);
  if (!bound.ok() && !unknown.empty() && bound.error().code == "SQL_ERROR") {
    return MakeError(ErrorKind::kInvalid, "VIEW_SOURCE_UNKNOWN",
                     fmt::format("there is no table {}, and no file of a writer's for it: {}",
                                 unknown, bound.error().message));
  }
  if (!bound.ok()) return bound.error();
  checked.sources.assign(sources.begin(), sources.end());
  checked.not_incremental = TRY(WhyNotIncremental(tenant, facts));
  return checked;
}

Result<std::unique_ptr<view::ViewInput>> LakeViewData::Open(const view::View& view) {
  auto input = std::make_unique<LakeViewInput>(limits_, engine_, snapshots_, reader_, view);
  if (view.request.upkeep == view::Upkeep::kIncremental) TRY(input->TakeOnce());
  return std::unique_ptr<view::ViewInput>(std::move(input));
}

}  // namespace varve::app

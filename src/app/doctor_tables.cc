#include <fmt/format.h>

#include "app/commands.h"
#include "app/doctor.h"
#include "app/progress.h"
#include "app/table_access.h"
#include "catalog/table_check.h"
#include "core/clock.h"
#include "store/local_store.h"

namespace varve::app {
namespace {

using Level = Finding::Level;

constexpr uint64_t kFilesMax = 1'000'000;  // looked for in one run
constexpr size_t kProblemsShown = 10;      // of a table

// The instance's own, and all that have objects under ns/.
Result<std::vector<NamespaceId>> Tenants(store::ObjectStore& store) {
  std::vector<NamespaceId> tenants = {NamespaceId()};
  for (const std::string& name : TRY(store::ListFolders(store, "ns/"))) {
    const auto tenant = NamespaceId::Parse(name);
    if (tenant.ok()) tenants.push_back(*tenant);
  }
  return tenants;
}

// Goes through the tables, and tells what was found.
class TablesCheck {
 public:
  TablesCheck(bool quiet, Findings* findings) : progress_(!quiet), findings_(findings) {}

  Status Tenant(catalog::LakeTables& tables, const std::string& prefix) {
    for (const std::string& name : TRY(tables.List())) {
      const auto go_on = [&] {
        if (looked_ % kShowEvery == 0) progress_.Show("tables", 0, 0, looked_, "files");
        return ++looked_ <= kFilesMax && !Interrupted();
      };
      const catalog::TableCheck check = TRY(catalog::CheckTable(tables, name, go_on));
      const std::string table = prefix + name;
      ++tables_;
      files_ += check.files;
      if (!check.problems.empty()) Tell(table, check.problems);
      if (!check.lost_checkpoint.empty()) {
        damaged_ = true;
        findings_->push_back({Level::kError,
                              fmt::format("table {}: {}", table, check.lost_checkpoint),
                              check.way_out});
      }
      if (!check.not_read.empty()) {
        Note(table, "varve does not read it, other programs may", check.not_read);
      }
      if (!check.not_changed.empty()) {
        Note(table, "varve reads it and commits nothing to it", check.not_changed);
      }
    }
    return {};
  }

  void Finish(const Status& ended) {
    progress_.Clear();
    if (!ended.ok()) {
      findings_->push_back({Level::kError, "tables: " + ended.error().message, {}});
    } else if (looked_ > kFilesMax) {
      findings_->push_back({Level::kNote,
                            fmt::format("tables: not more than {} of their files were looked for",
                                        HumanCount(kFilesMax)),
                            {}});
    } else if (!damaged_) {
      findings_->push_back({Level::kGood,
                            fmt::format("tables: {}, all of their {} files are there",
                                        HumanCount(tables_), HumanCount(files_)),
                            {}});
    }
  }

 private:
  static constexpr uint64_t kShowEvery = 1'000;

  void Note(const std::string& table, const char* what, const std::string& why) {
    findings_->push_back({Level::kNote, fmt::format("table {}: {}: {}", table, what, why), {}});
  }

  void Tell(const std::string& name, const std::vector<std::string>& problems) {
    damaged_ = true;
    std::string what = fmt::format("table {}: ", name);
    for (size_t i = 0; i < problems.size() && i < kProblemsShown; ++i) {
      what += (i > 0 ? "\n      " : "") + problems[i];
    }
    if (problems.size() > kProblemsShown) {
      what += fmt::format("\n      … and {} more", problems.size() - kProblemsShown);
    }
    findings_->push_back({Level::kError, std::move(what),
                          "restore the files that are named from a backup; nothing is committed "
                          "to a table whose metadata cannot be read"});
  }

  ProgressLine progress_;
  Findings* const findings_;
  uint64_t looked_ = 0, tables_ = 0, files_ = 0;
  bool damaged_ = false;
};

Status CheckAll(const DataDirPaths& paths, const Config& config, TablesCheck& check) {
  const auto store =
      TRY(store::OpenLocalStore({.root = paths.root, .read_only = true}, SystemClock()));
  const auto tables = OpenTenantTables(*store, config, paths, TablesUse::kShared);
  for (const NamespaceId& tenant : TRY(Tenants(*store))) {
    TRY(check.Tenant(tables->Of(tenant), tenant.StorePrefix()));
  }
  return {};
}

}  // namespace

void CheckTables(const DataDirPaths& paths, const Config& config, bool fast, Findings* findings) {
  if (!config.table.rest.url.empty()) {
    findings->push_back(
        {Level::kNote, "tables: " + config.table.rest.url + " has them, and is not asked", {}});
    return;
  }
  TablesCheck check(fast, findings);
  check.Finish(CheckAll(paths, config, check));
}

}  // namespace varve::app

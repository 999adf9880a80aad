#include "view/refresh_plan.h"

#include <fmt/format.h>

namespace varve::view {
namespace {

RefreshPlan Full(std::string why) {
  RefreshPlan plan;
  plan.why = std::move(why);
  return plan;
}

class Planner {
 public:
  Planner(const Covered& covered, ViewInput& input) : covered_(covered), input_(input) {
    for (const Contents::Source& source : input.contents().sources) {
      there_[source.id.key] = source.id.etag;
    }
  }

  // Each gives why the refresh must be a full one.
  Result<std::string> LookAtFiles() {
    for (const std::string& file : covered_.files) {
      if (!input_.contents().files.contains(file)) return file + " is no longer in the table";
    }
    for (const std::string& file : input_.contents().files) {
      if (covered_.files.contains(file)) continue;
      const auto made_of = TRY(input_.MadeOf(file));
      if (!made_of) return file + " was not compacted here";
      for (const FileId& source : *made_of) {
        if (!IsCovered(source) && !IsThere(source)) {
          return fmt::format("{} has rows of {}, which was gone before it was read", file,
                             source.key);
        }
        compacted_.insert(source);
      }
      plan_.new_files.push_back(file);
    }
    return std::string();
  }

  std::string LookForGone() {
    for (const auto& [key, source] : covered_.sources) {
      const auto found = there_.find(key);
      if (found != there_.end() && found->second != source.etag) return key + " has other bytes";
      if (found != there_.end() || source.settled) continue;
      if (!compacted_.contains({key, source.etag})) return key + " has gone";
    }
    for (const auto& [key, source] : covered_.sources) {
      if (!there_.contains(key)) plan_.gone_sources.push_back(key);
    }
    return "";
  }

  std::string LookAtSources() {
    for (const Contents::Source& source : input_.contents().sources) {
      const bool compacted = compacted_.contains(source.id);
      const auto covered = covered_.sources.find(source.id.key);
      const bool is_new = covered == covered_.sources.end();
      const bool settled = compacted || (!is_new && covered->second.settled);
      if (source.in_table && !settled) return source.id.key + " is in the table by another way";
      if (!is_new) {
        if (settled && !covered->second.settled) plan_.settled_sources.push_back(source.id.key);
        continue;
      }
      plan_.read.insert(source.id.key);
      plan_.new_sources.push_back({source.id, settled});
    }
    return "";
  }

  RefreshPlan Take() && { return std::move(plan_); }

 private:
  bool IsCovered(const FileId& id) const {
    const auto found = covered_.sources.find(id.key);
    return found != covered_.sources.end() && found->second.etag == id.etag;
  }
  bool IsThere(const FileId& id) const {
    const auto found = there_.find(id.key);
    return found != there_.end() && found->second == id.etag;
  }

  const Covered& covered_;
  ViewInput& input_;
  std::map<std::string, std::string> there_;
  std::set<FileId> compacted_;  // into new table files
  RefreshPlan plan_;
};

}  // namespace

Result<RefreshPlan> PlanRefresh(const Covered& covered, ViewInput& input, size_t files_max) {
  Planner planner(covered, input);
  std::string why = TRY(planner.LookAtFiles());
  if (why.empty()) why = planner.LookForGone();
  if (why.empty()) why = planner.LookAtSources();
  if (!why.empty()) return Full(std::move(why));
  RefreshPlan plan = std::move(planner).Take();
  if (plan.read.size() > files_max) {
    return Full(fmt::format("{} files are new, more than {}", plan.read.size(), files_max));
  }
  plan.type = plan.read.empty() ? RefreshPlan::Type::kNothing : RefreshPlan::Type::kIncremental;
  return plan;
}

}  // namespace varve::view

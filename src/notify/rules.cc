#include "notify/rules.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/namespace_id.h"

namespace varve::notify {
namespace {

constexpr std::string_view kCreateActions[] = {"object-create", "PutObject", "CopyObject",
                                               "CompleteMultipartUpload"};
constexpr std::string_view kDeleteActions[] = {"object-delete", "DeleteObject",
                                               "LifecycleDeletion"};

template <size_t N>
bool AnyOf(const std::vector<std::string>& actions, const std::string_view (&known)[N]) {
  return std::any_of(actions.begin(), actions.end(), [&](const std::string& action) {
    return std::find(std::begin(known), std::end(known), action) != std::end(known);
  });
}

bool OneStartsTheOther(std::string_view a, std::string_view b) {
  return a.starts_with(b) || b.starts_with(a);
}

bool PrefixesMeet(const NotifyRule& a, const NotifyRule& b) {
  if (OneStartsTheOther(a.prefix, b.prefix)) return true;
  // A prefix that reaches into tenants' parts ("ns/", "ns/a/x") meets one that counts in them all.
  return (a.every_namespace && OneStartsTheOther(b.prefix, "ns/")) ||
         (b.every_namespace && OneStartsTheOther(a.prefix, "ns/"));
}

bool Overlap(const NotifyRule& a, const NotifyRule& b) {
  if (a.queue != b.queue) return false;
  if (!a.suffix.ends_with(b.suffix) && !b.suffix.ends_with(a.suffix)) return false;
  if (!PrefixesMeet(a, b)) return false;
  return (a.TellsCreated() && b.TellsCreated()) || (a.TellsDeleted() && b.TellsDeleted());
}

Error InvalidRule(const NotifyRule& rule, std::string_view why) {
  return MakeError(ErrorKind::kInvalid, "INVALID_NOTIFY_RULE",
                   "notification rule for \"" + rule.prefix + "\" to queue \"" + rule.queue +
                       "\": " + std::string(why));
}

}  // namespace

bool NotifyRule::TellsCreated() const { return AnyOf(actions, kCreateActions); }
bool NotifyRule::TellsDeleted() const { return AnyOf(actions, kDeleteActions); }

bool NotifyRule::Matches(std::string_view key) const {
  if (!key.ends_with(suffix)) return false;
  if (key.starts_with(prefix)) return key.size() >= prefix.size() + suffix.size();
  if (!every_namespace) return false;
  const auto inside = InsideNamespace(key);
  return inside && inside->starts_with(prefix) && inside->size() >= prefix.size() + suffix.size();
}

std::string NotifyRule::Id() const {
  // A rule for deletes alone keeps its own account of what is there.
  const std::string kind = TellsCreated() ? "" : "\ndeletes";
  return Md5Hex(prefix + '\n' + suffix + '\n' + queue + kind).substr(0, 16);
}

std::optional<std::string_view> InsideNamespace(std::string_view key) {
  if (!key.starts_with("ns/")) return std::nullopt;
  const size_t slash = key.find('/', 3);
  if (slash == std::string_view::npos) return std::nullopt;
  if (!NamespaceId::Parse(key.substr(3, slash - 3)).ok()) return std::nullopt;
  return key.substr(slash + 1);
}

Status CheckRules(const std::vector<NotifyRule>& rules) {
  if (rules.size() > kRulesMax) {
    return MakeError(ErrorKind::kInvalid, "INVALID_NOTIFY_RULE", "more than 100 rules");
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    const NotifyRule& rule = rules[i];
    if (rule.queue.empty()) return InvalidRule(rule, "it names no queue");
    if (!rule.TellsCreated() && !rule.TellsDeleted()) return InvalidRule(rule, "no known action");
    for (const std::string& action : rule.actions) {
      const std::vector<std::string> one{action};
      if (!AnyOf(one, kCreateActions) && !AnyOf(one, kDeleteActions)) {
        return InvalidRule(rule, "unknown action \"" + action + "\"");
      }
    }
    for (size_t j = 0; j < i; ++j) {
      if (Overlap(rule, rules[j])) {
        return InvalidRule(rule, "it overlaps the rule for \"" + rules[j].prefix + "\"");
      }
    }
  }
  return {};
}

}  // namespace varve::notify

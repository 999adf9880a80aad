// Which objects are told to which queue. As in R2: prefix, suffix and actions; at most 100 rules;
// two rules that could tell one queue of the same object are refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::notify {

inline constexpr size_t kRulesMax = 100;

struct NotifyRule {
  std::string prefix;
  std::string suffix;
  // PutObject, CopyObject, CompleteMultipartUpload, DeleteObject, LifecycleDeletion, or
  // object-create and object-delete for all of their kind.
  std::vector<std::string> actions = {"object-create"};
  std::string queue;
  // The prefix also counts inside every tenant's part of the store: ns/{namespace}/{prefix}.
  bool every_namespace = true;

  bool TellsCreated() const;
  bool TellsDeleted() const;
  bool Matches(std::string_view key) const;
  std::string Id() const;  // names the rule in the table of what was announced
};

Status CheckRules(const std::vector<NotifyRule>& rules);  // kInvalid, INVALID_NOTIFY_RULE

// "ns/a/x/y" → "x/y" behind "ns/a/"; nothing where the key is in no tenant's part.
std::optional<std::string_view> InsideNamespace(std::string_view key);

}  // namespace varve::notify

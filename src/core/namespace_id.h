// A tenant's name, checked once, where it enters: 1 to 64 of [a-z0-9_-]. "default" is the
// instance's own namespace and has no prefix on the store.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace varve {

class NamespaceId {
 public:
  NamespaceId() : name_("default") {}
  static Result<NamespaceId> Parse(std::string_view text);  // kInvalid, code INVALID_NAMESPACE

  const std::string& name() const { return name_; }
  bool is_default() const { return name_ == "default"; }
  std::string StorePrefix() const;  // "" or "ns/{name}/"
  auto operator<=>(const NamespaceId&) const = default;

 private:
  explicit NamespaceId(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

// A name that a tenant may not take for itself: admin, system, internal, default, public, global.
bool IsReservedNamespace(std::string_view name);

}  // namespace varve

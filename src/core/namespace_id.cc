#include "core/namespace_id.h"

#include <algorithm>
#include <array>

#include "core/bytes.h"

namespace varve {

Result<NamespaceId> NamespaceId::Parse(std::string_view text) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (text.empty() || text.size() > 64 || !std::all_of(text.begin(), text.end(), allowed)) {
    return MakeError(ErrorKind::kInvalid, "INVALID_NAMESPACE",
                     "namespace " + JsonQuote(text.substr(0, 80)) +
                         ": must be 1 to 64 of a-z, 0-9, '_' and '-'");
  }
  return NamespaceId(std::string(text));
}

std::string NamespaceId::StorePrefix() const {
  return is_default() ? std::string() : "ns/" + name_ + "/";
}

bool IsReservedNamespace(std::string_view name) {
  constexpr std::array<std::string_view, 6> kReserved = {"admin",   "system", "internal",
                                                         "default", "public", "global"};
  return std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end();
}

}  // namespace varve

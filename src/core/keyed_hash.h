// SipHash-2-4 with 128 bits of output: who does not know the key can neither foresee a hash nor
// find two texts that share one.
#pragma once

#include <cstdint>
#include <string_view>

namespace varve {

struct Hash128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
};

Hash128 KeyedHash(const Hash128& key, std::string_view bytes);

}  // namespace varve

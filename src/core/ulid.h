// ULID: 48 bits of milliseconds, 80 bits of whatever tells two apart, 26 Crockford base-32 letters
// that sort like the bytes (github.com/ulid/spec).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace varve {

class Random;

struct Ulid {
  std::array<uint8_t, 16> bytes{};

  static Ulid Make(int64_t ms, Random& random);
  // A ULID that names its origin, so that a step done again after a crash gives the same name:
  // 32 bits of instance, 32 bits of unit, 16 bits of part.
  static Ulid MakeTagged(int64_t ms, uint32_t instance, uint32_t unit, uint16_t part);
  static std::optional<Ulid> Parse(std::string_view text);

  std::string ToString() const;
  uint32_t tag_instance() const;
  uint32_t tag_unit() const;
  auto operator<=>(const Ulid&) const = default;
};

}  // namespace varve

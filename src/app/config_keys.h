// The parts of the configuration table, in its order, and what their rows are written with.
#pragma once

#include <span>
#include <type_traits>
#include <utility>

#include "app/config_table.h"

namespace varve::app {

inline constexpr uint64_t kMiB = 1ull << 20;
inline constexpr uint64_t kGiB = 1ull << 30;
inline constexpr uint64_t kDayMs = 86'400'000;

// A key whose value is the enum that `get` finds: Enum& get(Config&).
template <auto get>
FieldRef Choice(Config&) {
  using Enum = std::remove_cvref_t<decltype(get(std::declval<Config&>()))>;
  return ChoiceRef{[](const Config& c) { return static_cast<size_t>(get(const_cast<Config&>(c))); },
                   [](Config& c, size_t i) { get(c) = static_cast<Enum>(i); }};
}

std::span<const ConfigKey> ServerKeys();  // who may send what: server, auth, rate limits, input
std::span<const ConfigKey> LakeKeys();    // what becomes of it: journal to query, and the log
std::span<const ConfigKey> CompactionKeys();
std::span<const ConfigKey> ViewKeys();

}  // namespace varve::app

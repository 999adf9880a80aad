// One configuration value from text and back: numbers with units, choices, lists.
#pragma once

#include <string_view>

#include "app/config_table.h"
#include "core/result.h"

namespace varve::app {

// Text as the environment and the command line give it: "64 MiB", "30s", "true", "a, b", "lz4".
// The error says what is allowed. Tables (auth.keys, notify.rules) are not text: CHECKed.
Status SetConfigValue(const ConfigKey& key, Config& config, std::string_view text);

// "64 MiB" and "65536" for bytes; "250", "30s", "5m", "24h" for ms; plain digits for the rest.
Result<uint64_t> ParseQuantity(std::string_view text, std::string_view unit);

// "64 MiB", "30 s": only where nothing is lost; else the plain number.
std::string QuantityText(uint64_t value, std::string_view unit);

}  // namespace varve::app

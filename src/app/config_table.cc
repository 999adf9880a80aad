#include "app/config_table.h"

#include "app/config_keys.h"

namespace varve::app {

std::span<const ConfigKey> ConfigKeys() {
  static const std::vector<ConfigKey> keys = [] {
    std::vector<ConfigKey> all;
    for (std::span<const ConfigKey> part :
         {ServerKeys(), LakeKeys(), CompactionKeys(), ViewKeys()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return keys;
}

const ConfigKey* FindConfigKey(std::string_view name) {
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

}  // namespace varve::app

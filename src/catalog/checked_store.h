// The store, as commits need it: reads that are believed only if they are whole, and puts whose
// outcome is known in the end, or said to be unknown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "store/object_store.h"

namespace varve::catalog {

// The object's bytes, if their digest is its ETag, or two reads were alike. A base that was read
// wrong would be written back wrong. kNotFound is certain; other errors after some tries.
Result<std::string> ReadChecked(store::ObjectStore& store, const std::string& key);

enum class PutOutcome : uint8_t {
  kDone,      // the object is there, and is ours
  kRejected,  // another one is there
};

// Puts the object if there is none. When the reply is lost, or says that there is one, what lies
// there is compared with ours, and the put is repeated where there is nothing. kUnknown: it could
// not be found out; nothing may be cleaned up.
Result<PutOutcome> PutNew(store::ObjectStore& store, const std::string& key, std::string_view bytes,
                          const std::string& content_type);

}  // namespace varve::catalog

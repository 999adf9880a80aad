// Reading a raw file whole and as it was named: the bytes are those of the ETag, or an Error.
#pragma once

#include <cstdint>

#include "compact/raw_rows.h"
#include "core/result.h"
#include "store/object_store.h"

namespace varve::compact {

inline constexpr uint64_t kRawFileBytesMax = 256ull << 20;

// kNotFound, kRetryable (it changed while it was read), kCorrupt (the bytes are not the ETag's),
// kInvalid (RAW_FILE_TOO_LARGE), or what the store says.
Result<RawSource> ReadRawSource(store::ObjectStore& store, const store::ObjectMeta& object);

// Is the error about this one object, so that other objects may fare better?
bool BlamesTheObject(const Error& error);

}  // namespace varve::compact

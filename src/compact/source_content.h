// Digests of sources' bytes, by which the same bytes are known although their ETag is another one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "compact/compaction.h"
#include "core/result.h"
#include "store/object_store.h"

namespace varve::compact {

// A content is "x" and 32 hex digits, XXH3 of 128 bits, as of what varve merges, or the 32 hex
// digits of MD5, as of what is put through the store: of these, ETags are contents themselves.
enum class ContentKind : uint8_t { kNone, kXxh3, kMd5 };
ContentKind ContentKindOf(std::string_view content);

// The content of the object's bytes, which are read; nothing: they are gone, or no longer those of
// the ETag. kind: not kNone.
Result<std::optional<std::string>> ContentOf(store::ObjectStore& store, const SourceFile& source,
                                             ContentKind kind);

}  // namespace varve::compact

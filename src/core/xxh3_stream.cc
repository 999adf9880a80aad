#include "core/xxh3_stream.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/bytes.h"

namespace varve {

struct Xxh3Stream::State {
  XXH3_state_t xxh3;
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }

Xxh3Stream::~Xxh3Stream() = default;

void Xxh3Stream::Add(std::string_view bytes) {
  XXH3_128bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

std::string Xxh3Stream::Text() const {
  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(&state_->xxh3));
  return "x" + HexEncode({reinterpret_cast<const char*>(digest.digest), sizeof(digest.digest)});
}

}  // namespace varve

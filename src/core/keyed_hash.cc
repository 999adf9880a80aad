#include "core/keyed_hash.h"

#include <bit>

#include "core/bytes.h"

namespace varve {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  explicit SipState(const Hash128& key)
      : v0(key.low ^ 0x736f6d6570736575),
        v1(key.high ^ 0x646f72616e646f6d ^ 0xee),
        v2(key.low ^ 0x6c7967656e657261),
        v3(key.high ^ 0x7465646279746573) {}

  void Rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32) + v3;
      v2 += v1;
      v3 = std::rotl(v3, 21) ^ v0;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
  void Add(uint64_t word) {
    v3 ^= word;
    Rounds(2);
    v0 ^= word;
  }
};

}  // namespace

Hash128 KeyedHash(const Hash128& key, std::string_view bytes) {
  SipState state(key);
  uint64_t last = uint64_t{bytes.size()} << 56;
  while (bytes.size() >= 8) {
    state.Add(GetLe<uint64_t>(bytes.data()));
    bytes.remove_prefix(8);
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    last |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  state.Add(last);
  Hash128 hash;
  state.v2 ^= 0xee;
  state.Rounds(4);
  hash.low = state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
  state.v1 ^= 0xdd;
  state.Rounds(4);
  hash.high = state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
  return hash;
}

}  // namespace varve

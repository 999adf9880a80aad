#include "core/ulid.h"

#include "core/clock.h"

namespace varve {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void PutBigEndian(uint8_t* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
}

uint64_t GetBigEndian(const uint8_t* in, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | in[i];
  return value;
}

}  // namespace

Ulid Ulid::Make(int64_t ms, Random& random) {
  Ulid id;
  PutBigEndian(id.bytes.data(), static_cast<uint64_t>(ms), 6);
  random.Fill({id.bytes.data() + 6, 10});
  return id;
}

Ulid Ulid::MakeTagged(int64_t ms, uint32_t instance, uint32_t unit, uint16_t part) {
  Ulid id;
  PutBigEndian(id.bytes.data(), static_cast<uint64_t>(ms), 6);
  PutBigEndian(id.bytes.data() + 6, instance, 4);
  PutBigEndian(id.bytes.data() + 10, unit, 4);
  PutBigEndian(id.bytes.data() + 14, part, 2);
  return id;
}

std::optional<Ulid> Ulid::Parse(std::string_view text) {
  if (text.size() != 26 || text[0] > '7') return std::nullopt;
  unsigned __int128 value = 0;
  for (char c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value << 5 | digit;
  }
  Ulid id;
  for (int i = 15; i >= 0; --i, value >>= 8) id.bytes[i] = static_cast<uint8_t>(value);
  return id;
}

std::string Ulid::ToString() const {
  unsigned __int128 value = 0;
  for (uint8_t byte : bytes) value = value << 8 | byte;
  std::string text(26, '0');
  for (int i = 25; i >= 0; --i, value >>= 5) text[i] = kAlphabet[static_cast<int>(value & 31)];
  return text;
}

uint32_t Ulid::tag_instance() const {
  return static_cast<uint32_t>(GetBigEndian(bytes.data() + 6, 4));
}
uint32_t Ulid::tag_unit() const {
  return static_cast<uint32_t>(GetBigEndian(bytes.data() + 10, 4));
}

}  // namespace varve

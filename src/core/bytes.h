// Byte-level helpers: little-endian integers, CRC32C, hex, base64, digests, percent-decoding.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace varve {

template <typename T>
inline void PutLe(char* out, T value) {  // x86-64 and aarch64: the host is little-endian
  std::memcpy(out, &value, sizeof value);
}
template <typename T>
inline void AppendLe(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
inline T GetLe(const char* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);  // Castagnoli; hardware where it is

std::string HexEncode(std::string_view bytes);
std::optional<std::string> HexDecode(std::string_view text);  // either case
std::string Base64Encode(std::string_view bytes);
std::optional<std::string> Base64Decode(std::string_view text);  // standard alphabet, padded or not

std::string Md5Hex(std::string_view bytes);  // an ETag as S3 gives it, not a safeguard
// The same of bytes that come piece by piece.
class Md5Stream {
 public:
  Md5Stream();
  ~Md5Stream();
  Md5Stream(const Md5Stream&) = delete;
  Md5Stream& operator=(const Md5Stream&) = delete;
  void Add(std::string_view bytes);
  std::string Hex();  // once

 private:
  void* context_;
};
std::string Sha256(std::string_view bytes);                            // 32 raw bytes
std::string HmacSha256(std::string_view key, std::string_view bytes);  // 32 raw bytes
bool ConstantTimeEquals(std::string_view a, std::string_view b);

std::string JsonQuote(std::string_view text);  // with the quotes; invalid UTF-8 becomes U+FFFD

}  // namespace varve

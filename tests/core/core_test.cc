#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <rapidcheck.h>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/keyed_hash.h"
#include "core/namespace_id.h"
#include "core/ulid.h"

namespace varve {
namespace {

TEST(Crc32c, MatchesTheCastagnoliCheckValueAndComposes) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), Crc32c("123456789"));
}

TEST(Digests, MatchPublishedVectors) {
  EXPECT_EQ(Md5Hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(HexEncode(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");  // RFC 4231
}

// OpenSSL's SipHash-2-4 with 16 bytes of output.
std::string SipHashOfOpenSsl(std::string key, std::string_view text) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "SIPHASH", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
  size_t size = 16;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t("size", &size),
                               OSSL_PARAM_construct_end()};
  unsigned char out[16];
  size_t written = 0;
  EXPECT_EQ(EVP_MAC_init(context, reinterpret_cast<unsigned char*>(key.data()), 16, params), 1);
  EXPECT_EQ(
      EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(text.data()), text.size()), 1);
  EXPECT_EQ(EVP_MAC_final(context, out, &written, sizeof out), 1);
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(mac);
  return {reinterpret_cast<char*>(out), written};
}

TEST(KeyedHash, IsSipHash) {
  std::string key(16, '\0');
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<char>(i * 37 + 200);
  const Hash128 as_words{GetLe<uint64_t>(key.data()), GetLe<uint64_t>(key.data() + 8)};
  std::string text;
  for (int size = 0; size < 300; ++size, text += static_cast<char>(size * 7)) {
    const Hash128 hash = KeyedHash(as_words, text);
    std::string bytes;
    AppendLe(bytes, hash.low);
    AppendLe(bytes, hash.high);
    ASSERT_EQ(HexEncode(bytes), HexEncode(SipHashOfOpenSsl(key, text))) << size;
  }
}

TEST(Time, IsoFormsMeanTheSameInstant) {
  const int64_t expected = 1706878800123;
  for (const char* text : {"2024-02-02T13:00:00.123Z", "2024-02-02t13:00:00.123456z",
                           "2024-02-02 15:00:00.123+02:00", "2024-02-02T08:30:00.123-0430"}) {
    Result<int64_t> ms = ParseIso(text);
    ASSERT_TRUE(ms.ok()) << text;
    EXPECT_EQ(*ms, expected) << text;
  }
  EXPECT_EQ(FormatIso(expected), "2024-02-02T13:00:00.123Z");
}

TEST(Time, WrongIsoIsRefused) {
  for (const char* text : {"", "2024", "2024-13-01", "2023-02-29", "2024-02-02T25:00:00Z",
                           "2024-02-02T10:00:00Zjunk", "2024-02-02T10:00:00.Z", "yesterday"}) {
    EXPECT_FALSE(ParseIso(text).ok()) << text;
  }
}

TEST(Time, CivilAndBackIsTheSame) {
  rc::check([] {
    int64_t ms = *rc::gen::inRange<int64_t>(-62135596800000, 253402300799999);
    RC_ASSERT(MsFromCivil(CivilFromMs(ms)) == ms);
    if (ms >= 0) RC_ASSERT(*ParseIso(FormatIso(ms)) == ms);
  });
}

TEST(Encodings, DecodeUndoesEncode) {
  rc::check([](const std::string& bytes) {
    RC_ASSERT(HexDecode(HexEncode(bytes)) == bytes);
    RC_ASSERT(Base64Decode(Base64Encode(bytes)) == bytes);
  });
}

TEST(JsonQuote, EscapesAndRepairs) {
  EXPECT_EQ(JsonQuote("a\"b\\c\n\x01"), "\"a\\\"b\\\\c\\n\\u0001\"");
  EXPECT_EQ(JsonQuote("\xff\xc3\xa9"), "\"\xef\xbf\xbd\xc3\xa9\"");
}

TEST(UlidText, RoundTripsSortsAndCarriesItsOrigin) {
  auto random = SeededRandom(7);
  Ulid early = Ulid::Make(1706878800000, *random);
  Ulid late = Ulid::Make(1706878800001, *random);
  EXPECT_LT(early.ToString(), late.ToString());
  EXPECT_EQ(Ulid::Parse(early.ToString()), early);
  Ulid tagged = Ulid::MakeTagged(1706878800000, 0xdeadbeef, 42, 7);
  Ulid parsed = *Ulid::Parse(tagged.ToString());
  EXPECT_EQ(parsed.tag_instance(), 0xdeadbeefu);
  EXPECT_EQ(parsed.tag_unit(), 42u);
  EXPECT_FALSE(Ulid::Parse("not-a-ulid").has_value());
}

TEST(Namespace, OnlyPlainNamesBecomePaths) {
  EXPECT_EQ(NamespaceId::Parse("acme-1")->StorePrefix(), "ns/acme-1/");
  EXPECT_EQ(NamespaceId::Parse("default")->StorePrefix(), "");
  for (std::string_view bad : {"", "../x", "a/b", "A", "a b", "a\n", "%2e%2e", "é"}) {
    EXPECT_FALSE(NamespaceId::Parse(bad).ok()) << bad;
  }
  EXPECT_FALSE(NamespaceId::Parse(std::string(65, 'a')).ok());
}

}  // namespace
}  // namespace varve

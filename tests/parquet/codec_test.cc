#include "parquet/codec.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace varve::parquet {
namespace {

using Bytes = std::vector<uint8_t>;

CodecChoice Codec(std::string_view text) { return *ParseCodec(text); }

Bytes Packed(std::string_view codec, PageContent content, const Bytes& plain) {
  Bytes packed(CompressedBytesMax(Codec(codec), plain.size()));
  const auto size = Compress(Codec(codec), content, plain, packed);
  EXPECT_TRUE(size.ok());
  packed.resize(*size);
  return packed;
}

Bytes Unpacked(std::string_view codec, const Bytes& packed, size_t size) {
  Bytes plain(size);
  const auto done = Decompress(Codec(codec).codec, packed, plain);
  EXPECT_TRUE(done.ok()) << codec << ", " << size;
  return plain;
}

// Identifiers as trace headers have them: 32 hexadecimal digits each.
Bytes Identifiers(size_t size, uint32_t seed) {
  std::mt19937_64 engine(seed);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>("0123456789abcdef"[engine() % 16]);
  return bytes;
}

Bytes Sentences(size_t size) {
  const std::string one = R"({"level":"info","status":200,"path":"/api/v1/items/)";
  Bytes bytes;
  for (size_t i = 0; bytes.size() < size; ++i) {
    const std::string line = one + std::to_string(i * 7919) + "\"}\n";
    bytes.insert(bytes.end(), line.begin(), line.end());
  }
  bytes.resize(size);
  return bytes;
}

TEST(CodecTest, GivesBackWhatItWasGiven) {
  for (const char* codec : {"snappy", "lz4", "zstd", "zstd:1", "zstd:-3", "gzip", "brotli:1"}) {
    for (const size_t size : {0ul, 1ul, 15ul, 4096ul, 524'287ul, 524'288ul, 1ul << 20}) {
      for (const Bytes& plain : {Identifiers(size, 1), Sentences(size), Bytes(size)}) {
        for (const auto content : {PageContent::kByteArrays, PageContent::kOther}) {
          EXPECT_EQ(Unpacked(codec, Packed(codec, content, plain), size), plain) << codec << size;
        }
      }
    }
  }
}

TEST(CodecTest, StoresAPageThatWouldHardlyShrink) {
  std::mt19937 engine(20261122);
  for (const char* codec : {"lz4", "snappy"}) {
    for (int round = 0; round < 100; ++round) {
      const size_t size = (512 << 10) + engine() % 600;  // every remainder of a length's last byte
      Bytes plain(size);
      for (uint8_t& byte : plain) byte = static_cast<uint8_t>(engine());
      const Bytes packed = Packed(codec, PageContent::kByteArrays, plain);
      EXPECT_LE(packed.size(), size + size / 255 + 16);
      ASSERT_EQ(Unpacked(codec, packed, size), plain) << codec << " of " << size;
    }
    const Bytes identifiers = Identifiers(1 << 20, 2), sentences = Sentences(1 << 20);
    Bytes both = Sentences(512 << 10), again;  // what is far back, or in a part, counts
    both.insert(both.end(), identifiers.begin(), identifiers.begin() + (512 << 10));
    while (again.size() < 1 << 20) {
      again.insert(again.end(), identifiers.begin(), identifiers.begin() + 40'000);
    }
    const auto size = [&](const Bytes& of) {
      return Packed(codec, PageContent::kByteArrays, of).size();
    };
    EXPECT_GE(size(identifiers), identifiers.size()) << codec;
    EXPECT_LE(size(sentences), sentences.size() / 3) << codec;
    EXPECT_LE(size(both), both.size() * 2 / 3) << codec;
    if (std::string_view(codec) == "lz4") {
      EXPECT_LE(size(again), again.size() / 8);
    }
  }
}

TEST(CodecTest, ZstdWithoutALevelIsNearLevelOne) {
  for (const Bytes& plain : {Identifiers(1 << 20, 3), Sentences(1 << 20)}) {
    const size_t one = Packed("zstd:1", PageContent::kByteArrays, plain).size();
    EXPECT_LE(Packed("zstd", PageContent::kByteArrays, plain).size(), one + one / 2);
    EXPECT_EQ(Packed("zstd", PageContent::kOther, plain), Packed("zstd:1", {}, plain));
  }
}

}  // namespace
}  // namespace varve::parquet

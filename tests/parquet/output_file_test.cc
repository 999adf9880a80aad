#include "parquet/output_file.h"

#include <gtest/gtest.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fstream>
#include <iterator>

#include "core/bytes.h"
#include "temp_dir.h"

namespace varve::parquet {
namespace {

std::string DigestOf(const std::string& bytes) {
  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits(bytes.data(), bytes.size()));
  return "x" + HexEncode({reinterpret_cast<const char*>(digest.digest), sizeof(digest.digest)});
}

// Sizes around the disk's pages and the blocks that are handed to the writing thread.
TEST(OutputFile, HasTheBytesThatItTookAndTheirDigest) {
  const TempDir directory;
  for (const size_t size : {0, 1, 4095, 4096, 5000, (2 << 20) - 1, 2 << 20, (6 << 20) + 4097}) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 2'654'435'761u >> 13);
    const std::string path = directory.File(std::to_string(size));
    OutputFile file(path, /*digested=*/true);
    ASSERT_TRUE(file.Open().ok());
    for (size_t at = 0; at < size; at += 700'001) {
      ASSERT_TRUE(file.Append(std::string_view(bytes).substr(at, 700'001)).ok());
    }
    ASSERT_TRUE(file.Complete(/*sync=*/false).ok());
    EXPECT_EQ(file.Digest(), DigestOf(bytes));
    ASSERT_TRUE(file.Publish(/*sync=*/false).ok());
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(in), {}) == bytes) << size;
  }
}

}  // namespace
}  // namespace varve::parquet

// A header gets a checksum, and is otherwise as it was.
#include "parquet/page_header.h"

#include <gtest/gtest.h>

#include <vector>

namespace varve::parquet {
namespace {

std::span<const uint8_t> BytesOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Type, 300 and 200 bytes: Thrift's compact form of the first three fields.
std::string Head() { return std::string("\x15\x00\x15\xd8\x04\x15\x90\x03", 8); }
// Of a data page: 7 values, PLAIN; then what its struct has further, and what is behind it.
std::string Body(const std::string& further) {
  return std::string("\x15\x0e\x15\x00\x15\x06\x15\x06", 8) + further + std::string(2, '\0');
}

void ExpectCrc(const std::string& text, uint32_t crc) {
  const auto before = ParsePageHeader(BytesOf(text + "page"));
  ASSERT_TRUE(before.ok()) << before.error().message;
  ASSERT_FALSE(before->crc);
  ASSERT_GT(before->crc_place, 0u);
  const std::string with = WithCrc(BytesOf(text + "page"), *before, crc);
  const auto after = ParsePageHeader(BytesOf(with + "page"));
  ASSERT_TRUE(after.ok()) << after.error().message;
  EXPECT_EQ(after->crc, crc);
  EXPECT_EQ(after->crc_place, 0u);
  EXPECT_EQ(after->header_bytes, with.size());
  EXPECT_EQ(after->compressed_bytes, 200);
  EXPECT_EQ(after->uncompressed_bytes, 300);
  EXPECT_EQ(after->values, 7);
  EXPECT_EQ(with.substr(0, 8), Head());
  const size_t rest = text.size() - before->crc_place - 1;
  EXPECT_EQ(with.substr(with.size() - rest), text.substr(text.size() - rest));
}

TEST(PageHeaderTest, AChecksumIsAdded) {
  for (const uint32_t crc : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    ExpectCrc(Head() + "\x2c" + Body(""), crc);
    // Statistics: a struct of a string.
    ExpectCrc(Head() + "\x2c" + Body(std::string("\x1c\x18\x03xyz\x00", 7)), crc);
    // The field's id told as it is, not as a distance.
    ExpectCrc(Head() + std::string("\x0c\x0a", 2) + Body(""), crc);
  }
}

TEST(PageHeaderTest, AHeaderThatHasOneHasNoPlaceForIt) {
  const auto header = ParsePageHeader(BytesOf(Head() + "\x15\x02\x1c" + Body("")));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->crc, 1u);
  EXPECT_EQ(header->crc_place, 0u);
}

TEST(PageHeaderTest, NorHasOneWhoseFieldsAreInAnotherOrder) {
  const std::string text = "\x5c" + Body("").substr(0, 9) +  // the struct, then type and sizes
                           std::string("\x05\x02\x00\x15\xd8\x04\x15\x90\x03\x00", 10);
  const auto header = ParsePageHeader(BytesOf(text));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->compressed_bytes, 200);
  EXPECT_EQ(header->crc_place, 0u);
}

}  // namespace
}  // namespace varve::parquet

#include "parquet/delta.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/bytes.h"

namespace varve::parquet {
namespace {

// With room behind them, as a page's bytes have it.
Buffer BytesOf(std::vector<uint8_t> bytes) {
  Buffer out;
  out.Append(bytes.data(), bytes.size());
  return out;
}

std::span<const uint8_t> SpanOf(const Buffer& bytes) { return {bytes.data(), bytes.size()}; }

template <typename T>
std::vector<T> NumbersOf(const Buffer& bytes) {
  return {bytes.As<T>(), bytes.As<T>() + bytes.size() / sizeof(T)};
}

// The format's second example: 7, 5, 3, 1, 2, 3, 4, 5, of which the first is in the header; one
// block of 128 in 4 minis, of which the first has 2 bits each.
std::vector<uint8_t> Example() {
  std::vector<uint8_t> bytes = {0x80, 0x01, 4, 8, 14, 3, 2, 0, 0, 0, 0b11000000, 0b00111111};
  bytes.resize(bytes.size() + 6);  // the mini has room for 32
  return bytes;
}

TEST(DeltaTest, TheFormatsExample) {
  const Buffer bytes = BytesOf(Example());
  const auto values = DecodeDeltaIntegers(SpanOf(bytes), 8, 4);
  ASSERT_TRUE(values.ok()) << values.error().message;
  EXPECT_EQ(NumbersOf<int32_t>(*values), (std::vector<int32_t>{7, 5, 3, 1, 2, 3, 4, 5}));
}

TEST(DeltaTest, WhatIsCutOffIsFoundOut) {
  const std::vector<uint8_t> whole = Example();
  for (size_t size = 0; size < 12; ++size) {
    const Buffer bytes = BytesOf({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)});
    EXPECT_FALSE(DecodeDeltaIntegers(SpanOf(bytes), 8, 8).ok()) << size;
  }
  const Buffer unfilled = BytesOf({whole.begin(), whole.begin() + 12});
  EXPECT_TRUE(DecodeDeltaIntegers(SpanOf(unfilled), 8, 8).ok());
  const Buffer bytes = BytesOf(whole);
  EXPECT_FALSE(DecodeDeltaIntegers(SpanOf(bytes), 9, 8).ok());
  EXPECT_TRUE(DecodeDeltaIntegers(SpanOf(bytes), 3, 8).ok());
}

// 32-bit values whose difference needs 33 bits.
TEST(DeltaTest, DifferencesMayBeWiderThanTheirValues) {
  std::vector<uint8_t> bytes = {8, 1, 2, 0};  // a block of 8 in one mini, 2 values, the first 0
  for (int i = 0; i < 4; ++i) bytes.push_back(0xff);
  bytes.push_back(0x0f);  // the least difference: -2^31
  bytes.push_back(33);
  const uint64_t packed = uint64_t{1} << 32;
  for (int i = 0; i < 5; ++i) bytes.push_back(static_cast<uint8_t>(packed >> (8 * i)));
  const Buffer page = BytesOf(bytes);
  const auto values = DecodeDeltaIntegers(SpanOf(page), 2, 4);
  ASSERT_TRUE(values.ok()) << values.error().message;
  EXPECT_EQ(NumbersOf<uint32_t>(*values), (std::vector<uint32_t>{0, 0x80000000u}));
}

TEST(DeltaTest, SizesThatCannotBeAreRefused) {
  const std::vector<std::vector<uint8_t>> cases = {
      {0x80, 1, 0, 2, 0, 0, 0},   // no minis
      {0x80, 1, 3, 2, 0, 0, 0},   // that do not divide the block
      {8, 1, 2, 0, 0, 65, 0, 0},  // 65 bits
      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 0},
  };
  for (const auto& one : cases) {
    const Buffer bytes = BytesOf(one);
    EXPECT_FALSE(DecodeDeltaIntegers(SpanOf(bytes), 2, 4).ok());
    EXPECT_FALSE(DecodeDeltaLengths(SpanOf(bytes), 2).ok());
    EXPECT_FALSE(DecodeDeltaBytes(SpanOf(bytes), 2, 0).ok());
  }
}

// Lengths 2 and 3, all in the header and the least difference.
std::vector<uint8_t> Lengths(uint8_t first, uint8_t difference) {
  return {8, 1, 2, static_cast<uint8_t>(2 * first), static_cast<uint8_t>(2 * difference), 0};
}

TEST(DeltaTest, Texts) {
  std::vector<uint8_t> bytes = Lengths(2, 1);
  for (const char c : std::string("abcde")) bytes.push_back(static_cast<uint8_t>(c));
  const Buffer page = BytesOf(bytes);
  const auto plain = DecodeDeltaLengths(SpanOf(page), 2);
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(plain->data()), plain->size()),
            std::string("\2\0\0\0ab\3\0\0\0cde", 13));
  const Buffer cut = BytesOf({bytes.begin(), bytes.end() - 1});
  EXPECT_FALSE(DecodeDeltaLengths(SpanOf(cut), 2).ok());
}

TEST(DeltaTest, TextsThatBeginAlike) {
  std::vector<uint8_t> bytes = Lengths(0, 2);  // prefixes 0 and 2
  for (const uint8_t byte : Lengths(2, 0)) bytes.push_back(byte);
  for (const char c : std::string("abcd")) bytes.push_back(static_cast<uint8_t>(c));
  const Buffer page = BytesOf(bytes);
  const auto plain = DecodeDeltaBytes(SpanOf(page), 2, 0);
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(plain->data()), plain->size()),
            std::string("\2\0\0\0ab\4\0\0\0abcd", 14));
  EXPECT_FALSE(DecodeDeltaBytes(SpanOf(page), 2, 2).ok());
  bytes[3] = 2;  // the first repeats a byte of none
  const Buffer wrong = BytesOf(bytes);
  EXPECT_FALSE(DecodeDeltaBytes(SpanOf(wrong), 2, 0).ok());
}

TEST(DeltaTest, SplitStreams) {
  const Buffer bytes = BytesOf({1, 2, 3, 4, 5, 6});
  const auto plain = DecodeByteStreamSplit(SpanOf(bytes), 3, 2);
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(NumbersOf<uint8_t>(*plain), (std::vector<uint8_t>{1, 4, 2, 5, 3, 6}));
  EXPECT_FALSE(DecodeByteStreamSplit(SpanOf(bytes), 2, 2).ok());
}

}  // namespace
}  // namespace varve::parquet

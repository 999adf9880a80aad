// The head parser and the chunk decoder by themselves.
#include "server/http_head.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace varve::server {
namespace {

constexpr HeadLimits kLimits{.head_bytes_max = 1024, .uri_bytes_max = 256, .fields_max = 20};

TEST(Head, IsFoundWhereverTheBytesAreCut) {
  const std::string head =
      "POST /e?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length:  7 \r\nconnection: x, Close\r\n\r\n";
  for (size_t cut = 0; cut < head.size(); ++cut) {
    size_t scanned = 0;
    HeadProblem problem;
    EXPECT_EQ(ScanHead(head.substr(0, cut), kLimits, &scanned, &problem), HeadState::kNeedMore);
    EXPECT_EQ(ScanHead(head + "body", kLimits, &scanned, &problem), HeadState::kComplete);
    EXPECT_EQ(scanned, head.size());
  }
  RequestHead parsed;
  HeadProblem problem;
  ASSERT_TRUE(ParseHead(head, kLimits, &parsed, &problem)) << problem.what;
  EXPECT_EQ(parsed.method, Method::kPost);
  EXPECT_EQ(parsed.path, "/e");
  EXPECT_EQ(parsed.query, "x=1");
  EXPECT_EQ(parsed.content_length, 7u);
  EXPECT_FALSE(parsed.keep_alive);
  EXPECT_EQ(parsed.Find("HOST"), "a");
}

RC_GTEST_PROP(HeadProperty, AnyBytesAreRefusedOrParsedWithoutHarm, (std::string noise)) {
  const std::string frames[] = {noise, "GET " + noise + " HTTP/1.1\r\nHost: a\r\n\r\n",
                                "GET / HTTP/1.1\r\nHost: a\r\n" + noise + "\r\n\r\n",
                                "GET / HTTP/1.1\r\nHost: a\r\nX: " + noise + "\r\n\r\n"};
  for (const std::string& bytes : frames) {
    size_t scanned = 0;
    HeadProblem problem;
    if (ScanHead(bytes, kLimits, &scanned, &problem) != HeadState::kComplete) continue;
    RequestHead head;
    if (!ParseHead(std::string_view(bytes).substr(0, scanned), kLimits, &head, &problem)) {
      RC_ASSERT(problem.status >= 400);
      continue;
    }
    for (const HeaderField& field : head.fields) {
      RC_ASSERT(field.value.find_first_of("\r\n") == std::string_view::npos);
    }
  }
}

RC_GTEST_PROP(ChunkProperty, WhatWasCutIntoChunksComesOutWhole,
              (std::vector<std::string> pieces, std::string next, uint8_t step)) {
  std::string encoded, plain;
  for (const std::string& piece : pieces) {
    if (piece.empty()) continue;
    char size[17];
    std::snprintf(size, sizeof size, "%zX", piece.size());
    encoded += std::string(size) + ";ext=1\r\n" + piece + "\r\n";
    plain += piece;
  }
  encoded += "0\r\nT: v\r\n\r\n";
  const size_t body_bytes = encoded.size();
  encoded += next;
  ChunkDecoder decoder(1 << 20);
  std::string out;
  size_t at = 0;
  ChunkDecoder::State state = ChunkDecoder::State::kNeedMore;
  while (state == ChunkDecoder::State::kNeedMore) {
    size_t used = 0;
    state = decoder.Feed(std::string_view(encoded).substr(at, 1 + step), &out, &used);
    at += used;
    RC_ASSERT(at <= body_bytes);
  }
  RC_ASSERT(state == ChunkDecoder::State::kDone);
  RC_ASSERT(at == body_bytes);
  RC_ASSERT(out == plain);
}

RC_GTEST_PROP(ChunkProperty, NoiseNeitherHarmsNorExceedsTheBound, (std::string noise)) {
  ChunkDecoder decoder(64);
  std::string out;
  size_t used = 0;
  decoder.Feed("40\r\n" + noise, &out, &used);
  RC_ASSERT(out.size() <= 64u);
}

RC_GTEST_PROP(QueryProperty, WhatWasEncodedDecodesToItself, (std::string name, std::string value)) {
  const auto encode = [](const std::string& text) {
    std::string out;
    for (unsigned char c : text) {
      char hex[4];
      std::snprintf(hex, sizeof hex, "%%%02x", c);
      out += hex;
    }
    return out;
  };
  const auto params = ParseQueryString(encode(name) + "=" + encode(value));
  RC_ASSERT(params.has_value());
  if (name.empty() && value.empty()) return;
  RC_ASSERT(params->size() == 1u);
  RC_ASSERT(params->at(0) == std::make_pair(name, value));
}

}  // namespace
}  // namespace varve::server

// What the fuzzers of the parquet module run on each input; also replayed, from a seed, by the
// tests.
#pragma once

#include <parquet/schema.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/check.h"
#include "parquet/indexed_page.h"
#include "parquet/page_header.h"

namespace varve::parquet {

// A page of the type, encoding and version that the first bytes choose: what is accepted can be
// read from its first value to its last.
inline void FuzzPage(std::string_view input) {
  namespace pq = ::parquet;
  const auto bytes = std::span(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  const auto parsed = ParsePageHeader(bytes);
  CHECK(!parsed.ok() || parsed->header_bytes <= input.size());
  constexpr size_t kChoices = 8;
  if (input.size() < kChoices) return;
  const pq::Type::type types[] = {
      pq::Type::BOOLEAN, pq::Type::INT32,  pq::Type::INT64,      pq::Type::INT96,
      pq::Type::FLOAT,   pq::Type::DOUBLE, pq::Type::BYTE_ARRAY, pq::Type::FIXED_LEN_BYTE_ARRAY};
  const auto type = types[bytes[0] % 8];
  const bool optional = (bytes[1] & 1) != 0;
  pq::SchemaDescriptor schema;
  schema.Init(pq::schema::GroupNode::Make(
      "schema", pq::Repetition::REQUIRED,
      {pq::schema::PrimitiveNode::Make(
          "c", optional ? pq::Repetition::OPTIONAL : pq::Repetition::REQUIRED, type,
          pq::ConvertedType::NONE, type == pq::Type::FIXED_LEN_BYTE_ARRAY ? 5 : -1)}));
  PageReading reading;
  reading.column = schema.Column(0);
  reading.from = reading.to = ShapeOf(*schema.Column(0));
  reading.dictionary_entries = bytes[2];
  PageHeader header;
  header.type = (bytes[1] & 2) != 0   ? PageType::kDataV2
                : (bytes[1] & 4) != 0 ? PageType::kDictionary
                                      : PageType::kData;
  header.encoding = bytes[3] % 10;
  header.level_encoding = (bytes[1] & 8) != 0 ? kBitPacked : kRle;
  header.values = bytes[4] | (bytes[5] & 3) << 8;
  const size_t body = input.size() - kChoices;
  header.compressed_bytes = header.uncompressed_bytes = static_cast<int32_t>(body);
  header.definition_bytes = static_cast<int32_t>(std::min<size_t>(bytes[6], body));
  Buffer copy;
  copy.Resize(body);
  if (body > 0) std::memcpy(copy.data(), input.data() + kChoices, body);
  auto page = IndexPage(header, std::move(copy), reading);
  if (!page.ok()) return;
  size_t sum = 0;
  auto read = [&](const IndexedPage& of) {
    for (uint32_t row = 0; row < of.rows; ++row) CHECK(of.ValueAt(row) <= of.values);
    for (uint32_t i = 0; i < of.values; ++i) {
      if (of.has_indices) {
        CHECK(of.indices.As<uint32_t>()[i] < reading.dictionary_entries);
      } else {
        for (const char c : of.Plain(i, reading.to)) sum += static_cast<uint8_t>(c);
      }
    }
  };
  read(*page);
  read(SlicePage(*page, reading.to, page->rows / 3, page->rows));
  CHECK(sum < SIZE_MAX);
}

}  // namespace varve::parquet

// The header in front of each page, in Thrift's compact protocol. libparquet's page reader parses a
// header and decompresses its page at once; the merge plans with the headers alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "parquet/buffer.h"

namespace varve::parquet {

enum class PageType : int32_t { kData = 0, kIndex = 1, kDictionary = 2, kDataV2 = 3 };

// As in the format's Encoding.
enum PageEncoding : int32_t {
  kPlain = 0,
  kPlainDictionary = 2,
  kRle = 3,
  kBitPacked = 4,
  kDeltaBinaryPacked = 5,
  kDeltaLengthByteArray = 6,
  kDeltaByteArray = 7,
  kRleDictionary = 8,
  kByteStreamSplit = 9,
};

struct PageHeader {
  PageType type = PageType::kData;
  int32_t uncompressed_bytes = 0;
  int32_t compressed_bytes = 0;
  std::optional<uint32_t> crc;
  int32_t values = 0;  // with nulls
  int32_t encoding = kPlain;
  int32_t level_encoding = kRle;  // of the definition levels, before version 2
  // Version 2: the levels are in front of the compressed values.
  int32_t rows = 0;
  int32_t definition_bytes = 0, repetition_bytes = 0;
  bool compressed = true;

  size_t header_bytes = 0;  // its own size
  size_t crc_place = 0;     // in it, where a checksum belongs; 0: there is no place

  bool is_data() const { return type == PageType::kData || type == PageType::kDataV2; }
  bool has_dictionary_indices() const {
    return encoding == kPlainDictionary || encoding == kRleDictionary;
  }
};

inline constexpr size_t kPageHeaderBytesMax = 16 << 20;

// The header at the start of bytes. kExhausted: bytes end before it does; kCorrupt: it is none.
Result<PageHeader> ParsePageHeader(std::span<const uint8_t> bytes);

// The header's bytes with a checksum, which it does not have yet but has a place for.
std::string WithCrc(std::span<const uint8_t> bytes, const PageHeader& header, uint32_t crc);

// At most this much is put in front of a page of ours.
inline constexpr size_t kOwnHeaderBytesMax = 64;
// Writes the header of a data page (version 1) or of a dictionary page; returns its size.
size_t WritePageHeader(const PageHeader& header, uint8_t* out);

}  // namespace varve::parquet

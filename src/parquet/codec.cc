#include "parquet/codec.h"

#include <arrow/util/compression.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string>

namespace varve::parquet {

namespace {

struct Name {
  std::string_view name;
  arrow::Compression::type codec;
  int level_min, level_max;
};

constexpr Name kNames[] = {
    {"none", arrow::Compression::UNCOMPRESSED, 0, 0}, {"snappy", arrow::Compression::SNAPPY, 0, 0},
    {"lz4", arrow::Compression::LZ4, 0, 0},           {"zstd", arrow::Compression::ZSTD, -7, 22},
    {"gzip", arrow::Compression::GZIP, 1, 9},         {"brotli", arrow::Compression::BROTLI, 1, 11},
};

}  // namespace

Result<CodecChoice> ParseCodec(std::string_view text) {
  const size_t colon = text.find(':');
  for (const Name& known : kNames) {
    if (text.substr(0, colon) != known.name) continue;
    CodecChoice choice{known.codec, 0, false};
    if (colon == std::string_view::npos) return choice;
    const std::string_view level = text.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(level.data(), level.data() + level.size(), choice.level);
    choice.has_level = true;
    if (error == std::errc() && end == level.data() + level.size() &&
        choice.level >= known.level_min && choice.level <= known.level_max &&
        known.level_min != known.level_max) {
      return choice;
    }
    return MakeError(ErrorKind::kInvalid, std::string(text) + ": no such level");
  }
  return MakeError(ErrorKind::kInvalid,
                   std::string(text) + ": not one of none, snappy, lz4, zstd, gzip, brotli");
}

bool IsParquetCodec(const CodecChoice& codec) {
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const Name& known) { return known.codec == codec.codec; });
}

}  // namespace varve::parquet

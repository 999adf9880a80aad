#include "parquet/codec.h"

#include <arrow/util/compression.h>
#include <zstd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
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

constexpr int kZstdLevel = 1;

// libarrow's zstd codec makes a context for each call: half a megabyte to be cleared for a page.
template <typename T, T* (*kMake)(), size_t (*kFree)(T*)>
T* ThreadContext() {
  struct Free {
    void operator()(T* context) const { (void)kFree(context); }
  };
  thread_local const std::unique_ptr<T, Free> context(kMake());
  return context.get();
}

Result<size_t> ZstdDone(size_t result, const char* what, ErrorKind kind) {
  if (ZSTD_isError(result) == 0) return result;
  return MakeError(kind, std::string(what) + ZSTD_getErrorName(result));
}

Result<std::unique_ptr<arrow::util::Codec>> MakeCodec(int codec, int level) {
  auto made = arrow::util::Codec::Create(static_cast<arrow::Compression::type>(codec), level);
  if (!made.ok()) return MakeError(ErrorKind::kInvalid, "codec: " + made.status().message());
  return std::move(*made);
}

}  // namespace

size_t CompressedBytesMax(const CodecChoice& choice, size_t size) {
  if (choice.codec == arrow::Compression::ZSTD) return ZSTD_compressBound(size);
  const auto codec = MakeCodec(choice.codec, arrow::util::kUseDefaultCompressionLevel);
  if (!codec.ok()) return 0;  // Compress says why
  return static_cast<size_t>((*codec)->MaxCompressedLen(static_cast<int64_t>(size), nullptr));
}

Result<size_t> Compress(const CodecChoice& choice, std::span<const uint8_t> from,
                        std::span<uint8_t> to) {
  if (choice.codec == arrow::Compression::ZSTD) {
    ZSTD_CCtx* context = ThreadContext<ZSTD_CCtx, ZSTD_createCCtx, ZSTD_freeCCtx>();
    if (context == nullptr) return MakeError(ErrorKind::kExhausted, "compress: no memory");
    const int level = choice.has_level ? choice.level : kZstdLevel;
    return ZstdDone(
        ZSTD_compressCCtx(context, to.data(), to.size(), from.data(), from.size(), level),
        "compress: ", ErrorKind::kInternal);
  }
  const auto codec = TRY(MakeCodec(
      choice.codec, choice.has_level ? choice.level : arrow::util::kUseDefaultCompressionLevel));
  auto done = codec->Compress(static_cast<int64_t>(from.size()), from.data(),
                              static_cast<int64_t>(to.size()), to.data());
  if (!done.ok()) return MakeError(ErrorKind::kInternal, "compress: " + done.status().message());
  return static_cast<size_t>(*done);
}

Status Decompress(int codec, std::span<const uint8_t> from, std::span<uint8_t> to) {
  auto bad = [](std::string what) { return MakeError(ErrorKind::kCorrupt, std::move(what)); };
  if (to.empty()) return {};
  size_t size = 0;
  if (codec == arrow::Compression::ZSTD) {
    ZSTD_DCtx* context = ThreadContext<ZSTD_DCtx, ZSTD_createDCtx, ZSTD_freeDCtx>();
    if (context == nullptr) return MakeError(ErrorKind::kExhausted, "decompress: no memory");
    size =
        TRY(ZstdDone(ZSTD_decompressDCtx(context, to.data(), to.size(), from.data(), from.size()),
                     "does not decompress: ", ErrorKind::kCorrupt));
  } else {
    const auto made = MakeCodec(codec, arrow::util::kUseDefaultCompressionLevel);
    if (!made.ok()) return bad("its codec is not supported: " + made.error().message);
    auto done = (*made)->Decompress(static_cast<int64_t>(from.size()), from.data(),
                                    static_cast<int64_t>(to.size()), to.data());
    if (!done.ok()) return bad("does not decompress: " + done.status().message());
    size = static_cast<size_t>(*done);
  }
  return size == to.size() ? Status() : bad("decompresses to another size");
}

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

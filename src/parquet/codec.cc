#include "parquet/codec.h"

#include <arrow/util/compression.h>
#define ZSTD_STATIC_LINKING_ONLY  // for literalCompressionMode
#include <zstd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>

#include "core/bytes.h"
#include "core/check.h"

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
constexpr int kZstdLargeLevel = 6;  // from it on tables have megabytes

// ZSTD_fast looks for a match at each place, and one more for each of this: level -1 and below.
// They leave literals as they are, which triples what random identifiers take; here they do not.
constexpr int kZstdByteArraySkip = 3;

// libarrow's zstd codec makes a context for each call: half a megabyte to be cleared for a page.
template <typename T, T* (*kMake)(), size_t (*kFree)(T*)>
T* ThreadContext() {
  struct Free {
    void operator()(T* context) const { (void)kFree(context); }
  };
  thread_local const std::unique_ptr<T, Free> context(kMake());
  return context.get();
}

ZSTD_CCtx* MakeZstdContext() {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  if (context == nullptr) return nullptr;
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kZstdLevel);
  ZSTD_CCtx_setParameter(context, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
  return context;
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

// Values like random identifiers cost the most to compress and hardly shrink. A page is tried by
// small pieces, then by one of twice what the codecs look back, and is stored where each saves less
// than an eighth (as RocksDB does with its blocks): LZ4's and Snappy's formats have a block of
// literals alone for it.
constexpr size_t kTrialPageMin = 512 << 10;
constexpr size_t kFirstTrialBytes = 16 << 10, kSecondTrialBytes = 128 << 10;

// https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md: a token, the length's rest in bytes
// of 255 and a last one that is less, the literals.
size_t StoreLz4(std::span<const uint8_t> from, std::span<uint8_t> to) {
  constexpr size_t kInToken = 15, kByte = 255;
  CHECK(from.size() >= kInToken);
  const size_t rest = from.size() - kInToken, full = rest / kByte;
  to[0] = kInToken << 4;
  std::memset(to.data() + 1, kByte, full);
  to[1 + full] = static_cast<uint8_t>(rest % kByte);
  std::memcpy(to.data() + 2 + full, from.data(), from.size());
  return 2 + full + from.size();
}

// https://github.com/google/snappy/blob/main/format_description.txt: the size as a varint, a tag
// of a literal whose length less one is in the next four bytes, the literal.
size_t StoreSnappy(std::span<const uint8_t> from, std::span<uint8_t> to) {
  constexpr uint8_t kLiteralOfFourBytes = 63 << 2;
  size_t at = 0, left = from.size();
  for (; left > 0x7f; left >>= 7) to[at++] = static_cast<uint8_t>(left | 0x80);
  to[at++] = static_cast<uint8_t>(left);
  to[at++] = kLiteralOfFourBytes;
  PutLe(reinterpret_cast<char*>(to.data()) + at, static_cast<uint32_t>(from.size() - 1));
  at += 4;
  std::memcpy(to.data() + at, from.data(), from.size());
  return at + from.size();
}

}  // namespace

size_t CompressedBytesMax(const CodecChoice& choice, size_t size) {
  if (choice.codec == arrow::Compression::ZSTD) return ZSTD_compressBound(size);
  const auto codec = MakeCodec(choice.codec, arrow::util::kUseDefaultCompressionLevel);
  if (!codec.ok()) return 0;  // Compress says why
  return static_cast<size_t>((*codec)->MaxCompressedLen(static_cast<int64_t>(size), nullptr));
}

size_t EncoderBytes(const CodecChoice& choice) {
  if (choice.codec == arrow::Compression::BROTLI) return size_t{40} << 20;
  const bool large = choice.codec == arrow::Compression::ZSTD && choice.has_level &&
                     choice.level >= kZstdLargeLevel;
  return large ? size_t{16} << 20 : 0;
}

Result<size_t> Compress(const CodecChoice& choice, PageContent content,
                        std::span<const uint8_t> from, std::span<uint8_t> to) {
  if (choice.codec == arrow::Compression::ZSTD) {
    ZSTD_CCtx* context = ThreadContext<ZSTD_CCtx, MakeZstdContext, ZSTD_freeCCtx>();
    if (context == nullptr) return MakeError(ErrorKind::kExhausted, "compress: no memory");
    ZSTD_CCtx_setParameter(context, ZSTD_c_targetLength,
                           content == PageContent::kByteArrays ? kZstdByteArraySkip : 0);
    return ZstdDone(choice.has_level
                        ? ZSTD_compressCCtx(context, to.data(), to.size(), from.data(), from.size(),
                                            choice.level)
                        : ZSTD_compress2(context, to.data(), to.size(), from.data(), from.size()),
                    "compress: ", ErrorKind::kInternal);
  }
  const auto codec = TRY(MakeCodec(
      choice.codec, choice.has_level ? choice.level : arrow::util::kUseDefaultCompressionLevel));
  auto compress = [&](std::span<const uint8_t> bytes) -> Result<size_t> {
    auto done = codec->Compress(static_cast<int64_t>(bytes.size()), bytes.data(),
                                static_cast<int64_t>(to.size()), to.data());
    if (!done.ok()) return MakeError(ErrorKind::kInternal, "compress: " + done.status().message());
    return static_cast<size_t>(*done);
  };
  const bool lz4 = choice.codec == arrow::Compression::LZ4;
  auto shrinks = [&](size_t at, size_t size) -> Result<bool> {
    return TRY(compress(from.subspan(at, size))) <= size / 8 * 7;
  };
  if (from.size() >= kTrialPageMin && (lz4 || choice.codec == arrow::Compression::SNAPPY)) {
    bool shrunk = false;
    for (const size_t eighth : {1, 3, 7}) {
      shrunk = shrunk || TRY(shrinks(from.size() / 8 * eighth, kFirstTrialBytes));
    }
    const size_t middle = (from.size() - kSecondTrialBytes) / 2;
    if (!shrunk && !TRY(shrinks(middle, kSecondTrialBytes))) {
      return lz4 ? StoreLz4(from, to) : StoreSnappy(from, to);
    }
  }
  return compress(from);
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

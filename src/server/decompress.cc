#include "server/decompress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "server/http_head.h"

namespace varve::server {
namespace {

constexpr size_t kOutStepBytes = 64 * 1024;
constexpr int kZstdWindowLogMax = 23;  // 8 MiB: what a sender may make this side allocate

Error Broken(std::string_view what) {
  return MakeError(ErrorKind::kInvalid, "INVALID_ENCODING",
                   "decompress the body: " + std::string(what));
}

Error TooLarge(const DecompressLimits& limits) {
  return MakeError(ErrorKind::kInvalid, "PAYLOAD_TOO_LARGE",
                   "the decompressed body is larger than is taken",
                   "{\"maxSize\":" + std::to_string(limits.bytes_max) + "}");
}

// The output so far, grown step by step up to one byte more than is allowed: that byte tells an
// output that fits from one that does not.
class BoundedOutput {
 public:
  BoundedOutput(const DecompressLimits& limits, size_t in_bytes)
      : limits_(limits), in_bytes_(in_bytes) {
    const uint64_t guess = std::min<uint64_t>(limits.bytes_max, in_bytes * 4 + 1024);
    text_.reserve(guess + limits.padding_bytes + 1);
  }

  char* Space(size_t* bytes) {
    if (used_ == text_.size()) {
      const uint64_t room = limits_.bytes_max + 1 - used_;
      text_.reserve(std::min<uint64_t>(text_.capacity() * 2, limits_.bytes_max + 1) +
                    limits_.padding_bytes);
      text_.resize(used_ + std::min<uint64_t>(kOutStepBytes, room));
    }
    *bytes = text_.size() - used_;
    return text_.data() + used_;
  }

  Status Took(size_t bytes) {
    used_ += bytes;
    if (used_ > limits_.bytes_max) return TooLarge(limits_);
    if (used_ > limits_.ratio_free_bytes && used_ / limits_.ratio_max > in_bytes_) {
      return TooLarge(limits_);
    }
    return {};
  }

  std::string Finish() && {
    text_.resize(used_);
    text_.reserve(used_ + limits_.padding_bytes);
    return std::move(text_);
  }

 private:
  const DecompressLimits& limits_;
  size_t in_bytes_;
  std::string text_;
  size_t used_ = 0;
};

struct InflateEnd {
  void operator()(z_stream* stream) const {
    inflateEnd(stream);
    delete stream;
  }
};

Result<std::string> Gunzip(std::string_view in, const DecompressLimits& limits) {
  std::unique_ptr<z_stream, InflateEnd> stream(new z_stream{});
  constexpr int kGzipOrZlib = 15 + 32;
  if (inflateInit2(stream.get(), kGzipOrZlib) != Z_OK) return Broken("no memory for zlib");
  stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream->avail_in = static_cast<uInt>(in.size());
  BoundedOutput out(limits, in.size());
  while (true) {
    size_t space = 0;
    stream->next_out = reinterpret_cast<Bytef*>(out.Space(&space));
    stream->avail_out = static_cast<uInt>(space);
    const int result = inflate(stream.get(), Z_NO_FLUSH);
    TRY(out.Took(space - stream->avail_out));
    if (result == Z_STREAM_END) {
      if (stream->avail_in == 0) return std::move(out).Finish();
      if (inflateReset(stream.get()) != Z_OK) return Broken("zlib");  // a further gzip member
      continue;
    }
    if (result != Z_OK && result != Z_BUF_ERROR) return Broken("not valid gzip");
    if (stream->avail_in == 0 && stream->avail_out != 0)
      return Broken("the gzip stream is cut off");
  }
}

struct ZstdFree {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Result<std::string> Unzstd(std::string_view in, const DecompressLimits& limits) {
  std::unique_ptr<ZSTD_DCtx, ZstdFree> context(ZSTD_createDCtx());
  if (context == nullptr) return Broken("no memory for zstd");
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  ZSTD_inBuffer source{in.data(), in.size(), 0};
  BoundedOutput out(limits, in.size());
  size_t hint = 1;
  while (source.pos < source.size || hint != 0) {
    size_t space = 0;
    ZSTD_outBuffer sink{out.Space(&space), 0, 0};
    sink.size = space;
    const size_t before = source.pos;
    hint = ZSTD_decompressStream(context.get(), &sink, &source);
    if (ZSTD_isError(hint)) return Broken(ZSTD_getErrorName(hint));
    TRY(out.Took(sink.pos));
    if (hint != 0 && source.pos == before && sink.pos == 0) {
      return Broken("the zstd stream is cut off");
    }
  }
  return std::move(out).Finish();
}

}  // namespace

Result<ContentCoding> ParseContentEncoding(std::string_view header) {
  if (header.empty() || EqualsIgnoreCase(header, "identity")) return ContentCoding::kIdentity;
  if (EqualsIgnoreCase(header, "gzip") || EqualsIgnoreCase(header, "x-gzip")) {
    return ContentCoding::kGzip;
  }
  if (EqualsIgnoreCase(header, "zstd")) return ContentCoding::kZstd;
  return MakeError(ErrorKind::kInvalid, "UNSUPPORTED_ENCODING",
                   "Content-Encoding is one of gzip, zstd, identity");
}

Result<std::string> Decompress(std::string_view in, ContentCoding coding,
                               const DecompressLimits& limits) {
  if (in.empty()) return Broken("an empty body");
  return coding == ContentCoding::kGzip ? Gunzip(in, limits) : Unzstd(in, limits);
}

}  // namespace varve::server

#include "table/avro.h"

#include <zlib.h>

#include <algorithm>

#include "core/check.h"

namespace varve::table {
namespace {

constexpr std::string_view kMagic("Obj\1", 4);
constexpr size_t kSyncBytes = 16, kBlockBytes = size_t{64} << 10;
constexpr int kValueDepthMax = 64;
constexpr int64_t kMetadataEntriesMax = 1'000;
// A record of no bytes can be repeated without end; Iceberg has none.
constexpr int64_t kEmptyItemsMax = 1'000'000;

Error Corrupt(std::string_view what) {
  return MakeError(ErrorKind::kCorrupt, "BAD_AVRO", "Avro container: " + std::string(what));
}

Result<std::string> Deflate(std::string_view bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return MakeError(ErrorKind::kInternal, "deflate could not begin");
  }
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END) return MakeError(ErrorKind::kInternal, "deflate did not end");
  return out;
}

Result<std::string> Inflate(std::string_view bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, -15) != Z_OK) {
    return MakeError(ErrorKind::kInternal, "inflate could not begin");
  }
  std::string out;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  int done = Z_OK;
  while (done == Z_OK && out.size() < kAvroBlockBytesMax) {
    const size_t at = out.size();
    const size_t step = std::clamp<size_t>(bytes.size() * 4, 4096, size_t{4} << 20);
    out.resize(std::min(kAvroBlockBytesMax, at + step));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + at);
    stream.avail_out = static_cast<uInt>(out.size() - at);
    done = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  // PyIceberg leaves the end of zlib's wrapper, its checksum, behind the raw stream.
  constexpr uInt kWrapperBytesMax = 4;
  const bool all = done == Z_STREAM_END && stream.avail_in <= kWrapperBytesMax;
  inflateEnd(&stream);
  if (!all) return Corrupt("a block does not decompress");
  return out;
}

}  // namespace

void AvroEncoder::Long(int64_t value) {
  uint64_t zigzag = static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
  while (zigzag >= 0x80) {
    bytes_.push_back(static_cast<char>(zigzag | 0x80));
    zigzag >>= 7;
  }
  bytes_.push_back(static_cast<char>(zigzag));
}

void AvroEncoder::Bytes(std::string_view value) {
  Long(static_cast<int64_t>(value.size()));
  bytes_.append(value);
}

AvroWriter::AvroWriter(std::string_view schema_json,
                       const std::map<std::string, std::string>& metadata, AvroCodec codec,
                       std::string_view sync)
    : codec_(codec), sync_(sync) {
  CHECK(sync.size() == kSyncBytes);
  AvroEncoder header;
  header.Raw(kMagic);
  header.Long(static_cast<int64_t>(metadata.size()) + 2);
  header.Bytes("avro.schema");
  header.Bytes(schema_json);
  header.Bytes("avro.codec");
  header.Bytes(codec == AvroCodec::kNull ? "null" : "deflate");
  for (const auto& [key, value] : metadata) {
    header.Bytes(key);
    header.Bytes(value);
  }
  header.Long(0);
  header.Raw(sync_);
  out_ = std::move(header.bytes());
}

void AvroWriter::Add(std::string_view record) {
  block_.append(record);
  ++records_;
  if (block_.size() >= kBlockBytes && error_.ok()) error_ = EndBlock();
}

Status AvroWriter::EndBlock() {
  if (records_ == 0) return {};
  std::string body;
  if (codec_ == AvroCodec::kDeflate) {
    body = TRY(Deflate(block_));
  } else {
    body.swap(block_);
  }
  AvroEncoder head;
  head.Long(records_);
  head.Long(static_cast<int64_t>(body.size()));
  out_ += head.bytes();
  out_ += body;
  out_ += sync_;
  block_.clear();
  records_ = 0;
  return {};
}

Result<std::string> AvroWriter::Finish() && {
  TRY(std::move(error_));
  TRY(EndBlock());
  return std::move(out_);
}

bool AvroDecoder::Long(int64_t* value) {
  uint64_t zigzag = 0;
  for (size_t i = 0; i < 10; ++i) {
    if (i >= rest_.size()) return Fail();
    const auto byte = static_cast<uint8_t>(rest_[i]);
    if (i == 9 && byte > 1) return Fail();
    zigzag |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte >= 0x80) continue;
    rest_.remove_prefix(i + 1);
    *value = static_cast<int64_t>(zigzag >> 1) ^ -static_cast<int64_t>(zigzag & 1);
    return true;
  }
  return Fail();
}

bool AvroDecoder::Bool(bool* value) {
  if (rest_.empty() || static_cast<uint8_t>(rest_[0]) > 1) return Fail();
  *value = rest_[0] != 0;
  rest_.remove_prefix(1);
  return true;
}

bool AvroDecoder::Fixed(size_t bytes, std::string_view* value) {
  if (bytes > rest_.size()) return Fail();
  *value = rest_.substr(0, bytes);
  rest_.remove_prefix(bytes);
  return true;
}

bool AvroDecoder::Bytes(std::string_view* value) {
  int64_t size = 0;
  if (!Long(&size)) return false;
  if (size < 0) return Fail();
  return Fixed(static_cast<size_t>(size), value);
}

const AvroSchema* AvroDecoder::Resolve(const AvroSchema& schema) {
  if (schema.kind != AvroKind::kUnion) return &schema;
  int64_t branch = 0;
  if (!Long(&branch)) return nullptr;
  if (branch < 0 || branch >= static_cast<int64_t>(schema.branches.size())) {
    Fail();
    return nullptr;
  }
  return schema.branches[static_cast<size_t>(branch)].get();
}

bool AvroDecoder::Items(const AvroSchema& schema,
                        const std::function<bool(const AvroSchema&)>& item) {
  const bool map = schema.kind == AvroKind::kMap;
  int64_t empty = 0;
  while (true) {
    int64_t count = 0, ignored = 0;
    if (!Long(&count)) return false;
    if (count == 0) return true;
    if (count < 0 && (count == INT64_MIN || !Long(&ignored))) return Fail();
    for (int64_t left = count < 0 ? -count : count; left > 0; --left) {
      const size_t before = rest_.size();
      std::string_view key;
      if (map && !Bytes(&key)) return false;
      if (!item(*schema.branches[0])) return Fail();
      if (rest_.size() == before && ++empty > kEmptyItemsMax) return Fail();
    }
  }
}

bool AvroDecoder::Skip(const AvroSchema& schema, int depth) {
  if (depth > kValueDepthMax) return Fail();
  int64_t number = 0;
  bool flag = false;
  std::string_view bytes;
  switch (schema.kind) {
    case AvroKind::kNull:
      return true;
    case AvroKind::kBoolean:
      return Bool(&flag);
    case AvroKind::kInt:
    case AvroKind::kLong:
    case AvroKind::kEnum:
      return Long(&number);
    case AvroKind::kFloat:
      return Fixed(4, &bytes);
    case AvroKind::kDouble:
      return Fixed(8, &bytes);
    case AvroKind::kBytes:
    case AvroKind::kString:
      return Bytes(&bytes);
    case AvroKind::kFixed:
      return Fixed(schema.fixed_bytes, &bytes);
    case AvroKind::kRecord:
      return std::all_of(schema.fields.begin(), schema.fields.end(),
                         [&](const AvroField& field) { return Skip(*field.type, depth + 1); });
    case AvroKind::kArray:
    case AvroKind::kMap:
      return Items(schema, [&](const AvroSchema& item) { return Skip(item, depth + 1); });
    case AvroKind::kUnion: {
      const AvroSchema* branch = Resolve(schema);
      return branch != nullptr && Skip(*branch, depth + 1);
    }
  }
  return Fail();
}

Result<AvroReader> AvroReader::Open(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return Corrupt("does not begin as one");
  AvroReader reader;
  AvroDecoder decoder(bytes.substr(kMagic.size()));
  int64_t entries = 0;
  while (true) {
    int64_t count = 0, ignored = 0;
    if (!decoder.Long(&count)) return Corrupt("the header is cut short");
    if (count == 0) break;
    if (count < 0 && (count == INT64_MIN || !decoder.Long(&ignored))) return Corrupt("the header");
    for (int64_t left = count < 0 ? -count : count; left > 0; --left) {
      std::string_view key, value;
      if (!decoder.Bytes(&key) || !decoder.Bytes(&value)) return Corrupt("the header is cut short");
      if (++entries > kMetadataEntriesMax) return Corrupt("the header has too many entries");
      reader.metadata_[std::string(key)] = value;
    }
  }
  if (!decoder.Fixed(kSyncBytes, &reader.sync_)) return Corrupt("the header is cut short");
  reader.blocks_ = decoder.rest();
  const auto codec = reader.metadata_.find("avro.codec");
  if (codec != reader.metadata_.end() && codec->second == "deflate") {
    reader.codec_ = AvroCodec::kDeflate;
  } else if (codec != reader.metadata_.end() && codec->second != "null") {
    return Corrupt("the codec is neither null nor deflate");
  }
  reader.schema_ = TRY(ParseAvroSchema(reader.metadata_["avro.schema"]));
  return reader;
}

Status AvroReader::ForEach(const std::function<Status(AvroDecoder&)>& record) const {
  AvroDecoder blocks(blocks_);
  while (!blocks.rest().empty()) {
    int64_t records = 0;
    std::string_view body, sync;
    if (!blocks.Long(&records) || records < 0 || !blocks.Bytes(&body) ||
        !blocks.Fixed(kSyncBytes, &sync) || sync != sync_) {
      return Corrupt("a block is cut short or out of step");
    }
    std::string inflated;
    if (codec_ == AvroCodec::kDeflate) {
      inflated = TRY(Inflate(body));
      body = inflated;
    }
    AvroDecoder decoder(body);
    for (; records > 0; --records) {
      if (decoder.rest().empty()) return Corrupt("a block has fewer records than it says");
      TRY(record(decoder));
    }
    if (!decoder.rest().empty()) return Corrupt("a block has more bytes than records");
  }
  return {};
}

}  // namespace varve::table

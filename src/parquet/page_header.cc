#include "parquet/page_header.h"

#include "core/check.h"

namespace varve::parquet {

namespace {

enum Wire : uint8_t {
  kStop = 0,
  kTrue = 1,
  kFalse = 2,
  kByte = 3,
  kI16 = 4,
  kI32 = 5,
  kI64 = 6,
  kDouble = 7,
  kBinary = 8,
  kList = 9,
  kSet = 10,
  kMap = 11,
  kStruct = 12,
};

constexpr int kDepthMax = 8;
constexpr int16_t kCrcField = 4;
constexpr size_t kFieldBytesMax = 6;  // of 32 bits

class CompactReader {
 public:
  explicit CompactReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool short_of_bytes() const { return short_; }
  bool bad() const { return bad_; }
  bool good() const { return !short_ && !bad_; }
  size_t position() const { return at_; }

  // The next field of a struct: false at its end. `id` is carried from field to field.
  bool NextField(int16_t& id, uint8_t& wire) {
    const uint8_t head = Byte();
    if (!good() || head == kStop) return false;
    wire = head & 15;
    const int delta = head >> 4;
    id = static_cast<int16_t>(delta != 0 ? id + delta : ZigZag());
    if (wire > kStruct) bad_ = true;
    return good();
  }
  int32_t I32(uint8_t wire) {
    if (wire != kI32 && wire != kI16) {
      bad_ = true;
      return 0;
    }
    const int64_t value = ZigZag();
    if (value < INT32_MIN || value > INT32_MAX) bad_ = true;
    return static_cast<int32_t>(value);
  }
  void Skip(uint8_t wire, int depth = 0) {
    if (depth > kDepthMax) bad_ = true;
    if (!good()) return;
    switch (wire) {
      case kTrue:
      case kFalse:
        return;
      case kByte:
        return Advance(1);
      case kI16:
      case kI32:
      case kI64:
        ZigZag();
        return;
      case kDouble:
        return Advance(8);
      case kBinary:
        return Advance(Varint());
      case kList:
      case kSet:
        return SkipList(depth);
      case kStruct:
        return SkipStruct(depth);
      default:
        bad_ = true;
    }
  }

 private:
  uint8_t Byte() {
    if (at_ >= bytes_.size()) {
      short_ = true;
      return 0;
    }
    return bytes_[at_++];
  }
  void Advance(uint64_t count) {
    if (count > kPageHeaderBytesMax) {
      bad_ = true;
    } else if (count > bytes_.size() - at_) {
      short_ = true;
    } else {
      at_ += count;
    }
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = Byte();
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
    bad_ = true;
    return 0;
  }
  int64_t ZigZag() {
    const uint64_t value = Varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  void SkipList(int depth) {
    const uint8_t head = Byte();
    const uint64_t count = (head >> 4) == 15 ? Varint() : head >> 4;
    const uint8_t wire = head & 15;
    for (uint64_t i = 0; i < count && good(); ++i) {
      if (wire == kTrue || wire == kFalse) {
        Byte();
      } else {
        Skip(wire, depth + 1);
      }
    }
  }
  void SkipStruct(int depth) {
    int16_t id = 0;
    uint8_t wire = 0;
    while (NextField(id, wire)) Skip(wire, depth + 1);
  }

  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool short_ = false, bad_ = false;
};

void ReadDataHeader(CompactReader& reader, PageHeader& header) {
  int16_t id = 0;
  uint8_t wire = 0;
  while (reader.NextField(id, wire)) {
    switch (id) {
      case 1:
        header.values = reader.I32(wire);
        break;
      case 2:
        header.encoding = reader.I32(wire);
        break;
      case 3:  // of a dictionary: whether it is sorted
        if (wire == kTrue || wire == kFalse) break;
        header.level_encoding = reader.I32(wire);
        break;
      default:
        reader.Skip(wire);
    }
  }
}

void ReadDataHeaderV2(CompactReader& reader, PageHeader& header) {
  int16_t id = 0;
  uint8_t wire = 0;
  while (reader.NextField(id, wire)) {
    switch (id) {
      case 1:
        header.values = reader.I32(wire);
        break;
      case 3:
        header.rows = reader.I32(wire);
        break;
      case 4:
        header.encoding = reader.I32(wire);
        break;
      case 5:
        header.definition_bytes = reader.I32(wire);
        break;
      case 6:
        header.repetition_bytes = reader.I32(wire);
        break;
      case 7:
        header.compressed = wire == kTrue;
        break;
      default:
        reader.Skip(wire);
    }
  }
}

void ReadHeader(CompactReader& reader, PageHeader& header) {
  int16_t id = 0, last = 0;
  uint8_t wire = 0;
  for (size_t end = 0; reader.NextField(id, wire); end = reader.position(), last = id) {
    if (last == kCrcField - 1 && id > kCrcField) header.crc_place = end;
    if (id == 1) {
      header.type = static_cast<PageType>(reader.I32(wire));
    } else if (id == 2) {
      header.uncompressed_bytes = reader.I32(wire);
    } else if (id == 3) {
      header.compressed_bytes = reader.I32(wire);
    } else if (id == kCrcField) {
      header.crc = static_cast<uint32_t>(reader.I32(wire));
    } else if ((id == 5 || id == 7) && wire == kStruct) {
      ReadDataHeader(reader, header);
    } else if (id == 8 && wire == kStruct) {
      ReadDataHeaderV2(reader, header);
    } else {
      reader.Skip(wire);
    }
  }
}

bool Plausible(const PageHeader& header) {
  if (header.uncompressed_bytes < 0 || header.compressed_bytes < 0 || header.values < 0) {
    return false;
  }
  if (header.type != PageType::kDataV2) return true;
  return header.definition_bytes >= 0 && header.repetition_bytes >= 0 && header.rows >= 0 &&
         int64_t{header.definition_bytes} + header.repetition_bytes <= header.compressed_bytes &&
         int64_t{header.definition_bytes} + header.repetition_bytes <= header.uncompressed_bytes;
}

class CompactWriter {
 public:
  explicit CompactWriter(uint8_t* out) : begin_(out), out_(out) {}
  void I32(int delta, int32_t value) {
    *out_++ = static_cast<uint8_t>(delta << 4 | kI32);
    uint32_t zigzag = static_cast<uint32_t>(value) << 1 ^ static_cast<uint32_t>(value >> 31);
    for (; zigzag >= 128; zigzag >>= 7) *out_++ = static_cast<uint8_t>(zigzag | 128);
    *out_++ = static_cast<uint8_t>(zigzag);
  }
  void BeginStruct(int delta) { *out_++ = static_cast<uint8_t>(delta << 4 | kStruct); }
  void EndStruct() { *out_++ = kStop; }
  size_t size() const { return static_cast<size_t>(out_ - begin_); }

 private:
  uint8_t* begin_;
  uint8_t* out_;
};

}  // namespace

std::string WithCrc(std::span<const uint8_t> bytes, const PageHeader& header, uint32_t crc) {
  CHECK(!header.crc && header.crc_place > 0 && header.crc_place < header.header_bytes);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  std::string out(text, header.crc_place);
  uint8_t field[kFieldBytesMax];
  CompactWriter writer(field);
  writer.I32(1, static_cast<int32_t>(crc));
  out.append(reinterpret_cast<const char*>(field), writer.size());
  // The next field's id is told as it is, or as its distance from the one before: one less now.
  const uint8_t next = bytes[header.crc_place];
  out += static_cast<char>(next >> 4 == 0 ? next : next - (1 << 4));
  out.append(text + header.crc_place + 1, header.header_bytes - header.crc_place - 1);
  return out;
}

Result<PageHeader> ParsePageHeader(std::span<const uint8_t> bytes) {
  PageHeader header;
  CompactReader reader(bytes);
  ReadHeader(reader, header);
  if (reader.bad()) return MakeError(ErrorKind::kCorrupt, "not a page header");
  if (reader.short_of_bytes()) return MakeError(ErrorKind::kExhausted, "the header is cut off");
  if (!Plausible(header)) return MakeError(ErrorKind::kCorrupt, "impossible sizes in its header");
  header.header_bytes = reader.position();
  return header;
}

size_t WritePageHeader(const PageHeader& header, uint8_t* out) {
  CompactWriter writer(out);
  writer.I32(1, static_cast<int32_t>(header.type));
  writer.I32(1, header.uncompressed_bytes);
  writer.I32(1, header.compressed_bytes);
  if (header.crc) writer.I32(1, static_cast<int32_t>(*header.crc));
  const int last = header.crc ? 4 : 3;
  writer.BeginStruct((header.type == PageType::kDictionary ? 7 : 5) - last);
  writer.I32(1, header.values);
  writer.I32(1, header.encoding);
  if (header.type == PageType::kData) {
    writer.I32(1, kRle);
    writer.I32(1, kRle);
  }
  writer.EndStruct();
  writer.EndStruct();
  return writer.size();
}

}  // namespace varve::parquet

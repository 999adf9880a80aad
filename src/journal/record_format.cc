#include "journal/record_format.h"

#include <cstring>

#include "core/bytes.h"
#include "core/check.h"

namespace varve::journal {
namespace {

constexpr uint32_t kRecordMagic = 0x31525256;           // "VRR1"
constexpr uint64_t kSegmentMagic = 0x3147455356524156;  // "VARVSEG1"
constexpr uint32_t kFormatVersion = 1;
constexpr uint64_t kHeaderCopyAt = kPageBytes / 2;
constexpr size_t kCrcFrom = offsetof(RecordHeader, lsn);

struct SegmentHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t crc;  // of what follows
  uint64_t epoch;
  uint64_t bytes;
  uint32_t nonce;
  uint32_t unused;
};
constexpr size_t kSegmentCrcFrom = offsetof(SegmentHeader, epoch);

uint32_t SegmentHeaderCrc(const SegmentHeader& header) {
  const char* bytes = reinterpret_cast<const char*>(&header);
  return Crc32c({bytes + kSegmentCrcFrom, sizeof header - kSegmentCrcFrom}, header.version);
}

uint32_t HeaderCrc(const char* header, uint32_t nonce) {
  return Crc32c({header + kCrcFrom, sizeof(RecordHeader) - kCrcFrom}, nonce);
}

}  // namespace

uint64_t PayloadBytes(const RecordHeader& header) {
  return header.event_count * EventBytes(header.has_event_ids != 0) + header.ns_size +
         header.batch_id_size + header.body_size;
}

std::string EncodeHead(const AppendRequest& request, uint8_t kind) {
  RecordHeader header{};
  header.magic = kRecordMagic;
  header.received_ms = request.received_ms;
  header.body_size = static_cast<uint32_t>(request.body.size());
  header.event_count = static_cast<uint32_t>(request.events.size());
  header.ns_size = static_cast<uint16_t>(request.ns.name().size());
  header.batch_id_size = static_cast<uint16_t>(request.batch_id.size());
  header.kind = kind;
  header.has_event_ids = request.event_ids.empty() ? 0 : 1;
  CHECK(request.event_ids.empty() || request.event_ids.size() == request.events.size());
  size_t ids_bytes = request.event_ids.size() * sizeof(Hash128);
  size_t refs_bytes = request.events.size() * sizeof(record::EventRef);
  std::string head;
  head.reserve(sizeof header + refs_bytes + ids_bytes + header.ns_size + header.batch_id_size);
  head.resize(sizeof header);
  head.append(reinterpret_cast<const char*>(request.events.data()), refs_bytes);
  if (ids_bytes > 0) {
    head.append(reinterpret_cast<const char*>(request.event_ids.data()), ids_bytes);
  }
  head.append(request.ns.name()).append(request.batch_id);
  uint32_t crc = Crc32c(std::string_view(head).substr(sizeof header));
  header.payload_crc = Crc32c(request.body, crc);
  std::memcpy(head.data(), &header, sizeof header);
  return head;
}

void StampHead(std::string& head, Lsn lsn, Lsn round_lsn, const SegmentIdentity& segment) {
  char* at = head.data();
  PutLe<uint64_t>(at + offsetof(RecordHeader, lsn), lsn);
  PutLe<uint64_t>(at + offsetof(RecordHeader, round_lsn), round_lsn);
  PutLe<uint64_t>(at + offsetof(RecordHeader, epoch), segment.epoch);
  PutLe<uint32_t>(at + offsetof(RecordHeader, header_crc), HeaderCrc(at, segment.nonce));
}

std::optional<RecordHeader> ReadHeader(const char* base, uint64_t at,
                                       const SegmentIdentity& segment) {
  uint64_t end = segment.bytes - kSegmentTailBytes;
  if (at + sizeof(RecordHeader) > end) return std::nullopt;
  RecordHeader header;
  std::memcpy(&header, base + at, sizeof header);
  if (header.magic != kRecordMagic || header.epoch != segment.epoch) return std::nullopt;
  if (header.header_crc != HeaderCrc(base + at, segment.nonce)) return std::nullopt;
  if (PayloadBytes(header) > end - at - sizeof header) return std::nullopt;
  return header;
}

bool PayloadIsWhole(const char* base, uint64_t at, const RecordHeader& header) {
  return Crc32c({base + at + sizeof header, PayloadBytes(header)}) == header.payload_crc;
}

std::string EncodeSegmentHeader(const SegmentIdentity& segment) {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kFormatVersion;
  header.epoch = segment.epoch;
  header.bytes = segment.bytes;
  header.nonce = segment.nonce;
  header.crc = SegmentHeaderCrc(header);
  std::string page(kSegmentHeaderBytes, '\0');
  std::memcpy(page.data(), &header, sizeof header);
  std::memcpy(page.data() + kHeaderCopyAt, &header, sizeof header);
  return page;
}

std::optional<SegmentIdentity> ReadSegmentHeader(std::string_view page) {
  for (uint64_t at : {uint64_t{0}, kHeaderCopyAt}) {
    SegmentHeader header;
    if (page.size() < at + sizeof header) break;
    std::memcpy(&header, page.data() + at, sizeof header);
    if (header.magic != kSegmentMagic || header.version != kFormatVersion) continue;
    if (header.crc != SegmentHeaderCrc(header)) continue;
    return SegmentIdentity{header.epoch, header.nonce, header.bytes};
  }
  return std::nullopt;
}

}  // namespace varve::journal

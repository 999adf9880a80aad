// A record on disk. Little-endian, 64-byte header, then the payload: EventRefs, event ids (if
// any event has one), namespace, batch id, body. Records start on 16 bytes.
//
// A *round* is what one pwritev + fdatasync makes durable. It starts on a page, is padded to a page
// with zeros, and every record of it carries the round's first LSN, so that a page that was
// acknowledged is never written again, and replay can tell a torn round (the last one: nothing of
// it was acknowledged) from damage (a later round exists, so this one had been synced).
//
// The header's checksum is seeded with the segment's nonce: a recycled segment's stale records, and
// bytes of a body that look like a record, do not verify.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "journal/journal.h"

namespace varve::journal {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kRecordAlignBytes = 16;
inline constexpr uint64_t kSegmentHeaderBytes = kPageBytes;
inline constexpr uint64_t kSegmentTailBytes = kPageBytes;  // never used: JSON padding at the end
inline constexpr uint8_t kSealKind = 0;  // closes the last round of a clean stop; no input

struct RecordHeader {
  uint32_t magic;
  uint32_t header_crc;  // of the rest of the header, seeded with the segment's nonce
  uint64_t lsn;
  uint64_t round_lsn;  // of the first record of the same round
  uint64_t epoch;
  int64_t received_ms;
  uint32_t payload_crc;
  uint32_t body_size;
  uint32_t event_count;
  uint16_t ns_size;
  uint16_t batch_id_size;
  uint8_t kind;
  uint8_t has_event_ids;  // 1: as many as events
  uint8_t unused[6];
};
static_assert(sizeof(RecordHeader) == 64);

struct SegmentIdentity {
  uint64_t epoch = 0;  // 1, 2, 3 … never used twice in a journal's life
  uint32_t nonce = 0;
  uint64_t bytes = 0;
};

inline uint64_t AlignUp(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }
inline uint64_t EventBytes(bool has_event_ids) {
  return sizeof(record::EventRef) + (has_event_ids ? sizeof(Hash128) : 0);
}
uint64_t PayloadBytes(const RecordHeader& header);
inline uint64_t RecordBytes(const RecordHeader& header) {  // with its padding to the next record
  return AlignUp(sizeof(RecordHeader) + PayloadBytes(header), kRecordAlignBytes);
}

// The header (not yet stamped) and the payload but for the body, which stays where it is.
std::string EncodeHead(const AppendRequest& request, uint8_t kind);
// Fills in what only the committer knows, in the head's own bytes.
void StampHead(std::string& head, Lsn lsn, Lsn round_lsn, const SegmentIdentity& segment);

// The header at `at` if it verifies as one of this segment's and its record ends before the tail.
std::optional<RecordHeader> ReadHeader(const char* base, uint64_t at,
                                       const SegmentIdentity& segment);
bool PayloadIsWhole(const char* base, uint64_t at, const RecordHeader& header);

// The segment header's page: two copies, so that one damaged sector does not cost the segment.
std::string EncodeSegmentHeader(const SegmentIdentity& segment);
std::optional<SegmentIdentity> ReadSegmentHeader(std::string_view page);

}  // namespace varve::journal

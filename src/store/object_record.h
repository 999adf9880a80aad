// What varve knows of an object besides its bytes: ETag, content type, user metadata. It lies in
// the extended attribute `user.varve` of the object's file, or, where the file system has none or
// the record is too large for it, in a sidecar file under .varve/meta.
//
// A record names the size and the modification time of the file that it was written for. A file
// that another program has rewritten no longer matches, and counts as that program's own.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::store {

inline constexpr size_t kRecordBytesMax = 32 << 10;  // 8 KiB of metadata, names, lengths; ample

struct ObjectRecord {
  std::string key;
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  std::string etag;
  std::string content_type;
  std::map<std::string, std::string> metadata;

  bool Describes(const struct stat& file) const;
};

int64_t MtimeNs(const struct stat& file);

std::string EncodeRecord(const ObjectRecord& record);
std::optional<ObjectRecord> DecodeRecord(std::string_view bytes);  // none: damaged or foreign

// False: the file system has no attributes, or none of this size. Nothing has changed then.
Result<bool> WriteRecordAttribute(int fd, std::string_view encoded);
std::optional<ObjectRecord> ReadRecordAttribute(int fd);

// The sidecar of key's file of this size and time, a name in .varve/meta. Two versions of an object
// have different sidecars, so that replacing the file replaces its record in the same instant.
std::string SidecarName(std::string_view key, uint64_t size, int64_t mtime_ns);

// For a file that varve did not write: an ETag that changes when the file does, and not when it is
// copied with its time (a backup that is restored), and a content type by its name.
std::string ForeignEtag(const struct stat& file);
std::string ContentTypeOf(std::string_view key);

}  // namespace varve::store

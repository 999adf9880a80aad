#include "compact/raw_source.h"

#include <algorithm>

#include "core/bytes.h"

namespace varve::compact {
namespace {

bool IsMd5(std::string_view etag) { return etag.size() == 32 && HexDecode(etag).has_value(); }

}  // namespace

Result<RawSource> ReadRawSource(store::ObjectStore& store, const store::ObjectMeta& object) {
  if (object.size > kRawFileBytesMax) {
    return MakeError(ErrorKind::kInvalid, "RAW_FILE_TOO_LARGE",
                     "raw file " + object.key + " has " + std::to_string(object.size) +
                         " bytes; the limit is " + std::to_string(kRawFileBytesMax));
  }
  RawSource source;
  source.id = {object.key, object.etag};
  source.bytes = TRY(store.Get(object.key));
  const bool md5 = IsMd5(object.etag);
  if (!md5 || Md5Hex(source.bytes) != object.etag) {
    const store::ObjectMeta now = TRY(store.Head(object.key));
    if (now.etag != object.etag) {
      return MakeError(ErrorKind::kRetryable, "raw file " + object.key + " changed while read");
    }
    if (md5 || source.bytes.size() != object.size) {
      return MakeError(ErrorKind::kCorrupt, "RAW_FILE_CORRUPT",
                       "raw file " + object.key + ": the bytes read are not those of its ETag");
    }
  }
  source.items = static_cast<uint64_t>(std::count(source.bytes.begin(), source.bytes.end(), '\n'));
  return source;
}

bool BlamesTheObject(const Error& error) {
  return error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kInvalid ||
         error.kind == ErrorKind::kCorrupt;
}

}  // namespace varve::compact

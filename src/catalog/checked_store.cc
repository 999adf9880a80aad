#include "catalog/checked_store.h"

#include "core/bytes.h"

namespace varve::catalog {
namespace {

constexpr int kTriesMax = 8;

bool MayPass(ErrorKind kind) {
  return kind == ErrorKind::kRetryable || kind == ErrorKind::kExhausted ||
         kind == ErrorKind::kUnknown;
}

}  // namespace

Result<std::string> ReadChecked(store::ObjectStore& store, const std::string& key) {
  std::string before;
  bool has_before = false;
  Error last;
  for (int i = 0; i < kTriesMax; ++i) {
    auto read = store.Get(key);
    if (!read.ok()) {
      if (!MayPass(read.error().kind)) return read;
      last = read.error();
      continue;
    }
    if (has_before && before == *read) return read;
    const auto head = store.Head(key);
    if (head.ok() && head->size == read->size() && head->etag == Md5Hex(*read)) return read;
    // Other programs' files, and some stores' encryption, have ETags that are no digests.
    before = std::move(*read);
    has_before = true;
    last =
        MakeError(ErrorKind::kCorrupt, "READ_NOT_WHOLE", "'" + key + "': no two reads are alike");
  }
  return last;
}

Result<PutOutcome> PutNew(store::ObjectStore& store, const std::string& key, std::string_view bytes,
                          const std::string& content_type) {
  store::PutOptions options;
  options.precondition = store::Precondition::kIfAbsent;
  options.content_type = content_type;
  bool unknown = false;
  Error last;
  for (int i = 0; i < kTriesMax; ++i) {
    const auto put = store.Put(key, bytes, options);
    if (put.ok()) return PutOutcome::kDone;
    last = put.error();
    if (last.kind == ErrorKind::kUnknown) {
      unknown = true;
    } else if (last.kind != ErrorKind::kConflict) {
      if (!MayPass(last.kind)) break;
      continue;
    }
    const auto there = ReadChecked(store, key);
    if (there.ok()) return *there == bytes ? PutOutcome::kDone : PutOutcome::kRejected;
    if (there.error().kind != ErrorKind::kNotFound) unknown = true;
  }
  if (unknown) last.kind = ErrorKind::kUnknown, last.code = "COMMIT_UNKNOWN";
  return std::move(last).Context("put '" + key + "'");
}

}  // namespace varve::catalog

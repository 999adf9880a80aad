#include "compact/source_content.h"

#include <algorithm>

#include "compact/compaction_run.h"
#include "core/bytes.h"
#include "core/check.h"
#include "core/xxh3_stream.h"

namespace varve::compact {
namespace {

constexpr uint64_t kChunkBytes = 4 << 20;
constexpr size_t kHexDigits = 32;

class Digest {
 public:
  explicit Digest(ContentKind kind) : kind_(kind) {}

  void Add(std::string_view bytes) {
    kind_ == ContentKind::kMd5 ? md5_.Add(bytes) : xxh3_.Add(bytes);
  }
  std::string Content() { return kind_ == ContentKind::kMd5 ? md5_.Hex() : xxh3_.Text(); }

 private:
  const ContentKind kind_;
  Xxh3Stream xxh3_;
  Md5Stream md5_;
};

Status Read(store::ObjectStore& store, const SourceFile& source, Digest& digest) {
  for (uint64_t at = 0; at < source.size;) {
    const uint64_t size = std::min(kChunkBytes, source.size - at);
    const std::string bytes = TRY(store.Get(source.key, store::ByteRange{at, size}));
    if (bytes.empty()) return {};  // shorter by now, which its ETag will tell
    digest.Add(bytes);
    at += bytes.size();
  }
  return {};
}

}  // namespace

ContentKind ContentKindOf(std::string_view content) {
  const bool xxh3 = content.starts_with('x');
  if (xxh3) content.remove_prefix(1);
  const bool hex = content.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!hex || content.size() != kHexDigits) return ContentKind::kNone;
  return xxh3 ? ContentKind::kXxh3 : ContentKind::kMd5;
}

Result<std::optional<std::string>> ContentOf(store::ObjectStore& store, const SourceFile& source,
                                             ContentKind kind) {
  CHECK(kind != ContentKind::kNone);
  const std::optional<std::string> other;
  if (!TRY(IsPinned(store, source)).value_or(false)) return other;
  Digest digest(kind);
  const Status read = Read(store, source, digest);
  if (!TRY(IsPinned(store, source)).value_or(false)) return other;
  TRY(read);
  return std::optional(digest.Content());
}

}  // namespace varve::compact

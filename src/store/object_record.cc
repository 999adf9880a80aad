// The record's bytes: "varve-object 1\n", then little-endian: u64 size, i64 mtime_ns, and strings
// as u32 length and bytes: key, etag, content type; u32 count, and count pairs of strings; u32
// CRC32C of all before it.
#include "store/object_record.h"

#include <sys/xattr.h>

#include <cerrno>

#include "core/bytes.h"
#include "store/file_io.h"
#include "store/object_store.h"

namespace varve::store {
namespace {

constexpr std::string_view kMagic = "varve-object 1\n";
constexpr const char* kAttribute = "user.varve";
constexpr size_t kCrcBytes = 4;
constexpr size_t kPairBytesMin = 8;

void AppendString(std::string& out, std::string_view text) {
  AppendLe(out, static_cast<uint32_t>(text.size()));
  out.append(text);
}

// Takes values off the front of a record; after the first that is not there, everything fails.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  T Number() {
    if (!Has(sizeof(T))) return 0;
    const T value = GetLe<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  std::string String() {
    const auto size = Number<uint32_t>();
    if (!Has(size)) return {};
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }

  bool Has(size_t bytes) {
    if (bytes > rest_.size()) failed_ = true;
    return !failed_;
  }
  size_t left() const { return rest_.size(); }
  bool Done() const { return !failed_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

std::string Hex(uint64_t number) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), kDigits[number & 15]);
    number >>= 4;
  } while (number != 0);
  return text;
}

}  // namespace

int64_t MtimeNs(const struct stat& file) {
  return int64_t{file.st_mtim.tv_sec} * 1'000'000'000 + file.st_mtim.tv_nsec;
}

bool ObjectRecord::Describes(const struct stat& file) const {
  return size == static_cast<uint64_t>(file.st_size) && mtime_ns == MtimeNs(file);
}

std::string EncodeRecord(const ObjectRecord& record) {
  std::string out(kMagic);
  AppendLe(out, record.size);
  AppendLe(out, record.mtime_ns);
  AppendString(out, record.key);
  AppendString(out, record.etag);
  AppendString(out, record.content_type);
  AppendLe(out, static_cast<uint32_t>(record.metadata.size()));
  for (const auto& [name, value] : record.metadata) {
    AppendString(out, name);
    AppendString(out, value);
  }
  AppendLe(out, Crc32c(out));
  return out;
}

std::optional<ObjectRecord> DecodeRecord(std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < kMagic.size() + kCrcBytes) return std::nullopt;
  const std::string_view body = bytes.substr(0, bytes.size() - kCrcBytes);
  if (Crc32c(body) != GetLe<uint32_t>(bytes.data() + body.size())) return std::nullopt;
  Reader reader(body.substr(kMagic.size()));
  ObjectRecord record;
  record.size = reader.Number<uint64_t>();
  record.mtime_ns = reader.Number<int64_t>();
  record.key = reader.String();
  record.etag = reader.String();
  record.content_type = reader.String();
  const auto pairs = reader.Number<uint32_t>();
  if (pairs > reader.left() / kPairBytesMin) return std::nullopt;
  for (uint32_t i = 0; i < pairs; ++i) {
    std::string name = reader.String();
    record.metadata.insert_or_assign(std::move(name), reader.String());
  }
  if (!reader.Done()) return std::nullopt;
  return record;
}

Result<bool> WriteRecordAttribute(int fd, std::string_view encoded) {
  if (fsetxattr(fd, kAttribute, encoded.data(), encoded.size(), 0) == 0) return true;
  switch (errno) {
    case ENOTSUP:
    case ENOSPC:  // ext4 also says this of an attribute larger than a block
    case EDQUOT:
    case E2BIG:
    case ERANGE:
    case EPERM:
      return false;
    default:
      return FileError(errno, "write the object's attributes");
  }
}

std::optional<ObjectRecord> ReadRecordAttribute(int fd) {
  std::string bytes(1024, '\0');
  ssize_t size = fgetxattr(fd, kAttribute, bytes.data(), bytes.size());
  if (size < 0 && errno == ERANGE) {
    bytes.resize(kRecordBytesMax);
    size = fgetxattr(fd, kAttribute, bytes.data(), bytes.size());
  }
  if (size < 0) return std::nullopt;
  return DecodeRecord(std::string_view(bytes).substr(0, static_cast<size_t>(size)));
}

std::string SidecarName(std::string_view key, uint64_t size, int64_t mtime_ns) {
  return HexEncode(Sha256(key)) + "." + Hex(size) + "." + Hex(static_cast<uint64_t>(mtime_ns));
}

std::string ForeignEtag(const struct stat& file) {
  return std::string(kForeignEtag) + Hex(static_cast<uint64_t>(file.st_size)) + "-" +
         Hex(static_cast<uint64_t>(MtimeNs(file)));
}

std::string ContentTypeOf(std::string_view key) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".parquet", "application/vnd.apache.parquet"},
      {".ndjson", "application/x-ndjson"},
      {".jsonl", "application/x-ndjson"},
      {".json", "application/json"},
      {".csv", "text/csv"},
      {".avro", "application/avro"},
      {".arrow", "application/vnd.apache.arrow.file"},
      {".txt", "text/plain"},
  };
  for (const auto& [suffix, type] : kTypes) {
    if (key.ends_with(suffix)) return std::string(type);
  }
  return "application/octet-stream";
}

}  // namespace varve::store

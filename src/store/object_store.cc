#include "store/object_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "store/file_io.h"
#include "store/unique_fd.h"

namespace varve::store {
namespace {

constexpr size_t kKeyBytesMax = 1024;
constexpr size_t kMetadataBytesMax = 8192;
constexpr size_t kContentTypeBytesMax = 256;
constexpr std::string_view kReservedSegment = ".varve";

// The code point at the front of text and its length; length 0: not UTF-8 (overlong forms,
// surrogates and numbers beyond U+10FFFF included).
struct CodePoint {
  uint32_t value = 0;
  size_t length = 0;
};

CodePoint FirstCodePoint(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  uint32_t value = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length};
}

bool IsControl(uint32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) || code_point == 0x2028 ||
         code_point == 0x2029;
}

// What is wrong with the text's characters; empty: nothing.
std::string_view CharacterFault(std::string_view text) {
  while (!text.empty()) {
    const CodePoint point = FirstCodePoint(text);
    if (point.length == 0) return "is not UTF-8";
    if (IsControl(point.value)) return "contains a control character";
    text.remove_prefix(point.length);
  }
  return {};
}

std::string_view SegmentFault(std::string_view segment) {
  if (segment.empty()) return "contains an empty segment";
  if (segment == "." || segment == "..") return "contains a '.' or '..' segment";
  return {};
}

std::string_view KeyFault(std::string_view key) {
  if (key.empty()) return "is empty";
  if (key.size() > kKeyBytesMax) return "is longer than 1024 bytes";
  if (key.front() == '/' || key.back() == '/') return "begins or ends with '/'";
  if (key.find('\\') != std::string_view::npos) return "contains a backslash";
  if (const auto fault = CharacterFault(key); !fault.empty()) return fault;
  for (size_t begin = 0; begin <= key.size();) {
    const size_t slash = std::min(key.find('/', begin), key.size());
    const std::string_view segment = key.substr(begin, slash - begin);
    if (const auto fault = SegmentFault(segment); !fault.empty()) return fault;
    if (begin == 0 && segment == kReservedSegment) return "lies in varve's own folder '.varve'";
    begin = slash + 1;
  }
  return {};
}

}  // namespace

Status CheckKey(std::string_view key) {
  const std::string_view fault = KeyFault(key);
  if (fault.empty()) return {};
  return MakeError(ErrorKind::kInvalid, "INVALID_PATH", "the object key " + std::string(fault));
}

Status CheckPutOptions(const PutOptions& options) {
  const auto invalid = [](std::string message) {
    return MakeError(ErrorKind::kInvalid, "INVALID_METADATA", std::move(message));
  };
  if (options.content_type.size() > kContentTypeBytesMax) {
    return invalid("the content type is longer than 256 bytes");
  }
  if (const auto fault = CharacterFault(options.content_type); !fault.empty()) {
    return invalid("the content type " + std::string(fault));
  }
  size_t bytes = 0;
  for (const auto& [name, value] : options.metadata) {
    if (name.empty()) return invalid("a metadata name is empty");
    for (const std::string_view text : {std::string_view(name), std::string_view(value)}) {
      const auto fault = CharacterFault(text);
      if (!fault.empty()) return invalid("the metadata of an object " + std::string(fault));
    }
    bytes += name.size() + value.size();
  }
  if (bytes > kMetadataBytesMax) {
    return MakeError(ErrorKind::kInvalid, "METADATA_TOO_LARGE",
                     "the metadata is " + std::to_string(bytes) + " bytes; at most 8192 are kept");
  }
  return {};
}

Status CheckListSize(size_t objects_max) {
  if (objects_max >= 1 && objects_max <= kListObjectsMax) return {};
  return MakeError(ErrorKind::kInvalid, "INVALID_LIMIT", "a page lists 1 to 1000 objects");
}

Error NoSuchObject(std::string_view key) {
  return MakeError(ErrorKind::kNotFound, "NO_SUCH_OBJECT", "no object '" + std::string(key) + "'");
}

Error PreconditionFailed(std::string_view key, std::string_view why) {
  return MakeError(ErrorKind::kConflict, "PRECONDITION_FAILED",
                   "put '" + std::string(key) + "': " + std::string(why));
}

Result<ObjectMeta> ObjectStore::PutFile(std::string_view key, const std::string& path,
                                        const PutOptions& options) {
  std::string bytes;
  {
    const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    if (!file.ok() || fstat(file.get(), &st) != 0) return FileError(errno, "read " + path);
    bytes = TRY(ReadExactly(file.get(), 0, static_cast<uint64_t>(st.st_size), "read " + path));
  }
  ObjectMeta meta = TRY(Put(key, bytes, options));
  unlink(path.c_str());  // one that stays is whoever's made it to clear away
  return meta;
}

Result<std::vector<ObjectMeta>> ListAll(ObjectStore& store, std::string_view prefix) {
  std::vector<ObjectMeta> all;
  std::string after;
  for (;;) {
    ListPage page = TRY(store.List(prefix, after, kListObjectsMax));
    for (ObjectMeta& object : page.objects) all.push_back(std::move(object));
    if (page.next_start_after.empty()) return all;
    // A store that repeats a page would keep us here for ever.
    if (page.next_start_after <= after) {
      return MakeError(
          ErrorKind::kRetryable, "LIST_STUCK",
          "list '" + std::string(prefix) + "': the page after '" + after + "' does not go on");
    }
    after = std::move(page.next_start_after);
  }
}

Result<std::vector<std::string>> ListFolders(ObjectStore& store, std::string_view prefix) {
  std::vector<std::string> folders;
  for (std::string after;;) {
    const ListPage page = TRY(store.List(prefix, after, 1));
    if (page.objects.empty()) return folders;
    const std::string& key = page.objects[0].key;
    const size_t slash = key.find('/', prefix.size());
    if (slash == std::string::npos) {
      after = key;
      continue;
    }
    std::string folder = key.substr(prefix.size(), slash - prefix.size());
    if (folders.empty() || folders.back() != folder) folders.push_back(std::move(folder));
    after = key.substr(0, slash) + "/~~~~";  // behind every key that varve writes
  }
}

}  // namespace varve::store

// Named immutable bytes. A key is a '/'-separated UTF-8 path of at most 1,024 bytes, checked by
// CheckKey before it becomes a path. All calls are thread-safe and block.
//
// Three outcomes: done, rejected (kConflict on a failed precondition, other kinds when nothing was
// written), and kUnknown: the bytes may or may not be there; Head before cleaning anything up.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::store {

struct ObjectMeta {
  std::string key;
  uint64_t size = 0;
  std::string etag;  // without quotes; MD5 hex, or PutOptions::digest, for what varve wrote
  int64_t modified_ms = 0;
  std::string content_type;
  std::map<std::string, std::string> metadata;  // user metadata; empty in List
};

enum class Precondition : uint8_t { kNone, kIfAbsent, kIfMatch };

struct PutOptions {
  std::string content_type = "application/octet-stream";
  std::map<std::string, std::string> metadata;  // at most 8,192 bytes of names and values
  Precondition precondition = Precondition::kNone;
  std::string if_match_etag;
  // Of PutFile's bytes, where the caller knows one: a store that makes its ETags itself takes it
  // for the ETag, and does not read the file. Empty: it finds out.
  std::string digest;
};

struct ListPage {
  std::vector<ObjectMeta> objects;  // ascending by key (bytewise)
  std::string next_start_after;     // pass as start_after for the next page; empty: the last page
};

struct ByteRange {
  uint64_t offset = 0;
  uint64_t size = 0;  // cut at the object's end
};

// Hears of every object that this store has made durable, after it is, on the putting thread.
class ObjectListener {
 public:
  virtual ~ObjectListener() = default;
  virtual void OnObjectCreated(const ObjectMeta& object) = 0;
  virtual void OnObjectDeleted(std::string_view key) = 0;
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // Atomic: a reader sees the old object, none, or the new one whole. Durable on return.
  virtual Result<ObjectMeta> Put(std::string_view key, std::string_view bytes,
                                 const PutOptions& options) = 0;
  // A file of this machine becomes the object: Put, without its bytes being held in memory or
  // copied where the store can do without. The file is gone once that is done; after an error it
  // may still be there.
  virtual Result<ObjectMeta> PutFile(std::string_view key, const std::string& path,
                                     const PutOptions& options);
  virtual Result<std::string> Get(std::string_view key,
                                  std::optional<ByteRange> range = std::nullopt) = 0;
  virtual Result<ObjectMeta> Head(std::string_view key) = 0;
  // objects_max: 1 to 1,000.
  virtual Result<ListPage> List(std::string_view prefix, std::string_view start_after,
                                size_t objects_max) = 0;
  virtual Status Delete(std::string_view key) = 0;  // of an absent key: done

  // Where DuckDB can open the object itself; nothing where it must be fetched.
  virtual std::optional<std::string> LocalPath(std::string_view key) const = 0;

  // Before the first Put; the listener outlives the store.
  virtual void SetListener(ObjectListener* listener) = 0;
};

// The ETag of a file that another program has put into a local store's directory: made of its size
// and time of change, so the same bytes that are put again have another one.
inline constexpr std::string_view kForeignEtag = "f-";
inline bool IsForeignEtag(std::string_view etag) { return etag.starts_with(kForeignEtag); }

// kInvalid, code INVALID_PATH: empty, too long, not UTF-8, leading or trailing '/', an empty, "."
// or ".." segment, a control character, a backslash, or the reserved first segment ".varve".
Status CheckKey(std::string_view key);

// The rest of what every store checks before it acts, and says alike.
inline constexpr size_t kListObjectsMax = 1000;
Status CheckPutOptions(const PutOptions& options);  // kInvalid: sizes, control characters
Status CheckListSize(size_t objects_max);
Error NoSuchObject(std::string_view key);                              // NO_SUCH_OBJECT
Error PreconditionFailed(std::string_view key, std::string_view why);  // PRECONDITION_FAILED

// Every object under the prefix, page by page.
Result<std::vector<ObjectMeta>> ListAll(ObjectStore& store, std::string_view prefix);
// The first parts, up to a '/', of what is under the prefix, in order: one look at each.
Result<std::vector<std::string>> ListFolders(ObjectStore& store, std::string_view prefix);

}  // namespace varve::store

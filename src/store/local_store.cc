#include "store/local_store.h"

#include <array>
#include <functional>
#include <mutex>

#include "store/file_io.h"
#include "store/local_listing.h"
#include "store/object_files.h"

namespace varve::store {
namespace {

constexpr size_t kSegmentBytesMax = 255;  // a file name's bound on Linux
constexpr size_t kStripes = 64;

Status CheckLocalKey(std::string_view key) {
  TRY(CheckKey(key));
  for (size_t begin = 0; begin < key.size();) {
    const size_t slash = std::min(key.find('/', begin), key.size());
    if (slash - begin > kSegmentBytesMax) {
      return MakeError(ErrorKind::kInvalid, "INVALID_PATH",
                       "the object key contains a segment longer than 255 bytes");
    }
    begin = slash + 1;
  }
  return {};
}

class LocalStore : public ObjectStore {
 public:
  LocalStore(std::unique_ptr<ObjectFiles> files, bool read_only, const Clock& clock)
      : files_(std::move(files)), directories_(files_->root(), clock), read_only_(read_only) {}

  Result<ObjectMeta> Put(std::string_view key, std::string_view bytes,
                         const PutOptions& options) override;
  Result<ObjectMeta> PutFile(std::string_view key, const std::string& path,
                             const PutOptions& options) override;
  Result<std::string> Get(std::string_view key, std::optional<ByteRange> range) override;
  Result<ObjectMeta> Head(std::string_view key) override;
  Result<ListPage> List(std::string_view prefix, std::string_view start_after,
                        size_t objects_max) override;
  Status Delete(std::string_view key) override;
  std::optional<std::string> LocalPath(std::string_view key) const override;
  void SetListener(ObjectListener* listener) override { listener_ = listener; }

 private:
  // What a put replaces: the sidecar of the object that is there. Under the key's lock.
  Result<std::string> CheckPrecondition(std::string_view key, const PutOptions& options) const;
  Status Replace(ObjectFiles::Draft& draft, const PutOptions& options);
  Status CheckPut(std::string_view key, const PutOptions& options);
  Result<ObjectMeta> Finish(ObjectFiles::Draft draft, const PutOptions& options);
  std::mutex& StripeOf(std::string_view key) {
    return stripes_[std::hash<std::string_view>()(key) % kStripes];
  }

  Status CheckWritable() const;

  const std::unique_ptr<ObjectFiles> files_;
  DirectoryReader directories_;
  const bool read_only_;
  ObjectListener* listener_ = nullptr;
  // Changes to one key follow one another until they are durable, so that nobody is told "it
  // exists" about an object that a power cut would still take back.
  std::array<std::mutex, kStripes> stripes_;
};

Result<std::string> LocalStore::CheckPrecondition(std::string_view key,
                                                  const PutOptions& options) const {
  auto found = files_->Find(key);
  if (!found.ok() && found.error().kind != ErrorKind::kNotFound) return std::move(found).error();
  switch (options.precondition) {
    case Precondition::kNone:
      break;
    case Precondition::kIfAbsent:
      if (found.ok()) return PreconditionFailed(key, "the object exists");
      break;
    case Precondition::kIfMatch:
      if (!found.ok()) return PreconditionFailed(key, "the object does not exist");
      if (found->meta.etag != options.if_match_etag) {
        return PreconditionFailed(key, "the object has changed");
      }
      break;
  }
  return found.ok() ? std::move(found->sidecar) : std::string();
}

Status LocalStore::Replace(ObjectFiles::Draft& draft, const PutOptions& options) {
  const std::lock_guard lock(StripeOf(draft.meta.key));
  const std::string old_sidecar = TRY(CheckPrecondition(draft.meta.key, options));
  TRY(files_->Publish(draft, options.precondition == Precondition::kIfAbsent));
  if (!old_sidecar.empty()) files_->RemoveSidecar(old_sidecar);
  return {};
}

Status LocalStore::CheckWritable() const {
  if (!read_only_) return {};
  return MakeError(ErrorKind::kInvalid, "READ_ONLY", "the store is open to be read only");
}

Status LocalStore::CheckPut(std::string_view key, const PutOptions& options) {
  TRY(CheckWritable());
  TRY(CheckLocalKey(key));
  TRY(CheckPutOptions(options));
  if (options.precondition == Precondition::kNone) return {};
  const std::lock_guard lock(StripeOf(key));  // before the bytes are written for nothing
  TRY(CheckPrecondition(key, options));
  return {};
}

Result<ObjectMeta> LocalStore::Put(std::string_view key, std::string_view bytes,
                                   const PutOptions& options) {
  TRY(CheckPut(key, options));
  return Finish(TRY(files_->Write(key, bytes, options)), options);
}

Result<ObjectMeta> LocalStore::PutFile(std::string_view key, const std::string& path,
                                       const PutOptions& options) {
  TRY(CheckPut(key, options));
  std::optional<ObjectFiles::Draft> draft = TRY(files_->Adopt(key, path, options));
  if (!draft) return ObjectStore::PutFile(key, path, options);
  return Finish(std::move(*draft), options);
}

Result<ObjectMeta> LocalStore::Finish(ObjectFiles::Draft draft, const PutOptions& options) {
  if (Status replaced = Replace(draft, options); !replaced.ok()) {
    files_->Discard(draft);
    return std::move(replaced).error();
  }
  if (listener_ != nullptr) listener_->OnObjectCreated(draft.meta);
  return std::move(draft.meta);
}

Result<std::string> LocalStore::Get(std::string_view key, std::optional<ByteRange> range) {
  TRY(CheckLocalKey(key));
  const ObjectFiles::Found found = TRY(files_->Find(key));
  const uint64_t whole = found.meta.size;
  const uint64_t offset = range ? std::min(range->offset, whole) : 0;
  const uint64_t size = range ? std::min(range->size, whole - offset) : whole;
  return ReadExactly(found.file.get(), offset, size, "get '" + std::string(key) + "'");
}

Result<ObjectMeta> LocalStore::Head(std::string_view key) {
  TRY(CheckLocalKey(key));
  return std::move(TRY(files_->Find(key)).meta);
}

Result<ListPage> LocalStore::List(std::string_view prefix, std::string_view start_after,
                                  size_t objects_max) {
  TRY(CheckListSize(objects_max));
  ListPage page;
  std::string after(start_after);
  do {  // again only where everything on a page was deleted while it was read
    LocalListing listing(directories_, prefix, after);
    std::vector<std::string> keys = TRY(listing.Keys(objects_max + 1));
    const bool more = keys.size() > objects_max;
    if (more) keys.pop_back();
    for (const std::string& key : keys) {
      auto found = files_->Find(key);
      if (found.ok()) {
        found->meta.metadata.clear();
        page.objects.push_back(std::move(found->meta));
      } else if (found.error().kind != ErrorKind::kNotFound) {
        return std::move(found).error();
      }
    }
    page.next_start_after = more ? keys.back() : std::string();
    after = page.next_start_after;
  } while (page.objects.empty() && !after.empty());
  return page;
}

Status LocalStore::Delete(std::string_view key) {
  TRY(CheckWritable());
  TRY(CheckLocalKey(key));
  {
    const std::lock_guard lock(StripeOf(key));
    if (!TRY(files_->Remove(key))) return {};
  }
  if (listener_ != nullptr) listener_->OnObjectDeleted(key);
  return {};
}

std::optional<std::string> LocalStore::LocalPath(std::string_view key) const {
  if (!CheckLocalKey(key).ok()) return std::nullopt;
  return files_->root().path() + "/" + std::string(key);
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> OpenLocalStore(LocalStoreOptions options, const Clock& clock) {
  auto files = ObjectFiles::Open(options, clock);
  if (!files.ok()) {
    return std::move(files).error().Context("open the store's directory " + options.root);
  }
  return std::unique_ptr<ObjectStore>(
      std::make_unique<LocalStore>(std::move(files).value(), options.read_only, clock));
}

}  // namespace varve::store

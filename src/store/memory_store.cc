#include "store/memory_store.h"

#include <algorithm>

#include "core/bytes.h"

namespace varve::store {

Status MemoryStore::CheckPrecondition(std::string_view key, const PutOptions& options) const {
  const auto found = objects_.find(key);
  const bool there = found != objects_.end();
  switch (options.precondition) {
    case Precondition::kNone:
      break;
    case Precondition::kIfAbsent:
      if (there) return PreconditionFailed(key, "the object exists");
      break;
    case Precondition::kIfMatch:
      if (!there) return PreconditionFailed(key, "the object does not exist");
      if (found->second.meta.etag != options.if_match_etag) {
        return PreconditionFailed(key, "the object has changed");
      }
      break;
  }
  return {};
}

Result<ObjectMeta> MemoryStore::Put(std::string_view key, std::string_view bytes,
                                    const PutOptions& options) {
  TRY(CheckKey(key));
  TRY(CheckPutOptions(options));
  ObjectMeta meta;
  meta.key = key;
  meta.size = bytes.size();
  meta.etag = Md5Hex(bytes);
  meta.content_type = options.content_type;
  meta.metadata = options.metadata;
  auto copy = std::make_shared<const std::string>(bytes);
  {
    const std::lock_guard lock(mutex_);
    TRY(CheckPrecondition(key, options));
    meta.modified_ms = clock_.NowMs();
    objects_.insert_or_assign(std::string(key), Object{meta, std::move(copy)});
  }
  if (listener_ != nullptr) listener_->OnObjectCreated(meta);
  return meta;
}

Result<std::string> MemoryStore::Get(std::string_view key, std::optional<ByteRange> range) {
  TRY(CheckKey(key));
  std::shared_ptr<const std::string> bytes;
  {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(key);
    if (found == objects_.end()) return NoSuchObject(key);
    bytes = found->second.bytes;
  }
  if (!range) return *bytes;
  return bytes->substr(std::min<uint64_t>(range->offset, bytes->size()), range->size);
}

Result<ObjectMeta> MemoryStore::Head(std::string_view key) {
  TRY(CheckKey(key));
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(key);
  if (found == objects_.end()) return NoSuchObject(key);
  return found->second.meta;
}

Result<ListPage> MemoryStore::List(std::string_view prefix, std::string_view start_after,
                                   size_t objects_max) {
  TRY(CheckListSize(objects_max));
  ListPage page;
  const std::lock_guard lock(mutex_);
  auto it =
      start_after >= prefix ? objects_.upper_bound(start_after) : objects_.lower_bound(prefix);
  for (; it != objects_.end() && it->first.starts_with(prefix); ++it) {
    if (page.objects.size() == objects_max) {
      page.next_start_after = page.objects.back().key;
      break;
    }
    page.objects.push_back(it->second.meta);
    page.objects.back().metadata.clear();
  }
  return page;
}

Status MemoryStore::Delete(std::string_view key) {
  TRY(CheckKey(key));
  {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(key);
    if (found == objects_.end()) return {};
    objects_.erase(found);
  }
  if (listener_ != nullptr) listener_->OnObjectDeleted(key);
  return {};
}

}  // namespace varve::store

// An object-created or -deleted notification, whoever sent it: R2 (`action`), the older form with
// `eventType`, and S3 records as AWS, MinIO, Versity and Ceph write them (an object with `Records`
// or a bare array). The shapes differ in small ways that are all accepted: quoted ETags, sizes as
// strings, `s3:` in front of event names, any UTC offset, escaped or plain keys, and all of it in a
// string, as it is or in base64.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "store/object_store.h"

namespace varve::notify {

inline constexpr size_t kNotificationBytesMax = 256 * 1024;
inline constexpr size_t kRecordsMax = 100;

enum class NotificationKind : uint8_t {
  kCreated,
  kDeleted,
  kIgnored,  // known to be neither: tagging, retention, access, restore
};

struct Notification {
  std::string bucket;
  std::string key;  // as sent
  // The key with percent and plus decoded, where that differs: S3 records carry either, by sender.
  // Whoever reads the object tries `key` first, then this. Empty: only `key`.
  std::string decoded_key;
  std::optional<uint64_t> size;  // absent in deletes
  std::string etag;              // without quotes; may be empty
  int64_t event_time_ms = 0;     // a hint, never an order; 0: not given
  NotificationKind kind = NotificationKind::kIgnored;
};

// All notifications in a message; none for a store's test event. kInvalid, NOT_A_NOTIFICATION,
// when it is no dialect that we know.
Result<std::vector<Notification>> ParseNotifications(std::string_view json);

// R2's exact message. `action` is PutObject, CopyObject, … ; size and eTag are left out of deletes.
std::string WriteCreated(std::string_view account, std::string_view bucket, std::string_view action,
                         const store::ObjectMeta& object, int64_t event_time_ms);
std::string WriteDeleted(std::string_view account, std::string_view bucket, std::string_view action,
                         std::string_view key, int64_t event_time_ms);

}  // namespace varve::notify

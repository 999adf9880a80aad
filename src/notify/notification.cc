#include "notify/notification.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/bytes.h"
#include "core/clock.h"

namespace varve::notify {
namespace {

using Json = nlohmann::json;

Error NotANotification(std::string_view why) {
  return MakeError(ErrorKind::kInvalid, "NOT_A_NOTIFICATION",
                   "not an object notification: " + std::string(why));
}

const Json* Member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string Text(const Json& object, const char* name) {
  const Json* member = Member(object, name);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

std::optional<uint64_t> Size(const Json& object) {
  const Json* size = Member(object, "size");
  if (size == nullptr) return std::nullopt;
  if (size->is_number_unsigned()) return size->get<uint64_t>();
  if (!size->is_string()) return std::nullopt;
  const std::string text = size->get<std::string>();
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string Etag(const Json& object) {
  std::string etag = Text(object, "eTag");
  if (etag.empty()) etag = Text(object, "etag");
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return etag;
}

int64_t EventTime(const Json& record) {
  const auto ms = ParseIso(Text(record, "eventTime"));
  return ms.ok() ? *ms : 0;
}

std::string FormDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size()) {
      const auto byte = HexDecode(text.substr(i + 1, 2));
      if (!byte) return std::string(text);
      out += *byte;
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<NotificationKind> KindOfAction(std::string_view action) {
  for (const char* created :
       {"PutObject", "CopyObject", "CompleteMultipartUpload", "object-create"}) {
    if (action == created) return NotificationKind::kCreated;
  }
  for (const char* deleted : {"DeleteObject", "LifecycleDeletion", "object-delete"}) {
    if (action == deleted) return NotificationKind::kDeleted;
  }
  return std::nullopt;
}

NotificationKind KindOfEventName(std::string_view name) {
  if (name.starts_with("s3:")) name.remove_prefix(3);
  if (name.starts_with("ObjectCreated:")) {
    // Not new bytes under a key, although the name says so.
    for (const char* other : {"PutTagging", "DeleteTagging", "PutRetention", "PutLegalHold"}) {
      if (name.substr(14) == other) return NotificationKind::kIgnored;
    }
    return NotificationKind::kCreated;
  }
  if (name.starts_with("ObjectRemoved:") || name.starts_with("LifecycleExpiration:") ||
      name.starts_with("LifecycleDelMarkerExpiration:")) {
    return NotificationKind::kDeleted;
  }
  return NotificationKind::kIgnored;
}

Result<Notification> ParseR2(const Json& json) {
  const std::string action =
      Member(json, "action") != nullptr ? Text(json, "action") : Text(json, "eventType");
  const Json* object = Member(json, "object");
  Notification notification;
  notification.bucket = Text(json, "bucket");
  if (object != nullptr) notification.key = Text(*object, "key");
  if (notification.key.empty()) return NotANotification("object.key is missing");
  const auto kind = KindOfAction(action);
  if (!kind) return NotANotification("unknown action \"" + action.substr(0, 64) + "\"");
  notification.kind = *kind;
  notification.size = Size(*object);
  notification.etag = Etag(*object);
  notification.event_time_ms = EventTime(json);
  return notification;
}

Result<Notification> ParseRecord(const Json& record) {
  const Json* s3 = Member(record, "s3");
  const Json* object = s3 == nullptr ? nullptr : Member(*s3, "object");
  if (object == nullptr) return NotANotification("a record without s3.object");
  Notification notification;
  notification.key = Text(*object, "key");
  if (notification.key.empty()) return NotANotification("a record without s3.object.key");
  if (const Json* bucket = Member(*s3, "bucket")) notification.bucket = Text(*bucket, "name");
  notification.kind = KindOfEventName(Text(record, "eventName"));
  std::string decoded = FormDecode(notification.key);
  if (decoded != notification.key) notification.decoded_key = std::move(decoded);
  notification.size = Size(*object);
  notification.etag = Etag(*object);
  notification.event_time_ms = EventTime(record);
  return notification;
}

Result<std::vector<Notification>> ParseRecords(const Json& records) {
  if (!records.is_array()) return NotANotification("Records is not an array");
  if (records.size() > kRecordsMax) return NotANotification("more than 100 records");
  std::vector<Notification> notifications;
  for (const Json& record : records) notifications.push_back(TRY(ParseRecord(record)));
  return notifications;
}

// Some senders put a message's text into a string once more, or its base64.
Json Unwrapped(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_discarded()) return json;
  const auto bytes = Base64Decode(text);
  return bytes ? Json::parse(*bytes, nullptr, /*allow_exceptions=*/false) : json;
}

bool IsTestEvent(const Json& json) {
  return Text(json, "Event") == "s3:TestEvent" || Text(json, "eventName") == "s3:TestEvent";
}

std::string R2Message(std::string_view account, std::string_view bucket, std::string_view action,
                      const std::string& object, int64_t event_time_ms) {
  return R"({"account":)" + JsonQuote(account) + R"(,"action":)" + JsonQuote(action) +
         R"(,"bucket":)" + JsonQuote(bucket) + R"(,"object":{)" + object + R"(},"eventTime":)" +
         JsonQuote(FormatIso(event_time_ms)) + "}";
}

}  // namespace

Result<std::vector<Notification>> ParseNotifications(std::string_view text) {
  if (text.size() > kNotificationBytesMax) return NotANotification("more than 256 KiB");
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_string()) json = Unwrapped(json.get_ref<const std::string&>());
  if (json.is_discarded()) return NotANotification("not JSON");
  if (json.is_array()) return ParseRecords(json);
  if (!json.is_object()) return NotANotification("neither an object nor an array");
  if (IsTestEvent(json)) return std::vector<Notification>();
  if (const Json* records = Member(json, "Records")) {
    return records->is_null() ? std::vector<Notification>() : ParseRecords(*records);
  }
  if (Member(json, "object") == nullptr) return NotANotification("no dialect that we know");
  return std::vector<Notification>{TRY(ParseR2(json))};
}

std::string WriteCreated(std::string_view account, std::string_view bucket, std::string_view action,
                         const store::ObjectMeta& object, int64_t event_time_ms) {
  return R2Message(account, bucket, action,
                   R"("key":)" + JsonQuote(object.key) + R"(,"size":)" +
                       std::to_string(object.size) + R"(,"eTag":)" + JsonQuote(object.etag),
                   event_time_ms);
}

std::string WriteDeleted(std::string_view account, std::string_view bucket, std::string_view action,
                         std::string_view key, int64_t event_time_ms) {
  return R2Message(account, bucket, action, R"("key":)" + JsonQuote(key), event_time_ms);
}

}  // namespace varve::notify

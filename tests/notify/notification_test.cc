// Every dialect, as its sender writes it.
#include "notify/notification.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <nlohmann/json.hpp>

#include "core/bytes.h"
#include "core/clock.h"

namespace varve::notify {
namespace {

Notification One(std::string_view json) {
  auto parsed = ParseNotifications(json);
  EXPECT_TRUE(parsed.ok()) << json << (parsed.ok() ? "" : parsed.error().message);
  if (!parsed.ok() || parsed->size() != 1) {
    ADD_FAILURE() << "not one notification";
    return {};
  }
  return parsed->front();
}

TEST(ParseNotifications, R2WithAction) {
  const Notification n = One(
      R"({"account":"3f4b7e3dcab231cbfdaa90a6a28bd548","action":"CopyObject","bucket":"my-bucket",
          "object":{"key":"raw-events/a b+c%20.ndjson","size":65536,
                    "eTag":"c846ff7a18f28c2e262116d6e8719ef0"},
          "eventTime":"2024-05-24T19:36:44.379Z",
          "copySource":{"bucket":"my-bucket","object":"orig"}})");
  EXPECT_EQ(n.kind, NotificationKind::kCreated);
  EXPECT_EQ(n.bucket, "my-bucket");
  EXPECT_EQ(n.key, "raw-events/a b+c%20.ndjson");
  EXPECT_TRUE(n.decoded_key.empty());  // R2's keys are never escaped
  EXPECT_EQ(n.size, 65536u);
  EXPECT_EQ(n.etag, "c846ff7a18f28c2e262116d6e8719ef0");
  EXPECT_EQ(FormatIso(n.event_time_ms), "2024-05-24T19:36:44.379Z");
  const Notification gone = One(
      R"({"account":"a","action":"LifecycleDeletion","bucket":"b","object":{"key":"k"},
          "eventTime":"2024-05-24T19:36:44.379Z"})");
  EXPECT_EQ(gone.kind, NotificationKind::kDeleted);
  EXPECT_FALSE(gone.size.has_value());
}

TEST(ParseNotifications, TheOlderFormWithEventType) {
  const Notification n = One(
      R"({"account":"abc123","bucket":"parquedb-logs",
          "object":{"key":"raw-events/1704067200000-abc123-42.ndjson","size":4096,
                    "eTag":"\"abc123\""},
          "eventType":"object-create","eventTime":"2024-01-01T00:00:00Z"})");
  EXPECT_EQ(n.kind, NotificationKind::kCreated);
  EXPECT_EQ(n.etag, "abc123");
  EXPECT_EQ(n.event_time_ms, 1704067200000);
}

TEST(ParseNotifications, AwsRecordsWithEscapedKeys) {
  const Notification n = One(
      R"({"Records":[{"eventVersion":"2.6","eventSource":"aws:s3","awsRegion":"us-east-1",
          "eventTime":"2026-11-21T02:18:14.123Z","eventName":"ObjectCreated:Put",
          "s3":{"s3SchemaVersion":"1.0","configurationId":"c","bucket":{"name":"b",
          "ownerIdentity":{"principalId":"x"},"arn":"arn:aws:s3:::b"},
          "object":{"key":"raw-events/my+file%282%29.ndjson","size":1024,"eTag":"d41d8c",
          "versionId":"v","sequencer":"0A1B"}}}]})");
  EXPECT_EQ(n.key, "raw-events/my+file%282%29.ndjson");
  EXPECT_EQ(n.decoded_key, "raw-events/my file(2).ndjson");
  EXPECT_EQ(n.size, 1024u);
}

TEST(ParseNotifications, MinioWithItsEnvelope) {
  const Notification n = One(
      R"({"EventName":"s3:ObjectCreated:Put","Key":"b/raw-events/1-a-0.ndjson","Records":[
          {"eventVersion":"2.0","eventSource":"minio:s3","eventName":"s3:ObjectCreated:Put",
           "eventTime":"2026-11-21T02:18:14Z","s3":{"bucket":{"name":"b"},
           "object":{"key":"raw-events%2F1-a-0.ndjson","sequencer":"1"}}}]})");
  EXPECT_EQ(n.kind, NotificationKind::kCreated);
  EXPECT_EQ(n.decoded_key, "raw-events/1-a-0.ndjson");
  EXPECT_FALSE(n.size.has_value());
}

TEST(ParseNotifications, VersityNowAndBefore) {
  const std::string record =
      R"({"eventVersion":"2.2","eventSource":"aws:s3","eventName":"s3:ObjectCreated:Put",
          "eventTime":"2026-11-21T04:18:14+02:00","userIdentity":{"PrincipalId":"p"},
          "s3":{"configurationId":"nats-global","bucket":{"name":"bucket1",
          "arn":"arn:aws:s3:::/bucket1/raw-events/1-a-0.ndjson"},
          "object":{"key":"raw-events/1-a-0.ndjson","size":1,"eTag":"\"9dd4\"",
          "versionId":null,"sequencer":"1"}}})";
  for (const std::string& json : {"{\"Records\":[" + record + "]}", "[" + record + "]"}) {
    const Notification n = One(json);
    EXPECT_EQ(n.key, "raw-events/1-a-0.ndjson");
    EXPECT_TRUE(n.decoded_key.empty());
    EXPECT_EQ(n.etag, "9dd4");
    EXPECT_EQ(FormatIso(n.event_time_ms), "2026-11-21T02:18:14.000Z");
  }
}

TEST(ParseNotifications, CephWithASizeInAString) {
  const Notification n = One(
      R"({"Records":[{"eventVersion":"2.1","eventSource":"ceph:s3","eventName":"ObjectCreated:Put",
          "eventTime":"2019-11-22T13:47:35.124724Z","s3":{"bucket":{"name":"fish"},
          "object":{"key":"k","size":"1024","eTag":"37b5","sequencer":"F7E6"}}}]})");
  EXPECT_EQ(n.size, 1024u);
  EXPECT_EQ(FormatIso(n.event_time_ms), "2019-11-22T13:47:35.124Z");
}

TEST(ParseNotifications, TextInAStringAndItsBase64) {
  const std::string text = R"({"action":"PutObject","object":{"key":"k"}})";
  EXPECT_EQ(One(R"("{\"action\":\"PutObject\",\"object\":{\"key\":\"k\"}}")").key, "k");
  EXPECT_EQ(One('"' + Base64Encode(text) + '"').key, "k");
  EXPECT_FALSE(ParseNotifications(R"("\"k\"")").ok());
  EXPECT_FALSE(ParseNotifications(R"("neither")").ok());
}

TEST(ParseNotifications, TestEventsCarryNothing) {
  EXPECT_TRUE(ParseNotifications(R"({"Records":null})").value().empty());
  for (const char* json :
       {R"({"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"})",
        R"({"Service":"S3","Event":"s3:TestEvent","Time":"x","Bucket":"Test-Bucket"})"}) {
    EXPECT_TRUE(ParseNotifications(json).value().empty());
  }
}

TEST(ParseNotifications, EventNamesSayWhatHappened) {
  const auto kind = [](const std::string& name) {
    return One(R"([{"eventName":")" + name + R"(","s3":{"object":{"key":"k"}}}])").kind;
  };
  EXPECT_EQ(kind("ObjectCreated:CompleteMultipartUpload"), NotificationKind::kCreated);
  EXPECT_EQ(kind("s3:ObjectCreated:Copy"), NotificationKind::kCreated);
  for (const char* name : {"PutTagging", "DeleteTagging", "PutRetention", "PutLegalHold"}) {
    EXPECT_EQ(kind(std::string("s3:ObjectCreated:") + name), NotificationKind::kIgnored);
  }
  for (const char* name : {"ObjectRemoved:Delete", "s3:ObjectRemoved:DeleteMarkerCreated",
                           "s3:LifecycleDelMarkerExpiration:Delete"}) {
    EXPECT_EQ(kind(name), NotificationKind::kDeleted) << name;
  }
  EXPECT_EQ(kind("s3:ObjectAccessed:Get"), NotificationKind::kIgnored);
}

TEST(ParseNotifications, RefusesWhatIsNoNotification) {
  const std::string many = "[" + [] {
    std::string records;
    for (int i = 0; i < 101; ++i)
      records += std::string(i ? "," : "") +
                 R"({"eventName":"ObjectCreated:Put","s3":{"object":{"key":"k"}}})";
    return records;
  }() + "]";
  for (const std::string& json : std::vector<std::string>{
           "", "{}", "null", "7", "{\"a\":", "[1]", "[{}]", R"({"Records":7})",
           R"({"Records":[{"s3":[]}]})", R"({"object":[]})", R"({"object":{"key":7}})",
           R"({"action":"Explode","object":{"key":"k"}})", R"({"object":{"key":"k"}})",
           R"({"action":7,"object":{"key":"k"}})", std::string(100'000, '['), many}) {
    const auto parsed = ParseNotifications(json);
    ASSERT_FALSE(parsed.ok()) << json.substr(0, 80);
    EXPECT_EQ(parsed.error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(parsed.error().code, "NOT_A_NOTIFICATION");
  }
}

TEST(ParseNotifications, AnyByteOfAMessageMayBeWrong) {
  store::ObjectMeta object;
  object.key = "k";
  const std::string good = WriteCreated("a", "b", "PutObject", object, 0);
  EXPECT_TRUE(rc::check("no change of a byte crashes the parser", [&] {
    std::string text = good;
    text[*rc::gen::inRange<size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
    (void)ParseNotifications(text);
    (void)ParseNotifications(text.substr(0, *rc::gen::inRange<size_t>(0, text.size())));
  }));
}

TEST(WriteNotification, HasExactlyTheFieldsOfR2) {
  store::ObjectMeta object;
  object.key = "raw-events/\"q\"-é.ndjson";
  object.size = 65536;
  object.etag = "c846ff7a18f28c2e262116d6e8719ef0";
  const auto json = nlohmann::ordered_json::parse(
      WriteCreated("acc", "my-bucket", "PutObject", object, 1716579404379));
  EXPECT_EQ(json.dump(),
            R"({"account":"acc","action":"PutObject","bucket":"my-bucket","object":{"key":)"
            R"("raw-events/\"q\"-é.ndjson","size":65536,"eTag":)"
            R"("c846ff7a18f28c2e262116d6e8719ef0"},"eventTime":"2024-05-24T19:36:44.379Z"})");
  EXPECT_EQ(WriteDeleted("acc", "b", "DeleteObject", "k", 0),
            R"({"account":"acc","action":"DeleteObject","bucket":"b","object":{"key":"k"},)"
            R"("eventTime":"1970-01-01T00:00:00.000Z"})");
}

TEST(WriteNotification, IsReadBackAsItWas) {
  EXPECT_TRUE(rc::check("write, then parse", [] {
    store::ObjectMeta object;
    object.key = "k" + *rc::gen::string<std::string>();
    for (char& c : object.key) c = static_cast<char>(c & 0x7f);
    object.size = *rc::gen::arbitrary<uint64_t>();
    object.etag = "e";
    const Notification n = One(WriteCreated("a", "b", "PutObject", object, 1'000));
    RC_ASSERT(n.key == object.key);
    RC_ASSERT(n.size == object.size);
    RC_ASSERT(n.event_time_ms == 1'000);
    RC_ASSERT(n.kind == NotificationKind::kCreated);
  }));
}

}  // namespace
}  // namespace varve::notify

// The vendor's shapes, field by field.
#include "queue/pull_api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/bytes.h"
#include "core/clock.h"
#include "queue/sqlite_queue.h"

namespace varve::queue {
namespace {

using Json = nlohmann::json;

class PullApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    QueueConfig config;
    config.name = "q";
    config.dead_letter_queue = "dead";
    ASSERT_TRUE(queue_->Declare(config).ok());
  }

  using Handler = Result<std::string> (*)(Queue&, std::string_view, std::string_view);
  Json Call(Handler handler, std::string_view body) {
    const auto reply = handler(*queue_, "q", body);
    if (!reply.ok()) {
      ADD_FAILURE() << reply.error().message;
      return Json::object();
    }
    const Json json = Json::parse(*reply);
    EXPECT_EQ(json["success"], true);
    EXPECT_EQ(json["errors"], Json::array());
    EXPECT_EQ(json["messages"], Json::array());
    return json["result"];
  }

  ManualClock clock_{1'689'615'013'586};
  std::unique_ptr<Random> random_ = SeededRandom(3);
  std::unique_ptr<state::Database> database_ = state::Database::Open(":memory:").value();
  std::unique_ptr<SqliteQueue> queue_ = SqliteQueue::Open(*database_, clock_, *random_).value();
};

TEST_F(PullApiTest, PullGivesWhatPushTook) {
  Call(HandlePush, R"({"body":{"a":[1,null,"é"]},"content_type":"json"})");
  Call(HandlePush, R"({"body":"plain","content_type":"text"})");
  Call(HandlePush, R"({"body":"AAH/","content_type":"bytes"})");
  const Json result = Call(HandlePull, "{}");
  EXPECT_EQ(result["message_backlog_count"], 3);
  EXPECT_EQ(result["metadata"]["metrics"]["backlog_count"], 3);
  EXPECT_EQ(result["metadata"]["metrics"]["oldest_message_timestamp_ms"], 1'689'615'013'586);
  const Json& messages = result["messages"];
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0]["body"], R"({"a":[1,null,"é"]})");
  EXPECT_EQ(messages[0]["timestamp_ms"], 1'689'615'013'586);
  EXPECT_EQ(messages[0]["attempts"], 1);
  EXPECT_EQ(messages[0]["metadata"]["CF-Content-Type"], "json");
  EXPECT_TRUE(messages[0]["lease_id"].is_string());
  EXPECT_EQ(messages[1]["body"], "plain");
  EXPECT_EQ(messages[2]["body"], "AAH/");
  EXPECT_EQ(queue_->Peek("q", 10).value().at(2).body, std::string("\0\1\xff", 3));
}

TEST_F(PullApiTest, OneCallAcksAndRetriesAndWarnsOfOldLeases) {
  Call(HandleBatch, R"({"messages":[{"body":"a"},{"body":"b"}],"delay_seconds":0})");
  const Json messages =
      Call(HandlePull, R"({"batch_size":10,"visibility_timeout_ms":6000})")["messages"];
  const Json request = {
      {"acks", {{{"lease_id", messages[0]["lease_id"]}}, {{"lease_id", "gone"}}}},
      {"retries", {{{"lease_id", messages[1]["lease_id"]}, {"delay_seconds", 600}}}}};
  const Json result = Call(HandleAck, request.dump());
  EXPECT_EQ(result["ackCount"], 1);
  EXPECT_EQ(result["retryCount"], 1);
  EXPECT_TRUE(result["warnings"].contains("gone"));
  clock_.AdvanceMs(599'999);
  EXPECT_TRUE(Call(HandlePull, "")["messages"].empty());
  clock_.AdvanceMs(1);
  EXPECT_EQ(Call(HandlePull, "")["messages"][0]["attempts"], 2);
}

TEST_F(PullApiTest, PeekGivesRefsThatPurgeTakes) {
  Call(HandlePush, R"({"body":"a"})");
  const Json peeked = Call(HandlePeek, R"({"batch_size":5})")["messages"];
  ASSERT_EQ(peeked.size(), 1u);
  EXPECT_FALSE(peeked[0].contains("lease_id"));
  EXPECT_EQ(peeked[0]["attempts"], 0);
  const Json request = {{"refs", {{{"ref", peeked[0]["ref"]}}}}};
  EXPECT_EQ(Call(HandlePurge, request.dump())["purgeCount"], 1);
  EXPECT_TRUE(Call(HandlePeek, "")["messages"].empty());
  Call(HandlePush, R"({"body":"b"})");
  EXPECT_EQ(Call(HandlePurge, R"({"all":true})")["purgeCount"], 1);
}

TEST_F(PullApiTest, DeadLettersSayWhereTheyCameFromAndWhy) {
  Call(HandlePush, R"({"body":"a"})");
  const auto message = queue_->Receive("q", 1, 1'000).value().at(0);
  queue_->Settle("q", {}, {{message.lease_id, "bad header", -1, true}}).value();
  const Json reply = Json::parse(HandlePeek(*queue_, "dead", "{}").value());
  const Json& metadata = reply["result"]["messages"][0]["metadata"];
  EXPECT_EQ(metadata["dead_letter_source"], "q");
  EXPECT_EQ(metadata["dead_letter_reason"], "bad header");
}

TEST_F(PullApiTest, AFieldOfTheWrongTypeIsInvalidForEveryCall) {
  const std::pair<Handler, const char*> cases[] = {
      {HandlePull, R"({"batch_size":"5"})"},
      {HandlePull, R"({"batch_size":0})"},
      {HandlePull, R"({"batch_size":101})"},
      {HandlePull, R"({"batch_size":1.5})"},
      {HandlePull, R"({"visibility_timeout_ms":43200001})"},
      {HandlePull, R"({"visibility_timeout_ms":-1})"},
      {HandlePull, R"({"visibility_timeout_ms":1e999})"},
      {HandlePull, "[]"},
      {HandlePull, "{"},
      {HandlePull, "nonsense"},
      {HandleAck, R"({"acks":{}})"},
      {HandleAck, R"({"acks":["x"]})"},
      {HandleAck, R"({"acks":[{"lease_id":1}]})"},
      {HandleAck, R"({"retries":[{"lease_id":"x","delay_seconds":43201}]})"},
      {HandlePush, "{}"},
      {HandlePush, R"({"body":1,"content_type":"text"})"},
      {HandlePush, R"({"body":"!","content_type":"bytes"})"},
      {HandlePush, R"({"body":1,"content_type":"v8"})"},
      {HandlePush, R"({"body":1,"content_type":7})"},
      {HandleBatch, "{}"},
      {HandleBatch, R"({"messages":[{"body":1},{}]})"},
      {HandlePurge, "{}"},
      {HandlePurge, R"({"refs":[{"ref":[]}]})"},
  };
  for (const auto& [handler, body] : cases) {
    const auto reply = handler(*queue_, "q", body);
    ASSERT_FALSE(reply.ok()) << body;
    EXPECT_EQ(reply.error().kind, ErrorKind::kInvalid) << body;
  }
  EXPECT_EQ(queue_->Stats("q").value().sent, 0u);
}

TEST_F(PullApiTest, DeepNestingIsRefusedBeforeItIsWrittenBack) {
  const std::string deep =
      R"({"body":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_EQ(HandlePush(*queue_, "q", deep).error().kind, ErrorKind::kInvalid);
  const std::string brackets = R"({"body":"\")" + std::string(1'000, '[') + "\"}";
  EXPECT_TRUE(HandlePush(*queue_, "q", brackets).ok());
}

TEST_F(PullApiTest, AnErrorHasTheSameEnvelope) {
  const auto reply = HandlePull(*queue_, "nowhere", "{}");
  ASSERT_FALSE(reply.ok());
  const Json json = Json::parse(PullErrorBody(reply.error()));
  EXPECT_EQ(json["success"], false);
  EXPECT_EQ(json["errors"][0]["code"], "QUEUE_NOT_FOUND");
  EXPECT_TRUE(json["result"].is_null());
}

}  // namespace
}  // namespace varve::queue

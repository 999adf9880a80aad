#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "record/event.h"
#include "text_helpers.h"

namespace varve::record {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kNow = 1'700'000'000'000;

class EventParserTest : public ::testing::Test {
 protected:
  Status Parse(std::string body, BodyFormat format = BodyFormat::kJson) {
    body_ = std::move(body);
    return parser_.Parse(body_, format, kNow, limits_, &batch_);
  }
  Status ParseLines(std::string body) { return Parse(std::move(body), BodyFormat::kNdjson); }
  std::vector<std::string> Slices() const {
    std::vector<std::string> out;
    for (const EventRef& ref : batch_.events) out.push_back(body_.substr(ref.offset, ref.size));
    return out;
  }
  // "index value" of each.
  std::vector<std::string> Ids() const {
    std::vector<std::string> out;
    for (const EventIdRef& id : batch_.ids) {
      out.push_back(std::to_string(id.event) + " " + body_.substr(id.offset, id.size));
    }
    return out;
  }
  std::string CodeOf(std::string body, BodyFormat format = BodyFormat::kJson) {
    const Status status = Parse(std::move(body), format);
    return status.ok() ? "" : status.error().code;
  }
  // The time that a ts, as written in JSON, gives; -1: refused.
  int64_t TimeOf(const std::string& ts) {
    const Status status = Parse(R"([{"type":"a","ts":)" + ts + "}]");
    if (!status.ok()) {
      EXPECT_EQ(status.error().code, "INVALID_EVENT") << ts;
      return -1;
    }
    return batch_.events[0].ts_ms;
  }

  BatchParser parser_;
  EventLimits limits_;
  EventBatch batch_;
  std::string body_;
};

TEST_F(EventParserTest, TakesABatchAnArrayAndOneEvent) {
  ASSERT_TRUE(Parse(R"({"x":[{}],"events":[{"type":"a"}, {"type":"b" }],"batchId":"k"})").ok());
  EXPECT_THAT(Slices(), ElementsAre(R"({"type":"a"})", R"({"type":"b" })"));
  EXPECT_EQ(batch_.batch_id, "k");
  ASSERT_TRUE(Parse(R"({"batchId":"k\u0041","events":[]})").ok());
  EXPECT_THAT(Slices(), IsEmpty());
  EXPECT_EQ(batch_.batch_id, "kA");
  ASSERT_TRUE(Parse(R"( [ {"type":"a"} ] )").ok());
  EXPECT_THAT(Slices(), ElementsAre(R"({"type":"a"})"));
  EXPECT_EQ(batch_.batch_id, "");
  ASSERT_TRUE(Parse("\xEF\xBB\xBF{\"type\":\"a\",\"n\":{\"type\":1}}\n").ok());
  EXPECT_THAT(Slices(), ElementsAre(R"({"type":"a","n":{"type":1}})"));
}

TEST_F(EventParserTest, TakesTheEscapesOutOfANameOnce) {
  EXPECT_EQ(CodeOf(R"({"typ\u0065":"a"})"), "");
  for (const BodyFormat format : {BodyFormat::kJson, BodyFormat::kNdjson}) {
    EXPECT_NE(CodeOf(R"({"ty\\pe":"a"})", format), "");
    EXPECT_NE(CodeOf(R"({"t\\u0079pe":"a"})", format), "");
  }
}

TEST_F(EventParserTest, NamesWhatIsNoBatch) {
  for (const char* body : {"{}", "7", "\"x\"", "null", R"({"events":{}})", R"({"events":null})",
                           R"({"events":[],"batchId":7})"}) {
    EXPECT_EQ(CodeOf(body), "INVALID_BATCH") << body;
  }
  EXPECT_EQ(CodeOf(R"({"events":[],"batchId":")" + std::string(257, 'x') + "\"}"), "INVALID_BATCH");
  EXPECT_EQ(CodeOf(R"({"events":[],"batchId":")" + std::string(256, 'x') + "\"}"), "");
}

TEST_F(EventParserTest, RefusesWhatIsNoJsonWhole) {
  for (const char* body :
       {"", " ", "{", "[", R"([{"type":"a"})", R"([{"type":"a"},])", R"([{"type":"a"}]])",
        R"([{"type":"a",}])", R"([{"type":"a","x":01}])", R"([{"type":"a","x":tru}])",
        R"([{"type":"a","x":"\q"}])", R"([{"type":"a" "x":1}])", R"([{"type":"a",,"x":1}])",
        "[{\"type\":\"a\",\"x\":\"\xFF\"}]", "[{\"type\":\"a\",\"x\":\"\n\"}]",
        R"([{"type":"a"}] x)", R"([{"type":"a","x":"abc]})"}) {
    EXPECT_EQ(CodeOf(body), "INVALID_JSON") << body;
    EXPECT_THAT(batch_.events, IsEmpty());
  }
  const Status status = Parse(R"([{"type":"a","x":01}])");
  EXPECT_EQ(status.error().details_json, R"({"offset":17})");
}

TEST_F(EventParserTest, BoundsDepthAndCount) {
  auto nested = [](size_t depth) {
    return R"([{"type":"a","x":)" + std::string(depth, '[') + std::string(depth, ']') + "}]";
  };
  EXPECT_EQ(CodeOf(nested(63)), "");
  EXPECT_EQ(CodeOf(nested(1000)), "INVALID_JSON");
  limits_.events_max = 3;
  EXPECT_EQ(CodeOf(R"([{"type":"a"},{"type":"a"},{"type":"a"}])"), "");
  const Status status = Parse(R"([{"type":"a"},{"type":"a"},{"type":"a"},{"type":"a"}])");
  EXPECT_EQ(status.error().code, "INVALID_BATCH");
  EXPECT_EQ(status.error().details_json, R"({"limit":3,"received":4})");
}

TEST_F(EventParserTest, NamesBadEventsByIndexAtMostTen) {
  const Status status = Parse(R"([{"type":"a"},{},7,{"type":"a b"},{"type":5},{"type":""}])");
  EXPECT_EQ(status.error().code, "INVALID_EVENT");
  const auto details = nlohmann::json::parse(status.error().details_json);
  EXPECT_EQ(details["indices"], nlohmann::json({1, 2, 3, 4, 5}));
  EXPECT_EQ(details["reasons"],
            nlohmann::json({"type missing", "not an object", "type has a character it may not",
                            "type is not a string", "type is empty"}));
  std::string many = "[{}";
  for (int i = 0; i < 30; ++i) many += ",{}";
  const Status ten = Parse(many + "]");
  EXPECT_EQ(nlohmann::json::parse(ten.error().details_json)["indices"].size(), 10u);
}

TEST_F(EventParserTest, RefusesAnEventThatIsTooLarge) {
  const std::string large = R"({"type":"a","x":")" + std::string(11'000, 'x') + "\"}";
  const Status status = Parse(R"([{"type":"a"},)" + large + "]");
  EXPECT_EQ(status.error().code, "EVENT_TOO_LARGE");
  EXPECT_EQ(status.error().details_json, R"({"indices":[1],"maxSize":10240})");
}

TEST_F(EventParserTest, ChecksTheType) {
  EXPECT_EQ(CodeOf(R"([{"type":"aZ09._-"}])"), "");
  EXPECT_EQ(CodeOf(R"([{"type":"\u0061b"}])"), "");
  EXPECT_EQ(CodeOf(R"([{"t\u0079pe":"a"}])"), "");
  EXPECT_EQ(CodeOf(R"([{"type":"a\u0020b"}])"), "INVALID_EVENT");
  EXPECT_EQ(CodeOf(R"([{"type":")" + std::string(128, 'x') + "\"}]"), "");
  EXPECT_EQ(CodeOf(R"([{"type":")" + std::string(129, 'x') + "\"}]"), "INVALID_EVENT");
  EXPECT_EQ(CodeOf(R"([{"type":"a","type":7}])"), "") << "the first of two counts";
  EXPECT_EQ(CodeOf(R"([{"type":7,"type":"a"}])"), "INVALID_EVENT");
}

TEST_F(EventParserTest, ReadsEveryKindOfTime) {
  EXPECT_EQ(TimeOf("1431857103000"), 1'431'857'103'000);
  EXPECT_EQ(TimeOf("1431857103"), 1'431'857'103'000);
  EXPECT_EQ(TimeOf("1431857103.25"), 1'431'857'103'250);
  EXPECT_EQ(TimeOf("1.431857103e9"), 1'431'857'103'000);
  EXPECT_EQ(TimeOf(R"("2015-05-17T10:05:03.000Z")"), 1'431'857'103'000);
  EXPECT_EQ(TimeOf(R"("2015-05-17T12:05:03+02:00")"), 1'431'857'103'000);
  EXPECT_EQ(TimeOf(R"("1431857103000")"), 1'431'857'103'000);
  EXPECT_EQ(TimeOf("0"), 0);
  EXPECT_EQ(TimeOf("253402300799999"), 253'402'300'799'999);
  for (const char* bad : {"-1", "253402300800000", "1e300", "1e999", "null", "true", "{}", "[]",
                          "\"\"", "\"soon\"", "\"2015-13-01\"", "\"nan\"", "\"inf\"", "\"12x\""}) {
    EXPECT_EQ(TimeOf(bad), -1) << bad;
  }
}

TEST_F(EventParserTest, TakesTimestampForTsAndNowForNeither) {
  ASSERT_TRUE(Parse(R"([{"type":"a","timestamp":5000,"ts":1431857103000},
                        {"type":"a","timestamp":1431857104000},{"type":"a"},
                        {"type":"a","ts":1,"ts":2}])")
                  .ok());
  EXPECT_EQ(batch_.events[0].ts_ms, 1'431'857'103'000);
  EXPECT_EQ(batch_.events[1].ts_ms, 1'431'857'104'000);
  EXPECT_EQ(batch_.events[2].ts_ms, kNow);
  EXPECT_EQ(batch_.events[3].ts_ms, 1000);
}

TEST_F(EventParserTest, TakesLines) {
  ASSERT_TRUE(
      ParseLines("\xEF\xBB\xBF{\"type\":\"a\"}\r\n\n  \n {\"type\":\"b\"} \n{\"type\":\"c\"}")
          .ok());
  EXPECT_THAT(Slices(), ElementsAre(R"({"type":"a"})", R"({"type":"b"})", R"({"type":"c"})"));
  EXPECT_TRUE(ParseLines("").ok());
  EXPECT_TRUE(ParseLines("\n\n").ok());
  EXPECT_THAT(Slices(), IsEmpty());
}

TEST_F(EventParserTest, TellsWhereAnEventsOwnIdStands) {
  ASSERT_TRUE(Parse(R"({"id":"batch","events":[{"id":"a","type":"t"},{"type":"t"},)"
                    R"({"type":"t","n":{"id":"no"},"id": 17 }]})")
                  .ok());
  EXPECT_THAT(Ids(), ElementsAre(R"(0 "a")", "2 17"));
  ASSERT_TRUE(Parse(R"([{"type":"t","id":"x"},{"type":"t","id":-3}])").ok());
  EXPECT_THAT(Ids(), ElementsAre(R"(0 "x")", "1 -3"));
  ASSERT_TRUE(Parse("\xEF\xBB\xBF{\"type\":\"t\",\"id\":\"one\"}").ok());
  EXPECT_THAT(Ids(), ElementsAre(R"(0 "one")"));
  ASSERT_TRUE(Parse(R"([{"type":"t","i\u0064":"e\"s","id":"second"}])").ok());
  EXPECT_THAT(Ids(), ElementsAre(R"(0 "e\"s")"));
  ASSERT_TRUE(Parse(R"([{"type":"t"}])").ok());
  EXPECT_THAT(Ids(), IsEmpty());
}

TEST_F(EventParserTest, AnIdIsATextOrAnInteger) {
  for (const char* id : {"\"\"", "null", "true", "1.5", "1e3", "1E3", "[1]", "{\"a\":1}"}) {
    ASSERT_TRUE(Parse(R"([{"type":"t","id":)" + std::string(id) + "}]").ok()) << id;
    EXPECT_THAT(Ids(), IsEmpty()) << id;
  }
}

TEST_F(EventParserTest, LinesHaveIdsAlsoWhereTheyAreReadOneByOne) {
  const std::string lines = "\n{\"type\":\"t\"}\n{\"id\":\"b\",\"type\":\"t\"}\n";
  ASSERT_TRUE(ParseLines(lines + "{\"type\":\"t\",\"id\":5}").ok());
  EXPECT_THAT(Ids(), ElementsAre(R"(1 "b")", "2 5"));
  const Status broken = ParseLines(lines + "{\"type\":\"t\",\"id\":\"open}\n");
  EXPECT_FALSE(broken.ok());
  EXPECT_THAT(Ids(), IsEmpty());
}

TEST_F(EventParserTest, NamesTheLine) {
  for (const char* body : {"{\"type\":\"a\"}\n{\"type\":\"b}\n{\"type\":\"c\"}",
                           "{\"type\":\"a\"}\n{\"type\":\"b\",}\n", "{\"type\":\"a\"}\n\xFF\n",
                           "{\"type\":\"a\"}\n{\"type\":\"b\"} {\"type\":\"c\"}\n",
                           "{\"type\":\"a\"}\n{\"type\":\n\"b\"}\n", "{\"type\":\"a\"}\n]\n"}) {
    const Status status = ParseLines(body);
    ASSERT_FALSE(status.ok()) << body;
    EXPECT_EQ(status.error().code, "INVALID_JSON") << body;
    EXPECT_EQ(status.error().details_json, R"({"line":2})") << body;
    EXPECT_THAT(status.error().message, HasSubstr("line 2"));
  }
  const Status status = ParseLines("{\"type\":\"a\"}\n\n{}\n7");
  EXPECT_EQ(status.error().code, "INVALID_EVENT");
  EXPECT_EQ(status.error().details_json,
            R"({"indices":[1,2],"lines":[3,4],"reasons":["type missing","not an object"]})");
}

TEST_F(EventParserTest, FindsTheRealRequestsWhole) {
  const std::vector<std::string> lines = WebAccessLines();
  limits_.events_max = 100'000;
  std::string array = "[", ndjson;
  for (const std::string& line : lines) {
    array += (array.size() > 1 ? "," : "") + line;
    ndjson += line + "\n";
  }
  ASSERT_TRUE(Parse(array + "]").ok());
  EXPECT_EQ(Slices(), lines);
  ASSERT_TRUE(ParseLines(ndjson).ok());
  EXPECT_EQ(Slices(), lines);
}

}  // namespace
}  // namespace varve::record

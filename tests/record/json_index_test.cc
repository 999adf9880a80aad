#include "record/json_index.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <nlohmann/json.hpp>

#include "record/json_scan.h"
#include "record/json_walker.h"
#include "record/utf8.h"
#include "text_helpers.h"

namespace varve::record {
namespace {

bool IsJson(const std::string& text, bool portable = false) {
  JsonIndex index(portable);
  if (index.Build(text) != nullptr) return false;
  JsonWalker walker(text, index, 100);
  return walker.Value(0) && walker.at_end();
}

// What another parser says; nothing when it only minds a number's size.
std::optional<bool> Oracle(const std::string& text) {
  try {
    return !nlohmann::json::parse(text).is_discarded();
  } catch (const nlohmann::json::out_of_range&) {
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

// Pieces that JSON is made of, and what is nearly one of them.
std::string RandomText(std::mt19937& random) {
  static const std::vector<std::string> pieces = {"{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  ":",
                                                  ",",
                                                  "\"a\"",
                                                  "\"\"",
                                                  "1",
                                                  "-0",
                                                  "0.5e+3",
                                                  "01",
                                                  "1.",
                                                  "-",
                                                  "1e",
                                                  "true",
                                                  "false",
                                                  "null",
                                                  "tru",
                                                  "nullx",
                                                  " ",
                                                  "\n",
                                                  "\t",
                                                  "\"\\\"\"",
                                                  "\"\\\\",
                                                  "\"",
                                                  "\\",
                                                  "\"\\n\"",
                                                  "\"\\x\"",
                                                  "\"\xC3\xA9\"",
                                                  "\xC3",
                                                  "\x01",
                                                  "\"\x1F\"",
                                                  "\f",
                                                  "{\"k\":1}",
                                                  "[1,2]",
                                                  "\"long enough to cross a block of bytes, yes\"",
                                                  "\"\\\\\\\"\"",
                                                  "\x1A",
                                                  "\x7F",
                                                  "{\"a\":{\"b\":[]}}",
                                                  "123456789012345678901234567890"};
  std::string text;
  const size_t count = random() % 30;
  for (size_t i = 0; i < count; ++i) text += pieces[random() % pieces.size()];
  return text;
}

TEST(JsonIndex, AcceptsExactlyWhatIsJson) {
  std::mt19937 random(1);
  size_t good = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::string text = RandomText(random);
    const std::optional<bool> expected = Oracle(text);
    good += expected.value_or(false) ? 1 : 0;
    ASSERT_EQ(IsJson(text), expected.value_or(IsJson(text))) << text;
  }
  EXPECT_GT(good, 1'000u);
}

TEST(JsonIndex, AcceptsExactlyWhatIsJsonAfterSmallChangesOfRealEvents) {
  const std::vector<std::string> lines = WebAccessLines();
  std::mt19937 random(2);
  static const std::string bytes = "\"\\{}[]:,0129-+.eEtfn \n\t\x01\x80\xC3\xFF";
  for (int i = 0; i < 100'000; ++i) {
    std::string text = lines[random() % lines.size()];
    for (size_t changes = random() % 3; changes > 0; --changes) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = bytes[random() % bytes.size()];
          break;
        case 1:
          text.erase(at, 1 + random() % 4);
          break;
        default:
          text.insert(at, 1, bytes[random() % bytes.size()]);
      }
    }
    ASSERT_EQ(IsJson(text), Oracle(text).value_or(IsJson(text))) << text;
  }
}

TEST(JsonIndex, WorksTheSameWithoutWideInstructions) {
  std::mt19937 random(3);
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (size_t parts = 1 + random() % 8; parts > 0; --parts) text += RandomText(random);
    JsonIndex fast, portable(true);
    ASSERT_EQ(fast.Build(text) == nullptr, portable.Build(text) == nullptr) << text;
    // Bytes that are no JSON anywhere may be tokens in one and not in the other.
    if (text.find_first_of("\x1A\f") != std::string::npos) continue;
    ASSERT_EQ(std::vector(fast.tokens(), fast.tokens() + fast.count()),
              std::vector(portable.tokens(), portable.tokens() + portable.count()))
        << text;
  }
}

TEST(JsonIndex, TakesHalfASurrogatePair) {
  EXPECT_TRUE(IsJson(R"(["\ud800","\udc00\ud800","\u0000"])"));
  EXPECT_FALSE(IsJson(R"(["\u12"])"));
  EXPECT_FALSE(IsJson(R"(["\u12g4"])"));
}

TEST(JsonIndex, BoundsTheDepth) {
  EXPECT_TRUE(IsJson(std::string(100, '[') + std::string(100, ']')));
  EXPECT_FALSE(IsJson(std::string(101, '[') + std::string(101, ']')));
  EXPECT_FALSE(IsJson(std::string(1'000'000, '[')));
}

TEST(JsonIndex, MinifiesToTheSameValue) {
  const std::string text = " { \"a\" : [ 1 , \"x y\\\" \" , { } ] ,\r\n\t\"b\":\"\"  } ";
  JsonIndex index;
  ASSERT_EQ(index.Build(text), nullptr);
  EXPECT_EQ(MinifyJson(text, index), R"({"a":[1,"x y\" ",{}],"b":""})");
}

TEST(Utf8, FollowsTheUnicodeTable) {
  for (const std::string good : {"", "plain", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF",
                                 "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(good));
  }
  for (const std::string bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "12345678\xFF"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

TEST(JsonScan, UnescapesWhatJsonWritersWrite) {
  EXPECT_EQ(UnescapeJson(R"(a\"b\\c\/d\b\f\n\r\t)"), "a\"b\\c/d\b\f\n\r\t");
  EXPECT_EQ(UnescapeJson(R"(\u00e9\u20AC\ud83d\ude00)"), "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  EXPECT_EQ(UnescapeJson(R"(\ud83dx\ude00)"), "\xEF\xBF\xBDx\xEF\xBF\xBD");
  EXPECT_EQ(UnescapeJson(R"(a\u0000b)"), std::string("a\0b", 3));
}

TEST(JsonScan, NeverLeavesTextThatIsNoJson) {
  std::mt19937 random(4);
  for (int i = 0; i < 50'000; ++i) {
    const std::string text = "{" + RandomText(random);
    const std::string exact(text);  // the sanitizer guards its end
    FindMember(exact, "a");
    ForEachElement("[" + exact, [](const JsonValue&) { return true; });
    SkipJsonValue(exact.data(), exact.data() + exact.size());
  }
}

RC_GTEST_PROP(JsonScan, FindsWhatWasWritten, (const std::map<std::string, std::string>& members)) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : members) {
    if (IsUtf8(name)) object[name] = value;
  }
  const std::string text = object.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  const nlohmann::json written = nlohmann::json::parse(text);
  for (const auto& [name, value] : written.items()) {
    const JsonValue found = FindMember(text, name);
    RC_ASSERT(found.is_string());
    RC_ASSERT(found.AsString() == value.get<std::string>());
  }
}

}  // namespace
}  // namespace varve::record

// What a view may be asked to be.
#include "view/view.h"

#include "lab.h"

namespace varve::view {
namespace {

std::string CodeOf(const std::string& json) {
  const auto read = ReadViewRequest(NamespaceId(), json, {});
  return read.ok() ? "" : read.error().code;
}

TEST(ViewRequestTest, NamesAreSafePathSegments) {
  for (const char* name : {"a", "daily_orders", "_x", "0-9", "a-b"}) {
    EXPECT_TRUE(CheckViewName(name).ok()) << name;
  }
  for (const std::string name : {"", "status", "-a", "A", "a/b", "..", "a.b", "a b", "é"}) {
    EXPECT_EQ(CheckViewName(name).error().code, "INVALID_VIEW_NAME") << name;
  }
  EXPECT_FALSE(CheckViewName(std::string(65, 'a')).ok());
}

TEST(ViewRequestTest, WhatIsWrongIsNamed) {
  EXPECT_EQ(CodeOf("[]"), "INVALID_JSON");
  EXPECT_EQ(CodeOf("{"), "INVALID_JSON");
  EXPECT_EQ(CodeOf(R"({"sql":"SELECT 1"})"), "INVALID_FIELD");
  EXPECT_EQ(CodeOf(R"({"name":"a"})"), "INVALID_FIELD");
  EXPECT_EQ(CodeOf(R"({"name":"A","sql":"SELECT 1"})"), "INVALID_VIEW_NAME");
  EXPECT_EQ(CodeOf(R"({"name":"a","sql":1})"), "INVALID_FIELD");
  EXPECT_EQ(CodeOf(R"({"name":"a","sql":"x","mode":"often"})"), "INVALID_FIELD");
  EXPECT_EQ(CodeOf(R"({"name":"a","sql":"x","refresh":"some"})"), "INVALID_FIELD");
  EXPECT_EQ(CodeOf(R"({"name":"a","sql":"x","debounceMs":-1})"), "INVALID_FIELD");
  EXPECT_EQ(CodeOf(R"({"name":"a","sql":"x","maxWaitMs":1e20})"), "INVALID_FIELD");
  EXPECT_EQ(CodeOf(R"({"name":"a","sql":"x","mode":"scheduled"})"), "INVALID_FIELD");
  EXPECT_EQ(CodeOf(R"({"name":"a","sql":"x","debounce":5})"), "INVALID_FIELD");
  const auto read = ReadViewRequest(
      NamespaceId(), R"({"name":"a","sql":"x","debounceMs":7,"refresh":"incremental"})", {1, 2});
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->debounce_ms, 7u);
  EXPECT_EQ(read->max_wait_ms, 2u);
  EXPECT_EQ(read->upkeep, Upkeep::kIncremental);
}

using RegisterTest = ViewLab;

TEST_F(RegisterTest, StatementsThatCannotBeKeptSoAreRefused) {
  const auto code_of = [&](const std::string& json) {
    const auto made = service_->Register(NamespaceId(), json);
    return made.ok() ? std::string() : made.error().code;
  };
  EXPECT_EQ(code_of(R"({"name":"v","sql":"bad"})"), "SQL_ERROR");
  EXPECT_EQ(code_of(R"({"name":"v","sql":"sum","refresh":"incremental"})"), "VIEW_NOT_INCREMENTAL");
  EXPECT_EQ(code_of(R"({"name":"v","sql":"sum"})"), "");
  EXPECT_EQ(code_of(R"({"name":"w","sql":"nothing"})"), "VIEW_WITHOUT_SOURCES");
  EXPECT_EQ(code_of(R"({"name":"w","sql":"nothing","mode":"manual"})"), "");
  EXPECT_EQ(views_->List(nullptr)->size(), 2u);
  const auto acme = NamespaceId::Parse("acme").value();
  EXPECT_EQ(views_->Get(acme, "v").error().code, "VIEW_NOT_FOUND");
  EXPECT_TRUE(views_->List(&acme)->empty());
}

}  // namespace
}  // namespace varve::view

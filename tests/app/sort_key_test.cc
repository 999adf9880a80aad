#include "app/sort_key.h"

#include <gtest/gtest.h>

namespace varve::app {
namespace {

TEST(SortKeyTest, IsAColumnWithWordsBehindIt) {
  const struct {
    const char* text;
    merge::SortKey key;
  } cases[] = {
      {"ts", {"ts", false, false}},
      {"ts:asc", {"ts", false, false}},
      {"ts:desc:nulls-first", {"ts", true, true}},
      {"ts:nulls-first:desc", {"ts", true, true}},
      {"a:b", {"a:b", false, false}},
      {"a:desc:asc", {"a:desc", false, false}},
      {"a:desc:desc", {"a:desc", true, false}},
      {":desc", {":desc", false, false}},
  };
  for (const auto& [text, expected] : cases) {
    const merge::SortKey key = ParseSortKey(text);
    EXPECT_EQ(key.column, expected.column) << text;
    EXPECT_EQ(key.descending, expected.descending) << text;
    EXPECT_EQ(key.nulls_first, expected.nulls_first) << text;
  }
}

}  // namespace
}  // namespace varve::app

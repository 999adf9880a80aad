#include <gtest/gtest.h>

#include "table/delta/actions.h"

namespace varve::table::delta {
namespace {

using Names = std::vector<std::string>;

Schema SchemaOf(const char* type) {
  const std::string json =
      R"({"type":"struct","fields":[{"name":"ts","nullable":true,"metadata":{},"type":")" +
      std::string(type) + R"("}]})";
  return *SchemaFromJson(json);
}

TEST(DeltaProtocolTest, GrowsByWhatTheSchemaNeedsAndLosesNothing) {
  const Schema zoned = SchemaOf("timestamp"), local = SchemaOf("timestamp_ntz");
  const Protocol plain = {1, 2, {}, {}};
  EXPECT_FALSE(ProtocolChange(plain, zoned));

  const auto grown = ProtocolChange(plain, local);
  ASSERT_TRUE(grown);
  EXPECT_EQ(grown->reader, 3);
  EXPECT_EQ(grown->writer, 7);
  EXPECT_EQ(grown->reader_features, Names{"timestampNtz"});
  EXPECT_EQ(grown->writer_features, (Names{"timestampNtz", "appendOnly", "invariants"}));
  EXPECT_FALSE(ProtocolChange(*grown, local));
  EXPECT_FALSE(ProtocolChange(*grown, zoned));

  const auto beside = ProtocolChange({1, 7, {}, {"appendOnly"}}, local);
  ASSERT_TRUE(beside);
  EXPECT_EQ(beside->reader, 3);
  EXPECT_EQ(beside->writer_features, (Names{"timestampNtz", "appendOnly"}));

  // Versions that name features, this one not yet among them.
  const auto named = ProtocolChange({3, 7, {}, {"invariants"}}, local);
  ASSERT_TRUE(named);
  EXPECT_EQ(named->reader_features, Names{"timestampNtz"});
  EXPECT_EQ(named->writer_features, (Names{"timestampNtz", "invariants"}));
}

}  // namespace
}  // namespace varve::table::delta

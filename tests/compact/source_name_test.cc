#include "compact/source_name.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/clock.h"

namespace varve::compact {
namespace {

Result<SourceName> Parse(std::string_view key) { return ParseSourceName(key, "data/"); }

TEST(SourceNames, HaveNamespaceTimeWriterAndSequence) {
  const SourceName name = Parse("data/users/1700001234567-writer1-0.parquet").value();
  EXPECT_EQ(name.ns, "users");
  EXPECT_EQ(name.time_ms, 1'700'001'234'567);
  EXPECT_EQ(name.writer, "writer1");
  EXPECT_EQ(name.sequence, 0u);
  EXPECT_TRUE(name.tenant.is_default());
  const SourceName deep = Parse("ns/acme/data/shop/eu/orders/1700001234-w.2-0042.parquet").value();
  EXPECT_EQ(deep.tenant.name(), "acme");
  EXPECT_EQ(deep.ns, "shop/eu/orders");
  EXPECT_EQ(deep.time_ms, 1'700'001'234'000) << "below 1e11 it is seconds";
  EXPECT_EQ(deep.sequence, 42u);
}

TEST(SourceNames, WritersDirectoriesAreThePrefixAndWhatIsBelowIt) {
  for (const char* theirs :
       {"data", "data/users", "data/shop/eu", "ns/acme/data", "ns/acme/data/a"}) {
    EXPECT_TRUE(IsWritersDirectory(theirs, "data/")) << theirs;
  }
  for (const char* other :
       {"", "dat", "data2", "catalog/users", "ns", "ns/acme", "ns/acme/database",
        "data/users/ts_hour=2026-02-02-14", "ns/default/data"}) {
    EXPECT_FALSE(IsWritersDirectory(other, "data/")) << other;
  }
  EXPECT_TRUE(IsWritersDirectory("in/files", "in/files/"));
  EXPECT_FALSE(IsWritersDirectory("in", "in/files/"));
  EXPECT_FALSE(IsWritersDirectory("data", ""));
}

TEST(SourceNames, SecondsAndMillisecondsMeetAtTenToTheEleventh) {
  EXPECT_EQ(Parse("data/a/99999999999-w-0.parquet")->time_ms, 99'999'999'999'000);
  EXPECT_EQ(Parse("data/a/100000000000-w-0.parquet")->time_ms, 100'000'000'000);
  EXPECT_EQ(Parse("data/a/0-w-0.parquet")->time_ms, 0);
  EXPECT_EQ(Parse("data/a/253402300799999-w-0.parquet")->time_ms, kTimeMsMax);
}

TEST(SourceNames, WhatIsNoSourceIsRefusedAndSaysWhy) {
  const std::string long_ns(129, 'n');
  const std::string long_writer(kWriterBytesMax + 1, 'w');
  for (const std::string& key : {
           std::string(""),
           std::string("data/"),
           std::string("data/1700001234567-w-0.parquet"),
           std::string("data//1700001234567-w-0.parquet"),
           std::string("raw/users/1700001234567-w-0.parquet"),
           std::string("data/users/1700001234567-w-0.parquet.tmp"),
           std::string("data/users/1700001234567-w-0.PARQUET"),
           std::string("data/users/1700001234567-w.parquet"),
           std::string("data/users/1700001234567-a-b-0.parquet"),
           std::string("data/users/1700001234567--0.parquet"),
           std::string("data/users/-w-0.parquet"),
           std::string("data/users/-1-w-0.parquet"),
           std::string("data/users/17e9-w-0.parquet"),
           std::string("data/users/1700001234567-w-.parquet"),
           std::string("data/users/1700001234567-w-1x.parquet"),
           std::string("data/users/1700001234567-w-9223372036854775808.parquet"),
           std::string("data/users/99999999999999999999-w-0.parquet"),
           std::string("data/users/1700001234567890-w-0.parquet"),  // microseconds
           std::string("data/users/253402300800000-w-0.parquet"),
           std::string("data/users/compacted-1700000000000-3.parquet"),
           std::string("data/../data/users/1700001234567-w-0.parquet"),
           std::string("data/my users/1700001234567-w-0.parquet"),
           std::string("data/us\ners/1700001234567-w-0.parquet"),
           std::string("data/us\xff"
                       "ers/1700001234567-w-0.parquet"),
           std::string("ns/default/data/users/1700001234567-w-0.parquet"),
           std::string("ns/NOT A NAME/data/users/1700001234567-w-0.parquet"),
           std::string("ns/acme"),
           std::string("data/u\0x/1700001234567-w-0.parquet", 34),
           "data/" + long_ns + "/1700001234567-w-0.parquet",
           "data/users/1700001234567-" + long_writer + "-0.parquet",
       }) {
    const auto parsed = Parse(key);
    ASSERT_FALSE(parsed.ok()) << key;
    EXPECT_EQ(parsed.error().code, "NOT_A_SOURCE") << key;
    EXPECT_FALSE(parsed.error().message.empty()) << key;
  }
}

TEST(SourceNames, WhatLiesInAPartitionsFolderIsNoWriters) {
  const auto parsed = Parse("data/users/year=2026/month=11/1700001234567-w-0.parquet");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, "PARTITION_FOLDER");
}

TEST(SourceNames, AnyBytesAreParsedOrRefusedAndWhatIsParsedMakesTheSameKeyAgain) {
  const auto random = SeededRandom(20261121);
  const std::string_view pieces[] = {"data/",
                                     "ns/",
                                     "acme/",
                                     "users",
                                     "/",
                                     "-",
                                     "0",
                                     "17",
                                     "1700001234567",
                                     "w1",
                                     ".parquet",
                                     "=",
                                     "..",
                                     "\n",
                                     "\xc3\xa4",
                                     "\xff",
                                     "99999999999999999999"};
  uint64_t parsed_count = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string key;
    if (random->Below(2) == 0) key = "data/users/1700001234567-w1-";
    for (uint64_t n = random->Below(12); n > 0; --n)
      key += pieces[random->Below(std::size(pieces))];
    const auto parsed = Parse(key);
    if (!parsed.ok()) continue;
    ++parsed_count;
    EXPECT_GE(parsed->time_ms, 0);
    EXPECT_LE(parsed->time_ms, kTimeMsMax);
    EXPECT_FALSE(parsed->ns.empty());
    EXPECT_EQ(parsed->writer.find_first_of("-/"), std::string::npos);
    const std::string again = parsed->tenant.StorePrefix() +
                              fmt::format("data/{}/{}-{}-{}.parquet", parsed->ns, parsed->time_ms,
                                          parsed->writer, parsed->sequence);
    const SourceName twice = Parse(again).value();
    EXPECT_EQ(twice.writer, parsed->writer);
    EXPECT_EQ(twice.sequence, parsed->sequence);
  }
  EXPECT_GT(parsed_count, 50u);
}

TEST(WindowStarts, AreTheMultipleBelow) {
  constexpr uint64_t kHour = 3'600'000;
  EXPECT_EQ(WindowStartOf(1'700'001'234'567, kHour), 1'700'000'000'000 - 800'000);
  EXPECT_EQ(WindowStartOf(0, kHour), 0);
  EXPECT_EQ(WindowStartOf(-1, kHour), -3'600'000);
  EXPECT_EQ(WindowStartOf(3'600'000, kHour), 3'600'000);
  EXPECT_EQ(WindowStartOf(7, 0), 7);
}

}  // namespace
}  // namespace varve::compact

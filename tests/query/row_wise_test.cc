// Which statements' rows each come of one row; a statement's facts; a source of the caller's own.
#include <gmock/gmock.h>

#include "query/lake.h"

namespace varve::query::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RowWiseTest : public ::testing::Test {
 protected:
  StatementFacts Facts(const std::string& sql) {
    auto facts = engine_->Check(NamespaceId(), sql, nullptr);
    EXPECT_TRUE(facts.ok()) << sql;
    return facts.ok() ? *facts : StatementFacts();
  }

  Lake lake_;
  std::unique_ptr<Engine> engine_ = OpenEngine(lake_);
};

TEST_F(RowWiseTest, ColumnsExpressionsAndFiltersOverOneTableAre) {
  for (const std::string sql : {
           "SELECT * FROM a.users",
           "FROM users",
           "SELECT u.* EXCLUDE (x), x::DECIMAL(5, 2) AS d FROM users AS u(x, y)",
           "SELECT a + 1, -a, a[1], {'k': a}, [a], list_transform(l, e -> e + a) FROM users",
           "SELECT CASE a WHEN 1 THEN 'now()' END FROM users WHERE a IN (1, 2) AND b LIKE 'x' "
           "AND c IS NOT NULL AND d BETWEEN 1 AND 2 OR NOT e",
           "SELECT \"count\", a COLLATE nocase, COLUMNS('x.*') FROM users",
       }) {
    EXPECT_EQ(Facts(sql).not_row_wise, "") << sql;
  }
  EXPECT_THAT(Facts("SELECT UPPER(a) || lower(b) FROM users").functions,
              ElementsAre("lower", "upper", "||"));
}

TEST_F(RowWiseTest, WhatMayNotBeIsNotAndSaysWhy) {
  const std::pair<std::string, std::string> kCases[] = {
      {"SELECT DISTINCT a FROM t", "DISTINCT"},
      {"SELECT DISTINCT ON (a) a, b FROM t", "DISTINCT"},
      {"SELECT a FROM t ORDER BY a", "ORDER BY"},
      {"SELECT a FROM t LIMIT 3", "LIMIT"},
      {"SELECT a FROM t OFFSET 3", "LIMIT"},
      {"SELECT a FROM t GROUP BY a", "GROUP BY"},
      {"SELECT a FROM t GROUP BY ALL", "GROUP BY"},
      {"SELECT 1 FROM t HAVING true", "HAVING"},
      {"SELECT a FROM t QUALIFY row_number() OVER () = 1", "QUALIFY"},
      {"SELECT sum(a) OVER () FROM t", "window"},
      {"SELECT sum(DISTINCT a) FROM t", "aggregate"},
      {"SELECT sum(a) FILTER (a > 1) FROM t", "aggregate"},
      {"SELECT a FROM t WHERE a IN (SELECT 1)", "subquery"},
      {"SELECT EXISTS (FROM t) FROM t", "subquery"},
      {"WITH q AS (SELECT 1) SELECT a FROM t", "WITH"},
      {"SELECT a FROM t UNION ALL SELECT a FROM t", "several"},
      {"SELECT a FROM t, u", "one table"},
      {"SELECT a FROM t JOIN u USING (a)", "one table"},
      {"SELECT a FROM (SELECT a FROM t)", "one table"},
      {"SELECT 1", "one table"},
      {"SELECT * FROM range(3)", "one table"},
      {"SELECT a FROM t TABLESAMPLE 10%", "sample"},
      {"SELECT a FROM t USING SAMPLE 3", "sample"},
      {"SELECT a FROM t AT (VERSION => 3)", "AT"},
      {"SELECT a, current_timestamp FROM t", "current_timestamp"},
      {"SELECT a FROM t WHERE d < CURRENT_DATE", "every refresh"},
      {"EXPLAIN SELECT a FROM t", "EXPLAIN"},
  };
  for (const auto& [sql, why] : kCases) {
    const StatementFacts facts = Facts(sql);
    EXPECT_THAT(facts.not_row_wise, HasSubstr(why)) << sql;
    EXPECT_TRUE(facts.functions.empty()) << sql;
  }
}

TEST_F(RowWiseTest, AStatementIsDescribedWithoutBeingRun) {
  const StatementFacts facts =
      Facts("  SELECT 1 FROM events, \"a.b\", c.d AT (VERSION => 7); -- x");
  EXPECT_EQ(facts.sql, "SELECT 1 FROM events, \"a.b\", c.d AT (VERSION => 7)");
  EXPECT_TRUE(facts.reads_events);
  EXPECT_FALSE(facts.reads_logs || facts.reads_catalog || facts.explain);
  EXPECT_EQ(facts.lake.size(), 2u);
  EXPECT_EQ(lake_.taken, 0);
  EXPECT_TRUE(lake_.refs_asked.empty());
  EXPECT_EQ(engine_->Check(NamespaceId(), "SELEC 1", nullptr).error().code, "SQL_ERROR");
  EXPECT_EQ(engine_->Check(NamespaceId(), "DROP TABLE x", nullptr).error().code, "SQL_NOT_ALLOWED");
}

TEST_F(RowWiseTest, ASourceOfTheCallersOwnIsReadInPlaceOfTheEngines) {
  lake_.AddEventFile("events/a.parquet", 0, 3);
  Lake other;
  other.AddEventFile("events/b.parquet", 0, 5);
  QueryRequest request;
  request.sql = "SELECT count(*) AS n FROM events";
  request.format = ResultFormat::kCsv;
  std::string bytes;
  const auto run = [&] {
    bytes.clear();
    return engine_
        ->Run(
            request, [&](std::string_view part) { return bytes += part, true; }, nullptr)
        .ok();
  };
  ASSERT_TRUE(run());
  EXPECT_THAT(bytes, HasSubstr("3"));
  request.source = &other;
  ASSERT_TRUE(run());
  EXPECT_THAT(bytes, HasSubstr("5"));
}

}  // namespace
}  // namespace varve::query::testing

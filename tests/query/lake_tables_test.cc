// SQL over lake tables: files whose columns have changed, moments, sources.
#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <parquet/arrow/writer.h>

#include "query/lake.h"
#include "query/table_names.h"

namespace varve::query::testing {
namespace {

using table::Field;
using table::TypeId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Field FieldOf(int32_t id, const std::string& name, TypeId type) {
  Field field;
  field.id = id;
  field.name = name;
  field.type.id = type;
  return field;
}

// A column: its name, its field id (0: none), its values.
struct Column {
  std::string name;
  int id;
  std::shared_ptr<arrow::Array> values;
};

std::shared_ptr<arrow::Array> Ints(const std::vector<int32_t>& values) {
  arrow::Int32Builder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return *builder.Finish();
}

std::shared_ptr<arrow::Array> Longs(const std::vector<int64_t>& values) {
  arrow::Int64Builder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return *builder.Finish();
}

std::shared_ptr<arrow::Array> Texts(const std::vector<std::string>& values) {
  arrow::StringBuilder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return *builder.Finish();
}

class LakeTablesTest : public ::testing::Test {
 protected:
  FileRef Write(const std::string& key, const std::vector<Column>& columns) {
    arrow::FieldVector fields;
    arrow::ArrayVector arrays;
    for (const Column& column : columns) {
      auto field = arrow::field(column.name, column.values->type());
      if (column.id > 0) {
        field = field->WithMetadata(
            arrow::key_value_metadata({"PARQUET:field_id"}, {std::to_string(column.id)}));
      }
      fields.push_back(field);
      arrays.push_back(column.values);
    }
    const auto sink = *arrow::io::BufferOutputStream::Create();
    EXPECT_TRUE(::parquet::arrow::WriteTable(*arrow::Table::Make(arrow::schema(fields), arrays),
                                             arrow::default_memory_pool(), sink)
                    .ok());
    return lake_.WriteText(key, (*sink->Finish())->ToString());
  }

  // id, name and, later, an amount: the first file has the name under its old name.
  LakeTable& AddTrips() {
    LakeTable& trips = lake_.tables.emplace_back();
    trips.ref.name = "trips";
    trips.by_id = true;
    trips.schema.fields = {FieldOf(1, "id", TypeId::kLong), FieldOf(2, "name", TypeId::kString),
                           FieldOf(3, "amount", TypeId::kDouble)};
    trips.files.push_back(Write("catalog/trips/data/a.parquet",
                                {{"id", 1, Ints({1, 2})}, {"old_name", 2, Texts({"a", "b"})}}));
    arrow::DoubleBuilder amounts;
    EXPECT_TRUE(amounts.AppendValues(std::vector<double>{1.5, 2.5}).ok());
    trips.files.push_back(Write("catalog/trips/data/b.parquet", {{"amount", 3, *amounts.Finish()},
                                                                 {"name", 2, Texts({"c", "d"})},
                                                                 {"id", 1, Longs({3, 4})}}));
    return trips;
  }

  Json Rows(const std::string& sql) {
    if (!engine_) engine_ = OpenEngine(lake_);
    const Answer answer = Ask(*engine_, sql);
    EXPECT_TRUE(answer.summary.ok()) << answer.summary.error().message;
    return answer.data();
  }
  Error Failure(const std::string& sql) {
    if (!engine_) engine_ = OpenEngine(lake_);
    const Answer answer = Ask(*engine_, sql);
    EXPECT_FALSE(answer.summary.ok());
    return answer.summary.ok() ? Error{} : answer.summary.error();
  }

  Lake lake_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(LakeTablesTest, ColumnsAreFoundByTheirFieldIds) {
  AddTrips();
  EXPECT_EQ(Rows("SELECT * FROM trips ORDER BY id").dump(),
            R"([{"amount":null,"id":1,"name":"a"},{"amount":null,"id":2,"name":"b"},)"
            R"({"amount":1.5,"id":3,"name":"c"},{"amount":2.5,"id":4,"name":"d"}])");
  EXPECT_EQ(Rows("SELECT sum(t.id) AS s FROM trips t JOIN trips u USING (id)").dump(),
            R"([{"s":10}])");
}

TEST_F(LakeTablesTest, SourcesAreReadWithTheTable) {
  LakeTable& trips = AddTrips();
  trips.sources.push_back(
      Write("data/trips/1-w-1.parquet", {{"id", 0, Ints({5})}, {"late", 0, Texts({"x"})}}));
  trips.sources.push_back(Write("data/trips/2-w-2.parquet", {{"id", 0, Texts({"no number"})}}));
  trips.sources.push_back(lake_.WriteText("data/trips/3-w-3.parquet", "not Parquet"));
  EXPECT_EQ(Rows("SELECT id, late FROM trips WHERE id > 3 ORDER BY id").dump(),
            R"([{"id":4,"late":null},{"id":5,"late":"x"}])");
  const Answer answer = Ask(*engine_, "SELECT count(*) AS n FROM trips");
  EXPECT_EQ(answer.data().dump(), R"([{"n":5}])");
  ASSERT_TRUE(answer.summary.ok());
  EXPECT_THAT(answer.summary->warnings,
              ElementsAre(HasSubstr("data/trips/2-w-2.parquet: left out: the column 'id' is long"),
                          HasSubstr("data/trips/3-w-3.parquet: left out")));
}

TEST_F(LakeTablesTest, ASourceOfTypesThatSqlDoesNotHaveIsLeftOut) {
  LakeTable& trips = AddTrips();
  const auto wide = *arrow::MakeArrayOfNull(arrow::decimal256(76, 3), 1);
  const auto clash =
      *arrow::StructArray::Make({Ints({1}), Ints({2})}, std::vector<std::string>{"a", "A"});
  trips.sources.push_back(
      Write("data/trips/1-w-1.parquet", {{"id", 0, Ints({5})}, {"d", 0, wide}}));
  trips.sources.push_back(
      Write("data/trips/2-w-2.parquet", {{"id", 0, Ints({6})}, {"s", 0, clash}}));
  const Answer answer = Ask(*(engine_ = OpenEngine(lake_)), "SELECT count(*) AS n FROM trips");
  EXPECT_EQ(answer.data().dump(), R"([{"n":4}])");
  ASSERT_TRUE(answer.summary.ok());
  EXPECT_THAT(answer.summary->warnings,
              ElementsAre(HasSubstr("1-w-1.parquet: left out: the column 'd' is decimal(76,3)"),
                          HasSubstr("2-w-2.parquet: left out: the column 's' has two fields")));
}

TEST_F(LakeTablesTest, RowsThatAreDeletedByTheirPositionAreLeftOut) {
  LakeTable& trips = AddTrips();
  const std::string a = "s3://lake/catalog/trips/data/a.parquet";
  trips.deletes.push_back(
      Write("catalog/trips/data/d1.parquet",
            {{"file_path", 0, Texts({a, "s3://lake/catalog/trips/data/b.parquet"})},
             {"pos", 0, Longs({1, 0})}}));
  trips.deletes.push_back(
      Write("catalog/trips/data/d2.parquet",
            {{"file_path", 0, Texts({a, "file:///elsewhere/catalog/trips/data/b.parquet"})},
             {"pos", 0, Longs({1, 1})}}));
  trips.delete_roots = {"s3://lake/"};
  trips.sources.push_back(Write("data/trips/1-w-1.parquet", {{"id", 0, Ints({5})}}));
  EXPECT_EQ(Rows("SELECT id, name FROM trips ORDER BY id").dump(),
            R"([{"id":1,"name":"a"},{"id":4,"name":"d"},{"id":5,"name":null}])");
  EXPECT_EQ(Rows("SELECT count(*) AS n FROM trips WHERE id >= 2").dump(), R"([{"n":2}])");
}

TEST_F(LakeTablesTest, OfSomeFilesAloneItHasTheColumnsOfAll) {
  LakeTable& trips = AddTrips();
  trips.sources.push_back(Write("data/trips/1-w-1.parquet", {{"id", 0, Ints({5})}}));
  trips.sources.push_back(
      Write("data/trips/2-w-2.parquet", {{"late", 0, Texts({"x"})}, {"id", 0, Ints({6})}}));
  trips.only = {"data/trips/1-w-1.parquet"};
  EXPECT_EQ(Rows("SELECT * FROM trips").dump(),
            R"([{"amount":null,"id":5,"late":null,"name":null}])");
  trips.only = {"catalog/trips/data/b.parquet"};
  EXPECT_EQ(Rows("SELECT sum(id) AS s, max(late) AS l FROM trips").dump(), R"([{"l":null,"s":7}])");
  trips.only = std::set<std::string>();
  EXPECT_EQ(Rows("SELECT count(*) AS n FROM trips").dump(), R"([{"n":0}])");
}

TEST_F(LakeTablesTest, WithoutATableThereAreTheSources) {
  LakeTable& table = lake_.tables.emplace_back();
  table.ref.name = "fresh";
  table.sources.push_back(Write("data/fresh/1-w-1.parquet", {{"n", 0, Ints({1})}}));
  table.sources.push_back(Write("data/fresh/1-w-2.parquet", {{"n", 0, Longs({int64_t{1} << 40})}}));
  EXPECT_EQ(Rows("SELECT max(n) AS n FROM fresh").dump(), R"([{"n":1099511627776}])");
}

TEST_F(LakeTablesTest, AFileOfTheTableThatCannotBeReadFailsTheQuery) {
  AddTrips().files.push_back(lake_.WriteText("catalog/trips/data/c.parquet", "not Parquet"));
  const Error error = Failure("SELECT * FROM trips");
  EXPECT_EQ(error.code, "CORRUPT_OBJECT");
  EXPECT_THAT(error.message, HasSubstr("catalog/trips/data/c.parquet"));
}

TEST_F(LakeTablesTest, MomentsOfATable) {
  const LakeTable now = AddTrips();
  LakeTable before = now;
  before.files.pop_back();
  before.ref.at = TableRef::At::kVersion;
  before.ref.value = 4711;
  lake_.tables.push_back(before);
  before.ref.at = TableRef::At::kTime;
  before.ref.value = kNoon;
  lake_.tables.push_back(before);
  EXPECT_EQ(Rows("SELECT count(*) AS n FROM trips AT (VERSION => 4711)").dump(), R"([{"n":2}])");
  EXPECT_EQ(Rows("SELECT (SELECT count(*) FROM trips) AS now, (SELECT max(trips.id) FROM trips AT "
                 "(TIMESTAMP => TIMESTAMP '2026-02-02 12:00:00') WHERE trips.name <> 'z') AS old")
                .dump(),
            R"([{"now":4,"old":2}])");
  EXPECT_EQ(Rows("EXPLAIN SELECT * FROM trips t AT (VERSION => '4711')").size(), 1u);
  EXPECT_EQ(Failure("SELECT * FROM trips AT (VERSION => random())").code, "SQL_ERROR");
  EXPECT_EQ(Failure("SELECT * FROM trips AT (TIMESTAMP => 'yesterday, late')").code, "SQL_ERROR");
  EXPECT_EQ(Failure("SELECT * FROM trips AT (VERSION => 1)").code, "SQL_ERROR");
}

TEST_F(LakeTablesTest, NamesWithDotsAndNamesThatAreOthers) {
  LakeTable trips = AddTrips();
  trips.ref.name = "eu.trips";
  lake_.tables.push_back(trips);
  EXPECT_EQ(Rows("SELECT count(*) AS n FROM eu.trips WHERE trips.id > 1").dump(), R"([{"n":3}])");
  EXPECT_EQ(Rows("SELECT count(*) AS n FROM \"eu.trips\"").dump(), R"([{"n":4}])");
  EXPECT_EQ(Rows("WITH trips AS (SELECT 7 AS n) SELECT n FROM trips").dump(), R"([{"n":7}])");
  EXPECT_THAT(Failure("SELECT * FROM no_such").message, HasSubstr("no_such"));
  EXPECT_EQ(Failure("SELECT * FROM 'catalog/trips/data/a.parquet'").code, "SQL_FORBIDDEN");
  EXPECT_EQ(Rows("SELECT table_name FROM information_schema.tables ORDER BY 1").dump(),
            R"([{"table_name":"eu.trips"},{"table_name":"events"},{"table_name":"logs"},)"
            R"({"table_name":"trips"}])");
}

TEST_F(LakeTablesTest, NamesThatMeanSomethingElseAreReachedThroughLake) {
  LakeTable trips = AddTrips();
  for (const char* name : {"events", "Logs", "pg_trips", "view.trips", "lake.trips"}) {
    trips.files.pop_back();
    trips.files.push_back(trips.files[0]);
    trips.ref.name = NameInSql(name);
    EXPECT_EQ(trips.ref.name, std::string("lake.") + name);
    EXPECT_EQ(TableOf(trips.ref.name), name);
    lake_.tables.push_back(trips);
  }
  for (const char* name : {"lake.events", "LAKE.events", "\"lake.events\"", "lake.\"Logs\"",
                           "lake.pg_trips", "lake.view.trips", "lake.lake.trips", "lake.trips"}) {
    EXPECT_EQ(Rows(fmt::format("SELECT count(id) AS n FROM {}", name)).dump(), R"([{"n":4}])")
        << name;
  }
  EXPECT_EQ(Rows("SELECT (SELECT count(*) FROM events) AS own, (SELECT max(events.id) FROM "
                 "lake.events) AS theirs")
                .dump(),
            R"([{"own":0,"theirs":2}])");
  EXPECT_EQ(Rows("SELECT count(*) AS n FROM information_schema.tables WHERE table_name LIKE "
                 "'lake.%'")
                .dump(),
            R"([{"n":5}])");
  EXPECT_EQ(NameInSql("trips"), "trips");
  EXPECT_EQ(TableOf("trips"), "trips");
}

// As Delta's log has them: the files have other columns of the name, or none.
TEST_F(LakeTablesTest, ValuesOfPartitionColumnsAreOfTheLog) {
  LakeTable& sales = lake_.tables.emplace_back();
  sales.ref.name = "sales";
  sales.schema.fields = {
      FieldOf(1, "id", TypeId::kLong),        FieldOf(2, "it's", TypeId::kString),
      FieldOf(3, "day", TypeId::kDate),       FieldOf(4, "n", TypeId::kInt),
      FieldOf(5, "at", TypeId::kTimestamptz), FieldOf(6, "flag", TypeId::kBoolean)};
  sales.files = {
      Write("catalog/sales/a.parquet", {{"id", 0, Longs({1, 2})}}),
      Write("catalog/sales/b.parquet", {{"id", 0, Longs({3})}}),
      Write("catalog/sales/c.parquet", {{"id", 0, Longs({4})}, {"n", 0, Ints({99})}}),
      Write("catalog/sales/d.parquet", {{"id", 0, Longs({5})}, {"File_Index", 0, Ints({7})}}),
      Write("catalog/sales/e.parquet", {{"id", 0, Longs({6})}, {"File_Index", 0, Ints({7})}})};
  sales.constants = {
      {"it's", {"o'x\"y", "\xc3\xa4\xe2\x82\xac [a, b]", std::nullopt, "", "e"}},
      {"day", {"2026-02-02", "1969-12-31", std::nullopt, "2026-02-02", "2026-02-03"}},
      {"n", {"-1", "2", "3", std::nullopt, "5"}},
      {"at", {"2026-02-02 10:00:00.5", "2026-02-02T10:00:00Z", std::nullopt, std::nullopt, ""}},
      {"flag", {"true", "false", std::nullopt, "true", "true"}}};
  sales.sources.push_back(
      Write("data/sales/1-w-1.parquet", {{"id", 0, Longs({7})}, {"n", 0, Ints({70})}}));
  EXPECT_EQ(Rows("SELECT id, \"it's\" AS t, CAST(day AS VARCHAR) AS d, n, epoch_ms(\"at\") AS a, "
                 "flag AS f FROM sales ORDER BY id")
                .dump(),
            R"([{"a":1770026400500,"d":"2026-02-02","f":true,"id":1,"n":-1,"t":"o'x\"y"},)"
            R"({"a":1770026400500,"d":"2026-02-02","f":true,"id":2,"n":-1,"t":"o'x\"y"},)"
            "{\"a\":1770026400000,\"d\":\"1969-12-31\",\"f\":false,\"id\":3,\"n\":2,\"t\":"
            "\"\xc3\xa4\xe2\x82\xac [a, b]\"},"
            R"({"a":null,"d":null,"f":null,"id":4,"n":3,"t":null},)"
            R"({"a":null,"d":"2026-02-02","f":true,"id":5,"n":null,"t":null},)"
            R"({"a":null,"d":"2026-02-03","f":true,"id":6,"n":5,"t":"e"},)"
            R"({"a":null,"d":null,"f":null,"id":7,"n":70,"t":null}])");
  EXPECT_EQ(Rows("SELECT id FROM sales WHERE n = 2 AND day < DATE '2000-01-01'").dump(),
            R"([{"id":3}])");
  EXPECT_EQ(Rows("SELECT id FROM sales WHERE id < 4 ORDER BY n DESC, id LIMIT 1").dump(),
            R"([{"id":3}])");
  sales.only = {"catalog/sales/b.parquet"};
  EXPECT_EQ(Rows("SELECT id, n FROM sales").dump(), R"([{"id":3,"n":2}])");
  sales.only.reset();
  sales.constants[2].values[1] = "two";
  EXPECT_THAT(Failure("SELECT n FROM sales").message, HasSubstr("two"));
  sales.schema.fields[3].type.id = TypeId::kBinary;
  EXPECT_EQ(Failure("SELECT id FROM sales").code, "PARTITIONING_UNSUPPORTED");
}

// A worker that is used again must not know a table that is no more.
TEST_F(LakeTablesTest, ATableThatIsDroppedIsNoMore) {
  AddTrips();
  EXPECT_EQ(Rows("SELECT count(*) AS n FROM trips").dump(), R"([{"n":4}])");
  lake_.tables.clear();
  EXPECT_EQ(Failure("SELECT count(*) AS n FROM trips").code, "SQL_ERROR");
}

TEST_F(LakeTablesTest, AnotherNamespaceSeesNone) {
  AddTrips();
  engine_ = OpenEngine(lake_);
  QueryRequest request;
  request.ns = *NamespaceId::Parse("tenant");
  request.sql = "SELECT * FROM trips";
  const auto refused = engine_->Run(
      request, [](std::string_view) { return true; }, nullptr);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "SQL_ERROR");
}

}  // namespace
}  // namespace varve::query::testing

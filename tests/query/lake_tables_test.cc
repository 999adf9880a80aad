// SQL over lake tables: files whose columns have changed, moments, sources.
#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <gmock/gmock.h>
#include <parquet/arrow/writer.h>

#include "query/lake.h"

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

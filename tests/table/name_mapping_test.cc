// A name belongs to the column that had it first, whatever becomes of either.
#include "table/iceberg/name_mapping.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace varve::table::iceberg {
namespace {

Field Named(int32_t id, const char* name, std::vector<Field> inner = {}) {
  Field field;
  field.id = id;
  field.name = name;
  field.type.id = inner.empty() ? TypeId::kLong : TypeId::kStruct;
  field.type.fields = std::move(inner);
  return field;
}

Schema Of(std::vector<Field> fields) {
  Schema schema;
  schema.fields = std::move(fields);
  return schema;
}

std::string Names(const std::string& mapping) {
  std::string out;
  for (const auto& entry : nlohmann::json::parse(mapping)) {
    out += entry["field-id"].dump() + entry["names"].dump();
    if (entry.contains("fields")) out += "{" + Names(entry["fields"].dump()) + "}";
  }
  return out;
}

TEST(NameMapping, OfANewTableHasEachColumnUnderItsName) {
  const Schema schema = Of({Named(1, "a"), Named(2, "s", {Named(3, "x")})});
  EXPECT_EQ(Names(NameMappingJson(schema)), R"(1["a"]2["s"]{3["x"]})");
  EXPECT_EQ(Names(NameMappingJson(schema, "no json")), R"(1["a"]2["s"]{3["x"]})");
}

TEST(NameMapping, KeepsTheNamesOfColumnsThatWereRenamedOrDropped) {
  const std::string first =
      NameMappingJson(Of({Named(1, "a"), Named(2, "s", {Named(3, "x")}), Named(4, "b")}));
  const std::string renamed =
      NameMappingJson(Of({Named(1, "a2"), Named(2, "s", {Named(3, "y")})}), first);
  EXPECT_EQ(Names(renamed), R"(1["a2","a"]2["s"]{3["y","x"]}4["b"])");
  // New columns of those names are found by their ids alone.
  const std::string again =
      NameMappingJson(Of({Named(1, "a2"), Named(2, "s", {Named(3, "y"), Named(7, "x")}),
                          Named(5, "a"), Named(6, "b")}),
                      renamed);
  EXPECT_EQ(Names(again), R"(1["a2","a"]2["s"]{3["y","x"]7[]}5[]6[]4["b"])");
}

TEST(NameMapping, OfAnotherWriterIsFollowedAsItIs) {
  const std::string theirs =
      R"([{"field-id":1,"names":["w","writer"]},{"names":["odd"]},3,{"field-id":2}])";
  EXPECT_EQ(Names(NameMappingJson(Of({Named(1, "writer"), Named(2, "b")}), theirs)),
            R"(1["writer","w"]2["b"])");
}

TEST(NameMapping, TellsWhichColumnAFilesNameIsOf) {
  const std::string mapping =
      R"([{"field-id":1,"names":["a2","a"]},{"field-id":2,"names":["s"],"fields":[
          {"field-id":3,"names":["y","x"]}]},{"field-id":4,"names":["b"]},
          {"field-id":5,"names":["c"]}])";
  const Schema table =
      Of({Named(1, "a2"), Named(2, "s", {Named(3, "y")}), Named(5, "c"), Named(6, "b")});
  EXPECT_TRUE(
      OldNames(table, mapping, Of({Named(0, "a2"), Named(0, "c"), Named(0, "new")})).empty());
  const auto old =
      OldNames(table, mapping, Of({Named(0, "a"), Named(0, "b"), Named(0, "s", {Named(0, "x")})}));
  ASSERT_EQ(old.size(), 3u);
  EXPECT_EQ(old[0].column + "," + old[0].now, "a,a2");
  EXPECT_FALSE(old[0].is_taken);
  EXPECT_EQ(old[1].column + "," + old[1].now, "b,");
  EXPECT_TRUE(old[1].is_taken);
  EXPECT_EQ(old[2].column + "," + old[2].now, "s.x,s.y");
}

}  // namespace
}  // namespace varve::table::iceberg

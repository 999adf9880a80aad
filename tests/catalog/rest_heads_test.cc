// Our tables in another program's catalog: which answers mean what, and that none loses or doubles
// a commit. The other catalog is ours too, behind a transport that fails as networks do.
#include "catalog/rest_heads.h"

#include <deque>

#include "catalog/rest_catalog.h"
#include "simulation.h"
#include "table/iceberg/name_mapping.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;

RestAnswer Refusal(int status) {
  return {status,
          R"({"error":{"message":"so it is","type":"x","code":)" + std::to_string(status) + "}}"};
}

RestAnswer TableAnswer(const Result<IcebergHead>& head) {
  if (!head.ok()) {
    const ErrorKind kind = head.error().kind;
    return Refusal(kind == ErrorKind::kNotFound   ? 404
                   : kind == ErrorKind::kConflict ? 409
                   : kind == ErrorKind::kInvalid  ? 400
                                                  : 500);
  }
  return {200, R"({"metadata-location":")" + head->location + R"(","metadata":)" +
                   ice::WriteMetadata(head->metadata) + "}"};
}

enum class Trouble {
  kBusy,        // 503; nothing is done
  kFails,       // 500; nothing is done
  kDoneFails,   // 500; it is done
  kSilent,      // no answer; nothing is done
  kDoneSilent,  // no answer; it is done
  kOtherFirst,  // another commit, then this one; no answer
  kGarbage,     // 200 with what is no JSON; it is done
};

// The catalog at http://other/v1/lake, namespace web.eu.
struct OtherCatalog {
  explicit OtherCatalog(Lab& lab_in) : lab(lab_in), rest(lab_in.tables) {}

  Result<RestAnswer> operator()(const RestCall& call) {
    ++calls;
    EXPECT_EQ(call.headers.back(), "Authorization: Bearer secret");
    const bool commit = call.method == "POST" && call.url.find("/tables/") != std::string::npos;
    if (!commit || troubles.empty()) return Serve(call);
    const Trouble trouble = troubles.front();
    troubles.pop_front();
    const Error silent = MakeError(ErrorKind::kRetryable, "the connection broke");
    switch (trouble) {
      case Trouble::kBusy:
        return Refusal(503);
      case Trouble::kFails:
        return Refusal(500);
      case Trouble::kDoneFails:
        EXPECT_EQ(Serve(call).status, 200);
        return Refusal(500);
      case Trouble::kSilent:
        return silent;
      case Trouble::kDoneSilent:
        EXPECT_EQ(Serve(call).status, 200);
        return silent;
      case Trouble::kOtherFirst:
        EXPECT_TRUE(lab.tables.Commit("web.eu.t", lab.Append({OtherFile()})).ok());
        EXPECT_EQ(Serve(call).status, 409);
        return silent;
      case Trouble::kGarbage:
        EXPECT_EQ(Serve(call).status, 200);
        return RestAnswer{200, "<html>"};
    }
    return silent;
  }

  table::DataFile OtherFile() {
    table::DataFile file = lab.File("other" + std::to_string(calls), 100);
    file.partition.clear();
    return file;
  }

  RestAnswer Serve(const RestCall& call) {
    if (down) return Refusal(502);
    const Identifier table{{"web", "eu"}, "t"};
    const std::string front = "http://other/v1/lake/namespaces";
    if (call.url == "http://other/v1/config?warehouse=w%20h") {
      return {200, R"({"defaults":{},"overrides":{"prefix":"lake"}})"};
    }
    if (call.url == front) {
      return {rest.namespaces().Create({"web", "eu"}, {}).ok() ? 200 : 409, "{}"};
    }
    const std::string tables = front + "/web%1Feu/tables";
    if (call.url == tables) {  // it chooses the place itself, as catalogs may
      ice::CreateRequest request = ice::ParseCreateRequest(call.body).value();
      EXPECT_EQ(request.table.location, "memory://lake/catalog/t");
      request.table.location.clear();
      return TableAnswer(rest.Create({"web", "eu"}, ice::WriteCreateRequest(request)));
    }
    EXPECT_EQ(call.url.substr(0, tables.size() + 2), tables + "/t") << call.url;
    if (call.method == "GET") return TableAnswer(rest.Load(table));
    if (call.method == "POST") return TableAnswer(rest.Commit(table, call.body));
    return {rest.Drop(table).ok() ? 204 : 404, ""};
  }

  Lab& lab;
  RestCatalog rest;
  std::deque<Trouble> troubles;
  bool down = false;
  size_t calls = 0;
};

RestHeadsOptions OtherOptions() {
  RestHeadsOptions options;
  options.url = "http://other/";
  options.token = "secret";
  options.warehouse = "w h";
  options.levels = "web.eu";
  options.attempts_max = 4;
  return options;
}

// The same store; the other catalog knows the table as web.eu.t, we as t.
struct Client : Lab {
  Client() : Lab(7, OnlyIceberg(), "") {
    ice::NewTable table;
    table.schema = EventSchema();
    const auto made = ours.Create("t", std::move(table));
    EXPECT_TRUE(made.ok()) << made.error().message;
  }

  FileChanges Rows(const std::string& name, int64_t rows) {
    table::DataFile file = File(name, rows);
    file.partition.clear();
    return Append({file});
  }
  int64_t RowsThere() {
    const IcebergHead head = iceberg.Load("web.eu.t").value();
    const ice::Snapshot* current = head.metadata.current();
    return current == nullptr ? 0 : std::stoll(current->summary.at("total-records"));
  }

  OtherCatalog other{*this};
  std::vector<uint64_t> waits;
  RestHeads heads{OtherOptions(), [this](const RestCall& call) { return other(call); },
                  [this](uint64_t ms) { waits.push_back(ms); }};
  IcebergTables ours{memory, clock, *random, Lab::Options(), &heads};
  DeltaTables our_delta{memory, clock, *random, Lab::ForDelta()};
  LakeTables lake{ours, our_delta};
};

TEST(RestHeads, MakeTheNamespaceAndTheTableAndCommitToIt) {
  Client client;
  EXPECT_TRUE(client.heads.Exists(client.ours.Place("t")).value());
  EXPECT_EQ(client.iceberg.Load("web.eu.t")->metadata.properties.count(ice::kNameMapping), 1u);
  const auto done = client.lake.Commit("t", client.Rows("a", 3));
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(client.RowsThere(), 3);
  ASSERT_TRUE(client.lake.Evolve("t", EventSchemaWith("more", table::TypeId::kString)).ok());
  EXPECT_EQ(client.iceberg.Load("web.eu.t")->metadata.schema().fields.size(), 3u);
  ASSERT_TRUE(client.ours.Drop("t").ok());
  ExpectCode(client.ours.Load("t"), "NO_SUCH_TABLE");
}

TEST(RestHeads, AMarkMakesARepeatedCommitOne) {
  Client client;
  FileChanges changes = client.Rows("a", 3);
  changes.mark = ice::Mark{"shard", 5};
  ASSERT_TRUE(client.lake.Commit("t", changes).ok());
  FileChanges again = client.Rows("a-again", 3);
  again.mark = changes.mark;
  EXPECT_TRUE(client.lake.Commit("t", again)->iceberg->already_done);
  EXPECT_EQ(client.RowsThere(), 3);
}

TEST(RestHeads, NoTroubleLosesOrDoublesACommit) {
  const struct {
    std::vector<Trouble> troubles;
    int64_t rows;
  } cases[] = {
      {{Trouble::kBusy, Trouble::kBusy}, 3},
      {{Trouble::kFails}, 3},
      {{Trouble::kDoneFails}, 3},
      {{Trouble::kSilent, Trouble::kSilent}, 3},
      {{Trouble::kDoneSilent}, 3},
      {{Trouble::kGarbage}, 3},
      {{Trouble::kSilent, Trouble::kBusy, Trouble::kDoneFails}, 3},
      {{Trouble::kOtherFirst}, 103},
      {{Trouble::kSilent, Trouble::kOtherFirst, Trouble::kDoneSilent}, 103},
  };
  for (const auto& one : cases) {
    Client client;
    client.other.troubles.assign(one.troubles.begin(), one.troubles.end());
    const auto done = client.lake.Commit("t", client.Rows("a", 3));
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(client.RowsThere(), one.rows) << static_cast<int>(one.troubles[0]);
    EXPECT_TRUE(client.other.troubles.empty());
  }
}

TEST(RestHeads, ACatalogThatStaysSilentLeavesTheOutcomeOpenAndTheFilesThere) {
  Client client;
  client.other.troubles.assign(4, Trouble::kSilent);
  client.other.troubles.front() = Trouble::kFails;
  const FileChanges changes = client.Rows("a", 3);
  const auto open = client.lake.Commit("t", changes);
  ExpectCode(open, "COMMIT_UNKNOWN");
  EXPECT_EQ(open.error().kind, ErrorKind::kUnknown);
  ASSERT_GE(client.waits.size(), 3u);
  EXPECT_LT(client.waits[0], client.waits[2]);
  ASSERT_TRUE(client.lake.Commit("t", changes).ok());
  EXPECT_EQ(client.RowsThere(), 3);
}

TEST(RestHeads, ACatalogThatIsBusyThroughoutHasDoneNothing) {
  Client client;
  client.other.troubles.assign(4, Trouble::kBusy);
  const auto busy = client.lake.Commit("t", client.Rows("a", 3));
  ExpectCode(busy, "CATALOG_UNAVAILABLE");
  EXPECT_EQ(busy.error().kind, ErrorKind::kRetryable);
  client.other.down = true;
  ExpectCode(client.ours.Load("t"), "CATALOG_UNAVAILABLE");
}

TEST(RestHeads, RefusalsSayWhatTheCatalogSaid) {
  const struct {
    int status;
    ErrorKind kind;
  } cases[] = {{401, ErrorKind::kUnauthorized},
               {403, ErrorKind::kForbidden},
               {419, ErrorKind::kUnauthorized},
               {400, ErrorKind::kInvalid},
               {429, ErrorKind::kRetryable}};
  for (const auto& one : cases) {
    RestHeads heads(
        OtherOptions(), [&](const RestCall&) -> Result<RestAnswer> { return Refusal(one.status); },
        [](uint64_t) {});
    const auto head = heads.Load(TablePlace("memory://lake", "catalog", "t"));
    ASSERT_FALSE(head.ok());
    EXPECT_EQ(head.error().kind, one.kind) << one.status;
    EXPECT_NE(head.error().message.find("so it is"), std::string::npos);
  }
  RestHeads nonsense(
      OtherOptions(),
      [&](const RestCall&) -> Result<RestAnswer> {
        return RestAnswer{200, "[[["};
      },
      [](uint64_t) {});
  ExpectCode(nonsense.Load(TablePlace("memory://lake", "catalog", "t")), "CATALOG_UNAVAILABLE");
}

}  // namespace
}  // namespace varve::catalog

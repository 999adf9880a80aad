// Workflows over HTTP: lists, steps, an operator's wishes.
#include <algorithm>

#include "server/running_server.h"

namespace varve::server {
namespace {

using workflow::WorkflowState;

std::string Make(RunningServer& server, const std::string& subject) {
  return server.workflows->Create("compaction", subject, "{}", "plan").value();
}

bool Has(const Reply& reply, const std::string& text) {
  return reply.body.find(text) != std::string::npos;
}

TEST(Workflows, AreListedInPagesTheNewestFirst) {
  RunningServer server;
  EXPECT_EQ(server.Request("GET", "/workflows").body, R"({"workflows":[]})");
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(Make(server, "users@" + std::to_string(i)));
  std::sort(ids.begin(), ids.end());
  const Reply page = server.Request("GET", "/workflows?limit=2");
  EXPECT_TRUE(Has(page, ids[2]) && Has(page, ids[1]) && !Has(page, ids[0])) << page.body;
  EXPECT_TRUE(Has(page, "\"nextBefore\":\"" + ids[1] + "\"")) << page.body;
  const Reply rest = server.Request("GET", "/workflows?before=" + ids[1]);
  EXPECT_TRUE(Has(rest, ids[0]) && !Has(rest, ids[1]) && !Has(rest, "nextBefore")) << rest.body;
  EXPECT_FALSE(Has(server.Request("GET", "/workflows?state=failed"), ids[0]));
  EXPECT_FALSE(Has(server.Request("GET", "/workflows?kind=other"), ids[0]));
  for (const char* wrong : {"state=new", "limit=0", "limit=1001", "limit=x"}) {
    EXPECT_EQ(server.Request("GET", "/workflows?" + std::string(wrong)).status, 400) << wrong;
  }
}

TEST(Workflows, AnOperatorsWishesAreDoneWhereTheyArePossible) {
  RunningServer server;
  const std::string id = Make(server, "users@0");
  const std::string path = "/workflows/" + id;
  EXPECT_TRUE(Has(server.Request("POST", path + "/pause"), R"("state":"paused")"));
  const Reply again = server.Request("POST", path + "/pause");
  EXPECT_EQ(again.status, 409);
  EXPECT_TRUE(Has(again, "WORKFLOW_STATE")) << again.body;
  EXPECT_EQ(server.Request("POST", path + "/retry").status, 409);
  EXPECT_TRUE(Has(server.Request("POST", path + "/resume"), R"("state":"active")"));
  EXPECT_TRUE(Has(server.Request("POST", path + "/cancel"), R"("state":"cancelling")"));
  EXPECT_EQ(server.wakes, 3);
  EXPECT_EQ(server.workflows->Get(id)->state, WorkflowState::kCancelling);
  EXPECT_EQ(server.Request("POST", "/workflows/nobody/cancel").status, 404);
  EXPECT_EQ(server.Request("POST", path + "/explode").status, 404);
}

TEST(Workflows, OneIsShownWithItsStepsAlsoWhileTheyRun) {
  RunningServer server;
  const std::string id = Make(server, "users@0");
  const int64_t epoch = server.workflows->NewEpoch().value();
  const auto taken = server.workflows->Take(epoch).value();
  ASSERT_TRUE(taken.has_value());
  workflow::StepRecord step{.step = "plan", .started_ms = 1'770'040'800'000, .attempts = 1};
  step.detail_json = R"({"files":7})";
  ASSERT_TRUE(server.workflows->Report(epoch, *taken, step).ok());
  const Reply shown = server.Request("GET", "/workflows/" + id);
  EXPECT_TRUE(Has(shown, R"("step":"plan","started":"2026-02-02T14:00:00.000Z","ended":null)"))
      << shown.body;
  EXPECT_TRUE(Has(shown, R"("detail":{"files":7})")) << shown.body;
  EXPECT_EQ(server.Request("GET", "/workflows/nobody").status, 404);
}

}  // namespace
}  // namespace varve::server

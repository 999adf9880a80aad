#include "query/events_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "lake.h"
#include "query/sql_text.h"

namespace varve::query::testing {
namespace {

using Params = std::vector<std::pair<std::string, std::string>>;

Params ParamsOf(const std::string& link) {
  Params params;
  for (size_t at = link.find('?'); at != std::string::npos && at < link.size();) {
    const size_t equals = link.find('=', at);
    const size_t end = std::min(link.find('&', at + 1), link.size());
    std::string value;
    for (size_t i = equals + 1; i < end; ++i) {
      if (link[i] == '%') {
        value += static_cast<char>(std::stoi(link.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else {
        value += link[i];
      }
    }
    params.emplace_back(link.substr(at + 1, equals - at - 1), value);
    at = end;
  }
  return params;
}

class Pages : public ::testing::Test {
 protected:
  Json Get(const Params& params, const NamespaceId& ns = {}) {
    const auto request = ParseEventsPage(ns, params, kNoon + 3'600'000);
    EXPECT_TRUE(request.ok()) << request.error().message;
    const auto page = EventsPage(*engine_, *request, "/events", nullptr);
    EXPECT_TRUE(page.ok()) << page.error().message;
    return page.ok() ? Json::parse(*page) : Json();
  }
  // All pages from here by one kind of link.
  std::vector<Json> Walk(Json page, const std::string& link) {
    std::vector<Json> pages = {page};
    while (page["links"].contains(link)) {
      page = Get(ParamsOf(page["links"][link]));
      pages.push_back(page);
      if (pages.size() > 200) break;
    }
    return pages;
  }
  static std::vector<int> Numbers(const Json& page) {
    std::vector<int> numbers;
    for (const Json& event : page["data"]) numbers.push_back(event["payload"]["n"]);
    return numbers;
  }

  Lake lake_;
  std::unique_ptr<Engine> engine_ = OpenEngine(lake_);
};

TEST_F(Pages, NewestFirstWithColumnsAndPayload) {
  lake_.AddEventFile("events/2026/02/02/12/a.parquet", 0, 30);
  lake_.AddHot(30, 5);
  const Json page = Get({});
  EXPECT_EQ(page["data"].size(), 20u);
  EXPECT_EQ(page["data"][0]["payload"]["n"], 34);
  EXPECT_EQ(page["data"][0]["ts"], "2026-02-02T12:00:34.000Z");
  EXPECT_EQ(page["data"][0].size(), 13u);
  EXPECT_TRUE(page["links"].contains("next"));
  EXPECT_FALSE(page["links"].contains("prev"));
  EXPECT_EQ(page["meta"]["scan"]["returned"], 20);
  EXPECT_TRUE(page["meta"]["timing"]["queryMs"].is_number());
}

TEST_F(Pages, LinksNeitherSkipNorRepeatAmongEqualTimes) {
  // 3 files and the journal hold events of few different times, some of them alike in everything.
  for (int part = 0; part < 3; ++part) {
    std::vector<std::string> events;
    std::vector<int64_t> times;
    for (int n = 0; n < 40; ++n) {
      times.push_back(kNoon + (n % 4) * 1000);
      events.push_back(EventJson(part == 2 ? 7 : part * 40 + n, "a.b", times.back()));
    }
    lake_.hot->emplace_back(events, times);
  }
  for (const char* limit : {"7", "39", "120", "1000"}) {
    const auto pages = Walk(Get({{"limit", limit}}), "next");
    std::vector<int> seen;
    for (const Json& page : pages) {
      const auto numbers = Numbers(page);
      seen.insert(seen.end(), numbers.begin(), numbers.end());
    }
    EXPECT_EQ(seen.size(), 120u) << limit;
    EXPECT_EQ(std::ranges::count(seen, 7), 41) << limit;
    std::ranges::sort(seen);
    EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), 80u) << limit;
    // The way back gives the same pages.
    const auto back = Walk(pages.back(), "prev");
    EXPECT_EQ(back.size(), pages.size()) << limit;
    for (size_t i = 0; i < back.size() && i < pages.size(); ++i) {
      EXPECT_EQ(Numbers(back[i]), Numbers(pages[pages.size() - 1 - i])) << limit;
    }
  }
}

TEST_F(Pages, ACursorSurvivesTheFlushOfWhatItPointsAt) {
  lake_.AddHot(0, 50);
  const Json first = Get({{"limit", "20"}});
  lake_.hot = std::make_shared<std::deque<HotBatch>>();
  lake_.AddEventFile("events/2026/02/02/12/flushed.parquet", 0, 50);
  const Json second = Get(ParamsOf(first["links"]["next"]));
  EXPECT_EQ(Numbers(second).front(), 29);
  EXPECT_EQ(Numbers(second).size(), 20u);
}

TEST_F(Pages, RangesAreExclusiveOrInclusiveAsNamed) {
  lake_.AddHot(0, 10);
  const auto at = [](int n) { return std::to_string(kNoon + n * 1000); };
  EXPECT_EQ(Numbers(Get({{"after", at(2)}, {"before", at(5)}})), (std::vector{4, 3}));
  EXPECT_EQ(Numbers(Get({{"from", at(2)}, {"to", at(5)}})), (std::vector{5, 4, 3, 2}));
  EXPECT_EQ(Numbers(Get({{"from", "2026-02-02T12:00:08Z"}})), (std::vector{9, 8}));
}

TEST_F(Pages, TheDefaultIsTheLastDayAndLinksKeepIt) {
  lake_.hot->emplace_back(
      std::vector{EventJson(1, "a.b", kNoon - 86'400'000), EventJson(2, "a.b", kNoon)},
      std::vector{kNoon - 86'400'000, kNoon});
  const Json page = Get({});
  EXPECT_EQ(Numbers(page), std::vector{2});
  EXPECT_THAT(page["links"]["self"].get<std::string>(),
              ::testing::HasSubstr("from=2026-02-01T13%3A00%3A00.000Z"));
  EXPECT_EQ(Get({{"to", std::to_string(kNoon)}})["data"].size(), 2u);
}

TEST_F(Pages, FiltersByTypeProviderAndSource) {
  lake_.AddHot(0, 9);
  EXPECT_EQ(Numbers(Get({{"type", "rpc.*"}})), (std::vector{6, 3, 0}));
  EXPECT_EQ(Get({{"type", "rpc.call"}})["data"].size(), 3u);
  EXPECT_EQ(Get({{"type", "*"}})["data"].size(), 9u);
  EXPECT_EQ(Get({{"type", "**.update"}})["data"].size(), 6u);
  EXPECT_EQ(Get({{"source", "ingest"}})["data"].size(), 9u);
  EXPECT_EQ(Get({{"provider", "github' OR true --"}})["data"].size(), 0u);
}

TEST_F(Pages, TypePatterns) {
  const auto matches = [&](const std::string& pattern, const std::string& type) {
    const Answer answer = Ask(
        *engine_, "SELECT " + TypeMatches(pattern) + " AS m FROM (SELECT '" + type + "' AS type)");
    return answer.data()[0]["m"].get<bool>();
  };
  EXPECT_TRUE(matches("a.*", "a.b"));
  EXPECT_FALSE(matches("a.*", "a.b.c"));
  EXPECT_FALSE(matches("a.*", "a"));
  EXPECT_FALSE(matches("a.*", "ab.c"));
  EXPECT_TRUE(matches("a.**", "a"));
  EXPECT_TRUE(matches("a.**", "a.b.c"));
  EXPECT_FALSE(matches("a.**", "ab"));
  EXPECT_TRUE(matches("**.c", "c"));
  EXPECT_TRUE(matches("**.c", "a.b.c"));
  EXPECT_TRUE(matches("a.**.c", "a.c"));
  EXPECT_TRUE(matches("a.**.c", "a.x.y.c"));
  EXPECT_TRUE(matches("web*.push", "webhook.push"));
  EXPECT_FALSE(matches("a+.*", "aa.b"));
  EXPECT_TRUE(matches("*", "any.thing"));
}

TEST_F(Pages, BadParametersAreNamed) {
  for (const Params& params :
       {Params{{"limit", "0"}}, Params{{"limit", "1001"}}, Params{{"limit", "x"}},
        Params{{"from", "yesterday"}}, Params{{"before", "99999999999999999"}},
        Params{{"cursor", "x"}}, Params{{"cursor", "o.1.zz.1"}},
        Params{{"cursor", "o.1." + std::string(32, '\'') + ".1"}},
        Params{{"type", std::string(257, 'a')}}}) {
    const auto request = ParseEventsPage({}, params, kNoon);
    ASSERT_FALSE(request.ok()) << params[0].first << params[0].second;
    EXPECT_EQ(request.error().code, "INVALID_QUERY");
  }
}

TEST_F(Pages, ATenantsLinksNameIt) {
  const Json page = Get({}, NamespaceId::Parse("acme").value());
  EXPECT_EQ(page["data"].size(), 0u);
  EXPECT_THAT(page["links"]["self"].get<std::string>(), ::testing::HasSubstr("namespace=acme"));
}

TEST_F(Pages, Recent) {
  lake_.AddEventFile("events/2026/02/02/12/a.parquet", 0, 30);
  lake_.AddHot(30, 5);
  const auto recent = RecentEvents(*engine_, lake_, {}, 10, kNoon + 1000, nullptr);
  ASSERT_TRUE(recent.ok());
  const Json json = Json::parse(*recent);
  EXPECT_EQ(json["count"], 10);
  EXPECT_EQ(json["events"][0]["payload"]["n"], 34);
  EXPECT_EQ(json["parquetFiles"], 1);
  EXPECT_EQ(json["recentFiles"][0], "events/2026/02/02/12/a.parquet");
}

}  // namespace
}  // namespace varve::query::testing

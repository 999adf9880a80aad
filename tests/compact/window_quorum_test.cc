// When a window is ready, and who holds it back: seed rules with a simulated clock.
#include <gtest/gtest.h>

#include "windows.h"

namespace varve::compact {
namespace {

class QuorumTest : public ::testing::Test {
 protected:
  void Open(WindowOptions options = {}) {
    windows_ = std::make_unique<Windows>(":memory:", clock_, std::move(options));
  }
  void Files(std::string_view writer, int count, int64_t time_ms = kTen + 1) {
    for (int i = 0; i < count; ++i) {
      windows_->Note({FileOf("users", time_ms, writer, sequence_++)});
    }
  }
  void At(int64_t ms) { clock_.AdvanceMs(ms - clock_.NowMs()); }
  // "time", "writers minFiles" …; "" for a window that is ready.
  std::string Holds(size_t window = 0) {
    std::string out;
    const NamespaceStatus status = windows_->StatusOf("users");
    for (const Hold& hold : status.windows.at(window).holds) {
      out += (out.empty() ? "" : " ") + std::string(ToString(hold.kind));
    }
    return out;
  }

  ManualClock clock_{kTen};
  std::unique_ptr<Windows> windows_;
  uint64_t sequence_ = 0;
};

TEST_F(QuorumTest, AWindowWaitsUntilItsTimeIsOver) {
  Open();
  Files("w1", 10);
  EXPECT_EQ(Holds(), "time");
  At(kTen + kWindowMs + 5 * kMinute - 1);
  EXPECT_EQ(Holds(), "time");
  EXPECT_FALSE(windows_->Dispatch().has_value());
  At(kTen + kWindowMs + 5 * kMinute);
  EXPECT_EQ(Holds(), "");
  ASSERT_TRUE(windows_->Dispatch().has_value());
  EXPECT_EQ(windows_->workflows->last.sources.size(), 10u);
  EXPECT_EQ(windows_->workflows->last.window_start_ms, kTen);
  EXPECT_EQ(windows_->workflows->last.window_end_ms, kTen + kWindowMs);
}

TEST_F(QuorumTest, AnActiveWriterThatIsMissingIsWaitedForAndNamed) {
  Open();
  At(kTen + 50 * kMinute);
  windows_->Note({FileOf("users", kTen - kWindowMs, "w2", 0)});  // active, in another window
  At(kTen + kWindowMs + 4 * kMinute);
  Files("w1", 10);
  At(kTen + kWindowMs + 6 * kMinute);
  const WindowStatus status = windows_->StatusOf("users").windows.at(1);
  ASSERT_EQ(Holds(1), "writers");
  EXPECT_EQ(status.missing, std::vector<std::string>{"w2"});
  EXPECT_EQ(status.holds[0].since_ms, kTen + kWindowMs + 5 * kMinute);
  EXPECT_EQ(status.holds[0].until_ms, kTen + kWindowMs + 9 * kMinute + 1);
  Files("w2", 1);
  EXPECT_EQ(Holds(1), "") << "it has come";
}

TEST_F(QuorumTest, ASilentWindowGoesWithoutTheMissingWriter) {
  Open();
  At(kTen + 55 * kMinute);
  windows_->Note({FileOf("users", kTen - kWindowMs, "w2", 0)});
  At(kTen + kWindowMs + 4 * kMinute);
  Files("w1", 10);
  At(kTen + kWindowMs + 9 * kMinute);
  EXPECT_EQ(Holds(1), "writers");
  At(kTen + kWindowMs + 9 * kMinute + 1);
  EXPECT_EQ(Holds(1), "");
}

TEST_F(QuorumTest, AWriterThatHasBeenSilentForLongIsNotWaitedFor) {
  Open();
  windows_->Note({FileOf("users", kTen - kWindowMs, "w2", 0)});
  At(kTen + kWindowMs + 4 * kMinute);
  Files("w1", 10);
  At(kTen + kWindowMs + 5 * kMinute);
  EXPECT_EQ(Holds(1), "");
  EXPECT_EQ(windows_->StatusOf("users").active_writers, std::vector<std::string>{"w1"});
  EXPECT_EQ(windows_->StatusOf("users").known_writers.size(), 2u);
}

TEST_F(QuorumTest, FewFilesWaitAndThenGoAllTheSame) {
  Open();
  Files("w1", 9);
  At(kTen + kWindowMs + 23 * kWindowMs);
  EXPECT_EQ(Holds(), "minFiles");
  At(kTen + kWindowMs + 24 * kWindowMs);
  EXPECT_EQ(Holds(), "");
}

TEST_F(QuorumTest, OneFileAloneGoesOnlyWhereTheTargetIsATable) {
  WindowOptions options;
  options.settings.target = ParseTargetFormat("parquet").value();
  Open(options);
  Files("w1", 1);
  At(kTen + 48 * kWindowMs);
  EXPECT_EQ(Holds(), "minFiles");
  ASSERT_TRUE(
      windows_->tracker->Configure(NamespaceId(), "users", R"({"targetFormat":"iceberg"})").ok());
  EXPECT_EQ(Holds(), "");
}

TEST_F(QuorumTest, APrioritySetsTheWait) {
  Open();
  Files("w1", 10);
  const struct {
    int priority;
    int64_t minutes;
  } cases[] = {{0, 1}, {1, 5}, {2, 15}, {3, 60}};
  for (const auto& [priority, minutes] : cases) {
    const std::string json = fmt::format("{{\"priority\":{}}}", priority);
    ASSERT_TRUE(windows_->tracker->Configure(NamespaceId(), "users", json).ok());
    At(kTen + kWindowMs + minutes * kMinute - 1);
    EXPECT_EQ(Holds(), "time") << priority;
    At(kTen + kWindowMs + minutes * kMinute);
    EXPECT_EQ(Holds(), "") << priority;
  }
}

TEST_F(QuorumTest, AClockThatRunsAheadHoldsNobodyElseBackAndIsAnIssue) {
  Open();
  At(kTen + 59 * kMinute);
  windows_->Note({FileOf("users", kTen + 100 * kWindowMs, "ahead", 0)});
  At(kTen + kWindowMs + 4 * kMinute);
  Files("w1", 10);
  At(kTen + kWindowMs + 5 * kMinute);
  EXPECT_EQ(Holds(0), "");
  const NamespaceStatus status = windows_->StatusOf("users");
  ASSERT_EQ(status.windows.size(), 2u);
  EXPECT_TRUE(status.windows[1].lies_ahead);
  EXPECT_EQ(status.issues.size(), 2u);
  EXPECT_EQ(Holds(1), "time");
  At(kTen + 59 * kMinute + kWindowMs + 25 * kWindowMs);  // by arrival
  EXPECT_EQ(Holds(1), "");
}

TEST_F(QuorumTest, UnderPressureTheFirstPrioritiesGoFirstAndSomethingAlwaysGoes) {
  WindowOptions options;
  options.min_files = 1;
  options.pressure_normal = 2;
  options.pressure_severe = 4;
  options.concurrency_max = 10;
  Open(options);
  for (int i = 0; i < 4; ++i) {
    windows_->Note({FileOf(fmt::format("p3-{}", i), kTen, "w", 0)});
    ASSERT_TRUE(
        windows_->tracker->Configure(NamespaceId(), fmt::format("p3-{}", i), R"({"priority":3})")
            .ok());
  }
  windows_->Note({FileOf("p0", kTen, "w", 0)});
  ASSERT_TRUE(windows_->tracker->Configure(NamespaceId(), "p0", R"({"priority":0})").ok());
  At(kTen + 2 * kWindowMs);
  EXPECT_EQ(ReadStatus(*windows_->tracker, {})->pressure, Pressure::kSevere);
  const auto first = windows_->Dispatch();
  EXPECT_EQ(first->ns, "p0");
  EXPECT_FALSE(windows_->Dispatch().has_value()) << "P3 is passed over while something runs";
  windows_->SettleAll(first->window.workflow_id);
  for (int i = 0; i < 3; ++i) {
    const auto next = windows_->Dispatch();
    ASSERT_TRUE(next.has_value()) << "nothing runs: pressure must end";
    EXPECT_EQ(next->ns, fmt::format("p3-{}", i));
    windows_->SettleAll(next->window.workflow_id);
  }
  EXPECT_TRUE(windows_->Dispatch().has_value());
}

TEST_F(QuorumTest, NoMoreWorkflowsRunThanAreAllowed) {
  WindowOptions options;
  options.min_files = 1;
  options.concurrency_max = 1;
  Open(options);
  windows_->Note({FileOf("a", kTen, "w", 0), FileOf("b", kTen, "w", 0)});
  At(kTen + 2 * kWindowMs);
  const auto first = windows_->Dispatch();
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(windows_->Dispatch().has_value());
  EXPECT_FALSE(windows_->Dispatch({.force = true}).has_value());
  ASSERT_TRUE(windows_->tracker->SetHalted(first->window.workflow_id, true).ok());
  const auto second = windows_->Dispatch();
  ASSERT_TRUE(second.has_value()) << "one that waits for an operator keeps nobody else waiting";
  const NamespaceStatus status = windows_->StatusOf("a");
  EXPECT_EQ(status.halted, 1u);
  EXPECT_EQ(HealthOf(status, {}, clock_.NowMs()).health, Health::kUnhealthy);
}

}  // namespace
}  // namespace varve::compact

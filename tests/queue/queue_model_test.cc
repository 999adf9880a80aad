// Random sends, receives, settlements, expiries and replays, against the model after every step.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "queue/sqlite_queue.h"
#include "queue_model.h"

namespace varve::queue {
namespace {

constexpr int64_t kLeaseMs = 1'000;

struct Step {
  uint32_t call;
  uint32_t choice;
};

class ModelRun {
 public:
  ModelRun() : random_(SeededRandom(7)) {
    database_ = state::Database::Open(":memory:").value();
    Reopen();
    QueueConfig config;
    config.name = "work";
    config.max_retries = ModelQueue::kMaxRetries;
    config.dead_letter_queue = "dead";
    config.retry_base_ms = 0;
    queue_->Declare(config).value();
  }

  void Do(const Step& step) {
    switch (step.call % 12) {
      case 0:
      case 1:
        return Send(step.choice);
      case 2:
      case 3:
        return Receive(1 + step.choice % 4);
      case 4:
        return Ack(step.choice);
      case 5:
        return Retry(step.choice, false);
      case 6:
        return Retry(step.choice, step.choice % 3 == 0);
      case 7:
        clock_.AdvanceMs(1 + step.choice % 1'500);
        return;
      case 8:
        return Extend(step.choice);
      case 9:
        return Release(step.choice);
      case 10:
        return Replay(1 + step.choice % 3);
      default:
        return Reopen();
    }
  }

  void Compare() {
    const QueueStats stats = queue_->Stats("work").value();
    model_.Sweep(clock_.NowMs());
    RC_ASSERT(stats.sent == model_.sent);
    RC_ASSERT(stats.delivered == model_.delivered);
    RC_ASSERT(stats.acked == model_.acked);
    RC_ASSERT(stats.retried == model_.retried);
    RC_ASSERT(stats.dead_lettered == model_.dead_lettered);
    RC_ASSERT(stats.deduplicated == model_.deduplicated);
    RC_ASSERT(stats.backlog == model_.work.size());
    const auto leased = std::count_if(model_.work.begin(), model_.work.end(),
                                      [](const ModelMessage& m) { return m.leased; });
    RC_ASSERT(stats.leased == static_cast<uint64_t>(leased));
    RC_ASSERT(queue_->Stats("dead").value().backlog == model_.dead.size());
    CompareDeadLetters();
  }

 private:
  void Reopen() { queue_ = SqliteQueue::Open(*database_, clock_, *random_).value(); }

  void Send(uint32_t choice) {
    SendOptions options;
    options.delay_ms = choice % 3 == 0 ? 400 : 0;
    options.dedup_window_ms = 700;
    if (choice % 2 == 0) options.dedup_key = "k" + std::to_string(choice % 8);
    const std::string id = queue_->Send("work", "body", options).value();
    const int64_t now = clock_.NowMs();
    if (!options.dedup_key.empty() && model_.dedup_until[options.dedup_key] > now) {
      RC_ASSERT(id.empty());
      ++model_.deduplicated;
      return;
    }
    if (!options.dedup_key.empty()) model_.dedup_until[options.dedup_key] = now + 700;
    RC_ASSERT(!id.empty());
    model_.Send(id, now, static_cast<int64_t>(options.delay_ms));
  }

  void Receive(uint32_t batch_max) {
    const auto got = queue_->Receive("work", batch_max, kLeaseMs).value();
    const auto expected = model_.Receive(clock_.NowMs(), batch_max, kLeaseMs);
    RC_ASSERT(got.size() == expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      RC_ASSERT(got[i].id == expected[i].id);
      RC_ASSERT(got[i].attempts == expected[i].attempts);
      leases_.push_back({got[i].lease_id, {got[i].id, expected[i].deliveries}});
    }
  }

  void Ack(uint32_t choice) {
    if (leases_.empty()) return;
    const auto& [text, lease] = leases_[choice % leases_.size()];
    const uint64_t before = model_.acked;
    model_.Ack(lease, clock_.NowMs());
    RC_ASSERT(queue_->Settle("work", {text}, {}).value().acked == model_.acked - before);
  }

  void Retry(uint32_t choice, bool dead_letter_now) {
    if (leases_.empty()) return;
    const auto& [text, lease] = leases_[choice % leases_.size()];
    model_.Retry(lease, clock_.NowMs(), 250, dead_letter_now);
    const RetryRequest request{text, "said so", 250, dead_letter_now};
    RC_ASSERT(queue_->Settle("work", {}, {request}).ok());
  }

  void Extend(uint32_t choice) {
    if (leases_.empty()) return;
    const auto& [text, lease] = leases_[choice % leases_.size()];
    const bool expected = model_.Extend(lease, clock_.NowMs(), 2'000);
    RC_ASSERT(queue_->Extend("work", text, 2'000).ok() == expected);
  }

  void Release(uint32_t choice) {
    if (leases_.empty()) return;
    const auto& [text, lease] = leases_[choice % leases_.size()];
    model_.Release(lease, clock_.NowMs());
    RC_ASSERT(queue_->Release("work", std::vector{text}, 0).ok());
  }

  void Replay(uint32_t messages_max) {
    const size_t expected = model_.Replay(clock_.NowMs(), messages_max);
    RC_ASSERT(queue_->Replay("dead", messages_max).value() == expected);
  }

  void CompareDeadLetters() {
    std::map<std::string, std::string> expected;
    for (const ModelMessage& message : model_.dead) expected[message.id] = message.reason;
    std::map<std::string, std::string> got;
    for (const Message& message : queue_->Peek("dead", 100).value()) {
      RC_ASSERT(message.dead_letter_source == "work");
      got[message.id] = message.dead_letter_reason;
    }
    if (expected.size() <= 100) RC_ASSERT(got == expected);
  }

  ManualClock clock_{1'700'000'000'000};
  std::unique_ptr<Random> random_;
  std::unique_ptr<state::Database> database_;
  std::unique_ptr<SqliteQueue> queue_;
  ModelQueue model_;
  std::vector<std::pair<std::string, ModelLease>> leases_;
};

TEST(SqliteQueueModel, BehavesAsTheModelUnderRandomCalls) {
  EXPECT_TRUE(rc::check("the queue and the model agree after every call", [] {
    const auto length = *rc::gen::inRange(1, 80);
    const auto steps = *rc::gen::container<std::vector<std::pair<uint32_t, uint32_t>>>(
        static_cast<size_t>(length),
        rc::gen::pair(rc::gen::inRange<uint32_t>(0, 12), rc::gen::inRange<uint32_t>(0, 10'000)));
    ModelRun run;
    for (const auto& [call, choice] : steps) {
      run.Do({call, choice});
      run.Compare();
    }
  }));
}

}  // namespace
}  // namespace varve::queue

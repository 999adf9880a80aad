#include "notify/intake.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace varve::notify {
namespace {

class Intake {
 public:
  Intake(queue::SqliteQueue& queue, state::Database& database, const IntakeOptions& options,
         const IntakeCalls& calls)
      : queue_(queue), database_(database), options_(options), calls_(calls) {}

  Result<Taken> Run() {
    Status judged = Judge();
    TRY(Commit());
    return Taken{messages_, dead_.size(), unread_.size(), std::move(judged)};
  }

 private:
  Status Judge() {
    Status judged;
    while (messages_ < options_.messages_max && judged.ok()) {
      const auto room = static_cast<uint32_t>(
          std::min<uint64_t>(queue::kBatchMax, options_.messages_max - messages_));
      const auto messages =
          TRY(queue_.ReceiveHeld(options_.queue, room, options_.lease_ms, options_.holder));
      for (const queue::Message& message : messages) {
        ++messages_;
        if (judged.ok()) judged = JudgeOne(message);
        if (!judged.ok()) unread_.push_back(message.lease_id);
      }
      if (messages.size() < room) break;
    }
    return judged;
  }

  Status JudgeOne(const queue::Message& message) {
    const auto notifications = ParseNotifications(message.body);
    if (!notifications.ok()) {
      dead_.push_back(
          {message.lease_id, notifications.error().message, -1, /*dead_letter_now=*/true});
      return {};
    }
    TRY(calls_.add(*notifications));
    leases_.push_back(message.lease_id);
    return {};
  }

  Status Commit() {
    if (!leases_.empty()) {
      const Status noted = database_.Transact([&](state::Session& session) -> Status {
        TRY(calls_.note(session));
        TRY(queue_.AckIn(session, options_.queue, leases_));
        return {};
      });
      if (!noted.ok()) {
        TRY(queue_.Release(options_.queue, leases_, options_.pause_ms));
        return noted;
      }
    }
    if (!dead_.empty()) TRY(queue_.Settle(options_.queue, {}, dead_));
    if (!unread_.empty()) TRY(queue_.Release(options_.queue, unread_, options_.pause_ms));
    return {};
  }

  queue::SqliteQueue& queue_;
  state::Database& database_;
  const IntakeOptions& options_;
  const IntakeCalls& calls_;
  std::vector<std::string> leases_;        // to be acked
  std::vector<queue::RetryRequest> dead_;  // no notifications
  std::vector<std::string> unread_;        // to be given back
  uint64_t messages_ = 0;
};

}  // namespace

Result<Taken> TakeNotifications(queue::SqliteQueue& queue, state::Database& database,
                                const IntakeOptions& options, const IntakeCalls& calls) {
  return Intake(queue, database, options, calls).Run();
}

}  // namespace varve::notify

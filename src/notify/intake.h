// Notifications from a queue, many messages at once, for a consumer that notes what they say in the
// transaction that acks them.
//
// A message that is no notification is a dead letter at once. One that cannot be judged (the store
// does not answer) ends the taking: it and those behind it are given back, and blamed for nothing;
// what was judged before becomes all the same. If noting fails, those too are given back.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "notify/notification.h"
#include "queue/sqlite_queue.h"
#include "state/database.h"

namespace varve::notify {

struct IntakeOptions {
  std::string queue;   // declared by the caller
  std::string holder;  // of the leases
  uint32_t messages_max = 1'000;
  uint64_t lease_ms = 120'000;
  uint64_t pause_ms = 1'000;  // before what is given back is taken again
};

struct IntakeCalls {
  // Of one message: all of them, or after an error none, as the message comes back whole.
  std::function<Status(std::span<const Notification>)> add;
  std::function<Status(state::Session&)> note;  // all that was added
};

struct Taken {
  uint64_t messages = 0, dead_lettered = 0, given_back = 0;
  Status stopped;  // why the taking ended early; what came before is noted
};

// What is there now, up to messages_max; waits for nothing. An error: nothing was noted.
Result<Taken> TakeNotifications(queue::SqliteQueue& queue, state::Database& database,
                                const IntakeOptions& options, const IntakeCalls& calls);

}  // namespace varve::notify

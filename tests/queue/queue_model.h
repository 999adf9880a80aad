// The queue as a reader of its contract would write it down: two lists in memory. The model test
// runs the same random calls against this and against the real one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace varve::queue {

struct ModelMessage {
  uint64_t seq = 0;
  std::string id;
  int64_t sent_ms = 0, visible_ms = 0;
  bool leased = false;
  uint32_t attempts = 0, deliveries = 0, fence = 0;
  std::string reason;
};

struct ModelLease {
  std::string message_id;
  uint32_t delivery = 0;
};

struct ModelQueue {
  static constexpr uint32_t kMaxRetries = 2;

  std::vector<ModelMessage> work, dead;
  uint64_t next_seq = 0;
  uint64_t sent = 0, delivered = 0, acked = 0, retried = 0, dead_lettered = 0, deduplicated = 0;
  std::map<std::string, int64_t> dedup_until;

  void Send(const std::string& id, int64_t now, int64_t delay) {
    ++sent;
    ModelMessage message;
    message.seq = next_seq++;
    message.id = id;
    message.sent_ms = now;
    message.visible_ms = now + delay;
    work.push_back(message);
  }

  void Kill(size_t index, int64_t now, const std::string& reason) {
    ModelMessage message = work[index];
    work.erase(work.begin() + static_cast<ptrdiff_t>(index));
    message.leased = false;
    message.attempts = 0;
    message.fence = message.deliveries;
    message.visible_ms = now;
    message.reason = reason;
    dead.push_back(message);
    ++dead_lettered;
  }

  void Sweep(int64_t now) {
    for (size_t i = 0; i < work.size();) {
      ModelMessage& message = work[i];
      if (!message.leased || message.visible_ms > now) {
        ++i;
      } else if (message.attempts > kMaxRetries) {
        Kill(i, now, "lease expired");
      } else {
        ++retried;
        message.leased = false;
        message.visible_ms = now;
        ++i;
      }
    }
  }

  std::vector<ModelMessage> Receive(int64_t now, size_t batch_max, int64_t lease_ms) {
    Sweep(now);
    std::vector<ModelMessage*> visible;
    for (ModelMessage& message : work) {
      if (!message.leased && message.visible_ms <= now) visible.push_back(&message);
    }
    std::sort(visible.begin(), visible.end(), [](const ModelMessage* a, const ModelMessage* b) {
      return std::pair(a->visible_ms, a->seq) < std::pair(b->visible_ms, b->seq);
    });
    if (visible.size() > batch_max) visible.resize(batch_max);
    std::vector<ModelMessage> out;
    for (ModelMessage* message : visible) {
      message->leased = true;
      message->visible_ms = now + lease_ms;
      ++message->attempts;
      ++message->deliveries;
      ++delivered;
      out.push_back(*message);
    }
    return out;
  }

  std::optional<size_t> Find(const ModelLease& lease) const {
    for (size_t i = 0; i < work.size(); ++i) {
      const ModelMessage& message = work[i];
      if (message.id == lease.message_id && lease.delivery > message.fence &&
          lease.delivery <= message.deliveries) {
        return i;
      }
    }
    return std::nullopt;
  }

  void Ack(const ModelLease& lease, int64_t now) {
    if (const auto index = Find(lease)) {
      work.erase(work.begin() + static_cast<ptrdiff_t>(*index));
      ++acked;
    }
    Sweep(now);
  }

  void Retry(const ModelLease& lease, int64_t now, int64_t delay, bool dead_letter_now) {
    Sweep(now);
    const auto index = Find(lease);
    if (!index || work[*index].deliveries != lease.delivery) return;
    ModelMessage& message = work[*index];
    if (dead_letter_now || message.attempts > kMaxRetries) {
      Kill(*index, now, "said so");
      return;
    }
    if (message.leased) ++retried;
    message.leased = false;
    message.visible_ms = now + delay;
  }

  bool Extend(const ModelLease& lease, int64_t now, int64_t lease_ms) {
    Sweep(now);
    const auto index = Find(lease);
    if (!index || !work[*index].leased || work[*index].deliveries != lease.delivery) return false;
    work[*index].visible_ms = now + lease_ms;
    return true;
  }

  void Release(const ModelLease& lease, int64_t now) {
    Sweep(now);
    const auto index = Find(lease);
    if (!index || !work[*index].leased || work[*index].deliveries != lease.delivery) return;
    work[*index].leased = false;
    work[*index].visible_ms = now;
    --work[*index].attempts;
  }

  size_t Replay(int64_t now, size_t messages_max) {
    std::sort(dead.begin(), dead.end(), [](const ModelMessage& a, const ModelMessage& b) {
      return std::pair(a.sent_ms, a.seq) < std::pair(b.sent_ms, b.seq);
    });
    const size_t count = std::min(messages_max, dead.size());
    for (size_t i = 0; i < count; ++i) {
      ModelMessage message = dead[i];
      message.attempts = 0;
      message.fence = message.deliveries;
      message.visible_ms = now;
      ++sent;
      work.push_back(message);
    }
    dead.erase(dead.begin(), dead.begin() + static_cast<ptrdiff_t>(count));
    return count;
  }
};

}  // namespace varve::queue

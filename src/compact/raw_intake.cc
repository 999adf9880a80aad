#include "compact/raw_intake.h"

#include <algorithm>
#include <optional>

#include "compact/raw_source.h"
#include "core/log.h"

namespace varve::compact {

void IntakeCounts::Add(const IntakeCounts& more) {
  messages += more.messages;
  skipped += more.skipped;
  already_processed += more.already_processed;
  raw_files += more.raw_files;
  retried += more.retried;
  dead_lettered += more.dead_lettered;
  given_back += more.given_back;
}

Status RawIntake::Add(const std::vector<queue::Message>& messages) {
  Verdicts verdicts;
  for (const queue::Message& message : messages) {
    if (store_failure_.ok()) {
      Judge(message, verdicts);
      continue;
    }
    ++counts_.messages;  // nobody can be judged while the store is away
    messages_.push_back({message.lease_id, message.sent_ms, 0, /*settled=*/true});
    verdicts.given_back.push_back(message.lease_id);
  }
  TRY(Settle(verdicts, options_.give_back_ms));
  return store_failure_;
}

void RawIntake::Judge(const queue::Message& message, Verdicts& verdicts) {
  ++counts_.messages;
  const size_t index = messages_.size();
  messages_.push_back({message.lease_id, message.sent_ms, 0, false});
  if (bytes_ >= options_.bytes_max) {
    messages_[index].settled = true;
    verdicts.unread.push_back(message.lease_id);
    return;
  }
  const auto notifications = notify::ParseNotifications(message.body);
  if (!notifications.ok()) {
    messages_[index].settled = true;
    verdicts.retries.push_back(
        {message.lease_id, notifications.error().message, -1, /*dead_letter_now=*/true});
    return;
  }
  bool processed = false;
  bool elsewhere = false;
  std::optional<Error> failure;
  for (const notify::Notification& notification : *notifications) {
    auto found = Take(notification, index);
    if (!found.ok()) {
      // The other records of the message are about other objects. That the store is away says
      // nothing of this one, and outweighs blame.
      if (!failure || BlamesTheObject(*failure)) failure = std::move(found).error();
      continue;
    }
    processed |= *found == Found::kProcessed;
    elsewhere |= *found == Found::kElsewhere;
  }
  HeldMessage& held = messages_[index];
  if (failure) {
    RetryOrGiveBack(held, *failure, verdicts);
  } else if (elsewhere) {
    held.settled = true;
    verdicts.given_back.push_back(held.lease_id);
  } else if (held.open == 0) {
    held.settled = true;
    verdicts.acks.push_back(held.lease_id);
    (processed ? counts_.already_processed : counts_.skipped) += 1;
  }
}

Result<RawIntake::Found> RawIntake::Take(const notify::Notification& notification, size_t message) {
  if (notification.kind != notify::NotificationKind::kCreated) return Found::kNotRaw;
  const bool plain = ParseRawKey(notification.key, options_.raw_prefix).has_value();
  const bool decoded = !notification.decoded_key.empty() &&
                       ParseRawKey(notification.decoded_key, options_.raw_prefix).has_value();
  if (!plain && !decoded) return Found::kNotRaw;
  if (!plain) return TakeKey(notification.decoded_key, message);
  auto found = TakeKey(notification.key, message);
  // Some senders escape keys, some do not: only the store knows which it was.
  if (!found.ok() && found.error().kind == ErrorKind::kNotFound && decoded) {
    return TakeKey(notification.decoded_key, message);
  }
  return found;
}

Result<RawIntake::Found> RawIntake::TakeKey(const std::string& key, size_t message) {
  if (const auto known = source_of_key_.find(key); known != source_of_key_.end()) {
    auto& of_source = sources_[known->second].messages;
    if (of_source.empty() || of_source.back() != message) {
      of_source.push_back(message);
      ++messages_[message].open;
    }
    return Found::kOpen;
  }
  if (options_.ready && !options_.ready(key)) return Found::kElsewhere;
  const store::ObjectMeta object = TRY(store_.Head(key));
  switch (TRY(ledger_.StateOf({object.key, object.etag}))) {
    case SourceState::kDone:
      return Found::kProcessed;
    case SourceState::kPlanned:
      return Found::kElsewhere;
    case SourceState::kNew:
      break;
  }
  HeldSource source{TRY(ReadRawSource(store_, object)), {message}};
  items_ += source.raw.items;
  bytes_ += source.raw.bytes.size();
  ++counts_.raw_files;
  source_of_key_.emplace(key, sources_.size());
  sources_.push_back(std::move(source));
  ++messages_[message].open;
  return Found::kOpen;
}

void RawIntake::RetryOrGiveBack(HeldMessage& message, const Error& error, Verdicts& verdicts) {
  if (message.settled) return;
  message.settled = true;
  if (BlamesTheObject(error)) {
    const bool hopeless = error.code == "RAW_FILE_TOO_LARGE";
    verdicts.retries.push_back({message.lease_id, error.message, -1, hopeless});
  } else {
    verdicts.given_back.push_back(message.lease_id);
    if (store_failure_.ok()) store_failure_ = error;
  }
  LogWarn("compact.message_failed", {{"error", error.message}});
}

Status RawIntake::Blame(const HeldSource& source, const Error& error) {
  Verdicts verdicts;
  for (const size_t index : source.messages) RetryOrGiveBack(messages_[index], error, verdicts);
  return Settle(verdicts, options_.give_back_ms);
}

Status RawIntake::GiveBack(const std::vector<const HeldSource*>& sources, uint64_t delay_ms) {
  Verdicts verdicts;
  for (const HeldSource* source : sources) {
    for (const size_t index : source->messages) {
      if (messages_[index].settled) continue;
      messages_[index].settled = true;
      verdicts.given_back.push_back(messages_[index].lease_id);
    }
  }
  return Settle(verdicts, delay_ms);
}

Status RawIntake::Settle(Verdicts& verdicts, uint64_t give_back_ms) {
  if (!verdicts.acks.empty() || !verdicts.retries.empty()) {
    const auto outcome = TRY(queue_.Settle(options_.queue, verdicts.acks, verdicts.retries));
    counts_.retried += outcome.retried;
    counts_.dead_lettered += outcome.dead_lettered;
  }
  if (!verdicts.given_back.empty()) {
    counts_.given_back += TRY(queue_.Release(options_.queue, verdicts.given_back, give_back_ms));
  }
  if (!verdicts.unread.empty()) {
    TRY(queue_.Release(options_.queue, verdicts.unread, 0));
  }
  return {};
}

std::vector<std::string> RawIntake::OpenLeases() const {
  std::vector<std::string> leases;
  for (const HeldMessage& message : messages_) {
    if (!message.settled) leases.push_back(message.lease_id);
  }
  return leases;
}

}  // namespace varve::compact

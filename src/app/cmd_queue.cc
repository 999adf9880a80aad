// Queues: through the server that runs, or in the state database of a data directory that no server
// has.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/queue_access.h"
#include "core/bytes.h"
#include "core/clock.h"

namespace varve::app {
namespace {

struct QueueFlags {
  TargetOptions target;
  std::string queue;
  uint32_t messages_max = 10;
  uint64_t replay_max = 1'000'000;
  bool json = false, yes = false;
};

std::string Age(int64_t since_ms) {
  if (since_ms == 0) return "-";
  int64_t seconds = std::max<int64_t>(0, SystemClock().NowMs() - since_ms) / 1000;
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (seconds < 7200) return fmt::format("{}m", seconds / 60);
  return fmt::format("{}h", seconds / 3600);
}

Result<std::string> ListQueues(const QueueFlags& options, QueueAccess& access) {
  std::vector<queue::QueueStats> queues = TRY(access.List());
  if (options.json) return QueueStatsJson(queues);
  std::string out = fmt::format("{:<28} {:>9} {:>7} {:>10} {:>10} {:>8} {:>6} {:>6}\n", "queue",
                                "backlog", "leased", "sent", "acked", "retried", "dead", "oldest");
  for (const queue::QueueStats& q : queues) {
    out += fmt::format("{:<28} {:>9} {:>7} {:>10} {:>10} {:>8} {:>6} {:>6}\n", q.name, q.backlog,
                       q.leased, q.sent, q.acked, q.retried, q.dead_lettered,
                       Age(q.oldest_message_ms));
  }
  if (queues.empty()) out += "no queues\n";
  return out;
}

std::string MessageText(const queue::Message& message, bool json) {
  if (json) {
    nlohmann::ordered_json out = {{"id", message.id},
                                  {"sentMs", message.sent_ms},
                                  {"attempts", message.attempts},
                                  {"body", message.body}};
    if (!message.dead_letter_reason.empty()) out["reason"] = message.dead_letter_reason;
    if (!message.dead_letter_source.empty()) out["source"] = message.dead_letter_source;
    return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  std::string out = fmt::format("{}  sent {}  attempts {}\n", message.id,
                                FormatIso(message.sent_ms), message.attempts);
  if (!message.dead_letter_source.empty()) {
    out += fmt::format("  from    {}\n", message.dead_letter_source);
  }
  if (!message.dead_letter_reason.empty()) {
    out += fmt::format("  reason  {}\n", message.dead_letter_reason);
  }
  return out + fmt::format("  body    {}\n", message.body);
}

Result<std::string> Peek(const QueueFlags& options, QueueAccess& access) {
  std::string out;
  for (const queue::Message& message : TRY(access.Peek(options.queue, options.messages_max))) {
    out += MessageText(message, options.json);
  }
  if (out.empty() && !options.json) out = fmt::format("{}: no messages\n", options.queue);
  return out;
}

// The dead-letter queues: the one named, or every one that some queue sends to.
Result<std::string> DeadLetters(const QueueFlags& options, QueueAccess& access) {
  std::vector<std::string> names;
  if (!options.queue.empty()) {
    names.push_back(options.queue);
  } else {
    for (const queue::QueueStats& q : TRY(access.List())) {
      const std::string& name = q.dead_letter_queue;
      if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) continue;
      names.push_back(name);
    }
  }
  std::string out;
  for (const std::string& name : names) {
    for (const queue::Message& message : TRY(access.Peek(name, options.messages_max))) {
      out += MessageText(message, options.json);
    }
  }
  if (!out.empty() && !options.json) {
    out += fmt::format("mend the cause, then: varve queue replay {}\n", names.front());
  }
  if (out.empty() && !options.json) out = "no dead letters\n";
  return out;
}

Result<std::string> Replay(const QueueFlags& options, QueueAccess& access) {
  uint64_t moved = TRY(access.Replay(options.queue, options.replay_max));
  return fmt::format("{} messages of {} went back to their queues\n", moved, options.queue);
}

Result<std::string> Purge(const QueueFlags& options, QueueAccess& access) {
  if (!options.yes) {
    return MakeError(ErrorKind::kInvalid,
                     fmt::format("purge deletes every message of {} for good; add --yes if that is "
                                 "meant",
                                 options.queue));
  }
  return fmt::format("{} messages of {} deleted\n", TRY(access.PurgeAll(options.queue)),
                     options.queue);
}

using QueueAction = Result<std::string> (*)(const QueueFlags&, QueueAccess&);

int Run(const QueueFlags& options, QueueAction action) {
  InstallInterruptHandler();
  Result<std::unique_ptr<QueueAccess>> access = OpenQueueAccess(options.target);
  if (!access.ok()) return Fail(access.error());
  Result<std::string> text = action(options, **access);
  if (!text.ok()) return Fail(text.error());
  return WriteStdout(*text);
}

}  // namespace

void AddQueue(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("queue", "Look into queues, replay dead letters");
  command->require_subcommand(1);
  auto options = std::make_shared<QueueFlags>();
  auto add = [&](const char* name, const char* what, QueueAction action) {
    CLI::App* sub = command->add_subcommand(name, what);
    AddTargetOptions(*sub, &options->target);
    sub->callback([&chosen, options, action] {
      chosen.run = [options, action] { return Run(*options, action); };
    });
    return sub;
  };
  auto limit = [&](CLI::App* sub) {
    sub->add_option("--limit", options->messages_max, "At most so many messages")
        ->check(CLI::Range(1, 100));
    sub->add_flag("--json", options->json, "One JSON object a line");
  };
  add("ls", "Every queue and its counters", ListQueues)
      ->add_flag("--json", options->json, "As JSON");
  CLI::App* peek = add("peek", "Messages that wait, without taking them", Peek);
  peek->add_option("queue", options->queue, "Queue")->required();
  limit(peek);
  CLI::App* dlq = add("dlq", "Dead letters with their reasons", DeadLetters);
  dlq->add_option("queue", options->queue, "Dead-letter queue (default: all of them)");
  limit(dlq);
  CLI::App* replay = add("replay", "Send dead letters back to the queues they came from", Replay);
  replay->add_option("queue", options->queue, "Dead-letter queue")->required();
  replay->add_option("--limit", options->replay_max, "At most so many messages");
  CLI::App* purge = add("purge", "Delete every message of a queue", Purge);
  purge->add_option("queue", options->queue, "Queue")->required();
  purge->add_flag("--yes", options->yes, "Really");
  command->footer(R"(Examples:
  varve queue ls
  varve queue peek varve-compaction --limit 5
  varve queue dlq --url http://127.0.0.1:8080
  varve queue replay varve-dlq --data ./varve-data
  varve queue purge varve-dlq --yes)");
}

}  // namespace varve::app

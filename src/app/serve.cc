#include "app/serve.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>

#include "app/commands.h"
#include "app/compaction.h"
#include "app/lake.h"
#include "app/process_metrics.h"
#include "app/views.h"
#include "app/workflows.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/version.h"
#include "ingest/event_ingest.h"
#include "ingest/webhook.h"
#include "server/http_server.h"
#include "server/live_feed.h"
#include "store/probe.h"

namespace varve::app {
namespace {

constexpr uint32_t kAllKinds = ~0u;

// SIGTERM and SIGINT, taken by Wait instead of ending the process. Made before any thread is, so
// that every thread has them blocked.
class StopSignal {
 public:
  StopSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  int Wait() const {
    int number = 0;
    while (sigwait(&signals_, &number) != 0) {
    }
    return number;
  }
  // From now on a second one ends the process as it would any other.
  void Release() const { pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr); }

 private:
  sigset_t signals_;
};

std::map<std::string, std::string> Secrets(const WebhooksConfig& config) {
  return {{"github", config.github_secret}, {"stripe", config.stripe_secret},
          {"workos", config.workos_secret}, {"slack", config.slack_secret},
          {"linear", config.linear_secret}, {"svix", config.svix_secret}};
}

notify::NotifierOptions NotifierOptionsOf(const Config& config) {
  notify::NotifierOptions options;
  options.account = config.store.account;
  options.bucket = config.store.bucket;
  options.rules = config.notify.rules;
  if (options.rules.empty()) {
    notify::NotifyRule raw;
    raw.prefix = config.flush.raw_events_prefix + "/";
    raw.suffix = ".ndjson";
    raw.queue = config.notify.raw_events_queue;
    options.rules.push_back(std::move(raw));
  }
  if (config.compaction.enabled) AddCompactionRule(config, options.rules);
  if (config.view.enabled) AddViewRule(config, options.rules);
  options.reconcile_interval_ms = config.notify.reconcile_interval_ms;
  options.stable_ms = config.notify.settle_ms;
  return options;
}

compact::RawConsumerOptions ConsumerOptionsOf(const Config& config,
                                              const ingest::Flusher& flusher) {
  compact::RawConsumerOptions options;
  options.queue = config.notify.raw_events_queue;
  options.downstream_queue = config.notify.downstream_queue;
  options.raw_prefix = config.flush.raw_events_prefix;
  options.parquet_prefix = config.compact.parquet_prefix;
  options.codec = config.compact.compression;
  options.flush_threshold = config.compact.flush_threshold;
  options.rows_max = config.compact.rows_max;
  options.files_max = config.compact.files_max;
  options.gather_bytes_max = config.compact.gather_bytes_max;
  options.max_batch_size = config.queue.max_batch_size;
  options.max_batch_timeout_ms = config.queue.max_batch_timeout_ms;
  options.lease_ms = config.queue.lease_ms;
  options.consumers = config.compact.consumers;
  options.ready = [&flusher](std::string_view key) { return flusher.IsRawFileDone(key); };
  return options;
}

// The raw events' queue, its dead letters, what is downstream, and what the rules name.
Status DeclareQueues(const Config& config, const notify::NotifierOptions& notifier,
                     queue::SqliteQueue& queue) {
  queue::QueueConfig declared;
  declared.max_retries = config.queue.max_retries;
  declared.retry_base_ms = config.queue.retry_base_ms;
  declared.retry_delay_max_ms = config.queue.retry_delay_max_ms;
  declared.messages_max = config.queue.messages_max;
  declared.dead_letter_queue = config.queue.dead_letter_queue;
  declared.name = config.notify.raw_events_queue;
  TRY(queue.Declare(declared));
  for (const notify::NotifyRule& rule : notifier.rules) {
    declared.name = rule.queue;
    TRY(queue.Declare(declared));
  }
  if (!config.notify.downstream_queue.empty()) {
    declared.name = config.notify.downstream_queue;
    TRY(queue.Declare(declared));
  }
  return {};
}

// A running server. Members end in the reverse of their order.
class Serving {
 public:
  static Result<std::unique_ptr<Serving>> Open(const Config& config);
  ~Serving();
  Status Stop();
  uint16_t port() const { return server_->port(); }

 private:
  Serving(const Config& config, std::unique_ptr<Lake> lake,
          std::unique_ptr<ingest::SpentEvents> spent_events)
      : largest_batch_bytes_(
            std::min(config.server.limits.ingest_body_bytes_max, config.journal.segment_bytes / 2)),
        lake_(std::move(lake)),
        live_(config.server.limits.live_subscribers_max),
        webhooks_(Secrets(config.webhooks)),
        ingest_(config.ingest, *lake_->journal, *lake_->flusher, std::move(spent_events),
                *lake_->database, SystemClock(), [this](journal::Lsn lsn) { PublishLive(lsn); }),
        consumer_(ConsumerOptionsOf(config, *lake_->flusher), *lake_->store, *lake_->queue,
                  *lake_->ledger, SystemClock()) {}

  Status Start(const Config& config);
  void PublishLive(journal::Lsn lsn);
  Status Ready() const;
  Reporting reporting() {
    return {lake_.get(), &ingest_, notifier_.get(), &consumer_, lake_->workflows.get()};
  }

  const uint64_t largest_batch_bytes_;
  std::unique_ptr<Lake> lake_;
  server::LiveFeed live_;
  ingest::WebhookVerifier webhooks_;
  ingest::EventIngest ingest_;
  std::unique_ptr<notify::Notifier> notifier_;
  compact::RawConsumer consumer_;
  std::unique_ptr<ViewRole> views_;  // none: not enabled
  std::unique_ptr<Workflows> workflows_;
  std::unique_ptr<CompactionRole> compaction_;  // none: not enabled
  std::unique_ptr<server::HttpServer> server_;
};

Result<std::unique_ptr<Serving>> Serving::Open(const Config& config) {
  const DataDirPaths paths(config.data_dir);
  std::unique_ptr<Lake> lake = TRY(OpenLake(config, paths, LakeUse::kServe));
  std::unique_ptr<ingest::SpentEvents> spent_events = TRY(OpenSpentEvents(config, paths, *lake));
  std::unique_ptr<Serving> serving(new Serving(config, std::move(lake), std::move(spent_events)));
  TRY(serving->Start(config));
  return serving;
}

Status Serving::Start(const Config& config) {
  Status probed = store::ProbeStore(*lake_->store);
  if (!probed.ok()) return std::move(probed).error().Context("probe the store");
  notify::NotifierOptions notifier = NotifierOptionsOf(config);
  TRY(DeclareQueues(config, notifier, *lake_->queue));
  notifier_ = TRY(
      notify::Notifier::Open(std::move(notifier), *lake_->database, *lake_->queue, SystemClock()));
  lake_->store->SetListener(notifier_.get());
  const DataDirPaths paths(config.data_dir);
  if (config.view.enabled) {
    views_ =
        std::make_unique<ViewRole>(config, paths, *lake_, [this] { workflows_->engine().Wake(); });
    TRY(views_->SweepWork());
  }
  workflows_ = TRY(
      Workflows::Open(config, {*lake_->store, *lake_->tables, *lake_->workflows, *lake_->windows},
                      CompactionOptionsOf(config, paths), views_ ? views_->refreshes() : nullptr));
  if (config.compaction.enabled) {
    compaction_ = std::make_unique<CompactionRole>(
        config, *lake_, WorkflowHooks(*lake_->workflows, workflows_->starter(), [this] {
          workflows_->engine().Wake();
        }));
  }
  lake_->flusher->Start();
  TRY(consumer_.Start());
  if (compaction_) TRY(compaction_->Start());
  if (views_) TRY(views_->Start());
  workflows_->Start();
  notifier_->Start(*lake_->store);
  server::Services services;
  services.clock = &SystemClock();
  services.random = &SystemRandom();
  services.ingest = &ingest_;
  services.webhooks = &webhooks_;
  services.engine = lake_->engine.get();
  services.snapshots = lake_->snapshots.get();
  services.queue = lake_->queue.get();
  services.store = lake_->store.get();
  services.workflows = lake_->workflows.get();
  services.wake_workflows = [this] { workflows_->engine().Wake(); };
  // Tables that another catalog keeps are attached to there.
  if (config.table.rest.url.empty()) services.tables = lake_->tables.get();
  services.live_feed = &live_;
  if (compaction_) compaction_->Serve(services);
  if (views_) views_->Serve(services);
  services.ready = [this] { return Ready(); };
  services.stats_json = [this] { return StatsJson(reporting()); };
  services.collect_metrics = [this](server::MetricsWriter& out) {
    WriteMetrics(reporting(), out);
    if (compaction_) compaction_->WriteMetrics(out);
    if (views_) views_->WriteMetrics(out);
  };
  server_ = TRY(server::HttpServer::Start(config.server, services));
  return {};
}

void Serving::PublishLive(journal::Lsn lsn) {
  if (!live_.HasSubscribers()) return;
  journal::HotRecords read = lake_->journal->Read(lsn - 1, lsn, kAllKinds);
  for (const journal::Record& record : read.records) {
    live_.Publish(record.ns, record.kind, record.events, record.body);
  }
}

// Whether the largest batch would be taken. Input that merely comes faster than the disk takes it
// (BUSY) is told so by its own replies.
Status Serving::Ready() const {
  Status taken = lake_->journal->WouldTake(largest_batch_bytes_);
  if (taken.ok() || taken.error().code == "BUSY") return {};
  const std::string flush_error = lake_->flusher->stats().last_error;
  Error why = std::move(taken).error();
  why.message +=
      flush_error.empty() ? "; rows are being flushed" : "; flushing fails: " + flush_error;
  return why;
}

// Whoever calls back ends before what it calls: also where the start failed half-way.
Serving::~Serving() {
  server_.reset();
  lake_->journal->Close();
  consumer_.Stop();
  if (compaction_) compaction_->Stop();
  if (views_) views_->Stop();
  workflows_.reset();
  views_.reset();
  lake_->engine.reset();
  lake_->snapshots.reset();
  lake_->flusher.reset();
  lake_->store->SetListener(nullptr);
}

// Who sends goes first, then who moves; what could not be moved stays in the journal.
Status Serving::Stop() {
  server_->Stop();
  lake_->journal->Close();
  Status flushed = lake_->flusher->Stop();
  notifier_->Stop();
  consumer_.Stop();
  if (compaction_) compaction_->Stop();
  if (views_) views_->Stop();
  workflows_->Stop();
  return flushed;
}

// Keys are what keeps strangers out; without them only this machine may call.
Status CheckListen(const Config& config) {
  const std::string& address = config.server.address;
  bool loopback = address.starts_with("127.") || address == "::1" || address == "localhost";
  if (loopback || !config.server.keys.empty()) return {};
  return MakeError(ErrorKind::kInvalid, "KEY_REQUIRED",
                   "listen on " + config.listen +
                       ": an API key is required beyond loopback; configure auth.keys, or "
                       "listen on 127.0.0.1");
}

// Where this machine's clients find it: an IPv6 address stands in brackets, and one
// that means every interface is reached over loopback.
std::string UrlOf(const std::string& address, uint16_t port) {
  std::string host = address;
  if (address == "0.0.0.0") host = "127.0.0.1";
  if (address == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return "http://" + host + ":" + std::to_string(port);
}

Result<std::unique_ptr<Serving>> OpenServing(const Config& config, const DataDirPaths& paths) {
  Result<std::unique_ptr<Serving>> serving = Serving::Open(config);
  if (serving.ok()) return serving;
  Error error = std::move(serving).error();
  if (error.code == "STATE_CORRUPT") {
    error.message += "; restore state.db from a backup, `varve doctor --data " + paths.root +
                     "` says more. Nothing has been changed";
  }
  const bool no_write =
      error.code == "READ_ONLY" || error.code == "STATE_READ_ONLY" || error.code == "DISK_FULL";
  return no_write ? CannotWrite(paths, std::move(error)) : error;
}

Status Run(const Config& config, const StopSignal& stop) {
  TRY(CheckListen(config));
  const DataDirPaths paths(config.data_dir);
  TRY(MakeDataDir(paths));
  DataDirLock lock = TRY(DataDirLock::Take(paths, DataDirLock::Mode::kExclusive));
  RemoveServeInfo(paths);  // of a server that was killed
  std::unique_ptr<Serving> serving = TRY(OpenServing(config, paths));
  const std::string url = UrlOf(config.server.address, serving->port());
  TRY(WriteServeInfo(paths, {url, getpid(), SystemClock().NowMs()}));
  LogInfo("serving", {{"version", Version()}, {"url", url}, {"data", config.data_dir}});
  const int number = stop.Wait();
  stop.Release();
  LogInfo("stopping", {{"signal", number}});
  RemoveServeInfo(paths);
  TRY(serving->Stop());
  LogInfo("stopped");
  return {};
}

}  // namespace

int RunServe(const Config& config) {
  // Fewer heaps keep the peak memory near what is in use; see bench/results.md.
  mallopt(M_ARENA_MAX, 4);
  StopSignal stop;
  Status done = Run(config, stop);
  if (done.ok()) return kExitOk;
  LogError("serve_failed", {{"code", done.error().code}, {"error", done.error().message}});
  return Fail(done.error());
}

}  // namespace varve::app

#include "app/process_metrics.h"

#include <nlohmann/json.hpp>

#include "core/clock.h"

namespace varve::app {
namespace {

double AgeSeconds(int64_t since_ms) {
  if (since_ms == 0) return 0;
  return static_cast<double>(std::max<int64_t>(0, SystemClock().NowMs() - since_ms)) / 1000.0;
}

void WriteJournal(const journal::JournalStats& stats, server::MetricsWriter& out) {
  auto d = [](uint64_t value) { return static_cast<double>(value); };
  out.Gauge("varve_journal_used_bytes", "Journal space in use", d(stats.bytes_used));
  out.Gauge("varve_journal_limit_bytes", "Journal space allowed", d(stats.bytes_max));
  out.Gauge("varve_journal_segments", "Journal segments", d(stats.segments));
  out.Counter("varve_journal_commits_total", "Group commits (fdatasync)", d(stats.commits));
  out.Counter("varve_journal_written_bytes_total", "Bytes committed", d(stats.bytes_written));
}

void WriteFlusher(const ingest::FlusherStats& stats, server::MetricsWriter& out) {
  auto d = [](uint64_t value) { return static_cast<double>(value); };
  out.Gauge("varve_journal_hot_events", "Rows that no object holds yet", d(stats.waiting_rows));
  out.Gauge("varve_journal_hot_bytes", "Bytes of rows that no object holds yet",
            d(stats.waiting_bytes));
  out.Gauge("varve_flush_oldest_seconds", "Age of the oldest row that no object holds yet",
            AgeSeconds(stats.oldest_waiting_ms));
  out.Counter("varve_flush_units_total", "Flush units done", d(stats.units));
  out.Counter("varve_flush_files_total", "Objects written by the flusher", d(stats.files));
  out.Counter("varve_flush_rows_total", "Rows flushed into objects", d(stats.rows));
  out.Counter("varve_flush_bytes_total", "Bytes flushed into objects", d(stats.bytes));
  out.Counter("varve_flush_failures_total", "Tries of a flush unit that failed", d(stats.failures));
}

void WriteIngest(const ingest::IngestStats& stats, server::MetricsWriter& out) {
  auto d = [](uint64_t value) { return static_cast<double>(value); };
  out.Counter("varve_ingest_batches_total", "Batches acknowledged", d(stats.batches));
  out.Counter("varve_ingest_duplicates_total", "Batches whose id was spent", d(stats.duplicates));
  out.Counter("varve_ingest_duplicate_events_total", "Events left out, their ids being spent",
              d(stats.duplicate_events));
  out.Counter("varve_ingest_event_ids_forgotten_total",
              "Event ids that gave way to newer ones before the dedup window was over",
              d(stats.event_ids.forgotten));
  out.Counter("varve_ingest_refused_total", "Requests refused before the journal",
              d(stats.refused));
  out.Counter("varve_tail_items_total", "Tail items accepted", d(stats.tail_items));
  out.Counter("varve_tail_items_invalid_total", "Tail items refused", d(stats.tail_items_invalid));
}

void WriteQueues(queue::Queue& queue, server::MetricsWriter& out) {
  Result<std::vector<queue::QueueStats>> queues = queue.List();
  if (!queues.ok()) return;
  struct Column {
    std::string_view name, type, help;
    double (*value)(const queue::QueueStats&);
  };
  using Stats = queue::QueueStats;
  static constexpr Column kColumns[] = {
      {"varve_queue_sent_total", "counter", "Messages sent",
       [](const Stats& s) { return static_cast<double>(s.sent); }},
      {"varve_queue_delivered_total", "counter", "Deliveries",
       [](const Stats& s) { return static_cast<double>(s.delivered); }},
      {"varve_queue_acked_total", "counter", "Messages acked",
       [](const Stats& s) { return static_cast<double>(s.acked); }},
      {"varve_queue_retried_total", "counter", "Retries",
       [](const Stats& s) { return static_cast<double>(s.retried); }},
      {"varve_queue_dead_lettered_total", "counter", "Messages moved to the dead letters",
       [](const Stats& s) { return static_cast<double>(s.dead_lettered); }},
      {"varve_queue_deduplicated_total", "counter", "Messages not sent again",
       [](const Stats& s) { return static_cast<double>(s.deduplicated); }},
      {"varve_queue_backlog", "gauge", "Unsettled messages",
       [](const Stats& s) { return static_cast<double>(s.backlog); }},
      {"varve_queue_oldest_seconds", "gauge", "Age of the oldest unsettled message",
       [](const Stats& s) { return AgeSeconds(s.oldest_message_ms); }},
  };
  for (const Column& column : kColumns) {
    out.Family(column.name, column.type, column.help);
    for (const Stats& stats : *queues) {
      out.Sample(column.name, column.value(stats), {{"queue", stats.name}});
    }
  }
}

void WriteCompaction(const compact::RawStats& stats, server::MetricsWriter& out) {
  auto d = [](uint64_t value) { return static_cast<double>(value); };
  const compact::CommitReport& done = stats.committed;
  out.Counter("varve_compact_rows_total", "Log rows committed", d(done.rows));
  out.Counter("varve_compact_files_total", "Log files committed", d(done.files));
  out.Counter("varve_compact_bytes_total", "Bytes of log files committed", d(done.bytes));
  out.Counter("varve_compact_sources_total", "Raw files compacted", d(done.sources));
  out.Counter("varve_compact_plans_total", "Plans done", d(done.plans));
  out.Counter("varve_compact_plans_resumed_total", "Plans done again after a stop",
              d(done.plans_resumed));
  out.Counter("varve_compact_quarantined_lines_total", "Bad lines kept in the quarantine",
              d(done.quarantine_lines));
  out.Counter("varve_compact_failures_total", "Failures of store, disk or state",
              d(stats.failures));
}

void WriteWorkflows(workflow::WorkflowStore& workflows, server::MetricsWriter& out) {
  const Result<workflow::WorkflowCounts> counts = workflows.Counts();
  if (!counts.ok()) return;
  const std::pair<std::string_view, uint64_t> states[] = {{"active", counts->active},
                                                          {"paused", counts->paused},
                                                          {"succeeded", counts->succeeded},
                                                          {"failed", counts->failed},
                                                          {"cancelled", counts->cancelled}};
  out.Family("varve_workflows", "gauge", "Workflows that are kept, by state");
  for (const auto& [state, count] : states) {
    out.Sample("varve_workflows", static_cast<double>(count), {{"state", state}});
  }
}

void WriteNotify(const notify::NotifyStats& stats, server::MetricsWriter& out) {
  auto d = [](uint64_t value) { return static_cast<double>(value); };
  out.Counter("varve_notify_announced_total", "Objects announced", d(stats.announced));
  out.Counter("varve_notify_reconciled_total", "Objects that a listing found unannounced",
              d(stats.reconcile_announced));
  out.Counter("varve_notify_failures_total", "Announcements left to the next listing",
              d(stats.announce_failures));
}

void WriteQueries(const query::EngineStats& stats, server::MetricsWriter& out) {
  auto d = [](uint64_t value) { return static_cast<double>(value); };
  out.Gauge("varve_query_workers", "Processes that run SQL", d(stats.workers_alive));
  out.Counter("varve_query_workers_started_total", "Processes started to run SQL",
              d(stats.workers_started));
  out.Counter("varve_query_workers_killed_total", "Of them killed: time over, or client gone",
              d(stats.workers_killed));
  out.Counter("varve_query_workers_crashed_total", "Of them ended by themselves in a statement",
              d(stats.workers_crashed));
}

}  // namespace

void WriteMetrics(const Reporting& from, server::MetricsWriter& out) {
  WriteJournal(from.lake->journal->Stats(), out);
  WriteFlusher(from.lake->flusher->stats(), out);
  WriteIngest(from.ingest->stats(), out);
  WriteQueues(*from.lake->queue, out);
  WriteCompaction(from.consumer->stats(), out);
  WriteWorkflows(*from.workflows, out);
  WriteNotify(from.notifier->stats(), out);
  WriteQueries(from.lake->engine->stats(), out);
}

std::string StatsJson(const Reporting& from) {
  const journal::JournalStats journal = from.lake->journal->Stats();
  const ingest::FlusherStats flusher = from.lake->flusher->stats();
  const ingest::IngestStats ingest = from.ingest->stats();
  const compact::RawStats compact = from.consumer->stats();
  const notify::NotifyStats notify = from.notifier->stats();
  nlohmann::json json = {{"journal",
                          {{"usedBytes", journal.bytes_used},
                           {"limitBytes", journal.bytes_max},
                           {"segments", journal.segments},
                           {"commits", journal.commits},
                           {"lastLsn", journal.last_lsn},
                           {"tornBytesDropped", journal.torn_bytes_dropped}}},
                         {"flush",
                          {{"waitingRows", flusher.waiting_rows},
                           {"waitingBytes", flusher.waiting_bytes},
                           {"oldestWaitingMs", flusher.oldest_waiting_ms},
                           {"units", flusher.units},
                           {"files", flusher.files},
                           {"rows", flusher.rows},
                           {"bytes", flusher.bytes},
                           {"failures", flusher.failures},
                           {"lastError", flusher.last_error}}},
                         {"ingest",
                          {{"batches", ingest.batches},
                           {"events", ingest.events},
                           {"duplicates", ingest.duplicates},
                           {"duplicateEvents", ingest.duplicate_events},
                           {"eventIds", ingest.event_ids.remembered},
                           {"eventIdsForgotten", ingest.event_ids.forgotten},
                           {"refused", ingest.refused},
                           {"webhooks", ingest.webhooks},
                           {"tailItems", ingest.tail_items},
                           {"tailItemsInvalid", ingest.tail_items_invalid}}},
                         {"compact",
                          {{"recordsIngested", compact.records_ingested},
                           {"recordsWritten", compact.committed.rows},
                           {"filesCreated", compact.committed.files},
                           {"bytesWritten", compact.committed.bytes},
                           {"rawFiles", compact.committed.sources},
                           {"quarantinedLines", compact.committed.quarantine_lines},
                           {"plansResumed", compact.committed.plans_resumed},
                           {"flushCount", compact.flushes},
                           {"lastFlushAt", compact.last_flush_ms},
                           {"failures", compact.failures}}},
                         {"notify",
                          {{"announced", notify.announced},
                           {"reconciled", notify.reconcile_announced},
                           {"failures", notify.announce_failures}}}};
  return json.dump();
}

}  // namespace varve::app

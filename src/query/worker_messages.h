// What the server and a SQL worker say to each other; the frames' order is in channel.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "query/engine.h"
#include "query/wire.h"

namespace varve::query {

struct SetupMessage {
  uint64_t memory_bytes_max = 0;
  uint64_t overhead_bytes = 0;
  uint64_t temp_bytes_max = 0;
  uint64_t result_bytes_max = 0;
  uint32_t threads = 0;
  int32_t nice = 0;
  std::string temp_directory;  // of this worker alone
};
void Visit(auto& wire, SetupMessage& m) {
  wire(m.memory_bytes_max, m.overhead_bytes, m.temp_bytes_max, m.result_bytes_max, m.threads,
       m.nice, m.temp_directory);
}

struct TablesMessage {  // what the statement reads
  bool events = false;
  bool logs = false;
  bool catalog = false;
  bool explain = false;
  std::vector<TableRef> lake;
  std::string not_row_wise;            // why (row_wise.h)
  std::vector<std::string> functions;  // that a row-wise statement calls
};
void Visit(auto& wire, TableRef& m) { wire(m.name, m.at, m.value); }
void Visit(auto& wire, TablesMessage& m) {
  wire(m.events, m.logs, m.catalog, m.explain, m.lake, m.not_row_wise, m.functions);
}

void Visit(auto& wire, FileRef& m) { wire(m.key, m.path, m.size, m.modified_ms); }

struct HotPlace {  // a HotChunk, by the place of its bytes in the mapped files
  uint32_t file = 0;
  uint32_t event_count = 0;
  int64_t received_ms = 0;
  uint64_t events_at = 0;
  uint64_t body_at = 0;
  uint64_t body_bytes = 0;
  uint64_t kind = 0;
};

enum class TableKind : uint8_t { kEvents, kLogs, kLake };

struct TableMessage {
  TableKind kind = TableKind::kEvents;
  std::string name;           // of the view
  bool view_changed = false;  // since this worker's last statement; else view is empty
  bool has_rows = false;      // that lie in no Parquet file: those of hot and ndjson
  std::string view;
  std::vector<FileRef> ndjson;
  std::vector<HotPlace> hot;
};
void Visit(auto& wire, TableMessage& m) {
  wire(m.kind, m.name, m.view_changed, m.has_rows, m.view, m.ndjson, m.hot);
}

struct NextMessage {
  std::string next_cursor;  // what the page after this one is called, if there is one
  double elapsed_ms = 0;    // before the worker was asked
};
void Visit(auto& wire, NextMessage& m) { wire(m.next_cursor, m.elapsed_ms); }

struct RunMessage {
  bool closed = false;             // by an earlier one: paths are empty
  std::vector<std::string> paths;  // what DuckDB may open, for good
  std::vector<TableMessage> tables;
  std::vector<std::string> warnings;  // that the answer shows, with those of its scans
  ResultFormat format = ResultFormat::kJson;
  uint64_t page_rows = 0;  // 0: all
  NextMessage page;        // the first one
};
void Visit(auto& wire, RunMessage& m) {
  wire(m.closed, m.paths, m.tables, m.warnings, m.format, m.page_rows, m.page);
}

struct DoneMessage {
  uint64_t rows = 0;
  bool more = false;
  bool worn = false;  // so much memory stays with it that another statement may lack it
  std::vector<std::string> warnings;  // of the scans
};
void Visit(auto& wire, DoneMessage& m) { wire(m.rows, m.more, m.worn, m.warnings); }

struct ErrorMessage {
  ErrorKind kind = ErrorKind::kInternal;
  std::string code, message, details_json;
};
void Visit(auto& wire, ErrorMessage& m) { wire(m.kind, m.code, m.message, m.details_json); }

}  // namespace varve::query

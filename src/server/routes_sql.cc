// POST /sql: one SELECT, its answer streamed in the format that was asked for.
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "query/engine.h"
#include "server/exchange.h"
#include "server/server_state.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;
using query::ResultFormat;

struct FormatName {
  std::string_view name, content_type;
  ResultFormat format;
};
constexpr std::array<FormatName, 6> kFormats = {{
    {"json", "application/json", ResultFormat::kJson},
    {"ndjson", "application/x-ndjson", ResultFormat::kNdjson},
    {"csv", "text/csv; charset=utf-8", ResultFormat::kCsv},
    {"arrow", "application/vnd.apache.arrow.stream", ResultFormat::kArrowStream},
    {"parquet", "application/vnd.apache.parquet", ResultFormat::kParquet},
    {"table", "text/plain; charset=utf-8", ResultFormat::kTable},
}};

const FormatName* FormatByName(std::string_view name) {
  for (const FormatName& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

const FormatName* FormatByAccept(std::string_view accept) {
  for (const FormatName& format : kFormats) {
    const std::string_view type = format.content_type.substr(0, format.content_type.find(';'));
    if (accept.find(type) != std::string_view::npos) return &format;
  }
  return &kFormats[0];
}

struct SqlCall {
  query::QueryRequest request;
  std::string cursor;
  const FormatName* format = nullptr;
};

Error BadField(std::string_view name, std::string_view must_be) {
  return MakeError(ErrorKind::kInvalid, "INVALID_QUERY",
                   std::string(name) + " must be " + std::string(must_be));
}

Result<std::string> TextField(const nlohmann::json& body, const char* name) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) return std::string();
  if (!found->is_string()) return BadField(name, "a string");
  return found->get<std::string>();
}

Status ReadJsonBody(const Exchange& exchange, SqlCall* call, std::string* format) {
  const auto body = nlohmann::json::parse(exchange.body, nullptr, false);
  if (!body.is_object()) {
    return MakeError(ErrorKind::kInvalid, "INVALID_JSON", "the body is {\"sql\":\"…\"}");
  }
  call->request.sql = TRY(TextField(body, "sql"));
  call->cursor = TRY(TextField(body, "cursor"));
  *format = TRY(TextField(body, "format"));
  if (const auto limit = body.find("limit"); limit != body.end() && !limit->is_null()) {
    if (!limit->is_number_unsigned()) return BadField("limit", "a number of rows");
    call->request.rows_max = limit->get<uint64_t>();
  }
  const std::string ns = TRY(TextField(body, "namespace"));
  if (!ns.empty()) call->request.ns = TRY(ResolveNamespace(exchange.principal, ns));
  return {};
}

Status ReadParams(const Exchange& exchange, SqlCall* call, std::string* format) {
  if (const auto text = exchange.Param("format"); !text.empty() && format->empty()) *format = text;
  if (const auto text = exchange.Param("cursor"); !text.empty()) call->cursor = text;
  if (const auto text = exchange.Param("limit"); !text.empty()) {
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, call->request.rows_max);
    if (error != std::errc() || end != last) return BadField("limit", "a number of rows");
  }
  return {};
}

Result<SqlCall> ReadCall(const Exchange& exchange) {
  SqlCall call;
  call.request.ns = exchange.ns;
  std::string format;
  const std::string_view type = exchange.head.Find("content-type");
  const bool raw = type.starts_with("text/plain") || type.starts_with("application/sql");
  if (raw) {
    call.request.sql = exchange.body;
  } else {
    TRY(ReadJsonBody(exchange, &call, &format));
  }
  TRY(ReadParams(exchange, &call, &format));
  call.format =
      format.empty() ? FormatByAccept(exchange.head.Find("accept")) : FormatByName(format);
  if (call.format == nullptr) {
    return BadField("format", "one of json, ndjson, csv, arrow, parquet, table");
  }
  call.request.format = call.format->format;
  return call;
}

// A cursor keeps the format of its first page; which it was is for the client to remember.
void RunSql(ServerState& state, const SqlCall& call, const ExchangePtr& exchange) {
  Response head;
  head.content_type = call.format->content_type;
  head.headers.emplace_back("Cache-Control", "no-store");
  exchange->BeginStream(std::move(head), state.options.limits.stream_buffer_bytes_max, false);
  const query::ByteSink sink = [&](std::string_view bytes) { return exchange->Write(bytes); };
  query::Engine& engine = *state.services.engine;
  auto summary = call.cursor.empty()
                     ? engine.Run(call.request, sink, exchange->cancelled())
                     : engine.Next(call.request.ns, call.cursor, sink, exchange->cancelled());
  if (!summary.ok()) return exchange->AbortStream(ErrorResponse(summary.error()));
  std::vector<std::pair<std::string, std::string>> trailers;
  trailers.emplace_back("X-Row-Count", std::to_string(summary->rows));
  if (!summary->next_cursor.empty()) trailers.emplace_back("X-Next-Cursor", summary->next_cursor);
  if (!summary->warnings.empty()) {
    trailers.emplace_back("X-Warnings", std::to_string(summary->warnings.size()));
  }
  exchange->FinishStream(std::move(trailers));
}

void PostSql(ServerState& state, const ExchangePtr& exchange) {
  auto call = ReadCall(*exchange);
  if (!call.ok()) return exchange->Reply(ErrorResponse(call.error()));
  RunOn(state.query_pool, exchange,
        [&state, call = std::move(call).value()](const ExchangePtr& e) { RunSql(state, call, e); });
}

}  // namespace

void AddQueryRoutes(ServerState& state) {
  if (state.services.engine == nullptr) return;
  Route& sql = state.router.Add(Method::kPost, "/sql", Access::kQuery,
                                [&state](const ExchangePtr& e) { PostSql(state, e); });
  sql.body_bytes_max = state.options.limits.query_body_bytes_max;
  sql.watch_client = true;
}

}  // namespace varve::server

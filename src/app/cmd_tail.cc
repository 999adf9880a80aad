// Follows a server's live feed: an event a line as soon as it is durable. The connection is made
// again when it breaks; what happened in between is not shown (a query has it).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/commands.h"
#include "app/http_client.h"
#include "app/output.h"
#include "app/target.h"
#include "core/clock.h"

namespace varve::app {
namespace {

constexpr size_t kLineBytesMax = 16 << 20;

struct TailFlags {
  TargetOptions target;
  std::string type, source, grep;
  uint64_t events_max = 0;
  bool json = false;
};

std::string Field(const nlohmann::json& event, const char* name) {
  auto found = event.find(name);
  if (found == event.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string TimeOf(const nlohmann::json& event) {
  auto found = event.find("ts");
  if (found == event.end()) return FormatIso(SystemClock().NowMs());  // it has just come in
  if (found->is_number()) return FormatIso(EpochToMs(found->get<double>()));
  return found->is_string() ? found->get<std::string>() : std::string(24, ' ');
}

// "2026-02-02T14:30:00.000Z  http.request  apache  GET /index.html 200", then the rest as it is.
std::string Readable(std::string_view line) {
  nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
  if (!event.is_object()) return std::string(line);
  std::string out = fmt::format("{}  {:<24}", TimeOf(event), Field(event, "type"));
  for (const char* name : {"source", "scriptName", "outcome", "method", "url", "status_code"}) {
    std::string value = Field(event, name);
    if (!value.empty()) out += " " + value;
    event.erase(name);
  }
  event.erase("ts");
  event.erase("type");
  if (!event.empty()) {
    out += " " + event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return out;
}

// Cuts the stream into lines, filters, prints.
class Follower {
 public:
  Follower(const TailFlags& options, Output& out) : options_(options), out_(out) {}

  bool Take(std::string_view bytes) {
    buffer_ += bytes;
    size_t start = 0, end;
    bool more = true;
    while (more && (end = buffer_.find('\n', start)) != std::string::npos) {
      more = Print(std::string_view(buffer_).substr(start, end - start));
      start = end + 1;
    }
    buffer_.erase(0, start);
    if (buffer_.size() > kLineBytesMax) buffer_.clear();
    bool written = out_.Finish().ok();  // a line is shown as soon as it is here
    return more && written && !out_.reader_gone();
  }
  void Reconnected() { buffer_.clear(); }
  bool done() const {
    return out_.reader_gone() || (options_.events_max != 0 && shown_ >= options_.events_max);
  }

 private:
  bool Print(std::string_view line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.starts_with("data:")) line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
    if (line.empty() || line.front() != '{') return true;  // pings and stream framing
    if (line.starts_with("{\"type\":\"varve.dropped\"")) {
      WriteStderr(fmt::format("varve: too slow for the stream, events left out: {}\n", line));
      return true;
    }
    if (!options_.grep.empty() && line.find(options_.grep) == std::string_view::npos) return true;
    out_.Write(options_.json ? line : std::string_view(Readable(line)));
    ++shown_;
    return out_.Write("\n") && !done();
  }

  const TailFlags& options_;
  Output& out_;
  std::string buffer_;
  uint64_t shown_ = 0;
};

std::string UrlOf(const TailFlags& options) {
  std::string url = ServerUrl(options.target) + "/tail/live";
  char separator = '?';
  auto add = [&](const char* name, const std::string& value) {
    if (value.empty()) return;
    url += separator + std::string(name) + "=" + UrlEncode(value);
    separator = '&';
  };
  add("type", options.type);
  add("source", options.source);
  add("namespace", options.target.ns);
  return url;
}

int Run(const TailFlags& options) {
  InstallInterruptHandler();
  Result<std::unique_ptr<Output>> out = Output::Open("");
  if (!out.ok()) return Fail(out.error());
  Follower follower(options, **out);
  HttpClient client;
  HttpRequest request{.url = UrlOf(options), .headers = CommonHeaders()};
  request.headers.push_back("Accept: application/x-ndjson");
  request.on_body = [&](std::string_view bytes) { return follower.Take(bytes); };
  for (bool connected = false;;) {
    Result<HttpResponse> response = client.Send(request);
    if (Interrupted() || follower.done()) return kExitOk;
    if (response.ok() && response->status != 200) return Fail(response->ToError("tail"));
    if (!response.ok() && response.error().kind != ErrorKind::kRetryable) {
      return Fail(response.error());
    }
    if (!response.ok() && !connected &&
        response.error().message.find("onnect") != std::string::npos) {
      return Fail(response.error().message + "; is the server running? give its --url");
    }
    connected = true;
    WriteStderr("varve: the stream ended, connecting again\n");
    follower.Reconnected();
    for (int i = 0; i < 20 && !Interrupted(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

}  // namespace

void AddTail(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("tail", "Follow events live, as they become durable");
  auto options = std::make_shared<TailFlags>();
  command->add_option("--type", options->type, "Only types that match, such as 'http.*'");
  command->add_option("--source", options->source, "Only sources that match");
  command->add_option("--grep", options->grep, "Only events whose JSON contains the text");
  command->add_option("--limit", options->events_max, "End after so many events");
  command->add_flag("--json", options->json, "Print the events' JSON as it is");
  AddUrlOptions(*command, &options->target);
  command->footer(R"(Examples:
  varve tail
  varve tail --type 'webhook.*' --json | jq .payload
  varve tail --grep '"status_code":500')");
  command->callback([&chosen, options] { chosen.run = [options] { return Run(*options); }; });
}

}  // namespace varve::app

#include "server/compaction_page.h"

#include <fmt/format.h>

#include "core/clock.h"
#include "server/compaction_json.h"

namespace varve::server {
namespace {

using compact::CompactionStatus;
using compact::NamespaceStatus;
using compact::WindowState;
using compact::WindowStatus;

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="10">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Compaction</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
       padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem; }
dt { opacity: .7; font-size: .85rem; } dd { margin: 0; font-size: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884;
         vertical-align: top; }
td.n, th.n { text-align: right; }
.healthy { color: #1a7f37; } .degraded { color: #9a6700; } .unhealthy { color: #cf222e; }
ul { margin: .3rem 0; }
</style></head><body>
)";

std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Bytes(double bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1024;
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string Duration(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7'200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3'600);
}

// 2026-11-21 10:00
std::string Minute(int64_t ms) {
  std::string iso = FormatIso(ms).substr(0, 16);
  iso[10] = ' ';
  return iso;
}

void Figure(std::string_view name, std::string_view value, std::string& out) {
  out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, Escape(value));
}

std::string Names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  std::string out;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) {
    out += (i == 0 ? "" : ", ") + Escape(names[i]);
  }
  if (names.size() > kShown) out += fmt::format(" and {} more", names.size() - kShown);
  return out;
}

std::string StateText(const WindowStatus& status) {
  const compact::Window& window = status.window;
  if (window.state != WindowState::kPending) {
    const std::string_view how =
        window.halted ? "waits for an operator" : (window.settled_ms != 0 ? "committed" : "runs");
    return fmt::format("workflow {} {}", Escape(window.workflow_id), how);
  }
  std::string text = "waits for " + Escape(WaitingForText(status));
  for (const compact::Hold& hold : status.holds) {
    if (hold.kind == compact::HoldKind::kWriters) text += ": " + Names(status.missing);
  }
  return text;
}

void WriteWindow(const WindowStatus& status, std::string& out) {
  const compact::Window& window = status.window;
  out += fmt::format(
      "<tr><td>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td>{}</td>"
      "<td>{}</td></tr>\n",
      Minute(window.start_ms), window.round, window.files, Bytes(static_cast<double>(window.bytes)),
      Names(status.writers), StateText(status));
}

void WriteNamespace(const CompactionStatus& status, const NamespaceStatus& ns, std::string& out) {
  const compact::NamespaceHealth health = compact::HealthOf(ns, {}, status.now_ms);
  const std::string_view word = compact::ToString(health.health);
  out += fmt::format("<h2>{} <span class={}>{}</span></h2>\n", Escape(ns.row.Label()), word, word);
  out += fmt::format("<p>{} files, {} wait in {} windows; {} with workflows; to {}</p>\n",
                     ns.pending_files, Bytes(static_cast<double>(ns.pending_bytes)), ns.pending,
                     ns.dispatched, compact::ToString(ns.settings.compaction.target));
  if (!health.issues.empty()) {
    out += "<ul>";
    for (const std::string& issue : health.issues) out += "<li>" + Escape(issue) + "</li>";
    out += "</ul>\n";
  }
  if (ns.windows.empty()) return;
  out +=
      "<table><tr><th>window (UTC)</th><th class=n>round</th><th class=n>files</th>"
      "<th class=n>bytes</th><th>writers</th><th>state</th></tr>\n";
  for (const WindowStatus& window : ns.windows) WriteWindow(window, out);
  out += "</table>\n";
  if (ns.windows_total > ns.windows.size()) {
    out += fmt::format("<p>and {} windows more</p>\n", ns.windows_total - ns.windows.size());
  }
}

}  // namespace

std::string CompactionPage(const CompactionStatus& status, const compact::WindowStats& consumer) {
  std::string out(kHead);
  out += fmt::format("<h1>Compaction</h1><p>{} UTC; loads itself again every 10 s</p><dl>\n",
                     FormatIso(status.now_ms).substr(0, 19));
  Figure("files that wait or run", fmt::format("{}", status.DebtFiles()), out);
  Figure("their bytes", Bytes(static_cast<double>(status.DebtBytes())), out);
  const auto seconds = status.DebtSeconds();
  Figure("time for them", seconds ? Duration(*seconds) : "not measured yet", out);
  Figure("workflows that run", fmt::format("{}", status.running), out);
  Figure("pressure", compact::ToString(status.pressure), out);
  Figure("files compacted", fmt::format("{}", status.compacted_files), out);
  Figure("keys of no writer", fmt::format("{}", consumer.skipped), out);
  out += "</dl>\n";
  if (status.namespaces.empty()) out += "<p>No file has been announced.</p>\n";
  for (const NamespaceStatus& ns : status.namespaces) WriteNamespace(status, ns, out);
  return out + "</body></html>\n";
}

}  // namespace varve::server

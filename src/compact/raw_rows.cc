#include "compact/raw_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "core/bytes.h"
#include "core/clock.h"
#include "record/event.h"

namespace varve::compact {
namespace {

constexpr size_t kLabelsMax = 32;
constexpr size_t kQuarantineTextMax = 64 * 1024;
// A sender chooses each log's time, and how much of its item is repeated in each row: one raw file
// must not make more files than a plan can name, nor rows without end.
constexpr size_t kSourceHoursMax = 10'000;
constexpr uint64_t kSourceRowBytesMax = 256ull << 20;
constexpr int64_t kYear1Ms = -62'135'596'800'000;
constexpr int64_t kYear9999EndMs = 253'402'300'799'999;

struct BadLine {
  uint64_t line;
  std::string reason;
  std::string_view text;
};

void Count(std::map<std::string, uint64_t>& counts, const std::string& label, uint64_t by) {
  const bool room = counts.size() < kLabelsMax || counts.contains(label);
  counts[room ? label : "other"] += by;
}

std::vector<std::string_view> Lines(std::string_view bytes) {
  std::vector<std::string_view> lines;
  for (size_t at = 0; at <= bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    lines.push_back(bytes.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// The number, from 1, of the line that the view lies in.
uint64_t LineOf(const std::vector<std::string_view>& lines, std::string_view item) {
  const auto after =
      std::upper_bound(lines.begin(), lines.end(), item.data(),
                       [](const char* at, std::string_view line) { return at < line.data(); });
  return static_cast<uint64_t>(after - lines.begin());
}

QuarantineFile MakeQuarantine(const RawSource& source, const RawKey& raw_key,
                              std::string_view raw_prefix, std::vector<BadLine> bad) {
  std::sort(bad.begin(), bad.end(),
            [](const BadLine& a, const BadLine& b) { return a.line < b.line; });
  std::string stem(raw_key.rest.substr(0, raw_key.rest.size() - sizeof(".ndjson") + 1));
  if (source.id.key.size() > 900) stem = Md5Hex(source.id.key);  // a key is 1,024 bytes at most
  QuarantineFile file;
  file.key = fmt::format("{}quarantine/{}/{}-{}.ndjson", raw_key.ns.StorePrefix(), raw_prefix, stem,
                         Md5Hex(source.id.etag).substr(0, 8));
  for (const BadLine& line : bad) {
    const std::string_view text = line.text.substr(0, kQuarantineTextMax);
    file.bytes +=
        fmt::format(R"({{"key":{},"line":{},"reason":{},"text":{}}})", JsonQuote(source.id.key),
                    line.line, JsonQuote(line.reason), JsonQuote(text));
    file.bytes += '\n';
  }
  file.lines = bad.size();
  return file;
}

uint64_t RowBytes(const record::LogRow& row) {
  const auto size = [](const std::optional<std::string>& text) { return text ? text->size() : 0; };
  return sizeof row + row.id.size() + row.script_name.size() + row.level.size() +
         row.message.size() + row.outcome.size() + size(row.http_method) + size(row.http_url) +
         size(row.exception_name) + size(row.colo) + size(row.country) + size(row.request_id);
}

Error TooLarge(const RawSource& source, std::string_view what) {
  return MakeError(ErrorKind::kInvalid, "RAW_FILE_TOO_LARGE",
                   fmt::format("raw file {} makes more than {}", source.id.key, what));
}

}  // namespace

void RowCounts::Add(const RowCounts& more) {
  for (const auto& [level, count] : more.by_level) Count(by_level, level, count);
  for (const auto& [outcome, count] : more.by_outcome) Count(by_outcome, outcome, count);
}

std::optional<RawKey> ParseRawKey(std::string_view key, std::string_view raw_prefix) {
  if (!store::CheckKey(key).ok()) return std::nullopt;
  RawKey raw;
  if (key.starts_with("ns/")) {
    const size_t slash = key.find('/', 3);
    if (slash == std::string_view::npos) return std::nullopt;
    auto ns = NamespaceId::Parse(key.substr(3, slash - 3));
    // The default namespace has no "ns/" in front: a key that says so belongs to nobody.
    if (!ns.ok() || ns->is_default()) return std::nullopt;
    raw.ns = std::move(ns).value();
    key.remove_prefix(slash + 1);
  }
  if (!key.starts_with(raw_prefix) || !key.ends_with(".ndjson")) return std::nullopt;
  key.remove_prefix(raw_prefix.size());
  if (key.size() <= sizeof("/.ndjson") - 1 || key.front() != '/') return std::nullopt;
  raw.rest = key.substr(1);
  return raw;
}

std::string HourDirectory(const NamespaceId& ns, std::string_view parquet_prefix, int64_t ms) {
  const CivilTime t = CivilFromMs(std::clamp(ms, kYear1Ms, kYear9999EndMs));
  return fmt::format("{}{}/year={:04}/month={:02}/day={:02}/hour={:02}/", ns.StorePrefix(),
                     parquet_prefix, t.year, t.month, t.day, t.hour);
}

Status RowGroups::Add(const RawSource& source) {
  const auto raw_key = ParseRawKey(source.id.key, paths_.raw_prefix);
  CHECK(raw_key.has_value());
  std::string padded;
  padded.reserve(source.bytes.size() + record::kJsonPaddingBytes);
  padded.assign(source.bytes);
  const record::RawFile file = TRY(record::ReadRawFile(padded));
  const std::vector<std::string_view> lines = Lines(padded);

  std::vector<BadLine> bad;
  for (const auto& [line, reason] : file.bad) {
    bad.push_back({line, reason, line - 1 < lines.size() ? lines[line - 1] : std::string_view()});
  }
  RowCounts counts;
  std::map<std::string, std::vector<record::LogRow>> by_hour;
  uint64_t rows_made = 0;
  uint64_t row_bytes = 0;
  for (size_t i = 0; i < file.items.size(); ++i) {
    // The origin that a query gives the same item while it reads the raw file itself.
    auto rows = record::LogRowsOf(file.items[i], fmt::format("{}#{}", source.id.key, i));
    if (!rows.ok()) {
      bad.push_back({LineOf(lines, file.items[i]), rows.error().message, file.items[i]});
      continue;
    }
    for (record::LogRow& row : *rows) {
      Count(counts.by_level, row.level, 1);
      Count(counts.by_outcome, row.outcome, 1);
      row_bytes += RowBytes(row);
      by_hour[HourDirectory(raw_key->ns, paths_.parquet_prefix, row.timestamp)].push_back(
          std::move(row));
      ++rows_made;
    }
    if (row_bytes > kSourceRowBytesMax) return TooLarge(source, "256 MiB of rows");
    if (by_hour.size() > kSourceHoursMax) return TooLarge(source, "10,000 hours' files");
  }
  for (auto& [directory, rows] : by_hour) {
    Group& group = groups_[directory];
    group.source_keys.push_back(source.id.key);
    std::move(rows.begin(), rows.end(), std::back_inserter(group.rows));
  }
  rows_ += rows_made;
  row_bytes_ += row_bytes;
  counts_.Add(counts);
  if (!bad.empty()) {
    quarantine_.push_back(MakeQuarantine(source, *raw_key, paths_.raw_prefix, std::move(bad)));
  }
  return {};
}

Result<std::vector<LogFile>> RowGroups::Encode(record::LogCodec codec) {
  std::vector<LogFile> files;
  for (auto& [directory, group] : groups_) {
    LogFile file;
    file.directory = directory;
    file.rows = static_cast<int64_t>(group.rows.size());
    file.source_keys = std::move(group.source_keys);
    file.bytes = TRY(record::WriteLogFile(std::move(group.rows), codec));
    files.push_back(std::move(file));
  }
  groups_.clear();
  return files;
}

}  // namespace varve::compact

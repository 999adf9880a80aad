#include "compact/source_name.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "compact/compaction_request.h"
#include "store/object_store.h"

namespace varve::compact {
namespace {

constexpr std::string_view kTenants = "ns/";
constexpr std::string_view kSuffix = ".parquet";
constexpr uint64_t kSecondsBelow = 100'000'000'000;

Error NotASource(std::string_view why) {
  return MakeError(ErrorKind::kInvalid, "NOT_A_SOURCE", std::string(why));
}

// Digits alone, within an int64_t.
std::optional<uint64_t> Digits(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || at != end) return std::nullopt;
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return number;
}

std::optional<int64_t> TimeMs(std::string_view text) {
  const auto number = Digits(text);
  if (!number) return std::nullopt;
  const uint64_t ms = *number < kSecondsBelow ? *number * 1000 : *number;
  if (ms > static_cast<uint64_t>(kTimeMsMax)) return std::nullopt;
  return static_cast<int64_t>(ms);
}

// Takes `ns/{tenant}/` off the key.
Result<NamespaceId> TakeTenant(std::string_view& key) {
  if (!key.starts_with(kTenants)) return NamespaceId();
  const std::string_view rest = key.substr(kTenants.size());
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return NotASource("no tenant's part of the store");
  const auto tenant = NamespaceId::Parse(rest.substr(0, slash));
  if (!tenant.ok() || tenant->is_default()) return NotASource("no tenant's part of the store");
  key = rest.substr(slash + 1);
  return *tenant;
}

// {time}-{writer}-{sequence}.parquet; the writer's name has no '-'.
Status ParseFileName(std::string_view file, SourceName& name) {
  if (!file.ends_with(kSuffix)) return NotASource("the name does not end in .parquet");
  file.remove_suffix(kSuffix.size());
  const size_t first = file.find('-');
  const size_t last = file.rfind('-');
  if (first == std::string_view::npos || first == last) {
    return NotASource("the name is not {time}-{writer}-{sequence}.parquet");
  }
  const std::string_view writer = file.substr(first + 1, last - first - 1);
  if (writer.empty() || writer.size() > kWriterBytesMax ||
      writer.find('-') != std::string_view::npos) {
    return NotASource("the writer's name is 1 to 128 bytes without '-'");
  }
  const auto time_ms = TimeMs(file.substr(0, first));
  if (!time_ms) return NotASource("the time is not in seconds or milliseconds up to the year 9999");
  const auto sequence = Digits(file.substr(last + 1));
  if (!sequence) return NotASource("the sequence is no number");
  name.time_ms = *time_ms;
  name.writer = writer;
  name.sequence = *sequence;
  return {};
}

// What compaction writes lies in folders by hour, also below data/: it is no writer's.
bool HasPartitionFolder(std::string_view ns) { return ns.find('=') != std::string_view::npos; }

}  // namespace

Result<SourceName> ParseSourceName(std::string_view key, std::string_view prefix) {
  if (!store::CheckKey(key).ok()) return NotASource("no key of an object");
  SourceName name;
  name.tenant = TRY(TakeTenant(key));
  if (prefix.empty() || !key.starts_with(prefix)) return NotASource("not below the prefix");
  key.remove_prefix(prefix.size());
  const size_t slash = key.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return NotASource("no namespace");
  name.ns = key.substr(0, slash);
  if (HasPartitionFolder(name.ns)) {
    return MakeError(ErrorKind::kInvalid, "PARTITION_FOLDER", "a folder of a table's partition");
  }
  // It becomes the name of a table.
  if (!TableNameOf(name.ns).ok()) return NotASource("the namespace cannot be a table's name");
  TRY(ParseFileName(key.substr(slash + 1), name));
  return name;
}

bool IsWritersDirectory(std::string_view directory, std::string_view prefix) {
  if (prefix.empty() || HasPartitionFolder(directory) || !TakeTenant(directory).ok()) return false;
  if (directory.size() + 1 == prefix.size()) return prefix.starts_with(directory);
  return directory.starts_with(prefix);
}

int64_t WindowStartOf(int64_t time_ms, uint64_t size_ms) {
  const auto size = static_cast<int64_t>(std::max<uint64_t>(1, size_ms));
  int64_t start = time_ms / size * size;
  if (start > time_ms) start -= size;
  return start;
}

}  // namespace varve::compact

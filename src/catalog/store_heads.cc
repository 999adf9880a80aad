#include "catalog/store_heads.h"

#include <fmt/format.h>

#include <charconv>

#include "core/crash_point.h"
#include "core/log.h"
#include "table/iceberg/commit.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;

const CrashPoint kAfterMetadata{"iceberg.after_metadata"};
const CrashPoint kAfterHint{"iceberg.after_hint"};

constexpr const char* kMetadataType = "application/json";
constexpr int kHintTries = 8;
constexpr int kDropTries = 32;
constexpr int64_t kVersionMax = 1'000'000'000;

std::optional<int64_t> Digits(std::string_view text) {
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < 1 || number > kVersionMax || text[0] == '0') {
    return std::nullopt;
  }
  return number;
}

bool IsNotFound(const Error& error) { return error.kind == ErrorKind::kNotFound; }

bool IsDropped(const IcebergHead& head) {
  return head.metadata.properties.contains(kDroppedProperty);
}

Error NoSuchIceberg(const TablePlace& place) {
  return MakeError(ErrorKind::kNotFound, "NO_SUCH_TABLE",
                   fmt::format("there is no Iceberg table '{}'", place.name()));
}

std::string HintKey(const TablePlace& place) { return place.Key("metadata/version-hint.text"); }

// The hint is written behind its metadata file: a newer one that is missing was lost. Going on from
// an older one would lose its snapshots for good.
Error MissingMetadata(const TablePlace& place, int64_t hinted, int64_t newest) {
  std::string text = fmt::format("the Iceberg table '{}': '{}' says {}, and '{}' is missing",
                                 place.name(), HintKey(place), hinted, MetadataKey(place, hinted));
  if (newest > 0) {
    text += fmt::format(
        "; the newest that is there is '{0}'. Put the missing file back; or, to go back to version "
        "{1} and lose what came after it, write {1} into the hint",
        MetadataKey(place, newest), newest);
  } else {
    text += ", as are all others. Put them back; or, to give the table up, remove the hint";
  }
  return MakeError(ErrorKind::kCorrupt, "METADATA_MISSING", std::move(text));
}

}  // namespace

std::string MetadataKey(const TablePlace& place, int64_t version) {
  return place.Key(fmt::format("metadata/v{}.metadata.json", version));
}

std::optional<int64_t> MetadataVersion(std::string_view key) {
  constexpr std::string_view kTail = ".metadata.json";
  const size_t slash = key.rfind('/');
  if (slash != std::string_view::npos) key.remove_prefix(slash + 1);
  if (!key.starts_with("v") || !key.ends_with(kTail)) return std::nullopt;
  return Digits(key.substr(1, key.size() - 1 - kTail.size()));
}

std::string DroppedKey(const TablePlace& place) { return place.Key("metadata/dropped"); }

Result<int64_t> StoreHeads::Hint(const TablePlace& place) {
  auto hint = store_.Get(HintKey(place));
  if (!hint.ok()) {
    if (IsNotFound(hint.error())) return 0;
    return std::move(hint).error();
  }
  return Digits(*hint).value_or(0);
}

Result<int64_t> StoreHeads::HighestListed(const TablePlace& place) {
  int64_t highest = 0;
  for (const auto& object : TRY(store::ListAll(store_, place.Key("metadata/v")))) {
    highest = std::max(highest, MetadataVersion(object.key).value_or(0));
  }
  return highest;
}

// Later versions than the hint's may be there, and its own must be.
Result<IcebergHead> StoreHeads::Last(const TablePlace& place) {
  const int64_t hinted = TRY(Hint(place));
  int64_t version = hinted > 0 ? hinted : TRY(HighestListed(place));
  if (version == 0) return NoSuchIceberg(place);
  auto bytes = ReadChecked(store_, MetadataKey(place, version));
  if (!bytes.ok() && IsNotFound(bytes.error())) {
    // Old ones may have been cleaned up since the hint was read.
    const int64_t newest = TRY(HighestListed(place));
    if (newest < version) {
      const auto again = ReadChecked(store_, HintKey(place));  // it may have been read wrong
      const int64_t said = again.ok() ? Digits(*again).value_or(0) : version;
      if (said > newest) return MissingMetadata(place, said, newest);
      if (newest == 0) return NoSuchIceberg(place);
    }
    version = newest;
    bytes = ReadChecked(store_, MetadataKey(place, version));
  }
  if (!bytes.ok()) return std::move(bytes).error();
  while (true) {
    auto next = ReadChecked(store_, MetadataKey(place, version + 1));
    if (!next.ok() && IsNotFound(next.error())) break;
    bytes = std::move(next);
    if (!bytes.ok()) return std::move(bytes).error();
    ++version;
  }
  IcebergHead head;
  head.version = version;
  head.location = place.Location(MetadataKey(place, version));
  auto parsed = ice::ParseMetadata(*bytes);
  if (!parsed.ok()) {
    return Error(parsed.error()).Context("'" + MetadataKey(place, version) + "'");
  }
  head.metadata = std::move(*parsed);
  head.settled = hinted == version;
  return head;
}

// Best effort: a reader that finds an old hint sees an old snapshot, whole. Never goes back.
void StoreHeads::MoveHint(const TablePlace& place, int64_t version) {
  const std::string key = HintKey(place);
  for (int i = 0; i < kHintTries; ++i) {
    const auto head = store_.Head(key);
    const auto now = Hint(place);
    if (now.ok() && *now >= version) return;
    store::PutOptions options;
    options.content_type = "text/plain";
    if (head.ok()) {
      options.precondition = store::Precondition::kIfMatch;
      options.if_match_etag = head->etag;
    } else {
      options.precondition = store::Precondition::kIfAbsent;
    }
    if (store_.Put(key, std::to_string(version), options).ok()) return;
  }
  LogWarn("catalog.hint_not_moved", {{"table", place.name()}, {"version", version}});
}

Result<IcebergHead> StoreHeads::Load(const TablePlace& place) {
  IcebergHead head = TRY(Last(place));
  if (IsDropped(head)) return NoSuchIceberg(place);
  return head;
}

Result<PutOutcome> StoreHeads::Put(const TablePlace& place, int64_t version,
                                   const ice::TableMetadata& metadata) {
  const std::string bytes = ice::WriteMetadata(metadata);
  if (bytes.size() > ice::kMetadataBytesMax) {
    return MakeError(ErrorKind::kExhausted, "METADATA_TOO_LARGE",
                     "the table's metadata is too large: expire snapshots");
  }
  return PutNew(store_, MetadataKey(place, version), bytes, kMetadataType);
}

Result<IcebergHead> StoreHeads::Create(const TablePlace& place, const ice::TableMetadata& first) {
  auto last = Last(place);
  if (!last.ok() && !IsNotFound(last.error())) return last;
  const int64_t version = last.ok() ? last->version + 1 : 1;
  if (last.ok() && !IsDropped(*last)) {
    return MakeError(ErrorKind::kConflict, "TABLE_EXISTS",
                     fmt::format("the Iceberg table '{}' exists", place.name()));
  }
  TRY(ice::CheckMetadata(first, nullptr));
  if (TRY(Put(place, version, first)) == PutOutcome::kRejected) {
    return MakeError(
        ErrorKind::kConflict, "TABLE_EXISTS",
        fmt::format("the Iceberg table '{}' was just created by another", place.name()));
  }
  MoveHint(place, version);
  return IcebergHead{first, version, place.Location(MetadataKey(place, version))};
}

Result<PutOutcome> StoreHeads::Swap(const TablePlace& place, const IcebergHead& base,
                                    const ice::TableMetadata& next, IcebergHead* head) {
  const int64_t version = base.version + 1;
  const PutOutcome put = TRY(Put(place, version, next));
  if (put == PutOutcome::kRejected) return put;
  kAfterMetadata.Hit();
  MoveHint(place, version);
  kAfterHint.Hit();
  *head = {next, version, place.Location(MetadataKey(place, version))};
  return put;
}

void StoreHeads::Settle(const TablePlace& place, const IcebergHead& head) {
  if (!head.settled) MoveHint(place, head.version);
}

Result<bool> StoreHeads::Exists(const TablePlace& place) {
  if (TRY(store_.List(place.Key("metadata/v"), "", 1)).objects.empty()) return false;
  const auto dropped = store_.Head(DroppedKey(place));
  if (!dropped.ok()) {
    if (IsNotFound(dropped.error())) return true;
    return dropped.error();
  }
  // It was, once; whether it still is, its last version says.
  const auto head = Load(place);
  if (!head.ok() && head.error().code != "NO_SUCH_TABLE") return head.error();
  return head.ok();
}

Status StoreHeads::Drop(const TablePlace& place) {
  for (int i = 0; i < kDropTries; ++i) {
    const IcebergHead head = TRY(Load(place));
    // Before the version that says so: where that is, this is too.
    store::PutOptions options;
    options.content_type = "text/plain";
    TRY(store_.Put(DroppedKey(place), "", options));
    ice::TableMetadata last = ice::Follow(head.metadata, head.location, clock_.NowMs());
    last.properties[kDroppedProperty] = FormatIso(clock_.NowMs());
    if (TRY(Put(place, head.version + 1, last)) == PutOutcome::kRejected) continue;
    // Who reads by the path shall not find it either; best effort, as the hint always is.
    if (const auto gone = store_.Delete(HintKey(place)); !gone.ok()) {
      LogWarn("catalog.hint_left", {{"table", place.name()}});
    }
    return {};
  }
  return MakeError(ErrorKind::kConflict, "TOO_MANY_CONFLICTS",
                   fmt::format("'{}': others' commits came first", place.name()));
}

}  // namespace varve::catalog

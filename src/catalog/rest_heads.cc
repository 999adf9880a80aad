#include "catalog/rest_heads.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/log.h"
#include "table/iceberg/name_mapping.h"
#include "table/iceberg/update.h"
#include "table/json_reading.h"

namespace varve::catalog {
namespace {

namespace ice = table::iceberg;
using table::Json;

constexpr size_t kListPagesMax = 10'000;
constexpr const char* kNamespaceSeparator = "%1F";

std::string PathEncode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::vector<std::string> SplitAtDots(std::string_view text) {
  std::vector<std::string> out;
  while (true) {
    const size_t dot = text.find('.');
    out.emplace_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return out;
    text.remove_prefix(dot + 1);
  }
}

bool IsDone(int status) { return status >= 200 && status < 300; }
bool IsBusy(int status) { return status == 429 || status == 503; }
bool IsUnknown(int status) { return status == 500 || status == 502 || status == 504; }

// What the catalog says of it; an HTTP status where it says nothing that can be read.
std::string Words(const RestAnswer& answer) {
  constexpr size_t kWordsMax = 500;
  const Json json = Json::parse(answer.body, nullptr, false);
  if (json.is_object() && json.contains("error") && json["error"].is_object()) {
    const Json message = json["error"].value("message", Json());
    if (message.is_string()) return message.get<std::string>().substr(0, kWordsMax);
  }
  return fmt::format("HTTP status {}", answer.status);
}

Error AsError(const RestAnswer& answer, std::string_view doing) {
  ErrorKind kind = ErrorKind::kInvalid;
  std::string code = "CATALOG_REFUSED";
  if (answer.status == 401 || answer.status == 419) kind = ErrorKind::kUnauthorized;
  if (answer.status == 403) kind = ErrorKind::kForbidden;
  if (answer.status == 404) kind = ErrorKind::kNotFound;
  if (answer.status == 409) kind = ErrorKind::kConflict;
  if (answer.status >= 500 || IsBusy(answer.status)) {
    kind = ErrorKind::kRetryable;
    code = "CATALOG_UNAVAILABLE";
  }
  return MakeError(kind, std::move(code), fmt::format("{}: the catalog: {}", doing, Words(answer)));
}

Error NotInCatalog(const TablePlace& place) {
  return MakeError(ErrorKind::kNotFound, "NO_SUCH_TABLE",
                   fmt::format("there is no table '{}' in the catalog", place.name()));
}

Error BadAnswer(std::string_view doing) {
  return MakeError(ErrorKind::kRetryable, "CATALOG_UNAVAILABLE",
                   fmt::format("{}: the catalog's answer is none that its protocol has", doing));
}

// "00003-{uuid}.metadata.json" and "v3.metadata.json" have a version; others are 0.
int64_t VersionIn(std::string_view location) {
  location.remove_prefix(location.rfind('/') + 1);
  if (location.starts_with('v')) location.remove_prefix(1);
  int64_t version = 0;
  const auto [end, error] =
      std::from_chars(location.data(), location.data() + location.size(), version);
  return error == std::errc() && version > 0 ? version : 0;
}

Result<IcebergHead> HeadFrom(const RestAnswer& answer, std::string_view doing) {
  auto json = table::ParseObject(answer.body, ice::kMetadataBytesMax);
  if (!json.ok() || !json->contains("metadata")) return BadAnswer(doing);
  IcebergHead head;
  head.location = json->value("metadata-location", Json("")).is_string()
                      ? json->value("metadata-location", std::string())
                      : std::string();
  head.version = VersionIn(head.location);
  head.metadata = TRY(ice::ParseMetadata((*json)["metadata"].dump()));
  return head;
}

// Whether the table has become what we wanted of it, or has by now gone further.
bool Has(const ice::TableMetadata& now, const ice::TableMetadata& base,
         const ice::TableMetadata& next) {
  bool any_new = false;
  for (const ice::Snapshot& snapshot : next.snapshots) {
    if (base.FindSnapshot(snapshot.id) != nullptr) continue;
    any_new = true;
    if (now.FindSnapshot(snapshot.id) == nullptr) return false;
  }
  return any_new || ice::RequestBetween(now, next).updates.empty();
}

}  // namespace

void RestHeads::WaitBefore(uint32_t attempt) const {
  constexpr uint32_t kDoublingsMax = 10;
  if (attempt > 0) wait_(options_.backoff_ms << std::min(attempt - 1, kDoublingsMax));
}

Result<RestAnswer> RestHeads::Send(const std::string& method, const std::string& url,
                                   std::string body) {
  RestCall call;
  call.method = method;
  call.url = url;
  call.timeout_ms = options_.timeout_ms;
  call.headers = {"Accept: application/json"};
  if (!body.empty()) call.headers.push_back("Content-Type: application/json");
  if (!options_.token.empty()) call.headers.push_back("Authorization: Bearer " + options_.token);
  call.body = std::move(body);
  return transport_(call);
}

Result<RestAnswer> RestHeads::Ask(const std::string& method, const std::string& url,
                                  std::string body) {
  Result<RestAnswer> answer = MakeError(ErrorKind::kRetryable, "nothing was asked");
  for (uint32_t i = 0; i < std::max(options_.attempts_max, 1u); ++i) {
    WaitBefore(i);
    answer = Send(method, url, body);
    if (answer.ok() && !IsBusy(answer->status) && !IsUnknown(answer->status)) return answer;
    if (!answer.ok() && answer.error().kind == ErrorKind::kCancelled) return answer;
  }
  if (!answer.ok()) return std::move(answer).error().Context(method + " " + url);
  return answer;
}

Result<std::string> RestHeads::NamespacesUrl() {
  {
    const std::lock_guard lock(mutex_);
    if (namespaces_url_) return *namespaces_url_;
  }
  std::string base = options_.url;
  while (base.ends_with('/')) base.pop_back();
  base += "/v1/";
  const std::string warehouse =
      options_.warehouse.empty() ? "" : "?warehouse=" + PathEncode(options_.warehouse);
  const RestAnswer answer = TRY(Ask("GET", base + "config" + warehouse));
  if (!IsDone(answer.status)) return AsError(answer, "the catalog's configuration");
  const Json json = Json::parse(answer.body, nullptr, false);
  if (!json.is_object()) return BadAnswer("the catalog's configuration");
  const auto setting = [&](const char* name, const char* otherwise) -> std::string {
    for (const char* part : {"overrides", "defaults"}) {
      const auto at = json.find(part);
      if (at == json.end() || !at->is_object()) continue;
      const Json value = at->value(name, Json());
      if (value.is_string()) return value.get<std::string>();
    }
    return otherwise;
  };
  const std::string prefix = setting("prefix", "");
  const std::string separator = setting("namespace-separator", kNamespaceSeparator);
  std::string path;
  for (const std::string& level : SplitAtDots(options_.levels)) {
    path += (path.empty() ? "" : separator) + PathEncode(level);
  }
  const std::lock_guard lock(mutex_);
  namespace_path_ = "/" + path;
  namespaces_url_ = base + prefix + (prefix.empty() ? "" : "/") + "namespaces";
  return *namespaces_url_;
}

Result<std::string> RestHeads::TablesUrl() {
  const std::string namespaces = TRY(NamespacesUrl());
  const std::lock_guard lock(mutex_);
  return namespaces + *namespace_path_ + "/tables";
}

Result<std::string> RestHeads::TableUrl(const TablePlace& place) {
  return TRY(TablesUrl()) + "/" + PathEncode(place.name());
}

Result<IcebergHead> RestHeads::Load(const TablePlace& place) {
  const RestAnswer answer = TRY(Ask("GET", TRY(TableUrl(place))));
  if (answer.status == 404) return NotInCatalog(place);
  if (!IsDone(answer.status)) return AsError(answer, "load '" + place.name() + "'");
  return HeadFrom(answer, "load '" + place.name() + "'");
}

Result<bool> RestHeads::Exists(const TablePlace& place) {
  const RestAnswer answer = TRY(Ask("GET", TRY(TableUrl(place)) + "?snapshots=refs"));
  if (answer.status == 404) return false;
  if (!IsDone(answer.status)) return AsError(answer, "look for '" + place.name() + "'");
  return true;
}

Result<std::vector<std::string>> RestHeads::List() {
  std::vector<std::string> out;
  std::string token;
  for (size_t page = 0; page < kListPagesMax; ++page) {
    const RestAnswer answer = TRY(Ask("GET", TRY(TablesUrl()) + "?pageToken=" + PathEncode(token)));
    if (answer.status == 404) break;  // the namespace is yet to be made
    if (!IsDone(answer.status)) return AsError(answer, "list the catalog's tables");
    const Json json = Json::parse(answer.body, nullptr, false);
    if (!json.is_object()) return BadAnswer("list the catalog's tables");
    for (const Json& one : json.value("identifiers", Json::array())) {
      const Json name = one.is_object() ? one.value("name", Json()) : Json();
      if (name.is_string()) out.push_back(name.get<std::string>());
    }
    const Json next = json.value("next-page-token", Json());
    if (!next.is_string() || next == "" || next == token) break;
    token = next.get<std::string>();
  }
  std::sort(out.begin(), out.end());
  return out;
}

Status RestHeads::CreateNamespace() {
  Json body;
  body["namespace"] = SplitAtDots(options_.levels);
  body["properties"] = Json::object();
  const RestAnswer answer = TRY(Ask("POST", TRY(NamespacesUrl()), body.dump()));
  if (IsDone(answer.status) || answer.status == 409) return {};
  return AsError(answer, "create the namespace '" + options_.levels + "'");
}

Result<IcebergHead> RestHeads::Create(const TablePlace& place, const ice::TableMetadata& first) {
  const std::string doing = "create '" + place.name() + "'";
  ice::CreateRequest request;
  request.name = place.name();
  request.table.location = first.location;
  request.table.schema = first.schema();
  request.table.spec = first.spec();
  request.table.order = first.order();
  request.table.properties = first.properties;
  const std::string url = TRY(TablesUrl()), body = ice::WriteCreateRequest(request);
  RestAnswer answer = TRY(Ask("POST", url, body));
  if (answer.status == 404) {
    TRY(CreateNamespace());
    answer = TRY(Ask("POST", url, body));
  }
  if (answer.status == 409) {
    return MakeError(ErrorKind::kConflict, "TABLE_EXISTS", doing + ": " + Words(answer));
  }
  if (!IsDone(answer.status)) return AsError(answer, doing);
  IcebergHead head = TRY(HeadFrom(answer, doing));
  // The catalog has numbered the columns, which the mapping of names goes by.
  ice::TableMetadata named = head.metadata;
  named.properties[ice::kNameMapping] = ice::NameMappingJson(named.schema());
  if (named.properties == head.metadata.properties) return head;
  IcebergHead done;
  if (TRY(Swap(place, head, named, &done)) == PutOutcome::kDone) return done;
  return Load(place);  // somebody has committed to it already
}

// One commit over its attempts.
class RestHeads::SwapRun {
 public:
  SwapRun(RestHeads& heads, const TablePlace& place, const IcebergHead& base,
          const ice::TableMetadata& next, IcebergHead* head)
      : heads_(heads),
        place_(place),
        base_(base),
        next_(next),
        head_(head),
        request_(ice::RequestBetween(base.metadata, next)),
        doing_("commit to '" + place.name() + "'") {}

  Result<PutOutcome> Run() {
    const std::string url = TRY(heads_.TableUrl(place_));
    const std::string body = ice::WriteCommitRequest(request_);
    for (uint32_t i = 0; i < std::max(heads_.options_.attempts_max, 1u); ++i) {
      heads_.WaitBefore(i);
      if (unknown_) {
        if (const auto outcome = TRY(LookForIt())) return *outcome;
      }
      const auto answer = heads_.Send("POST", url, body);
      if (const auto outcome = TRY(Judge(answer))) return *outcome;
    }
    if (unknown_) {
      if (const auto outcome = TRY(LookForIt())) return *outcome;
    }
    return Unsure(last_);
  }

 private:
  using Outcome = std::optional<PutOutcome>;  // nothing: not decided yet

  Error Unsure(Error error) const {
    if (unknown_) error.kind = ErrorKind::kUnknown, error.code = "COMMIT_UNKNOWN";
    return error;
  }

  Result<Outcome> Judge(const Result<RestAnswer>& answer) {
    if (!answer.ok()) {
      unknown_ = true;
      last_ = Error(answer.error()).Context(doing_);
      return Outcome();
    }
    if (IsDone(answer->status)) {
      auto head = HeadFrom(*answer, doing_);
      if (!head.ok()) head = heads_.Load(place_);  // done, whatever the answer looks like
      if (head.ok()) {
        *head_ = std::move(*head);
      } else {
        *head_ = base_;
        head_->metadata = next_;
      }
      return Outcome(PutOutcome::kDone);
    }
    last_ = AsError(*answer, doing_);
    if (IsUnknown(answer->status)) {
      unknown_ = true;
      return Outcome();
    }
    if (IsBusy(answer->status)) return Outcome();
    // Refused, by what somebody else did, or by what an earlier attempt of this one has done.
    if (unknown_) return LookForIt();
    if (answer->status == 409) return Outcome(PutOutcome::kRejected);
    if (answer->status == 404) return NotInCatalog(place_);
    return last_;
  }

  Result<Outcome> LookForIt() {
    auto now = heads_.Load(place_);
    if (!now.ok()) {
      if (now.error().kind == ErrorKind::kNotFound) return std::move(now).error();
      last_ = std::move(now).error();
      return Outcome();
    }
    if (Has(now->metadata, base_.metadata, next_)) {
      *head_ = std::move(*now);
      return Outcome(PutOutcome::kDone);
    }
    // Another's commit is there: what is on its way of ours will be refused for it.
    if (!ice::CheckRequirements(request_.requirements, &now->metadata).ok()) {
      return Outcome(PutOutcome::kRejected);
    }
    return Outcome();
  }

  RestHeads& heads_;
  const TablePlace& place_;
  const IcebergHead& base_;
  const ice::TableMetadata& next_;
  IcebergHead* const head_;
  const ice::CommitRequest request_;
  const std::string doing_;
  bool unknown_ = false;  // an attempt may have been done
  Error last_;
};

Result<PutOutcome> RestHeads::Swap(const TablePlace& place, const IcebergHead& base,
                                   const ice::TableMetadata& next, IcebergHead* head) {
  return SwapRun(*this, place, base, next, head).Run();
}

Status RestHeads::Drop(const TablePlace& place) {
  const RestAnswer answer = TRY(Ask("DELETE", TRY(TableUrl(place)) + "?purgeRequested=false"));
  if (answer.status == 404) return NotInCatalog(place);
  if (!IsDone(answer.status)) return AsError(answer, "drop '" + place.name() + "'");
  return {};
}

}  // namespace varve::catalog

// Objects of the store, to read. An administrator of the instance reads all of them; any other key
// what belongs to its namespace: for a tenant everything under ns/{namespace}/, for the default
// namespace its events and logs.
#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/clock.h"
#include "server/exchange.h"
#include "server/server_state.h"
#include "store/object_store.h"

namespace varve::server {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;

constexpr uint64_t kReadStepBytes = 256 << 10;
constexpr std::array<std::string_view, 3> kDefaultPrefixes = {"events/", "logs/", "raw-events/"};

bool MayRead(const Exchange& exchange, std::string_view key) {
  if (exchange.principal.any_namespace()) return true;
  if (!exchange.ns.is_default()) return key.starts_with(exchange.ns.StorePrefix());
  return std::any_of(kDefaultPrefixes.begin(), kDefaultPrefixes.end(),
                     [key](std::string_view prefix) { return key.starts_with(prefix); });
}

Response NotYours() { return ErrorResponse(403, "FORBIDDEN", "this key may not read there"); }

void ListObjects(ServerState& state, const ExchangePtr& exchange) {
  const std::string prefix(exchange->Param("prefix"));
  if (!MayRead(*exchange, prefix)) return exchange->Reply(NotYours());
  size_t limit = 1000;
  if (const std::string_view text = exchange->Param("limit"); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size() || limit < 1 || limit > 1000) {
      return exchange->Reply(ErrorResponse(400, "INVALID_QUERY", "limit is 1 to 1000"));
    }
  }
  auto page = state.services.store->List(prefix, exchange->Param("start_after"), limit);
  if (!page.ok()) return exchange->Reply(ErrorResponse(page.error()));
  nlohmann::json objects = nlohmann::json::array();
  for (const store::ObjectMeta& object : page->objects) {
    objects.push_back({{"key", object.key},
                       {"size", object.size},
                       {"etag", object.etag},
                       {"modified", FormatIso(object.modified_ms)}});
  }
  nlohmann::json out{{"objects", std::move(objects)}};
  if (!page->next_start_after.empty()) out["nextStartAfter"] = page->next_start_after;
  exchange->Reply(JsonResponse(out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
}

struct Range {
  uint64_t offset, size;
  bool partial;
};

// bytes=a-b, bytes=a-, bytes=-n; anything else in a Range header is passed over, as it may be.
Result<Range> RangeOf(std::string_view header, uint64_t object_size) {
  const Range whole{0, object_size, false};
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit)) return whole;
  header.remove_prefix(kUnit.size());
  const size_t dash = header.find('-');
  if (dash == std::string_view::npos) return whole;
  const std::string_view from = header.substr(0, dash), to = header.substr(dash + 1);
  const auto number = [](std::string_view text, uint64_t* value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return error == std::errc() && end == text.data() + text.size();
  };
  uint64_t first = 0, last = object_size - 1;
  if (from.empty()) {
    uint64_t tail = 0;
    if (!number(to, &tail)) return whole;
    first = object_size - std::min(tail, object_size);
  } else {
    if (!number(from, &first) || (!to.empty() && !number(to, &last))) return whole;
    last = std::min(last, object_size - 1);
  }
  if (first >= object_size || first > last) {
    return MakeError(ErrorKind::kInvalid, "INVALID_RANGE", "the range lies outside the object");
  }
  return Range{first, last - first + 1, true};
}

Response ObjectHead(const store::ObjectMeta& meta, const Range& range) {
  Response head;
  head.status = range.partial ? 206 : 200;
  // Never as a page: whatever was stored, a browser must not run it here.
  const bool page = meta.content_type.empty() ||
                    meta.content_type.find("html") != std::string::npos ||
                    meta.content_type.find("xml") != std::string::npos;
  head.content_type = page ? "application/octet-stream" : meta.content_type;
  head.headers.emplace_back("ETag", "\"" + meta.etag + "\"");
  head.headers.emplace_back("Accept-Ranges", "bytes");
  head.headers.emplace_back("Content-Disposition", "attachment");
  head.headers.emplace_back("X-Object-Size", std::to_string(meta.size));
  if (range.partial) {
    head.headers.emplace_back("Content-Range", "bytes " + std::to_string(range.offset) + "-" +
                                                   std::to_string(range.offset + range.size - 1) +
                                                   "/" + std::to_string(meta.size));
  }
  return head;
}

void GetObject(ServerState& state, const ExchangePtr& exchange) {
  const std::string& key = exchange->path_params[0];
  if (const Status valid = store::CheckKey(key); !valid.ok()) {
    return exchange->Reply(ErrorResponse(valid.error()));
  }
  if (!MayRead(*exchange, key)) return exchange->Reply(NotYours());
  store::ObjectStore& store = *state.services.store;
  auto meta = store.Head(key);
  if (!meta.ok()) return exchange->Reply(ErrorResponse(meta.error()));
  const auto range = RangeOf(exchange->head.Find("range"), meta->size);
  if (!range.ok()) {
    Response response = ErrorResponse(416, range.error().code, range.error().message);
    response.headers.emplace_back("Content-Range", "bytes */" + std::to_string(meta->size));
    return exchange->Reply(std::move(response));
  }
  exchange->BeginStream(ObjectHead(*meta, *range), state.options.limits.stream_buffer_bytes_max,
                        false);
  for (uint64_t done = 0; done < range->size;) {
    const uint64_t size = std::min(kReadStepBytes, range->size - done);
    auto bytes = store.Get(key, store::ByteRange{range->offset + done, size});
    if (!bytes.ok()) return exchange->AbortStream(ErrorResponse(bytes.error()));
    if (bytes->size() != size) {
      return exchange->AbortStream(ErrorResponse(409, "CHANGED", "the object has changed"));
    }
    if (!exchange->Write(*bytes)) return;
    done += size;
  }
  exchange->FinishStream();
}

}  // namespace

void AddStoreRoutes(ServerState& state) {
  if (state.services.store == nullptr) return;
  state.router.Add(Method::kGet, "/store", Access::kQuery, [&state](const ExchangePtr& exchange) {
    RunOn(state.blocking_pool, exchange, [&state](const ExchangePtr& e) { ListObjects(state, e); });
  });
  Route& get = state.router.Add(Method::kGet, "/store/{key+}", Access::kQuery,
                                [&state](const ExchangePtr& exchange) {
                                  RunOn(state.blocking_pool, exchange,
                                        [&state](const ExchangePtr& e) { GetObject(state, e); });
                                });
  get.watch_client = true;
}

}  // namespace varve::server

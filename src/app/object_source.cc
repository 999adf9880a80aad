#include "app/object_source.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/data_dir.h"
#include "app/http_client.h"
#include "core/clock.h"
#include "store/local_store.h"

namespace varve::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kChunkBytes = 4 << 20;

class LocalSource : public ObjectSource {
 public:
  explicit LocalSource(std::unique_ptr<store::ObjectStore> store) : store_(std::move(store)) {}

  Result<ObjectPage> List(const std::string& prefix, const std::string& start_after,
                          size_t objects_max) override {
    store::ListPage listed = TRY(store_->List(prefix, start_after, objects_max));
    ObjectPage page;
    page.next_start_after = std::move(listed.next_start_after);
    for (store::ObjectMeta& object : listed.objects) {
      page.objects.push_back({std::move(object.key), std::move(object.etag),
                              FormatIso(object.modified_ms), object.size});
    }
    return page;
  }

  Status Read(const std::string& key,
              const std::function<bool(std::string_view)>& on_bytes) override {
    const uint64_t size = TRY(store_->Head(key)).size;
    for (uint64_t at = 0; at < size; at += kChunkBytes) {
      if (!on_bytes(TRY(store_->Get(key, store::ByteRange{at, kChunkBytes})))) return {};
    }
    return {};
  }

  Result<std::string> Describe(const std::string& key) override {
    store::ObjectMeta meta = TRY(store_->Head(key));
    std::string text = fmt::format(
        "key           {}\nsize          {}\netag          {}\n"
        "modified      {}\ncontent-type  {}\n",
        meta.key, meta.size, meta.etag, FormatIso(meta.modified_ms), meta.content_type);
    for (const auto& [name, value] : meta.metadata) {
      text += fmt::format("meta          {} = {}\n", name, value);
    }
    return text;
  }

 private:
  std::unique_ptr<store::ObjectStore> store_;
};

std::string PathOf(std::string_view key) {
  std::string path;
  for (size_t at = 0; at <= key.size();) {
    const size_t slash = std::min(key.find('/', at), key.size());
    path += "/" + UrlEncode(key.substr(at, slash - at));
    at = slash + 1;
  }
  return path;
}

class HttpSource : public ObjectSource {
 public:
  explicit HttpSource(std::string url) : url_(std::move(url)) {}

  Result<ObjectPage> List(const std::string& prefix, const std::string& start_after,
                          size_t objects_max) override {
    HttpRequest request{.url = fmt::format("{}/store?prefix={}&start_after={}&limit={}", url_,
                                           UrlEncode(prefix), UrlEncode(start_after), objects_max),
                        .headers = CommonHeaders()};
    HttpResponse response = TRY(client_.Send(request));
    if (response.status != 200) return response.ToError("list objects of " + url_);
    const Json json = Json::parse(response.body, nullptr, false);
    ObjectPage page;
    try {
      page.next_start_after = json.value("nextStartAfter", "");
      for (const Json& object : json.at("objects")) {
        page.objects.push_back({object.at("key"), object.at("etag"), object.at("modified"),
                                object.at("size").get<uint64_t>()});
      }
    } catch (const Json::exception&) {
      return MakeError(ErrorKind::kInternal, url_ + "/store: the answer is not a list of objects");
    }
    return page;
  }

  Status Read(const std::string& key,
              const std::function<bool(std::string_view)>& on_bytes) override {
    bool ended = false;
    HttpRequest request{.url = url_ + "/store" + PathOf(key), .headers = CommonHeaders()};
    request.on_body = [&](std::string_view bytes) {
      ended = !on_bytes(bytes);
      return !ended;
    };
    Result<HttpResponse> response = client_.Send(request);
    if (ended) return {};
    if (!response.ok()) return std::move(response).error();
    if (response->status == 200) return {};
    return response->ToError("get " + key);
  }

  Result<std::string> Describe(const std::string& key) override {
    return MakeError(ErrorKind::kInvalid,
                     fmt::format("metadata is not in the HTTP API: `varve store head` needs --data "
                                 "DIR; `varve store ls --json --url {} {}` has size, ETag and time",
                                 url_, key));
  }

 private:
  const std::string url_;
  HttpClient client_;
};

}  // namespace

Result<std::unique_ptr<ObjectSource>> OpenObjectSource(const TargetOptions& options) {
  if (options.data.empty()) {
    std::string url = GivenUrl(options);
    if (!url.empty()) return std::unique_ptr<ObjectSource>(new HttpSource(std::move(url)));
  }
  std::vector<std::pair<std::string, std::string>> flags;
  if (!options.data.empty()) flags.emplace_back("data_dir", options.data);
  const LoadedConfig loaded = TRY(LoadForCommand(options.config, std::move(flags)));
  const DataDirPaths paths(loaded.config.data_dir);
  if (access(paths.root.c_str(), R_OK | X_OK) != 0) {
    return ErrnoError(errno, "open the data directory " + paths.root);
  }
  return std::unique_ptr<ObjectSource>(new LocalSource(
      TRY(store::OpenLocalStore({.root = paths.root, .read_only = true}, SystemClock()))));
}

}  // namespace varve::app

#include "app/rest_transport.h"

#include <chrono>
#include <mutex>
#include <thread>

#include "app/http_client.h"
#include "table/iceberg/metadata.h"

namespace varve::app {
namespace {

// One connection, used by one call at a time.
class Transport {
 public:
  Result<catalog::RestAnswer> Send(const catalog::RestCall& call) {
    const std::lock_guard lock(mutex_);
    catalog::RestAnswer answer;
    bool too_large = false;
    HttpRequest request;
    request.method = call.method;
    request.url = call.url;
    request.headers = call.headers;
    request.body = call.body;
    request.timeout_ms = call.timeout_ms;
    request.on_body = [&](std::string_view bytes) {
      too_large = answer.body.size() + bytes.size() > table::iceberg::kMetadataBytesMax;
      if (!too_large) answer.body.append(bytes);
      return !too_large;
    };
    auto response = client_.Send(request);
    if (too_large) {
      return MakeError(ErrorKind::kExhausted, "ANSWER_TOO_LARGE",
                       "the catalog's answer is larger than any table's metadata");
    }
    if (!response.ok()) return std::move(response).error();
    answer.status = response->status;
    if (answer.body.empty()) answer.body = std::move(response->body);
    return answer;
  }

 private:
  std::mutex mutex_;
  HttpClient client_;  // guarded by mutex_
};

}  // namespace

std::unique_ptr<catalog::IcebergHeads> OpenRestHeads(const catalog::RestHeadsOptions& options) {
  if (options.url.empty()) return nullptr;
  auto transport = std::make_shared<Transport>();
  return std::make_unique<catalog::RestHeads>(
      options, [transport](const catalog::RestCall& call) { return transport->Send(call); },
      [](uint64_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); });
}

}  // namespace varve::app

// Heads in another program's Iceberg REST catalog: its tables' files are on our store, and it alone
// says which metadata is theirs. It writes the metadata files; we tell it what to change.
//
// A commit (Swap): 1. the updates are sent with what must still hold: the table's uuid, main's
// snapshot, the schema's ids where the schema changes. 2. 409: somebody else was first. 3. 500,
// 502, 504, or no answer: it may be done. The table is loaded and searched for our snapshot before
// anything else is decided; only while neither it nor another's commit is there is the same request
// sent again. 4. 429 and 503: nothing was done; again after a while. Attempts are bounded, and each
// waits longer than the one before.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/iceberg_heads.h"

namespace varve::catalog {

struct RestCall {
  std::string method, url;
  std::vector<std::string> headers;  // "Content-Type: application/json"
  std::string body;
  uint64_t timeout_ms = 0;
};

struct RestAnswer {
  int status = 0;
  std::string body;
};

// Any status is an answer; an error: none came, and whether the call was done is not known.
using RestTransport = std::function<Result<RestAnswer>(const RestCall&)>;

struct RestHeadsOptions {
  std::string url;  // before "/v1"; empty: there is no such catalog
  std::string token;
  std::string warehouse;
  std::string levels = "default";  // the tables' namespace, dots between its levels
  uint32_t attempts_max = 6;
  uint64_t backoff_ms = 100;  // doubled with each attempt
  uint64_t timeout_ms = 60'000;
};

class RestHeads final : public IcebergHeads {
 public:
  // wait: sleeps so many milliseconds.
  RestHeads(RestHeadsOptions options, RestTransport transport, std::function<void(uint64_t)> wait)
      : options_(std::move(options)), transport_(std::move(transport)), wait_(std::move(wait)) {}

  Result<IcebergHead> Load(const TablePlace& place) override;
  Result<IcebergHead> Create(const TablePlace& place,
                             const table::iceberg::TableMetadata& first) override;
  Result<PutOutcome> Swap(const TablePlace& place, const IcebergHead& base,
                          const table::iceberg::TableMetadata& next, IcebergHead* head) override;
  void Settle(const TablePlace&, const IcebergHead&) override {}
  Result<bool> Exists(const TablePlace& place) override;
  Result<std::vector<std::string>> List() override;
  Status Drop(const TablePlace& place) override;

 private:
  class SwapRun;
  // "{url}/v1/{prefix}/namespaces", once the catalog has been asked for its configuration.
  Result<std::string> NamespacesUrl();
  Result<std::string> TablesUrl();
  Result<std::string> TableUrl(const TablePlace& place);
  Status CreateNamespace();
  // Again while nobody answers or the catalog is busy; only for what may be done twice.
  Result<RestAnswer> Ask(const std::string& method, const std::string& url, std::string body = {});
  Result<RestAnswer> Send(const std::string& method, const std::string& url, std::string body);
  void WaitBefore(uint32_t attempt) const;

  const RestHeadsOptions options_;
  const RestTransport transport_;
  const std::function<void(uint64_t)> wait_;

  std::mutex mutex_;
  std::optional<std::string> namespaces_url_, namespace_path_;  // guarded by mutex_
};

}  // namespace varve::catalog

#include "catalog/lease.h"

#include <fmt/format.h>

#include <charconv>

#include "catalog/iceberg_tables.h"
#include "core/log.h"

namespace varve::catalog {
namespace {

struct Terms {
  int64_t epoch = 0, until_ms = 0;
  std::string run;
};

// "7 1706878800000", or with a run behind it; anything else is a lease that has ended.
Terms ParseTerms(const std::string& text) {
  Terms terms;
  const char* const end = text.data() + text.size();
  const auto [space, error] = std::from_chars(text.data(), end, terms.epoch);
  if (error != std::errc() || space == end || *space != ' ') return {};
  const char* const behind = std::from_chars(space + 1, end, terms.until_ms).ptr;
  if (behind != end && *behind == ' ') terms.run.assign(behind + 1, end);
  return terms;
}

}  // namespace

std::string MaintenanceLeaseKey(const TablePlace& place) { return place.Key("_maintenance/lease"); }

Result<Lease> Lease::Take(store::ObjectStore& store, const Clock& clock, std::string key,
                          int64_t lease_ms, const std::string& run) {
  const int64_t now_ms = clock.NowMs();
  store::PutOptions options;
  options.content_type = "text/plain";
  options.precondition = store::Precondition::kIfAbsent;
  Terms terms;
  const auto head = store.Head(key);
  if (head.ok()) {
    terms = ParseTerms(TRY(store.Get(key)));
    const bool of_a_dead_run = !run.empty() && !terms.run.empty() && terms.run != run;
    if (terms.until_ms > now_ms && !of_a_dead_run) {
      return MakeError(ErrorKind::kConflict, "LEASED",
                       fmt::format("'{}' is held until {}", key, FormatIso(terms.until_ms)));
    }
    options.precondition = store::Precondition::kIfMatch;
    options.if_match_etag = head->etag;
  } else if (head.error().kind != ErrorKind::kNotFound) {
    return head.error();
  }
  std::string text = fmt::format("{} {}", terms.epoch + 1, now_ms + lease_ms);
  if (!run.empty()) text += " " + run;
  const auto put = store.Put(key, text, options);
  if (put.ok()) return Lease(store, std::move(key), put->etag, terms.epoch + 1);
  if (put.error().kind != ErrorKind::kConflict) return put.error();
  return MakeError(ErrorKind::kConflict, "LEASED", "'" + key + "' was just taken");
}

Result<Lease> TakeMaintenanceLease(IcebergTables& tables, const std::string& name) {
  return Lease::Take(tables.store(), tables.clock(), MaintenanceLeaseKey(tables.Place(name)),
                     kLeaseMs, tables.run());
}

Lease::Lease(Lease&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      key_(std::move(other.key_)),
      etag_(std::move(other.etag_)),
      epoch_(other.epoch_) {}

Lease::~Lease() {
  if (store_ == nullptr) return;
  store::PutOptions options;
  options.content_type = "text/plain";
  options.precondition = store::Precondition::kIfMatch;
  options.if_match_etag = etag_;
  const auto put = store_->Put(key_, fmt::format("{} 0", epoch_), options);
  if (!put.ok()) LogInfo("catalog.lease_not_returned", {{"key", key_}});
}

}  // namespace varve::catalog

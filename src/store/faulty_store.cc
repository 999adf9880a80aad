#include "store/faulty_store.h"

#include "core/check.h"

namespace varve::store {
namespace {

bool FitsCall(FaultKind kind, StoreCall call) {
  switch (kind) {
    case FaultKind::kFailBefore:
    case FaultKind::kThrottle:
      return true;
    case FaultKind::kUnknownNotDone:
    case FaultKind::kSucceedThenUnknown:
      return call == StoreCall::kPut || call == StoreCall::kDelete;
    case FaultKind::kConflictOnOwnWrite:
      return call == StoreCall::kPut;
    case FaultKind::kTruncatedGet:
    case FaultKind::kBitFlippedGet:
      return call == StoreCall::kGet;
    case FaultKind::kListWithoutLastPage:
    case FaultKind::kListRepeatsPage:
      return call == StoreCall::kList;
    case FaultKind::kStaleHead:
      return call == StoreCall::kHead;
  }
  return false;
}

// For the faults that do nothing at all.
std::optional<Error> Refusal(std::optional<FaultKind> fault, std::string_view key) {
  if (!fault) return std::nullopt;
  const std::string at = "'" + std::string(key) + "'";
  switch (*fault) {
    case FaultKind::kFailBefore:
      return MakeError(ErrorKind::kRetryable, "CONNECTION_RESET", at + ": connection reset");
    case FaultKind::kThrottle:
      return MakeError(ErrorKind::kExhausted, "SLOW_DOWN", at + ": too many requests");
    case FaultKind::kUnknownNotDone:
      return MakeError(ErrorKind::kUnknown, at + ": timed out");
    case FaultKind::kStaleHead:
      return NoSuchObject(key);
    default:
      return std::nullopt;
  }
}

Error LostReply(std::string_view key) {
  return MakeError(ErrorKind::kUnknown, "'" + std::string(key) + "': the reply was lost");
}

}  // namespace

void FaultyStore::Script(Fault fault) {
  CHECK(FitsCall(fault.kind, fault.call));
  const std::lock_guard lock(mutex_);
  script_.push_back(std::move(fault));
}

void FaultyStore::SetChance(StoreCall call, FaultKind kind, uint32_t per_mille) {
  CHECK(FitsCall(kind, call));
  const std::lock_guard lock(mutex_);
  per_mille_[{call, kind}] = per_mille;
}

uint64_t FaultyStore::fired(FaultKind kind) const {
  const std::lock_guard lock(mutex_);
  return fired_[static_cast<size_t>(kind)];
}

std::optional<FaultKind> FaultyStore::Draw(StoreCall call, std::string_view key) {
  const std::lock_guard lock(mutex_);
  std::optional<FaultKind> drawn;
  for (Fault& fault : script_) {
    if (fault.call != call || !key.starts_with(fault.key_prefix) || fault.times == 0) continue;
    if (fault.skip > 0) {
      --fault.skip;
      continue;
    }
    --fault.times;
    drawn = fault.kind;
    break;
  }
  for (const auto& [sort, chance] : per_mille_) {
    if (drawn) break;
    if (sort.first == call && chance > 0 && random_.Below(1000) < chance) drawn = sort.second;
  }
  if (drawn) ++fired_[static_cast<size_t>(*drawn)];
  return drawn;
}

std::string FaultyStore::Damage(FaultKind kind, std::string bytes) {
  if (bytes.empty()) return bytes;
  if (kind == FaultKind::kTruncatedGet) return bytes.substr(0, bytes.size() / 2);
  const std::lock_guard lock(mutex_);
  const uint64_t bit = random_.Below(bytes.size() * 8);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  return bytes;
}

Result<ObjectMeta> FaultyStore::Put(std::string_view key, std::string_view bytes,
                                    const PutOptions& options) {
  const auto fault = Draw(StoreCall::kPut, key);
  if (auto refusal = Refusal(fault, key)) return *std::move(refusal);
  auto put = inner_.Put(key, bytes, options);
  if (!put.ok() || !fault) return put;
  if (*fault == FaultKind::kSucceedThenUnknown) return LostReply(key);
  return PreconditionFailed(key, "the object exists");  // kConflictOnOwnWrite
}

Result<std::string> FaultyStore::Get(std::string_view key, std::optional<ByteRange> range) {
  const auto fault = Draw(StoreCall::kGet, key);
  if (auto refusal = Refusal(fault, key)) return *std::move(refusal);
  std::string bytes = TRY(inner_.Get(key, range));
  return fault ? Damage(*fault, std::move(bytes)) : std::move(bytes);
}

Result<ObjectMeta> FaultyStore::Head(std::string_view key) {
  const auto fault = Draw(StoreCall::kHead, key);
  if (auto refusal = Refusal(fault, key)) return *std::move(refusal);
  return inner_.Head(key);
}

Result<ListPage> FaultyStore::List(std::string_view prefix, std::string_view start_after,
                                   size_t objects_max) {
  const auto fault = Draw(StoreCall::kList, prefix);
  if (auto refusal = Refusal(fault, prefix)) return *std::move(refusal);
  const bool repeats = fault == FaultKind::kListRepeatsPage;
  ListPage page = TRY(inner_.List(prefix, repeats ? std::string_view() : start_after, objects_max));
  if (fault == FaultKind::kListWithoutLastPage) page.next_start_after.clear();
  return page;
}

Status FaultyStore::Delete(std::string_view key) {
  const auto fault = Draw(StoreCall::kDelete, key);
  if (auto refusal = Refusal(fault, key)) return *std::move(refusal);
  TRY(inner_.Delete(key));
  if (fault) return LostReply(key);
  return {};
}

std::optional<std::string> FaultyStore::LocalPath(std::string_view key) const {
  return inner_.LocalPath(key);
}

}  // namespace varve::store

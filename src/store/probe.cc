#include "store/probe.h"

#include <array>
#include <thread>

#include "core/bytes.h"

namespace varve::store {
namespace {

constexpr size_t kRacers = 20;

Error Broken(std::string_view promise) {
  return MakeError(
      ErrorKind::kInvalid, "STORE_NOT_CONDITIONAL",
      "the object store does not keep its promise on conditional writes: " + std::string(promise));
}

PutOptions If(Precondition precondition, std::string etag = {}) {
  PutOptions options;
  options.precondition = precondition;
  options.if_match_etag = std::move(etag);
  return options;
}

// A conditional put that must be refused. Stores answer 404 for If-Match on a missing object.
Status ExpectRefused(const Result<ObjectMeta>& put, std::string_view promise) {
  if (put.ok()) return Broken(promise);
  const ErrorKind kind = put.error().kind;
  if (kind == ErrorKind::kConflict || kind == ErrorKind::kNotFound) return {};
  return put.error();
}

Status ProbeCreate(ObjectStore& store, const std::string& key) {
  TRY(store.Put(key, "first", If(Precondition::kIfAbsent)));
  TRY(ExpectRefused(store.Put(key, "second", If(Precondition::kIfAbsent)),
                    "create-if-absent replaced an object"));
  if (TRY(store.Get(key)) != "first") return Broken("a refused create changed the object");
  return {};
}

Status ProbeReplace(ObjectStore& store, const std::string& key, const std::string& missing) {
  const std::string stale = TRY(store.Head(key)).etag;
  TRY(store.Put(key, "replaced", If(Precondition::kIfMatch, stale)));
  TRY(ExpectRefused(store.Put(key, "lost", If(Precondition::kIfMatch, stale)),
                    "if-match accepted a stale ETag"));
  if (TRY(store.Get(key)) != "replaced") return Broken("a refused if-match changed the object");
  return ExpectRefused(store.Put(missing, "created", If(Precondition::kIfMatch, stale)),
                       "if-match created an object");
}

Status ProbeRace(ObjectStore& store, const std::string& key) {
  std::array<std::optional<Result<ObjectMeta>>, kRacers> outcomes;
  std::vector<std::thread> racers;
  for (size_t i = 0; i < kRacers; ++i) {
    racers.emplace_back([&, i] {
      outcomes[i] = store.Put(key, "racer " + std::to_string(i), If(Precondition::kIfAbsent));
    });
  }
  for (std::thread& racer : racers) racer.join();
  std::optional<size_t> winner;
  for (size_t i = 0; i < kRacers; ++i) {
    if (!outcomes[i]->ok()) {
      // A store that limits writes to one key may turn losers away before it compares.
      const ErrorKind kind = outcomes[i]->error().kind;
      if (kind == ErrorKind::kConflict || kind == ErrorKind::kRetryable ||
          kind == ErrorKind::kExhausted) {
        continue;
      }
      return outcomes[i]->error();
    }
    if (winner) return Broken("two racers both created an object");
    winner = i;
  }
  if (!winner) return Broken("of twenty racers none created the object");
  if (TRY(store.Get(key)) != "racer " + std::to_string(*winner)) {
    return Broken("the object is not the one of the racer that won");
  }
  return {};
}

}  // namespace

Status ProbeStore(ObjectStore& store, Random& random) {
  std::array<uint8_t, 12> nonce{};
  random.Fill(nonce);
  const std::string folder =
      "_varve_probe/" +
      HexEncode(std::string_view(reinterpret_cast<const char*>(nonce.data()), nonce.size())) + "/";
  const std::string create = folder + "create", missing = folder + "missing",
                    race = folder + "race";
  const Status probed = [&]() -> Status {
    TRY(ProbeCreate(store, create));
    TRY(ProbeReplace(store, create, missing));
    return ProbeRace(store, race);
  }();
  for (const std::string& key : {create, missing, race}) {
    const Status deleted = store.Delete(key);
    if (probed.ok() && !deleted.ok()) return deleted.error();
  }
  return probed;
}

}  // namespace varve::store

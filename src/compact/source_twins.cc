#include "compact/source_twins.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "compact/source_content.h"

namespace varve::compact {
namespace {

constexpr size_t kAskedMax = 1'000;  // at once
constexpr size_t kOthersMax = 10'000;

// Elsewhere than in a directory, ETags are of the bytes.
bool MayBeTwin(const store::ObjectStore& store, const Arrival& arrival) {
  if (arrival.gone) return false;
  return store::IsForeignEtag(arrival.etag) || store.LocalPath(arrival.key).has_value();
}

}  // namespace

Result<size_t> SourceTwins::Find(std::span<const Arrival> arrivals) {
  std::vector<Arrival> asked;
  for (const Arrival& arrival : arrivals) {
    if (MayBeTwin(store_, arrival)) asked.push_back(arrival);
  }
  size_t found = 0;
  for (size_t begin = 0; begin < asked.size(); begin += kAskedMax) {
    const auto some = std::span(asked).subspan(begin, std::min(kAskedMax, asked.size() - begin));
    for (const Lookalike& lookalike : TRY(windows_.Lookalikes(some))) {
      const Arrival& arrival = some[lookalike.arrival];
      if (!TRY(IsTwin(arrival, lookalike))) continue;
      TRY(windows_.NoteTwin(arrival, lookalike.content));
      ++found;
    }
  }
  return found;
}

Result<bool> SourceTwins::IsTwin(const Arrival& arrival, const Lookalike& lookalike) {
  const ContentKind kind = ContentKindOf(lookalike.content);
  if (kind == ContentKind::kNone) return false;
  if (kind == ContentKindOf(arrival.etag)) return arrival.etag == lookalike.content;
  // An ETag stands for its bytes, so the answer stays.
  SourceId question{arrival.key, arrival.etag + " " + lookalike.content};
  if (IsOther(question)) return false;
  SourceFile file;
  file.key = arrival.key;
  file.etag = arrival.etag;
  file.size = arrival.size;
  const auto content = TRY(ContentOf(store_, file, kind));
  if (content == lookalike.content) return true;
  if (content) RememberOther(std::move(question));
  return false;
}

bool SourceTwins::IsOther(const SourceId& id) {
  const std::lock_guard lock(mutex_);
  return others_.contains(id);
}

void SourceTwins::RememberOther(SourceId id) {
  const std::lock_guard lock(mutex_);
  if (others_.size() >= kOthersMax) others_.clear();
  others_.insert(std::move(id));
}

}  // namespace varve::compact

#include "query/cursors.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "core/bytes.h"

namespace varve::query {

// 128 bits of the machine's randomness: a name that cannot be guessed.
std::string Cursors::NewId() {
  std::array<uint8_t, 16> bytes;
  {
    const std::lock_guard lock(mutex_);
    random_.Fill(bytes);
  }
  return HexEncode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

bool Cursors::IsIdle(const Entry& entry) const {
  return clock_.MonotonicNs() - entry.used_ns >=
         static_cast<int64_t>(options_.cursor_idle_ms) * 1'000'000;
}

Status Cursors::MakeRoom(const NamespaceId& ns) {
  DropIdle();
  std::unique_ptr<OpenQuery> dropped;  // closed after the lock is given up
  const std::lock_guard lock(mutex_);
  if (entries_.size() < options_.cursors_max) return {};
  auto oldest = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->second.ns != ns) continue;
    if (oldest == entries_.end() || it->second.used_ns < oldest->second.used_ns) oldest = it;
  }
  if (oldest == entries_.end()) {
    return MakeError(ErrorKind::kExhausted, "BUSY",
                     fmt::format("{} results wait for their next page, which is the limit",
                                 options_.cursors_max),
                     fmt::format(R"({{"cursorsMax":{}}})", options_.cursors_max));
  }
  dropped = std::move(oldest->second.query);
  entries_.erase(oldest);
  return {};
}

void Cursors::Put(std::string id, const NamespaceId& ns, std::unique_ptr<OpenQuery> query) {
  const std::lock_guard lock(mutex_);
  entries_[std::move(id)] = Entry{ns, std::move(query), clock_.MonotonicNs()};
}

Result<std::unique_ptr<OpenQuery>> Cursors::Take(const NamespaceId& ns, std::string_view id) {
  DropIdle();
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(id);
  // Another tenant's cursor and none at all are answered alike.
  if (it == entries_.end() || it->second.ns != ns) {
    return MakeError(ErrorKind::kNotFound, "CURSOR_EXPIRED",
                     "there is no such cursor: it was used, or waited too long");
  }
  auto query = std::move(it->second.query);
  entries_.erase(it);
  return query;
}

void Cursors::DropIdle() {
  std::vector<std::unique_ptr<OpenQuery>> dropped;  // closed after the lock is given up
  const std::lock_guard lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (IsIdle(it->second)) {
      dropped.push_back(std::move(it->second.query));
      it = entries_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace varve::query

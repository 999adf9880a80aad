#include "core/crash_point.h"

#include <signal.h>
#include <unistd.h>

#include <charconv>

#include "core/check.h"

namespace varve {
namespace {

std::vector<const CrashPoint*>& Registry() {
  static std::vector<const CrashPoint*> registry;
  return registry;
}

}  // namespace

CrashPoint::CrashPoint(std::string_view name) : name_(name) {
  for (const CrashPoint* other : Registry()) CHECK(other->name() != name);
  Registry().push_back(this);
}

void CrashPoint::Hit() const {
  if (hits_left_.load(std::memory_order_relaxed) == 0) return;
  if (hits_left_.fetch_sub(1) == 1) kill(getpid(), SIGKILL);
}

std::vector<std::string_view> CrashPoint::Names() {
  std::vector<std::string_view> names;
  for (const CrashPoint* point : Registry()) names.push_back(point->name());
  return names;
}

bool CrashPoint::Arm(std::string_view name_and_hit) {
  size_t colon = name_and_hit.rfind(':');
  std::string_view name = name_and_hit.substr(0, colon);
  int hit = 1;
  if (colon != std::string_view::npos) {
    const char* end = name_and_hit.data() + name_and_hit.size();
    auto [ptr, ec] = std::from_chars(name_and_hit.data() + colon + 1, end, hit);
    if (ec != std::errc() || ptr != end || hit < 1) return false;
  }
  for (const CrashPoint* point : Registry()) {
    if (point->name() != name) continue;
    point->hits_left_.store(hit);
    return true;
  }
  return false;
}

}  // namespace varve

#include "ingest/id_filter.h"

#include <array>
#include <functional>

namespace varve::ingest {
namespace {

constexpr int kProbes = 5;

std::array<uint64_t, kProbes> BitsOf(std::string_view ns, std::string_view id) {
  uint64_t step = std::hash<std::string_view>()(id);
  uint64_t at = step ^ (std::hash<std::string_view>()(ns) * 0x9e3779b97f4a7c15ull);
  step = (step >> 29 ^ step * 0xbf58476d1ce4e5b9ull) | 1;
  std::array<uint64_t, kProbes> bits;
  for (uint64_t& bit : bits) {
    bit = at % IdFilter::kBits;
    at += step;
  }
  return bits;
}

bool Holds(const std::vector<uint64_t>& words, const std::array<uint64_t, kProbes>& bits) {
  if (words.empty()) return false;
  for (uint64_t bit : bits) {
    if ((words[bit / 64] >> bit % 64 & 1) == 0) return false;
  }
  return true;
}

}  // namespace

IdFilter::IdFilter(int64_t window_ms, int64_t now_ms)
    : window_ms_(window_ms), newer_since_ms_(now_ms), newer_(kBits / 64) {}

void IdFilter::Add(std::string_view ns, std::string_view id, int64_t now_ms) {
  if (now_ms - newer_since_ms_ >= window_ms_) Rotate(now_ms);
  for (uint64_t bit : BitsOf(ns, id)) newer_[bit / 64] |= 1ull << bit % 64;
}

bool IdFilter::MayHold(std::string_view ns, std::string_view id) const {
  auto bits = BitsOf(ns, id);
  return Holds(newer_, bits) || Holds(older_, bits);
}

void IdFilter::Rotate(int64_t now_ms) {
  older_.swap(newer_);
  newer_.assign(kBits / 64, 0);
  newer_since_ms_ = now_ms;
}

}  // namespace varve::ingest

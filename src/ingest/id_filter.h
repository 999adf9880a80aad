// Tells most new batch ids from spent ones without asking the state: "perhaps seen" or "surely
// not".
//
// Two generations of a Bloom filter, each in use for one dedup window. An id is added to the newer;
// when the newer has served a window the older is dropped, by when all its ids have expired.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace varve::ingest {

class IdFilter {
 public:
  static constexpr uint64_t kBits = 1ull << 26;  // 8 MiB a generation; 5 M ids: 1 in 400 asked

  IdFilter(int64_t window_ms, int64_t now_ms);
  void Add(std::string_view ns, std::string_view id, int64_t now_ms);
  bool MayHold(std::string_view ns, std::string_view id) const;

 private:
  void Rotate(int64_t now_ms);

  const int64_t window_ms_;
  int64_t newer_since_ms_;
  std::vector<uint64_t> newer_, older_;  // older: empty until there is one
};

}  // namespace varve::ingest

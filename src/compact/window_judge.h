// Says of pending windows whether they are ready, and who holds them back: the quorum's rules with
// what the tables know. One transaction; nothing is written.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compact/window_quorum.h"
#include "compact/window_tables.h"

namespace varve::compact {

inline constexpr size_t kWritersJudgedMax = 10'000;  // of a namespace

struct NamespaceFacts {
  NamespaceRow row;
  NamespaceSettings settings;
  std::vector<WriterRow> writers;
};

struct Judgement {
  std::vector<Hold> holds;           // none: ready
  std::vector<std::string> missing;  // active writers that it waits for
  bool ready() const { return holds.empty(); }
};

class WindowJudge {
 public:
  static Result<WindowJudge> Make(state::Session& session, const WindowOptions& options,
                                  int64_t now_ms);
  Result<const NamespaceFacts*> FactsOf(int64_t ns_id);
  Result<Judgement> Judge(const Window& window);
  // Seen within writer_inactive_ms. One whose clock runs ahead is not waited for.
  bool IsActive(const WriterRow& writer) const;

  uint64_t running() const { return running_.size(); }  // workflows that have not committed
  bool RoundRuns(const Window& window) const {
    return running_.contains({window.ns_id, window.start_ms});
  }
  int64_t now_ms() const { return now_ms_; }

 private:
  WindowJudge(state::Session& session, const WindowOptions& options, int64_t now_ms)
      : session_(&session), options_(&options), now_ms_(now_ms) {}
  Result<std::vector<std::string>> Missing(const Window& window, const NamespaceFacts& facts);

  state::Session* session_;
  const WindowOptions* options_;
  int64_t now_ms_;
  std::multiset<std::pair<int64_t, int64_t>> running_;
  std::map<int64_t, NamespaceFacts> facts_;
};

}  // namespace varve::compact

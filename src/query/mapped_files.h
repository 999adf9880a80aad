// The journal's segments as a SQL worker sees them: mapped for reading, by descriptors that the
// server has sent.
#pragma once

#include <string_view>
#include <vector>

#include "core/result.h"
#include "query/worker_messages.h"
#include "store/unique_fd.h"

namespace varve::query {

class MappedFiles {
 public:
  MappedFiles() = default;
  MappedFiles(const MappedFiles&) = delete;
  MappedFiles& operator=(const MappedFiles&) = delete;
  ~MappedFiles();

  Status Map(const store::UniqueFd& file);  // the next one; the descriptor is not needed any longer
  // Valid as long as this is; kInternal if it does not lie in the file with its padding.
  Result<HotChunk> ChunkAt(const HotPlace& place) const;

 private:
  std::vector<std::string_view> files_;
};

// Where the server's chunk lies.
HotPlace PlaceOf(const HotChunk& chunk, const HotFile& file);

}  // namespace varve::query

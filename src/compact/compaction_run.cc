#include "compact/compaction_run.h"

#include <fstream>

namespace varve::compact {

table::ReadRange ReaderOf(store::ObjectStore& store, const std::string& key) {
  return [&store, key](uint64_t offset, uint64_t size) {
    store::ByteRange range;
    range.offset = offset;
    range.size = size;
    return store.Get(key, range);
  };
}

table::ReadRange ReaderOfFile(const std::string& path) {
  return [path](uint64_t offset, uint64_t size) -> Result<std::string> {
    std::ifstream file(path, std::ios::binary);
    std::string bytes(size, '\0');
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(bytes.data(), static_cast<std::streamsize>(size));
    if (file.good()) return bytes;
    return MakeError(ErrorKind::kCorrupt, "'" + path + "' is shorter than it was");
  };
}

Result<bool> HasTable(CompactionRun& run) {
  return TRY(run.tables.FormatsOf(run.state.table)).any();
}

}  // namespace varve::compact

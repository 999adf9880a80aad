#include "query/mapped_files.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace varve::query {

MappedFiles::~MappedFiles() {
  for (std::string_view file : files_) munmap(const_cast<char*>(file.data()), file.size());
}

Status MappedFiles::Map(const store::UniqueFd& file) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return ErrnoError(errno, "look at a journal segment");
  const auto bytes = static_cast<size_t>(status.st_size);
  void* base = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.get(), 0);
  if (base == MAP_FAILED) return ErrnoError(errno, "map a journal segment");
  files_.emplace_back(static_cast<const char*>(base), bytes);
  return {};
}

Result<HotChunk> MappedFiles::ChunkAt(const HotPlace& place) const {
  const uint64_t bytes = place.file < files_.size() ? files_[place.file].size() : 0;
  const uint64_t events_bytes = place.event_count * sizeof(record::EventRef);
  const uint64_t body_bytes = place.body_bytes + record::kJsonPaddingBytes;
  const bool inside = place.events_at <= bytes && events_bytes <= bytes - place.events_at &&
                      place.body_at <= bytes && body_bytes <= bytes - place.body_at;
  if (!inside) return MakeError(ErrorKind::kInternal, "a journal record lies outside its segment");
  const char* base = files_[place.file].data();
  return HotChunk{
      static_cast<record::RecordKind>(place.kind),
      place.received_ms,
      {reinterpret_cast<const record::EventRef*>(base + place.events_at), place.event_count},
      {base + place.body_at, place.body_bytes},
      place.file};
}

HotPlace PlaceOf(const HotChunk& chunk, const HotFile& file) {
  const auto at = [&](const void* bytes) {
    return static_cast<uint64_t>(static_cast<const char*>(bytes) - file.base);
  };
  HotPlace place;
  place.file = chunk.file;
  place.event_count = static_cast<uint32_t>(chunk.events.size());
  place.received_ms = chunk.received_ms;
  place.events_at = at(chunk.events.data());
  place.body_at = at(chunk.body.data());
  place.body_bytes = chunk.body.size();
  place.kind = static_cast<uint64_t>(chunk.kind);
  return place;
}

}  // namespace varve::query

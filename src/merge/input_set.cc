#include "merge/input_set.h"

#include <arrow/util/key_value_metadata.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "merge/schema_union.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {

constexpr int64_t kPartRowsMax = int64_t{1} << 31;
constexpr size_t kFootersAhead = 32;

uint32_t LayoutOf(InputSet& inputs, uint32_t file, const pq::FileMetaData& footer) {
  const pq::SchemaDescriptor& schema = *footer.schema();
  for (uint32_t i = 0; i < inputs.layouts.size(); ++i) {
    if (inputs.layouts[i].schema->Equals(schema)) return i;
  }
  auto own = std::make_shared<pq::SchemaDescriptor>();
  own->Init(schema.schema_root());
  Layout layout;
  layout.example = file;
  layout.schema = std::move(own);
  inputs.layouts.push_back(std::move(layout));
  return static_cast<uint32_t>(inputs.layouts.size() - 1);
}

Result<ChunkPlace> PlaceOf(const pq::ColumnChunkMetaData& chunk, uint64_t file_bytes) {
  auto bad = [](const char* what) { return MakeError(ErrorKind::kCorrupt, what); };
  if (!chunk.file_path().empty()) return bad("its values are in another file");
  ChunkPlace place;
  const int64_t data = chunk.data_page_offset();
  const int64_t dictionary = chunk.has_dictionary_page() ? chunk.dictionary_page_offset() : 0;
  const int64_t begin = dictionary > 0 && dictionary < data ? dictionary : data;
  const int64_t size = chunk.total_compressed_size();
  if (begin < 4 || size < 0 || static_cast<uint64_t>(begin) > file_bytes ||
      static_cast<uint64_t>(size) > file_bytes - static_cast<uint64_t>(begin)) {
    return bad("its pages are said to be beyond the file's end");
  }
  place.begin = static_cast<uint64_t>(begin);
  place.bytes = static_cast<uint64_t>(size);
  place.uncompressed = static_cast<uint64_t>(std::max<int64_t>(0, chunk.total_uncompressed_size()));
  place.codec = static_cast<int16_t>(chunk.compression());
  place.has_dictionary = begin != data;
  return place;
}

// A filter whose length or place is not good is one that is not there.
void PlaceFilter(const pq::ColumnChunkMetaData& chunk, uint64_t file_bytes, ChunkPlace& place) {
  const int64_t begin = chunk.bloom_filter_offset().value_or(0);
  const int64_t size = chunk.bloom_filter_length().value_or(0);
  if (begin < 4 || size <= 0 || static_cast<uint64_t>(begin) > file_bytes ||
      static_cast<uint64_t>(size) > file_bytes - static_cast<uint64_t>(begin)) {
    return;
  }
  place.filter_begin = static_cast<uint64_t>(begin);
  place.filter_bytes = static_cast<uint64_t>(size);
}

void AddRange(const pq::ColumnChunkMetaData& chunk, Part& part) {
  const auto stats = chunk.encoded_statistics();
  if (stats == nullptr || !stats->has_min || !stats->has_max) return;
  part.has_range = true;
  part.has_nulls = !stats->has_null_count || stats->null_count > 0;
  part.range_min = stats->min();
  part.range_max = stats->max();
}

Status AddPart(InputSet& inputs, uint32_t file, uint32_t number, const pq::FileMetaData& footer,
               const std::string& key) {
  const auto group = footer.RowGroup(static_cast<int>(number));
  const int64_t rows = group->num_rows();
  if (rows < 0 || rows >= kPartRowsMax) {
    return MakeError(ErrorKind::kCorrupt, inputs.files->path(file) + ": row group " +
                                              std::to_string(number) + " has " +
                                              std::to_string(rows) + " rows");
  }
  if (rows == 0) return {};
  Part part;
  part.file = file;
  part.group = number;
  part.rows = static_cast<uint32_t>(rows);
  uint64_t bytes = 0;
  for (int i = 0; i < group->num_columns(); ++i) {
    const auto chunk = group->ColumnChunk(i);
    const std::string name = footer.schema()->Column(i)->path()->ToDotString();
    auto place = PlaceOf(*chunk, inputs.files->file_bytes(file));
    if (!place.ok()) return InPlace(inputs, part, name, std::move(place).error());
    if (name == key) AddRange(*chunk, part);
    PlaceFilter(*chunk, inputs.files->file_bytes(file), *place);
    bytes += place->uncompressed;
    part.chunks.push_back(*place);
  }
  part.row_bytes = bytes / part.rows + 1;
  inputs.rows += part.rows;
  inputs.parts.push_back(std::move(part));
  return {};
}

// What all files that have a key say of it. Arrow's schema tells of the columns: all must have it.
class MetadataUnion {
 public:
  void Add(const pq::FileMetaData& footer) {
    ++files_;
    const auto& pairs = footer.key_value_metadata();
    for (int64_t i = 0; pairs != nullptr && i < pairs->size(); ++i) {
      auto [found, is_new] = values_.try_emplace(pairs->key(i), Value{pairs->value(i), 0, true});
      if (found->second.text != pairs->value(i)) found->second.agreed = false;
      ++found->second.files;
    }
  }
  std::vector<std::pair<std::string, std::string>> Agreed(bool one_layout) const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [key, value] : values_) {
      const bool of_columns = key == "ARROW:schema" || key == "pandas";
      if (!value.agreed || (of_columns && (!one_layout || value.files < files_))) continue;
      out.emplace_back(key, value.text);
    }
    return out;
  }

 private:
  struct Value {
    std::string text;
    size_t files = 0;
    bool agreed = true;
  };
  std::map<std::string, Value> values_;
  size_t files_ = 0;
};

Status AddFile(InputSet& inputs, uint32_t file, const std::shared_ptr<pq::FileMetaData>& footer,
               const std::string& key, MetadataUnion& metadata) {
  Status added;
  auto read = parquet::TryParquet(
      inputs.files->path(file) + ": its footer",
      [&] {
        inputs.layout_of.push_back(LayoutOf(inputs, file, *footer));
        inputs.first_part.push_back(static_cast<uint32_t>(inputs.parts.size()));
        for (int i = 0; i < footer->num_row_groups() && added.ok(); ++i) {
          added = AddPart(inputs, file, static_cast<uint32_t>(i), *footer, key);
        }
        metadata.Add(*footer);
      },
      ErrorKind::kCorrupt);
  inputs.bytes += inputs.files->file_bytes(file);
  return read.ok() ? added : read;
}

struct Footer : TaskPool::Ticket {
  std::optional<Result<std::shared_ptr<pq::FileMetaData>>> read;
};

}  // namespace

Result<InputSet> OpenInputs(const std::vector<std::string>& paths, const std::string& key,
                            uint32_t open_files_max, TaskPool& pool) {
  if (paths.empty()) return MakeError(ErrorKind::kInvalid, "no inputs");
  InputSet inputs;
  inputs.files = std::make_unique<parquet::InputFiles>(paths, open_files_max);
  MetadataUnion metadata;
  std::deque<std::shared_ptr<Footer>> ahead;
  Status added;
  for (uint32_t file = 0, next = 0; file < paths.size(); ++file) {
    for (; next < paths.size() && ahead.size() < kFootersAhead; ++next) {
      ahead.push_back(std::make_shared<Footer>());
      pool.Submit(ahead.back(), [files = inputs.files.get(), next, to = ahead.back().get()] {
        to->read = files->ReadFooter(next);
      });
    }
    const auto footer = std::move(ahead.front());
    ahead.pop_front();
    pool.Wait(*footer);
    if (!added.ok()) continue;
    added = footer->read->ok() ? AddFile(inputs, file, **footer->read, key, metadata)
                               : Status(footer->read->error());
  }
  if (!added.ok()) return std::move(added).error();
  inputs.first_part.push_back(static_cast<uint32_t>(inputs.parts.size()));
  TRY(UniteSchemas(inputs));
  inputs.metadata = metadata.Agreed(inputs.layouts.size() == 1);
  return inputs;
}

Error InPlace(const InputSet& inputs, const Part& part, const std::string& column, Error error) {
  return std::move(error).Context(inputs.path(part) + ": row group " + std::to_string(part.group) +
                                  ", column " + column);
}

}  // namespace varve::merge

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
#include "merge/timestamp_rule.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {

constexpr int64_t kPartRowsMax = int64_t{1} << 31;
constexpr uint32_t kFootersOfATask = 8;
constexpr size_t kFooterTasksAhead = 8;

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

// Tells of the columns' types, which are those of the output only if no file has others.
bool IsOfColumns(const std::string& key) {
  return key == "ARROW:schema" || key == "pandas" || key == "parquet.avro.schema" ||
         key == "avro.schema";
}

// What all files that have a key say of it. What tells of the columns all must have.
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
  std::vector<std::pair<std::string, std::string>> Agreed(bool as_output) const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [key, value] : values_) {
      if (!value.agreed) continue;
      if (IsOfColumns(key) && (!as_output || value.files < files_)) continue;
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

// Footers of consecutive files: a thread is not woken for each.
struct Footers : TaskPool::Ticket {
  uint32_t begin = 0, end = 0;
  std::vector<Result<std::shared_ptr<pq::FileMetaData>>> read;
};

}  // namespace

Result<InputSet> OpenInputs(const std::vector<std::string>& paths, const std::string& key,
                            uint32_t open_files_max, TaskPool& pool, const SchemaRule& rule) {
  if (paths.empty()) return MakeError(ErrorKind::kInvalid, "no inputs");
  InputSet inputs;
  inputs.files = std::make_unique<parquet::InputFiles>(paths, open_files_max);
  MetadataUnion metadata;
  std::deque<std::shared_ptr<Footers>> ahead;
  const auto count = static_cast<uint32_t>(paths.size());
  Status added;
  for (uint32_t next = 0; next < count || !ahead.empty();) {
    for (; next < count && ahead.size() < kFooterTasksAhead; next = ahead.back()->end) {
      auto footers = std::make_shared<Footers>();
      footers->begin = next;
      footers->end = std::min(count, next + kFootersOfATask);
      pool.Submit(footers, [files = inputs.files.get(), to = footers.get()] {
        for (uint32_t file = to->begin; file < to->end; ++file) {
          to->read.push_back(files->ReadFooter(file));
        }
      });
      ahead.push_back(std::move(footers));
    }
    const auto footers = std::move(ahead.front());
    ahead.pop_front();
    pool.Wait(*footers);
    for (uint32_t file = footers->begin; file < footers->end && added.ok(); ++file) {
      const auto& footer = footers->read[file - footers->begin];
      added = footer.ok() ? AddFile(inputs, file, *footer, key, metadata) : footer.error();
    }
  }
  if (!added.ok()) return std::move(added).error();
  inputs.first_part.push_back(static_cast<uint32_t>(inputs.parts.size()));
  TRY(UniteSchemas(inputs, rule));
  ConvertRanges(inputs, key);
  inputs.metadata = metadata.Agreed(inputs.layouts.size() == 1 && inputs.layouts[0].as_output);
  return inputs;
}

Error InPlace(const InputSet& inputs, const Part& part, const std::string& column, Error error) {
  return std::move(error).Context(inputs.path(part) + ": row group " + std::to_string(part.group) +
                                  ", column " + column);
}

}  // namespace varve::merge

#include "merge/input_set.h"

#include <arrow/util/key_value_metadata.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>
#include <parquet/size_statistics.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>

#include "merge/arrow_schema.h"
#include "merge/schema_union.h"
#include "merge/timestamp_rule.h"
#include "parquet/page_header.h"
#include "parquet/rare_encoding.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {

constexpr int64_t kPartRowsMax = int64_t{1} << 31;
constexpr uint32_t kFootersOfATask = 8;
constexpr size_t kFooterTasksAhead = 8;
constexpr size_t kColumnsShownMax = 20;  // in a message
constexpr size_t kDictionaryHeaderBytesMax = 256;
constexpr uint64_t kGroupBytesUsual = 64 << 20;
constexpr uint64_t kLargeValueBytes = 256;

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
  place.rare_encoding = parquet::RareEncoding(chunk).has_value();
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

// Of a dictionary's entries, on average; 0: it is not known.
uint64_t EntryBytes(const InputSet& inputs, uint32_t file, const ChunkPlace& place) {
  const auto bytes = inputs.files->Read(file, place.begin,
                                        std::min<size_t>(place.bytes, kDictionaryHeaderBytesMax));
  if (!bytes.ok()) return 0;
  const auto header = parquet::ParsePageHeader({bytes->data(), bytes->size()});
  if (!header.ok() || header->type != parquet::PageType::kDictionary || header->values <= 0) {
    return 0;
  }
  return static_cast<uint64_t>(std::max(0, header->uncompressed_bytes)) /
         static_cast<uint64_t>(header->values);
}

// What the chunk's values take in the output. Those of a dictionary are there once more for each
// row, if the output's has no room for them; for small ones that is no more than a row group has.
uint64_t ValueBytes(const InputSet& inputs, const pq::ColumnChunkMetaData& chunk,
                    const ChunkPlace& place, const Part& part) {
  if (chunk.type() != pq::Type::BYTE_ARRAY || !place.has_dictionary) return place.uncompressed;
  uint64_t bytes = 0;
  const auto sizes = chunk.size_statistics();
  if (sizes != nullptr && sizes->unencoded_byte_array_data_bytes) {
    bytes = static_cast<uint64_t>(std::max<int64_t>(0, *sizes->unencoded_byte_array_data_bytes));
  } else if (place.uncompressed > kGroupBytesUsual / part.rows) {
    bytes = EntryBytes(inputs, part.file, place) * part.rows;
  }
  return bytes / part.rows < kLargeValueBytes ? place.uncompressed
                                              : std::max(bytes, place.uncompressed);
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
    bytes += ValueBytes(inputs, *chunk, *place, part);
    part.chunks.push_back(*place);
  }
  part.row_bytes = bytes / part.rows + 1;
  inputs.rows += part.rows;
  inputs.parts.push_back(std::move(part));
  return {};
}

// Tells of the columns' types, which are those of the output only if no file has others.
bool IsOfColumns(const std::string& key) {
  return key == "pandas" || key == "parquet.avro.schema" || key == "avro.schema" ||
         key == "iceberg.schema" || key == "org.apache.spark.sql.parquet.row.metadata";
}

// What all files that have a key say of it. What tells of the columns all must have.
class MetadataUnion {
 public:
  void Add(const InputSet& inputs, uint32_t file, const pq::FileMetaData& footer) {
    ++files_;
    const auto& pairs = footer.key_value_metadata();
    const int schema = pairs == nullptr ? -1 : pairs->FindKey(ArrowSchemas::kKey);
    arrow_schemas_.Add(inputs, file, schema < 0 ? nullptr : &pairs->value(schema));
    for (int64_t i = 0; pairs != nullptr && i < pairs->size(); ++i) {
      if (pairs->key(i) == ArrowSchemas::kKey) continue;
      auto [found, is_new] = values_.try_emplace(pairs->key(i), Value{pairs->value(i), 0, true});
      if (found->second.text != pairs->value(i)) found->second.agreed = false;
      ++found->second.files;
    }
  }
  // of_columns: with what tells of the columns.
  Result<std::vector<std::pair<std::string, std::string>>> Agreed(const InputSet& inputs,
                                                                  bool of_columns) const {
    const bool as_output = of_columns && inputs.layouts.size() == 1 && inputs.layouts[0].as_output;
    std::vector<std::pair<std::string, std::string>> out;
    auto text = TRY(arrow_schemas_.Together(inputs));  // a conflict is one in any case
    if (text && of_columns) out.emplace_back(ArrowSchemas::kKey, std::move(*text));
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
  ArrowSchemas arrow_schemas_;
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
        metadata.Add(inputs, file, *footer);
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

Result<size_t> InputSet::ColumnNamed(const std::string& name) const {
  size_t found = columns.size();
  for (size_t at = 0; at < columns.size(); ++at) {
    if (columns[at].name != name) continue;
    if (found < columns.size()) {
      return MakeError(ErrorKind::kInvalid, "there are two columns " + name);
    }
    found = at;
  }
  if (found < columns.size()) return found;
  std::string others;
  for (size_t at = 0; at < std::min(columns.size(), kColumnsShownMax); ++at) {
    others += (at == 0 ? "" : ", ") + columns[at].name;
  }
  if (columns.size() > kColumnsShownMax) others += ", …";
  return MakeError(ErrorKind::kInvalid, files->path(0) + ": there is no column " + name +
                                            " (there are: " + others + ")");
}

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
  inputs.metadata = TRY(metadata.Agreed(inputs, rule.column_metadata));
  return inputs;
}

Error InPlace(const InputSet& inputs, const Part& part, const std::string& column, Error error) {
  return std::move(error).Context(inputs.path(part) + ": row group " + std::to_string(part.group) +
                                  ", column " + column);
}

}  // namespace varve::merge

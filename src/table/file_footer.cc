// The footer is read with two ranges at most: the file's last 64 KiB, and what is before them if it
// is longer. Statistics are taken over all row groups; if one lacks a column's, nothing is said of
// that column's bounds or nulls, since a wrong bound loses rows.
#include "table/file_footer.h"

#include <fmt/format.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <exception>
#include <optional>

#include "core/bytes.h"
#include "parquet/rare_encoding.h"
#include "table/bounds.h"
#include "table/parquet_types.h"

namespace varve::table {
namespace {

namespace pq = ::parquet;

constexpr uint64_t kTailBytes = uint64_t{64} << 10;
constexpr std::string_view kMagic = "PAR1";

Error NotParquet(std::string_view what) {
  return MakeError(ErrorKind::kCorrupt, "NOT_PARQUET", std::string(what));
}

Result<std::string> FooterBytes(const ReadRange& read, uint64_t file_bytes) {
  if (file_bytes < 12) return NotParquet("is too small to be a Parquet file");
  const uint64_t tail_bytes = std::min(file_bytes, kTailBytes);
  std::string tail = TRY(read(file_bytes - tail_bytes, tail_bytes));
  if (tail.size() != tail_bytes || !tail.ends_with(kMagic)) {
    return NotParquet("does not end as a Parquet file");
  }
  const uint64_t size = GetLe<uint32_t>(tail.data() + tail.size() - 8);
  if (size == 0 || size > file_bytes - 12 || size > kFooterBytesMax) {
    return NotParquet("has a footer of an impossible length");
  }
  if (size + 8 <= tail.size()) return tail.substr(tail.size() - 8 - size, size);
  std::string front = TRY(read(file_bytes - 8 - size, size + 8 - tail.size()));
  if (front.size() != size + 8 - tail.size()) return NotParquet("is cut short");
  front += tail;
  front.resize(size);
  return front;
}

// One column's statistics, gathered over the row groups.
class Gather {
 public:
  explicit Gather(const LeafType& leaf) : leaf_(leaf) {}

  void Add(const pq::ColumnChunkMetaData& chunk) {
    out_.bytes = out_.bytes.value_or(0) + chunk.total_compressed_size();
    out_.values = out_.values.value_or(0) + chunk.num_values();
    const std::shared_ptr<pq::Statistics> stats =
        chunk.is_stats_set() ? chunk.statistics() : nullptr;
    if (stats == nullptr || !stats->HasNullCount()) nulls_known_ = false;
    const int64_t nulls = stats != nullptr && stats->HasNullCount() ? stats->null_count() : 0;
    out_.nulls = out_.nulls.value_or(0) + nulls;
    if (nulls_known_ && nulls == chunk.num_values()) return;  // nothing but nulls: no bounds
    if (stats == nullptr || !stats->HasMinMax() || !bounds_known_) {
      bounds_known_ = false;
      return;
    }
    const std::optional<std::string> low = leaf_.Value(stats->EncodeMin());
    const std::optional<std::string> high = leaf_.Value(stats->EncodeMax());
    if (!low || !high || CompareValues(leaf_.type, *low, *high) > 0) {
      bounds_known_ = false;
      return;
    }
    if (!out_.lower || CompareValues(leaf_.type, *low, *out_.lower) < 0) out_.lower = low;
    if (!out_.upper || CompareValues(leaf_.type, *high, *out_.upper) > 0) out_.upper = high;
    const auto exact = [](const std::optional<bool>& is) { return is.value_or(true); };
    const pq::EncodedStatistics encoded = stats->Encode();
    if (!exact(encoded.is_min_value_exact)) out_.lower_is_value = false;
    if (!exact(encoded.is_max_value_exact)) out_.upper_is_value = false;
  }

  ColumnStats Take() && {
    if (!nulls_known_) out_.nulls.reset();
    if (!bounds_known_) out_.lower.reset(), out_.upper.reset();
    return std::move(out_);
  }

 private:
  const LeafType& leaf_;
  ColumnStats out_;
  bool nulls_known_ = true, bounds_known_ = true;
};

void AddEncodingProblem(const pq::ColumnChunkMetaData& chunk, const std::vector<std::string>& names,
                        std::vector<ColumnProblem>& problems) {
  const auto rare = parquet::RareEncoding(chunk);
  if (!rare) return;
  problems.push_back({fmt::format("the column '{}' is encoded as {}, which readers do not know",
                                  fmt::join(names, "."), pq::EncodingToString(*rare)),
                      true});
}

Result<FileFooter> FromMetadata(const pq::FileMetaData& metadata, uint64_t file_bytes) {
  FileFooter footer;
  footer.bytes = file_bytes;
  footer.rows = metadata.num_rows();
  FileColumns columns = TRY(ReadFileColumns(*metadata.schema()));
  footer.schema = std::move(columns.schema);
  footer.has_field_ids = columns.has_field_ids;
  footer.problems = std::move(columns.problems);
  std::vector<Gather> gathers;
  gathers.reserve(columns.leaves.size());
  for (const LeafType& leaf : columns.leaves) gathers.emplace_back(leaf);
  int64_t rows = 0;
  for (int g = 0; g < metadata.num_row_groups(); ++g) {
    const auto group = metadata.RowGroup(g);
    rows += group->num_rows();
    for (size_t i = 0; i < columns.leaves.size(); ++i) {
      const auto chunk = group->ColumnChunk(columns.leaves[i].column);
      gathers[i].Add(*chunk);
      if (g == 0) AddEncodingProblem(*chunk, columns.leaves[i].names, footer.problems);
    }
    if (group->num_columns() == 0 || group->num_rows() == 0) continue;  // no pages, no offsets
    const auto first = group->ColumnChunk(0);
    int64_t begin = first->data_page_offset();
    if (first->has_dictionary_page() && first->dictionary_page_offset() > 0) {
      begin = std::min(begin, first->dictionary_page_offset());
    }
    if (begin < 4 || static_cast<uint64_t>(begin) >= file_bytes) {
      return MakeError(ErrorKind::kCorrupt, "BAD_PARQUET", "a row group begins outside the file");
    }
    footer.split_offsets.push_back(begin);
  }
  if (rows != footer.rows || rows < 0) {
    return MakeError(ErrorKind::kCorrupt, "BAD_PARQUET", "the row groups' rows are not the file's");
  }
  std::sort(footer.split_offsets.begin(), footer.split_offsets.end());
  for (size_t i = 0; i < columns.leaves.size(); ++i) {
    LeafStats leaf;
    leaf.names = std::move(columns.leaves[i].names);
    leaf.type = columns.leaves[i].type;
    leaf.stats = std::move(gathers[i]).Take();
    leaf.stats.field_id = columns.leaves[i].field_id;
    footer.leaves.push_back(std::move(leaf));
  }
  return footer;
}

Status SetPartition(const PartitionField& part, const Schema& schema, DataFile& file) {
  const Field* source = FindField(schema, part.source_id);
  if (source == nullptr) {
    return MakeError(ErrorKind::kInvalid, "NO_SUCH_COLUMN",
                     fmt::format("the partition '{}' has no column", part.name));
  }
  std::optional<std::string> value;
  const auto column =
      std::find_if(file.columns.begin(), file.columns.end(),
                   [&](const ColumnStats& one) { return one.field_id == part.source_id; });
  const bool missing = column == file.columns.end();
  const bool only_nulls = missing || (column->nulls && column->nulls == column->values);
  if (!only_nulls && part.transform != "void") {
    const bool known = column->lower && column->upper && column->nulls.value_or(1) == 0;
    if (!known) {
      return MakeError(ErrorKind::kInvalid, "PARTITION_UNKNOWN",
                       fmt::format("the column '{}' has nulls or no statistics, so the file's "
                                   "partition '{}' is not known",
                                   source->name, part.name));
    }
    const std::string low = TRY(ApplyTransform(part.transform, source->type, *column->lower));
    const std::string high = TRY(ApplyTransform(part.transform, source->type, *column->upper));
    if (low != high) {
      return MakeError(ErrorKind::kInvalid, "PARTITION_SPANNED",
                       fmt::format("the file's rows are of several partitions by '{}'", part.name));
    }
    value = low;
  }
  file.partition.push_back(std::move(value));
  return {};
}

void Truncate(const Type& type, ColumnStats& stats) {
  if (stats.lower) {
    std::string cut = TruncateLower(type, *stats.lower);
    if (cut != *stats.lower) stats.lower_is_value = false;
    stats.lower = std::move(cut);
  }
  if (stats.upper) {
    std::optional<std::string> cut = TruncateUpper(type, *stats.upper);
    if (cut != stats.upper) stats.upper_is_value = false;
    stats.upper = std::move(cut);
  }
}

}  // namespace

Result<FileFooter> ReadFileFooter(const ReadRange& read, uint64_t file_bytes) {
  const std::string bytes = TRY(FooterBytes(read, file_bytes));
  try {
    const auto size = static_cast<int64_t>(bytes.size());
    const auto metadata = pq::FileMetaData::Make(bytes.data(), size);
    return FromMetadata(*metadata, file_bytes);
  } catch (const std::exception& e) {
    return MakeError(ErrorKind::kCorrupt, "BAD_PARQUET", std::string("its footer: ") + e.what());
  }
}

Schema SchemaWithoutNulls(const FileFooter& footer) {
  Schema schema = footer.schema;
  for (const LeafStats& leaf : footer.leaves) {
    if (leaf.stats.nulls != 0) continue;
    std::vector<Field>* fields = &schema.fields;
    for (const std::string& name : leaf.names) {
      const auto at = std::find_if(fields->begin(), fields->end(),
                                   [&](const Field& field) { return field.name == name; });
      at->required = true;
      fields = &at->type.fields;
    }
  }
  return schema;
}

Result<DataFile> DescribeFile(const FileFooter& footer, const Schema& schema,
                              const PartitionSpec& spec, MatchColumns match) {
  const bool by_id = footer.has_field_ids && match == MatchColumns::kByFieldIdIfAll;
  const Evolution fits = TRY(EvolveSchema(schema, SchemaWithoutNulls(footer), INT32_MAX / 2));
  if (fits.changed) {
    return MakeError(ErrorKind::kInvalid, "SCHEMA_MISMATCH",
                     "the file's columns are not all in the table's schema");
  }
  if (by_id) TRY(CheckSameIds(schema, footer.schema));
  DataFile file;
  file.bytes = footer.bytes;
  file.rows = footer.rows;
  file.spec_id = spec.id;
  file.split_offsets = footer.split_offsets;
  for (const LeafStats& leaf : footer.leaves) {
    const Field* field =
        by_id ? FindField(schema, leaf.stats.field_id) : FindField(schema, leaf.names);
    if (field == nullptr || field->type.is_nested() || field->name != leaf.names.back()) {
      return MakeError(
          ErrorKind::kInvalid, "SCHEMA_MISMATCH",
          fmt::format("the column '{}' {}", fmt::join(leaf.names, "."),
                      field == nullptr && !by_id ? "is a column of the table in another place"
                                                 : "has another field id than the table's"));
    }
    ColumnStats stats = leaf.stats;
    stats.field_id = field->id;
    if (stats.lower) stats.lower = WidenValue(leaf.type, field->type, *stats.lower);
    if (stats.upper) stats.upper = WidenValue(leaf.type, field->type, *stats.upper);
    file.columns.push_back(std::move(stats));
  }
  std::sort(file.columns.begin(), file.columns.end(),
            [](const ColumnStats& a, const ColumnStats& b) { return a.field_id < b.field_id; });
  for (const PartitionField& part : spec.fields) TRY(SetPartition(part, schema, file));
  for (ColumnStats& stats : file.columns) {
    Truncate(FindField(schema, stats.field_id)->type, stats);
  }
  return file;
}

}  // namespace varve::table

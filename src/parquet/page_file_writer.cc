#include "parquet/page_file_writer.h"

#include <arrow/util/key_value_metadata.h>
#include <parquet/file_writer.h>
#include <parquet/metadata.h>
#include <parquet/page_index.h>
#include <parquet/properties.h>
#include <parquet/size_statistics.h>
#include <parquet/statistics.h>

#include <map>
#include <optional>

#include "core/check.h"
#include "parquet/sink_stream.h"
#include "parquet/try_parquet.h"

namespace varve::parquet {

namespace pq = ::parquet;

namespace {

constexpr size_t kBoundBytesMax = 64;  // of byte arrays in statistics; longer ones are cut

// Left out of the footer: readers that find an offset of 0 take the file's begin for the chunk's.
constexpr int64_t kNoIndexPage = -1;
constexpr int64_t kNoDictionary = 0;  // no page begins there

std::shared_ptr<pq::WriterProperties> Properties(const CodecChoice& codec,
                                                 const std::vector<SortedBy>& sorting) {
  pq::WriterProperties::Builder builder;
  builder.created_by("varve")
      ->compression(static_cast<arrow::Compression::type>(codec.codec))
      ->version(pq::ParquetVersion::PARQUET_2_6)
      ->enable_write_page_index();
  std::vector<pq::SortingColumn> columns;
  for (const SortedBy& by : sorting) columns.push_back({by.column, by.descending, by.nulls_first});
  builder.set_sorting_columns(columns);
  return builder.build();
}

bool IsAscii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x7f) return false;
  }
  return true;
}

// A longer upper bound is cut and its last byte raised: of ASCII only, where it stays text.
void SetBounds(const ValueBounds& bounds, pq::EncodedStatistics& stats) {
  if (!bounds.has()) return;
  if (bounds.order() != ValueOrder::kBytes || bounds.max().size() <= kBoundBytesMax) {
    stats.set_max(bounds.max());
    stats.is_max_value_exact = true;
  } else if (const auto head = bounds.max().substr(0, kBoundBytesMax); IsAscii(head)) {
    std::string raised = head;
    raised.back() = static_cast<char>(raised.back() + 1);
    stats.set_max(std::move(raised));
    stats.is_max_value_exact = false;
  } else {
    return;
  }
  const bool cut = bounds.order() == ValueOrder::kBytes && bounds.min().size() > kBoundBytesMax;
  const std::string head = bounds.min().substr(0, kBoundBytesMax);
  if (cut && IsAscii(head)) {
    stats.set_min(head);
    stats.is_min_value_exact = false;
  } else if (bounds.min().size() <= 4 * kBoundBytesMax) {
    stats.set_min(bounds.min());
    stats.is_min_value_exact = true;
  } else {
    stats.ClearMinMax();
  }
}

pq::EncodedStatistics PageStatistics(const EncodedPage& page) {
  pq::EncodedStatistics stats;
  stats.set_null_count(page.nulls);
  stats.all_null_value = page.nulls == static_cast<uint32_t>(page.header.values);
  SetBounds(page.bounds, stats);
  return stats;
}

pq::SizeStatistics PageSizes(const EncodedPage& page, bool byte_arrays) {
  pq::SizeStatistics sizes;
  sizes.definition_level_histogram = page.level_counts;
  if (byte_arrays) sizes.unencoded_byte_array_data_bytes = page.plain_bytes;
  return sizes;
}

}  // namespace

struct PageFileWriter::Impl {
  std::shared_ptr<SinkStream> stream;
  std::shared_ptr<const pq::SchemaDescriptor> schema;
  std::shared_ptr<pq::WriterProperties> properties;
  std::unique_ptr<pq::FileMetaDataBuilder> file;
  std::unique_ptr<pq::PageIndexBuilder> indexes;

  pq::RowGroupMetaDataBuilder* group = nullptr;
  int32_t group_number = 0;
  int64_t group_bytes = 0;  // uncompressed
  int column = -1;
  pq::ColumnChunkMetaDataBuilder* chunk = nullptr;
  int64_t begin = 0, dictionary_at = kNoDictionary, data_at = 0, uncompressed = 0;
  int64_t values = 0, rows = 0, nulls = 0, plain_bytes = 0;
  std::vector<int64_t> level_counts;
  std::map<pq::Encoding::type, int32_t> dictionary_encodings, data_encodings;
  ValueBounds bounds{ValueOrder::kNone};

  std::vector<std::pair<int, std::string>> filters;  // of the row group, by column
  pq::IndexLocations filter_places;

  int64_t position() const { return *stream->Tell(); }
  Status SinkErrorOr(Status status) const {
    if (!status.ok() && !stream->error().ok()) return stream->error();
    return status;
  }
  Status Write(const void* data, size_t size) {
    if (!stream->Write(data, static_cast<int64_t>(size)).ok()) return stream->error();
    return {};
  }
  bool byte_arrays() const {
    return schema->Column(column)->physical_type() == pq::Type::BYTE_ARRAY;
  }
  void AddDataPage(const EncodedPage& page, int64_t offset);
  void FinishColumn();
  void FinishCopied(const pq::ColumnChunkMetaData& old, const std::vector<CopiedPage>& pages,
                    const pq::ColumnIndex* index);
  Status WriteFilters();
};

PageFileWriter::PageFileWriter(Sink sink, std::shared_ptr<const pq::SchemaDescriptor> schema,
                               const CodecChoice& codec, const std::vector<SortedBy>& sorting)
    : impl_(std::make_unique<Impl>()) {
  impl_->stream = std::make_shared<SinkStream>(std::move(sink));
  impl_->schema = std::move(schema);
  impl_->properties = Properties(codec, sorting);
}

PageFileWriter::~PageFileWriter() = default;

uint64_t PageFileWriter::bytes_written() const { return static_cast<uint64_t>(impl_->position()); }

Status PageFileWriter::Open() {
  auto made = TryParquet("begin a Parquet file", [&] {
    impl_->file = pq::FileMetaDataBuilder::Make(impl_->schema.get(), impl_->properties);
    impl_->indexes = pq::PageIndexBuilder::Make(impl_->schema.get());
  });
  if (!made.ok()) return made;
  return impl_->Write("PAR1", 4);
}

Status PageFileWriter::BeginGroup(int64_t rows) {
  return TryParquet("begin a row group", [&] {
    impl_->group = impl_->file->AppendRowGroup();
    impl_->group->set_num_rows(rows);
    impl_->indexes->AppendRowGroup();
    impl_->group_bytes = 0;
    impl_->column = -1;
  });
}

Status PageFileWriter::BeginColumn() {
  return TryParquet("begin a column", [&] {
    Impl& impl = *impl_;
    impl.chunk = impl.group->NextColumnChunk();
    ++impl.column;
    impl.begin = impl.position();
    impl.dictionary_at = kNoDictionary;
    impl.data_at = impl.uncompressed = 0;
    impl.values = impl.rows = impl.nulls = impl.plain_bytes = 0;
    impl.level_counts.clear();
    impl.dictionary_encodings.clear();
    impl.data_encodings.clear();
    impl.bounds = ValueBounds(ValueOrder::kNone);
  });
}

void PageFileWriter::Impl::AddDataPage(const EncodedPage& page, int64_t offset) {
  indexes->GetOffsetIndexBuilder(column)->AddPage(
      pq::PageLocation{offset, static_cast<int32_t>(page.size()), rows},
      PageSizes(page, byte_arrays()));
  indexes->GetColumnIndexBuilder(column)->AddPage(PageStatistics(page),
                                                  PageSizes(page, byte_arrays()));
  ++data_encodings[static_cast<pq::Encoding::type>(page.header.encoding)];
  if (data_at == 0) {
    data_at = offset;
    bounds = ValueBounds(page.bounds.order());
    level_counts.assign(page.level_counts.size(), 0);
  }
  bounds.Merge(page.bounds);
  values += page.header.values;
  rows += page.header.values;
  nulls += page.nulls;
  plain_bytes += page.plain_bytes;
  for (size_t i = 0; i < level_counts.size(); ++i) level_counts[i] += page.level_counts[i];
}

Status PageFileWriter::AddPage(const EncodedPage& page) {
  Impl& impl = *impl_;
  const int64_t offset = impl.position();
  impl.uncompressed += page.header.uncompressed_bytes;
  impl.uncompressed += static_cast<int64_t>(page.header.header_bytes);
  auto added = TryParquet("add a page", [&] {
    if (page.header.type == PageType::kDictionary) {
      impl.dictionary_at = offset;
      ++impl.dictionary_encodings[pq::Encoding::PLAIN];
    } else {
      impl.AddDataPage(page, offset);
    }
  });
  if (!added.ok()) return added;
  return impl.Write(page.bytes.data() + page.begin, page.size());
}

void PageFileWriter::Impl::FinishColumn() {
  pq::EncodedStatistics stats;
  stats.set_null_count(nulls);
  stats.all_null_value = nulls == values;
  stats.set_is_signed(schema->Column(column)->sort_order() == pq::SortOrder::SIGNED);
  SetBounds(bounds, stats);
  chunk->SetStatistics(stats);
  pq::SizeStatistics sizes;
  sizes.definition_level_histogram = level_counts;
  if (byte_arrays()) sizes.unencoded_byte_array_data_bytes = plain_bytes;
  if (sizes.is_set()) chunk->SetSizeStatistics(sizes);
  chunk->Finish(values, dictionary_at, kNoIndexPage, data_at, position() - begin, uncompressed,
                dictionary_at != kNoDictionary, false, dictionary_encodings, data_encodings);
  indexes->GetOffsetIndexBuilder(column)->Finish(0);
  indexes->GetColumnIndexBuilder(column)->Finish();
  group_bytes += uncompressed;
}

Status PageFileWriter::EndColumn() {
  return TryParquet("end a column", [&] { impl_->FinishColumn(); });
}

Status PageFileWriter::CopyBytes(std::string_view bytes) {
  return impl_->Write(bytes.data(), bytes.size());
}

void PageFileWriter::Impl::FinishCopied(const pq::ColumnChunkMetaData& old,
                                        const std::vector<CopiedPage>& pages,
                                        const pq::ColumnIndex* index) {
  if (const auto stats = old.encoded_statistics(); stats != nullptr) {
    stats->set_is_signed(schema->Column(column)->sort_order() == pq::SortOrder::SIGNED);
    chunk->SetStatistics(*stats);
  }
  if (const auto sizes = old.size_statistics(); sizes != nullptr && sizes->is_set()) {
    chunk->SetSizeStatistics(*sizes);
  }
  auto* offsets = indexes->GetOffsetIndexBuilder(column);
  int64_t dictionary = kNoDictionary, data = 0;
  for (const CopiedPage& page : pages) {
    ++(page.is_data() ? data_encodings
                      : dictionary_encodings)[static_cast<pq::Encoding::type>(page.encoding)];
    int64_t& first = page.is_data() ? data : dictionary;
    if (first == 0) first = begin + page.offset;
    if (page.is_data()) offsets->AddPage(begin + page.offset, page.bytes, page.first_row);
  }
  offsets->Finish(0);
  auto* bounds_of_pages = indexes->GetColumnIndexBuilder(column);
  for (size_t i = 0; index != nullptr && i < index->null_pages().size(); ++i) {
    pq::EncodedStatistics stats;
    stats.all_null_value = index->null_pages()[i];
    if (index->has_null_counts()) stats.set_null_count(index->null_counts()[i]);
    if (!stats.all_null_value) {
      stats.set_min(index->encoded_min_values()[i]);
      stats.set_max(index->encoded_max_values()[i]);
    }
    bounds_of_pages->AddPage(stats, {});
  }
  bounds_of_pages->Finish();
  // Headers are counted too, and may have become longer.
  const int64_t bytes = position() - begin;
  uncompressed = old.total_uncompressed_size() + bytes - old.total_compressed_size();
  chunk->Finish(old.num_values(), dictionary, kNoIndexPage, data == 0 ? begin : data, bytes,
                uncompressed, dictionary != kNoDictionary, false, dictionary_encodings,
                data_encodings);
  group_bytes += uncompressed;
}

Status PageFileWriter::EndCopiedColumn(const pq::ColumnChunkMetaData& old,
                                       const std::vector<CopiedPage>& pages,
                                       const pq::ColumnIndex* index) {
  return TryParquet("copy a column's metadata", [&] { impl_->FinishCopied(old, pages, index); });
}

void PageFileWriter::AddFilter(std::string bytes) {
  impl_->filters.emplace_back(impl_->column, std::move(bytes));
}

// Behind their row group, so that none is held until the file ends.
Status PageFileWriter::Impl::WriteFilters() {
  for (const auto& [of, bytes] : filters) {
    filter_places.push_back({{group_number, of}, {position(), static_cast<int32_t>(bytes.size())}});
    TRY(Write(bytes.data(), bytes.size()));
  }
  filters.clear();
  return {};
}

Status PageFileWriter::EndGroup() {
  TRY(impl_->WriteFilters());
  return TryParquet(
      "end a row group",
      [&] {  // The format's ordinal has 16 bits; a file of more row groups does without.
        const int32_t number = impl_->group_number++;
        impl_->group->Finish(impl_->group_bytes,
                             number <= INT16_MAX ? static_cast<int16_t>(number) : int16_t{-1});
      });
}

Result<uint64_t> PageFileWriter::Close(
    const std::vector<std::pair<std::string, std::string>>& metadata) {
  auto closed = TryParquet("write a Parquet footer", [&] {
    impl_->indexes->Finish();
    const auto at = impl_->indexes->WriteTo(impl_->stream.get());
    impl_->file->SetIndexLocations(pq::IndexKind::kColumnIndex, at.column_index_locations);
    impl_->file->SetIndexLocations(pq::IndexKind::kOffsetIndex, at.offset_index_locations);
    impl_->file->SetIndexLocations(pq::IndexKind::kBloomFilter, impl_->filter_places);
    std::shared_ptr<arrow::KeyValueMetadata> pairs;
    if (!metadata.empty()) pairs = std::make_shared<arrow::KeyValueMetadata>();
    for (const auto& [key, value] : metadata) pairs->Append(key, value);
    const auto footer = impl_->file->Finish(pairs);
    pq::WriteFileMetaData(*footer, impl_->stream.get());
  });
  closed = impl_->SinkErrorOr(std::move(closed));
  if (!closed.ok()) return std::move(closed).error();
  return bytes_written();
}

}  // namespace varve::parquet

#include "merge/arrow_writer.h"

#include <arrow/util/key_value_metadata.h>
#include <parquet/file_writer.h>
#include <parquet/schema.h>

#include "merge/output_files.h"
#include "merge/row_types.h"
#include "parquet/sink_stream.h"
#include "parquet/try_parquet.h"
#include "parquet/value_filter.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {
constexpr int64_t kListValuesGuess = 8;  // of a row
}

ArrowOutput::ArrowOutput(const InputSet& inputs, const std::vector<KeyColumn>& keys,
                         std::string path, const MergeOptions& options)
    : inputs_(inputs), keys_(keys), path_(std::move(path)), options_(options) {}

ArrowOutput::~ArrowOutput() = default;

Status ArrowOutput::Open() {
  schema_ = TRY(RowSchema(*inputs_.schema));
  return {};
}

// A list may have more values than the row group has rows: the filters begin with more room, and
// are folded to what was needed.
void ArrowOutput::EnableFilters(pq::WriterProperties::Builder& builder) const {
  for (const std::string& name : options_.bloom_columns) {
    const auto* column = inputs_.schema->Column(inputs_.schema->ColumnIndex(name));
    pq::BloomFilterOptions filter;
    filter.ndv = options_.group_rows_max;
    if (column->max_repetition_level() > 0) *filter.ndv *= kListValuesGuess;
    filter.fpp = parquet::kFalsePositivesMax;
    builder.enable_bloom_filter(name, filter);
  }
}

std::shared_ptr<pq::WriterProperties> ArrowOutput::Properties() const {
  pq::WriterProperties::Builder builder;
  builder.created_by("varve")
      ->memory_pool(RowMemory())
      ->compression(static_cast<arrow::Compression::type>(options_.codec.codec))
      ->version(pq::ParquetVersion::PARQUET_2_6)
      ->data_pagesize(options_.page_bytes)
      ->max_row_group_length(INT64_MAX)
      ->enable_write_page_index()
      ->enable_page_checksum();
  if (options_.codec.has_level) builder.compression_level(options_.codec.level);
  if (options_.dictionary_bytes_max == 0) {
    builder.disable_dictionary();
  } else {
    builder.dictionary_pagesize_limit(options_.dictionary_bytes_max);
  }
  EnableFilters(builder);
  std::vector<pq::SortingColumn> sorting;
  for (const KeyColumn& key : keys_) {
    sorting.push_back({static_cast<int>(key.column), key.descending, key.nulls_first});
  }
  builder.set_sorting_columns(sorting);
  return builder.build();
}

std::shared_ptr<const arrow::KeyValueMetadata> ArrowOutput::Metadata() const {
  if (inputs_.metadata.empty()) return nullptr;
  auto pairs = std::make_shared<arrow::KeyValueMetadata>();
  for (const auto& [key, value] : inputs_.metadata) pairs->Append(key, value);
  return pairs;
}

// The file has the output's schema itself, not one made of Arrow's types.
Status ArrowOutput::OpenNext() {
  TRY(CheckFileCount(files_.size(), options_));
  std::string path = NumberedPath(path_, files_.size(), options_);
  auto output = std::make_unique<parquet::OutputFile>(path, options_.digests);
  TRY(output->Open());
  parquet::OutputFile* to = output.get();
  outputs_.push_back(std::move(output));
  stream_ = std::make_shared<parquet::SinkStream>(
      [to](std::string_view bytes) { return to->Append(bytes); });
  std::unique_ptr<pq::ParquetFileWriter> file;
  TRY(parquet::TryParquet("begin " + path, [&] {
    const auto root =
        std::static_pointer_cast<pq::schema::GroupNode>(inputs_.schema->schema_root());
    file = pq::ParquetFileWriter::Open(stream_, root, Properties(), Metadata());
  }));
  TRY(FromArrow(pq::arrow::FileWriter::Make(RowMemory(), std::move(file), schema_,
                                            pq::default_arrow_writer_properties(), &writer_),
                "begin " + path));
  files_.emplace_back().path = std::move(path);
  return {};
}

Status ArrowOutput::CloseLast() {
  auto closed = FromArrow(writer_->Close(), "end " + files_.back().path);
  if (!stream_->error().ok()) return stream_->error();
  if (!closed.ok()) return closed;
  files_.back().bytes = static_cast<uint64_t>(*stream_->Tell());
  writer_.reset();
  TRY(outputs_.back()->Complete(options_.sync));
  files_.back().digest = outputs_.back()->Digest();
  return {};
}

Status ArrowOutput::Write(std::vector<std::shared_ptr<arrow::Array>> columns, bool begins_period) {
  const auto count = static_cast<uint64_t>(columns.front()->length());
  if (writer_ != nullptr) {
    const auto bytes = static_cast<uint64_t>(*stream_->Tell());
    if (begins_period || IsFull(files_.back(), bytes, count, options_)) TRY(CloseLast());
  }
  if (writer_ == nullptr) TRY(OpenNext());
  files_.back().rows += count;
  ++files_.back().row_groups;
  auto written = FromArrow(writer_->NewRowGroup(), "begin a row group");
  for (auto& column : columns) {
    if (!written.ok()) break;
    written = FromArrow(writer_->WriteColumnChunk(*column), "write rows");
    column.reset();
  }
  if (!stream_->error().ok()) return stream_->error();
  return written;
}

Status ArrowOutput::Finish() {
  if (writer_ == nullptr) TRY(OpenNext());
  TRY(CloseLast());
  return PublishAll(outputs_, files_, options_);
}

}  // namespace varve::merge

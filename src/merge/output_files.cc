#include "merge/output_files.h"

#include <fmt/format.h>

#include <filesystem>

namespace varve::merge {

std::string NumberedPath(const std::string& path, size_t number, const MergeOptions& options) {
  if (options.file_rows_max == 0 && options.file_bytes_max == 0) return path;
  const std::filesystem::path whole(path);
  const std::string name =
      fmt::format("{}-{:05}{}", whole.stem().string(), number, whole.extension().string());
  return (whole.parent_path() / name).string();
}

OutputFiles::OutputFiles(const InputSet& inputs, const std::vector<parquet::SortedBy>& sorting,
                         const std::string& path, const MergeOptions& options)
    : inputs_(inputs), sorting_(sorting), path_(path), options_(options) {}

uint64_t OutputFiles::bytes_written() const {
  return bytes_closed_ + (writer_ == nullptr ? 0 : writer_->bytes_written());
}

Status OutputFiles::OpenNext() {
  std::string path = NumberedPath(path_, files_.size(), options_);
  auto output = std::make_unique<parquet::OutputFile>(path);
  TRY(output->Open());
  parquet::OutputFile* to = output.get();
  outputs_.push_back(std::move(output));
  writer_ = std::make_unique<parquet::PageFileWriter>(
      [to](std::string_view bytes) { return to->Append(bytes); }, inputs_.schema, options_.codec,
      sorting_);
  files_.push_back({std::move(path), 0, 0});
  return writer_->Open();
}

Status OutputFiles::CloseLast() {
  files_.back().bytes = TRY(writer_->Close(inputs_.metadata));
  bytes_closed_ += files_.back().bytes;
  writer_.reset();
  return outputs_.back()->Complete(options_.sync);
}

Result<parquet::PageFileWriter*> OutputFiles::ForGroup(uint32_t rows) {
  if (writer_ != nullptr) {
    const bool by_rows =
        options_.file_rows_max > 0 && files_.back().rows + rows > options_.file_rows_max;
    const bool by_bytes =
        options_.file_bytes_max > 0 && writer_->bytes_written() >= options_.file_bytes_max;
    if (by_rows || by_bytes) TRY(CloseLast());
  }
  if (writer_ == nullptr) TRY(OpenNext());
  files_.back().rows += rows;
  return writer_.get();
}

Status OutputFiles::Finish() {
  if (writer_ == nullptr) TRY(OpenNext());
  TRY(CloseLast());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    auto published = outputs_[i]->Publish(options_.sync);
    if (published.ok()) continue;
    std::error_code gone;  // what is told is why
    for (size_t k = 0; k < i; ++k) std::filesystem::remove(files_[k].path, gone);
    return published;
  }
  return {};
}

}  // namespace varve::merge

#include "merge/output_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace varve::merge {

namespace {

constexpr size_t kDigitsMin = 5;

bool IsNumbered(const MergeOptions& options) {
  return options.file_rows_max > 0 || options.file_bytes_max > 0 || options.split_us > 0;
}

bool HasNumber(std::string_view name, std::string_view before, std::string_view after) {
  if (name.size() < before.size() + kDigitsMin + after.size()) return false;
  if (!name.starts_with(before) || !name.ends_with(after)) return false;
  name.remove_prefix(before.size());
  name.remove_suffix(after.size());
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string NumberedPath(const std::string& path, size_t number, const MergeOptions& options) {
  if (!IsNumbered(options)) return path;
  const std::filesystem::path whole(path);
  const std::string name =
      fmt::format("{}-{:05}{}", whole.stem().string(), number, whole.extension().string());
  return (whole.parent_path() / name).string();
}

Status CheckAbsent(const std::string& path, const MergeOptions& options) {
  if (!IsNumbered(options)) return {};
  const std::filesystem::path whole(path);
  const std::string before = whole.stem().string() + "-", after = whole.extension().string();
  const auto directory = whole.has_parent_path() ? whole.parent_path() : ".";
  std::error_code error;  // of a directory that cannot be read: creating a file in it may be one
  for (auto it = std::filesystem::directory_iterator(directory, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (!HasNumber(it->path().filename().string(), before, after)) continue;
    return MakeError(ErrorKind::kConflict, "OUTPUT_EXISTS",
                     it->path().string() +
                         ": is there: remove the earlier merge's files, or name another output");
  }
  return {};
}

bool IsFull(const MergedFile& file, uint64_t bytes, uint64_t rows, const MergeOptions& options) {
  if (options.file_rows_max > 0 && file.rows + rows > options.file_rows_max) return true;
  if (options.file_bytes_max == 0) return false;
  // One more would go further beyond the size than the file is below it, if it is like the others.
  return bytes + bytes / std::max<uint64_t>(1, file.row_groups) / 2 >= options.file_bytes_max;
}

Status CheckFileCount(size_t files, const MergeOptions& options) {
  if (files < options.files_max) return {};
  return MakeError(ErrorKind::kExhausted, "TOO_MANY_FILES",
                   fmt::format("the output would be more than {} files: larger files or longer "
                               "periods, fewer inputs at a time, or more open files (ulimit -n)",
                               options.files_max));
}

Status PublishAll(const std::vector<std::unique_ptr<parquet::OutputFile>>& outputs,
                  const std::vector<MergedFile>& files, const MergeOptions& options) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    auto published = outputs[i]->Publish(options.sync, !IsNumbered(options));
    if (published.ok()) continue;
    std::error_code gone;  // what is told is why
    for (size_t k = 0; k < i; ++k) std::filesystem::remove(files[k].path, gone);
    return published;
  }
  return {};
}

OutputFiles::OutputFiles(const InputSet& inputs, const std::vector<parquet::SortedBy>& sorting,
                         const std::string& path, const MergeOptions& options)
    : inputs_(inputs), sorting_(sorting), path_(path), options_(options) {}

uint64_t OutputFiles::bytes_written() const {
  return bytes_closed_ + (writer_ == nullptr ? 0 : writer_->bytes_written());
}

Status OutputFiles::OpenNext() {
  TRY(CheckFileCount(files_.size(), options_));
  std::string path = NumberedPath(path_, files_.size(), options_);
  auto output = std::make_unique<parquet::OutputFile>(path, options_.digests);
  TRY(output->Open());
  parquet::OutputFile* to = output.get();
  outputs_.push_back(std::move(output));
  writer_ = std::make_unique<parquet::PageFileWriter>(
      [to](std::string_view bytes) { return to->Append(bytes); }, inputs_.schema, options_.codec,
      sorting_);
  files_.emplace_back().path = std::move(path);
  return writer_->Open();
}

Status OutputFiles::CloseLast() {
  files_.back().bytes = TRY(writer_->Close(inputs_.metadata));
  bytes_closed_ += files_.back().bytes;
  writer_.reset();
  TRY(outputs_.back()->Complete(options_.sync));
  files_.back().digest = outputs_.back()->Digest();
  return {};
}

Result<parquet::PageFileWriter*> OutputFiles::ForGroup(uint32_t rows, bool begins_period) {
  if (writer_ != nullptr &&
      (begins_period || IsFull(files_.back(), writer_->bytes_written(), rows, options_))) {
    TRY(CloseLast());
  }
  if (writer_ == nullptr) TRY(OpenNext());
  files_.back().rows += rows;
  ++files_.back().row_groups;
  return writer_.get();
}

Status OutputFiles::Finish() {
  if (writer_ == nullptr) TRY(OpenNext());
  TRY(CloseLast());
  return PublishAll(outputs_, files_, options_);
}

}  // namespace varve::merge

#include "merge/arrow_input.h"

#include <arrow/api.h>

#include <algorithm>
#include <cstring>

namespace varve::merge {

arrow::Status ArrowInput::Close() {
  closed_ = true;
  return arrow::Status::OK();
}

arrow::Status ArrowInput::Seek(int64_t position) {
  if (position < 0) return arrow::Status::Invalid("a position in front of the file");
  position_ = position;
  return arrow::Status::OK();
}

arrow::Result<int64_t> ArrowInput::GetSize() {
  return static_cast<int64_t>(files_.file_bytes(file_));
}

// Fewer bytes than asked for are those up to the file's end.
arrow::Result<int64_t> ArrowInput::ReadAt(int64_t position, int64_t bytes, void* out) {
  if (position < 0 || bytes < 0) return arrow::Status::Invalid("a range in front of the file");
  const int64_t left = static_cast<int64_t>(files_.file_bytes(file_)) - position;
  const int64_t count = std::clamp<int64_t>(left, 0, bytes);
  if (count == 0) return 0;
  auto read = files_.Read(file_, static_cast<uint64_t>(position), static_cast<size_t>(count));
  if (!read.ok()) {
    error_ = std::move(read).error();
    return arrow::Status::IOError(error_.error().message);
  }
  std::memcpy(out, read->data(), read->size());
  return count;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> ArrowInput::ReadAt(int64_t position, int64_t bytes) {
  ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(bytes));
  ARROW_ASSIGN_OR_RAISE(const int64_t count, ReadAt(position, bytes, buffer->mutable_data()));
  ARROW_RETURN_NOT_OK(buffer->Resize(count));
  return std::shared_ptr<arrow::Buffer>(std::move(buffer));
}

arrow::Result<int64_t> ArrowInput::Read(int64_t bytes, void* out) {
  ARROW_ASSIGN_OR_RAISE(const int64_t count, ReadAt(position_, bytes, out));
  position_ += count;
  return count;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> ArrowInput::Read(int64_t bytes) {
  ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(position_, bytes));
  position_ += buffer->size();
  return buffer;
}

}  // namespace varve::merge

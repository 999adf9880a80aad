#include "merge/page_source.h"

#include <parquet/schema.h>

#include <algorithm>
#include <cstring>

#include "core/check.h"

namespace varve::merge {

namespace {

constexpr uint64_t kSmallChunkBytes = 256 << 10;  // read at once
constexpr size_t kHeaderBytes = 512;              // read at first: longer ones are rare
// Rows kept of a page that large, if they are less than half of it.
constexpr int64_t kTrimBytes = 2 << 20;

int64_t MemoryOf(const parquet::PageHeader& header, const parquet::PageReading& reading) {
  const int64_t rows = header.values;
  int64_t bytes = rows * 4 + (reading.from.max_level > 0 ? rows * 5 : 0);
  if (!header.has_dictionary_indices() || !header.is_data()) {
    bytes += std::max<int64_t>(header.uncompressed_bytes, rows * reading.to.width);
  }
  return bytes;
}

}  // namespace

PageHandle::PageHandle(parquet::InputFiles& files, MemoryGauge& gauge, const Place& place,
                       Chunk chunk, const parquet::PageReading& reading, std::string name)
    : files_(files),
      gauge_(gauge),
      place_(place),
      reading_(reading),
      name_(std::move(name)),
      memory_bytes_(MemoryOf(place_.header, reading_)),
      chunk_(std::move(chunk)) {
  if (place_.keep_end > 0) {
    const int64_t rows = std::max(1, place_.header.values);
    memory_bytes_ = memory_bytes_ / rows * (place_.keep_end - place_.keep_begin);
  }
}

PageHandle::~PageHandle() {
  if (reserved_) gauge_ -= memory_bytes_;
}

void PageHandle::Reserve() {
  if (!reserved_) gauge_ += memory_bytes_;
  reserved_ = true;
}

void PageHandle::KeepBody() {
  keeps_body_ = true;
  memory_bytes_ += place_.header.compressed_bytes;
  if (reserved_) gauge_ += place_.header.compressed_bytes;
}

std::shared_ptr<PageHandle> PageHandle::Fresh(uint32_t keep_begin, uint32_t keep_end) const {
  Place place = place_;
  place.keep_begin = keep_begin;
  place.keep_end = keep_end;
  return std::make_shared<PageHandle>(files_, gauge_, place, Chunk(), reading_, name_);
}

Result<parquet::IndexedPage> PageHandle::Load() {
  const auto size = static_cast<size_t>(place_.header.compressed_bytes);
  auto indexed = [&]() -> Result<parquet::IndexedPage> {
    if (chunk_.bytes == nullptr) {
      parquet::Buffer body = TRY(files_.Read(place_.file, place_.offset, size));
      if (!keeps_body_) return parquet::IndexPage(place_.header, std::move(body), reading_);
      body_ = std::move(body);
      return parquet::IndexPage(place_.header, this->body(), reading_);
    }
    const uint8_t* body = chunk_.bytes->data() + (place_.offset - chunk_.begin);
    if (keeps_body_) body_.Append(body, size);
    return parquet::IndexPage(place_.header, std::span(body, size), reading_);
  };
  auto page = TRY(indexed());
  if (place_.keep_end == 0) return page;
  return parquet::SlicePage(page, reading_.to, place_.keep_begin, place_.keep_end);
}

Result<const parquet::IndexedPage*> PageHandle::Get() {
  const std::lock_guard lock(mutex_);
  if (!loaded_) {
    loaded_ = true;
    auto page = Load();
    chunk_ = {};
    if (page.ok()) {
      page_ = std::move(*page);
    } else {
      status_ = std::move(page).error().Context(name_);
    }
  }
  if (!status_.ok()) return status_.error();
  return &page_;
}

ChunkCursor::ChunkCursor(const InputSet& inputs, MemoryGauge& gauge, uint32_t part, uint32_t column)
    : inputs_(inputs),
      gauge_(gauge),
      part_(part),
      column_(column),
      chunk_number_(inputs.layout(inputs.parts[part]).chunk_of[column]),
      place_(inputs.parts[part].chunks[static_cast<size_t>(chunk_number_)]) {
  CHECK(chunk_number_ >= 0);
}

parquet::PageReading ChunkCursor::Reading() const {
  const Layout& layout = inputs_.layout(inputs_.parts[part_]);
  parquet::PageReading reading;
  reading.column = layout.schema->Column(chunk_number_);
  reading.codec = place_.codec;
  reading.from = layout.shapes[static_cast<size_t>(chunk_number_)];
  reading.to = inputs_.columns[column_].shape;
  reading.dictionary_entries = dictionary_entries_;
  return reading;
}

std::string ChunkCursor::PageName() const {
  const Part& part = inputs_.parts[part_];
  return inputs_.path(part) + ": row group " + std::to_string(part.group) + ", column " +
         inputs_.columns[column_].name + ", page " + std::to_string(pages_seen_);
}

Error ChunkCursor::Bad(Error error) const { return std::move(error).Context(PageName()); }

Error ChunkCursor::Bad(const char* what) const { return Bad(MakeError(ErrorKind::kCorrupt, what)); }

Result<parquet::PageHeader> ChunkCursor::ReadHeaderAt(uint64_t at) {
  if (small_ != nullptr) {
    return parquet::ParsePageHeader({small_->data() + at, small_->size() - at});
  }
  for (size_t size = kHeaderBytes;; size *= 8) {
    const size_t left = std::min<uint64_t>({size, place_.bytes - at, parquet::kPageHeaderBytesMax});
    const auto bytes = TRY(inputs_.files->Read(inputs_.parts[part_].file, place_.begin + at, left));
    auto header = parquet::ParsePageHeader({bytes.data(), bytes.size()});
    if (header.ok() || header.error().kind != ErrorKind::kExhausted || left < size) return header;
  }
}

// Checked against the chunk: what it says of its length is what will be read and allocated.
Result<parquet::PageHeader> ChunkCursor::ReadHeader() {
  if (at_ == 0 && place_.bytes <= kSmallChunkBytes) {
    small_ = std::make_shared<const parquet::Buffer>(
        TRY(inputs_.files->Read(inputs_.parts[part_].file, place_.begin, place_.bytes)));
  }
  if (at_ >= place_.bytes) return Bad("there are fewer rows than the footer says");
  auto header = ReadHeaderAt(at_);
  if (!header.ok()) {
    Error error = std::move(header).error();
    if (error.kind == ErrorKind::kExhausted) error.kind = ErrorKind::kCorrupt;
    return Bad(std::move(error));
  }
  const uint64_t left = place_.bytes - at_ - header->header_bytes;
  if (static_cast<uint64_t>(header->compressed_bytes) > left) {
    return Bad("is longer than what is left of its column");
  }
  if (MemoryOf(*header, Reading()) > static_cast<int64_t>(inputs_.page_bytes_max)) {
    return Bad(MakeError(ErrorKind::kExhausted, "is too large for the memory limit"));
  }
  return header;
}

std::shared_ptr<PageHandle> ChunkCursor::HandleOf(const parquet::PageHeader& header,
                                                  uint64_t body) const {
  const PageHandle::Place place{inputs_.parts[part_].file, body, header, 0, 0};
  return std::make_shared<PageHandle>(*inputs_.files, gauge_, place,
                                      PageHandle::Chunk{small_, place_.begin}, Reading(),
                                      PageName());
}

void ChunkCursor::AddDictionary(const parquet::PageHeader& header, uint64_t body) {
  dictionary_entries_ = static_cast<uint32_t>(header.values);
  dictionary_ = HandleOf(header, body);
}

Status ChunkCursor::NextPage() {
  const parquet::PageHeader header = TRY(ReadHeader());
  const uint64_t body = place_.begin + at_ + header.header_bytes;
  at_ += header.header_bytes + static_cast<uint64_t>(header.compressed_bytes);
  if (header.type == parquet::PageType::kDictionary) {
    if (dictionary_ != nullptr || rows_seen_ > 0) return Bad("is a second dictionary");
    // A value takes a bit at least, and a boolean is in no dictionary.
    if (header.values > header.uncompressed_bytes) return Bad("has more entries than bytes");
    AddDictionary(header, body);
  } else if (header.is_data()) {
    const uint32_t rows = inputs_.parts[part_].rows - rows_seen_;
    if (static_cast<uint32_t>(header.values) > rows) {
      return Bad("has more rows than the footer says");
    }
    PageRef ref;
    ref.begin = rows_seen_;
    ref.end = rows_seen_ += static_cast<uint32_t>(header.values);
    if (header.has_dictionary_indices()) {
      if (dictionary_ == nullptr) return Bad("has indices, but there is no dictionary");
      if (auto held = left_dictionary_.lock()) dictionary_ = std::move(held);
      left_dictionary_.reset();
      ref.dictionary = dictionary_;
      ref.dictionary_entries = dictionary_entries_;
    } else if (dictionary_ != nullptr && left_dictionary_.expired()) {
      // Writers that leave their dictionary do so for good: it goes with the pages before.
      left_dictionary_ = dictionary_;
      dictionary_ = dictionary_->Fresh(0, 0);
    }
    ref.page = HandleOf(header, body);
    if (ref.end > ref.begin) pages_.push_back(std::move(ref));
  }
  ++pages_seen_;
  if (at_ == place_.bytes) small_.reset();
  return {};
}

// Rows [from, to) of the page at least: reading it again for each few rows would take forever.
const PageRef& ChunkCursor::Trimmed(const PageRef& ref, uint32_t from, uint32_t to,
                                    int64_t trim_bytes) {
  if (trimmed_.page != nullptr && trimmed_.begin <= from && to <= trimmed_.end) return trimmed_;
  const int64_t row_bytes = ref.page->memory_bytes() / (ref.end - ref.begin) + 1;
  const auto rows =
      static_cast<uint32_t>(std::clamp<int64_t>(trim_bytes / row_bytes, to - from, ref.end - from));
  trimmed_ = ref;
  trimmed_.begin = from;
  trimmed_.end = from + rows;
  trimmed_.page = ref.page->Fresh(from - ref.begin, trimmed_.end - ref.begin);
  return trimmed_;
}

Result<std::vector<PageRef>> ChunkCursor::Pages(uint32_t begin, uint32_t end, int64_t trim_bytes) {
  Forget(begin);
  while (rows_seen_ < end) {
    TRY(NextPage());
    if (!pages_.empty() && pages_.front().end <= begin) pages_.pop_front();
  }
  std::vector<PageRef> out;
  for (const PageRef& ref : pages_) {
    if (ref.begin >= end) break;
    if (ref.end <= begin) continue;
    const uint32_t from = std::max(begin, ref.begin), to = std::min(end, ref.end);
    const bool trim = trim_bytes > 0 && ref.page->memory_bytes() >= kTrimBytes &&
                      to - from <= (ref.end - ref.begin) / 2;
    out.push_back(trim ? Trimmed(ref, from, to, trim_bytes) : ref);
  }
  return out;
}

Result<std::vector<PageRef>> ChunkCursor::Within(uint32_t begin, uint32_t end) {
  while (rows_seen_ < end) TRY(NextPage());
  std::vector<PageRef> out;
  for (const PageRef& ref : pages_) {
    if (ref.begin >= begin && ref.end <= end) out.push_back(ref);
  }
  return out;
}

void ChunkCursor::Forget(uint32_t row) {
  while (!pages_.empty() && pages_.front().end <= row) pages_.pop_front();
  if (trimmed_.end <= row) trimmed_ = {};
  if (row < inputs_.parts[part_].rows) return;
  small_.reset();
  dictionary_.reset();
}

void ChunkCursor::Unload() {
  trimmed_ = {};
  for (PageRef& ref : pages_) ref.page = ref.page->Fresh(0, 0);
  if (dictionary_ == nullptr) return;
  dictionary_ = dictionary_->Fresh(0, 0);
  left_dictionary_.reset();
  for (PageRef& ref : pages_) {
    if (ref.dictionary != nullptr) ref.dictionary = dictionary_;
  }
}

int64_t ChunkCursor::held_bytes() const {
  int64_t bytes = dictionary_ == nullptr ? 0 : dictionary_->memory_bytes();
  if (small_ != nullptr) bytes += static_cast<int64_t>(small_->size());
  for (const PageRef& ref : pages_) bytes += ref.page->memory_bytes();
  if (trimmed_.page != nullptr) bytes += trimmed_.page->memory_bytes();
  return bytes;
}

}  // namespace varve::merge

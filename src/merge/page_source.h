// The pages of a column chunk: found by their headers, one after the other, and read when a task
// first asks for them.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/result.h"
#include "merge/input_set.h"
#include "parquet/page_header.h"

namespace varve::merge {

// Bytes of the pages that are held, or will be.
using MemoryGauge = std::atomic<int64_t>;

// A page that is read, checked and indexed once, by whoever asks first. Thread-safe.
class PageHandle {
 public:
  struct Place {
    uint32_t file = 0;
    uint64_t offset = 0;  // of the page's body
    parquet::PageHeader header;
    // Only these rows are kept; all, if end is 0.
    uint32_t keep_begin = 0, keep_end = 0;
  };

  // Bytes of the file that have been read already.
  struct Chunk {
    std::shared_ptr<const parquet::Buffer> bytes;
    uint64_t begin = 0;  // in the file
  };

  // chunk: none, or it has the page, which then is not read again.
  PageHandle(parquet::InputFiles& files, MemoryGauge& gauge, const Place& place, Chunk chunk,
             const parquet::PageReading& reading, std::string name);
  ~PageHandle();
  PageHandle(const PageHandle&) = delete;

  Result<const parquet::IndexedPage*> Get();
  // Another handle of the same page, nothing read.
  std::shared_ptr<PageHandle> Fresh(uint32_t keep_begin, uint32_t keep_end) const;
  // What the file has is held beside what Get gives, to be copied; before anybody calls Get, once.
  void KeepBody();
  std::span<const uint8_t> body() const { return {body_.data(), body_.size()}; }  // after Get
  const parquet::PageHeader& header() const { return place_.header; }
  const parquet::PageReading& reading() const { return reading_; }
  // About what Get will hold.
  int64_t memory_bytes() const { return memory_bytes_; }
  // Counts it from now on. The next two are for one thread.
  void Reserve();
  // True once: the caller has it read.
  bool ClaimReadAhead() { return !std::exchange(claimed_, true); }
  void ReadAhead() { (void)Get().ok(); }  // an error comes up again with whoever needs the page

 private:
  Result<parquet::IndexedPage> Load();

  parquet::InputFiles& files_;
  MemoryGauge& gauge_;
  const Place place_;
  const parquet::PageReading reading_;
  const std::string name_;  // of the page, for messages
  int64_t memory_bytes_ = 0;
  bool reserved_ = false, claimed_ = false, keeps_body_ = false;

  std::mutex mutex_;
  Chunk chunk_;  // until it is loaded
  bool loaded_ = false;
  Status status_;
  parquet::IndexedPage page_;
  parquet::Buffer body_;
};

struct PageRef {
  uint32_t begin = 0, end = 0;  // rows of the part
  std::shared_ptr<PageHandle> page;
  std::shared_ptr<PageHandle> dictionary;  // if it has indices
  uint32_t dictionary_entries = 0;
};

// Walks the headers of one chunk. Not thread-safe.
class ChunkCursor {
 public:
  // column is an output column, which the part's files have.
  ChunkCursor(const InputSet& inputs, MemoryGauge& gauge, uint32_t part, uint32_t column);

  // The pages that have rows of [begin, end), and no more those that end before `begin`. Of a large
  // page of which little is needed only that is kept, and what comes next, up to trim_bytes; 0:
  // all of it.
  Result<std::vector<PageRef>> Pages(uint32_t begin, uint32_t end, int64_t trim_bytes);
  // Those that have rows of [begin, end) only. All stay to be asked for.
  Result<std::vector<PageRef>> Within(uint32_t begin, uint32_t end);
  // Pages that end at this row or before are not asked for again.
  void Forget(uint32_t row);
  // What was read is let go, and read again if it is asked for again.
  void Unload();
  int64_t held_bytes() const;

 private:
  Status NextPage();
  const PageRef& Trimmed(const PageRef& ref, uint32_t from, uint32_t to, int64_t trim_bytes);
  Result<parquet::PageHeader> ReadHeader();
  Result<parquet::PageHeader> ReadHeaderAt(uint64_t at);
  parquet::PageReading Reading() const;
  std::string PageName() const;
  Error Bad(Error error) const;
  Error Bad(const char* what) const;
  std::shared_ptr<PageHandle> HandleOf(const parquet::PageHeader& header, uint64_t body) const;
  void AddDictionary(const parquet::PageHeader& header, uint64_t body);

  const InputSet& inputs_;
  MemoryGauge& gauge_;
  const uint32_t part_;
  const uint32_t column_;
  const int chunk_number_;
  ChunkPlace place_;
  // The chunk's bytes, if they are few, while there are headers in them to be read.
  std::shared_ptr<const parquet::Buffer> small_;
  uint64_t at_ = 0;  // of the next header, in the chunk
  uint32_t pages_seen_ = 0;
  uint32_t rows_seen_ = 0;
  std::shared_ptr<PageHandle> dictionary_;
  std::weak_ptr<PageHandle> left_dictionary_;  // the same, while pages before plain ones have it
  uint32_t dictionary_entries_ = 0;
  std::deque<PageRef> pages_;
  PageRef trimmed_;  // what was kept of a large page last, or none
};

}  // namespace varve::merge

// Memory for a Parquet writer's page buffers. Included by .cc files only: Arrow's headers are
// heavy.
#pragma once

#include <arrow/memory_pool.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <vector>

namespace varve::parquet {

// A file writer frees and asks for the same large buffers for every page and row group. An
// allocator gives such memory back to the system, which then must clear it again: a sixth of the
// time it takes to write a file. This pool cuts it from slabs of huge pages, and keeps it until the
// pool goes. Thread-safe.
class PagePool : public arrow::MemoryPool {
 public:
  ~PagePool() override;

  using arrow::MemoryPool::Allocate;
  using arrow::MemoryPool::Free;
  using arrow::MemoryPool::Reallocate;
  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override;
  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                           uint8_t** ptr) override;
  void Free(uint8_t* buffer, int64_t size, int64_t alignment) override;
  int64_t bytes_allocated() const override { return allocated_; }
  int64_t total_bytes_allocated() const override { return total_; }
  int64_t num_allocations() const override { return count_; }
  int64_t max_memory() const override { return -1; }
  std::string backend_name() const override { return "varve"; }

 private:
  static constexpr int kClasses = 48;  // of 2^k bytes
  static int ClassOf(int64_t size);
  void* TakeKept(int size_class);

  std::mutex mutex_;
  std::vector<void*> free_[kClasses];
  std::vector<void*> slabs_;
  char* slab_rest_ = nullptr;  // of the newest slab, what no block was cut from yet
  size_t slab_rest_bytes_ = 0;
  std::atomic<int64_t> allocated_{0}, total_{0}, count_{0};
};

}  // namespace varve::parquet

// DuckDB's C handles as values that close themselves, and its errors as ours. Internal to query.
#pragma once

#include <duckdb.h>

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"

namespace varve::query {

template <typename T, void (*Destroy)(T*)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T handle) : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, T{})) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      Reset();
      handle_ = std::exchange(other.handle_, T{});
    }
    return *this;
  }
  ~Handle() { Reset(); }

  T get() const { return handle_; }
  T* out() { return &handle_; }
  explicit operator bool() const { return handle_ != T{}; }
  void Reset() {
    if (handle_ != T{}) Destroy(&handle_);
    handle_ = T{};
  }

 private:
  T handle_{};
};

using Config = Handle<duckdb_config, duckdb_destroy_config>;
using Database = Handle<duckdb_database, duckdb_close>;
using Connection = Handle<duckdb_connection, duckdb_disconnect>;
using Prepared = Handle<duckdb_prepared_statement, duckdb_destroy_prepare>;
using Extracted = Handle<duckdb_extracted_statements, duckdb_destroy_extracted>;
using Pending = Handle<duckdb_pending_result, duckdb_destroy_pending>;
using Chunk = Handle<duckdb_data_chunk, duckdb_destroy_data_chunk>;
using LogicalType = Handle<duckdb_logical_type, duckdb_destroy_logical_type>;
using ArrowOptions = Handle<duckdb_arrow_options, duckdb_destroy_arrow_options>;
using ErrorData = Handle<duckdb_error_data, duckdb_destroy_error_data>;
using Value = Handle<duckdb_value, duckdb_destroy_value>;

// A result: by value in C, so that it gets a class of its own.
class ResultSet {
 public:
  ResultSet() = default;
  ResultSet(ResultSet&& other) noexcept
      : result_(other.result_), open_(std::exchange(other.open_, false)) {}
  ResultSet& operator=(ResultSet&& other) noexcept {
    if (this != &other) {
      Reset();
      result_ = other.result_;
      open_ = std::exchange(other.open_, false);
    }
    return *this;
  }
  ~ResultSet() { Reset(); }

  duckdb_result* out() {
    Reset();
    open_ = true;
    return &result_;
  }
  duckdb_result* get() { return &result_; }
  bool open() const { return open_; }
  void Reset() {
    if (open_) duckdb_destroy_result(&result_);
    open_ = false;
  }

 private:
  duckdb_result result_{};
  bool open_ = false;
};

// A string that DuckDB allocated.
class OwnedText {
 public:
  explicit OwnedText(char* text) : text_(text) {}
  OwnedText(const OwnedText&) = delete;
  ~OwnedText() { duckdb_free(text_); }
  std::string_view view() const { return text_ ? text_ : std::string_view(); }

 private:
  char* text_;
};

// DuckDB's words as an Error: by the kind in front of them ("Permission Error: …").
Error FromDuckError(const char* message);

// The bytes of a string cell, wherever DuckDB keeps them.
inline std::string_view TextOf(const duckdb_string_t& cell) {
  const uint32_t size = cell.value.inlined.length;
  return {size <= sizeof cell.value.inlined.inlined ? cell.value.inlined.inlined
                                                    : cell.value.pointer.ptr,
          size};
}

inline bool IsValid(const uint64_t* validity, idx_t row) {
  return validity == nullptr || (validity[row >> 6] >> (row & 63) & 1) != 0;
}

}  // namespace varve::query

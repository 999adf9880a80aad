#include "query/row_scan.h"

#include <fmt/format.h>

#include "query/duck_handles.h"

namespace varve::query {

void ScanWarnings::Add(const std::string& key, uint64_t bad_lines, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  entries_[key] = Entry{bad_lines, reason};
}

std::vector<std::string> ScanWarnings::Texts() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> texts;
  for (const auto& [key, entry] : entries_) {
    texts.push_back(entry.bad_lines > 0 ? fmt::format("{}: {} lines left out: {}", key,
                                                      entry.bad_lines, entry.reason)
                                        : fmt::format("{}: left out: {}", key, entry.reason));
  }
  return texts;
}

namespace {

template <typename T>
void Delete(void* object) {
  delete static_cast<T*>(object);
}

void OnBind(duckdb_bind_info info) {
  const auto* slot = static_cast<const RowSlot*>(duckdb_bind_get_extra_info(info));
  for (const TableColumn& column : slot->columns) {
    const LogicalType type(duckdb_create_logical_type(column.type));
    duckdb_bind_add_result_column(info, std::string(column.name).c_str(), type.get());
  }
  if (slot->source != nullptr) {
    duckdb_bind_set_cardinality(info, slot->source->rows_estimated(), false);
  }
}

void OnInit(duckdb_init_info info) {
  const auto* slot = static_cast<const RowSlot*>(duckdb_init_get_extra_info(info));
  const RowSource* source = slot->source;
  if (source == nullptr) return duckdb_init_set_error(info, "no rows are bound to this statement");
  const idx_t count = duckdb_init_get_column_count(info);
  Projection projection(count, -1);
  for (idx_t i = 0; i < count; ++i) {
    const idx_t column = duckdb_init_get_column_index(info, i);
    if (column < source->columns().size()) projection[i] = static_cast<int>(column);
  }
  duckdb_init_set_max_threads(info, source->threads_max());
  duckdb_init_set_init_data(info, source->Begin(std::move(projection)).release(), Delete<Scan>);
}

// The local initialisation is handed neither the scan nor a place to find it: each thread makes
// its part at its first call.
struct ThreadSlot {
  std::unique_ptr<ScanThread> thread;
};

void OnLocalInit(duckdb_init_info info) {
  duckdb_init_set_init_data(info, new ThreadSlot, Delete<ThreadSlot>);
}

void OnFill(duckdb_function_info info, duckdb_data_chunk out) {
  auto* slot = static_cast<ThreadSlot*>(duckdb_function_get_local_init_data(info));
  if (!slot->thread) {
    slot->thread = static_cast<Scan*>(duckdb_function_get_init_data(info))->NewThread();
  }
  auto filled = slot->thread->Fill(out);
  if (!filled.ok()) {
    duckdb_function_set_error(info, filled.error().message.c_str());
    return;
  }
  duckdb_data_chunk_set_size(out, *filled);
}

}  // namespace

Status RegisterRowSlot(duckdb_connection connection, const char* name, RowSlot* slot) {
  using Function = Handle<duckdb_table_function, duckdb_destroy_table_function>;
  const Function function(duckdb_create_table_function());
  duckdb_table_function_set_name(function.get(), name);
  duckdb_table_function_set_extra_info(function.get(), slot, nullptr);
  duckdb_table_function_set_bind(function.get(), OnBind);
  duckdb_table_function_set_init(function.get(), OnInit);
  duckdb_table_function_set_local_init(function.get(), OnLocalInit);
  duckdb_table_function_set_function(function.get(), OnFill);
  duckdb_table_function_supports_projection_pushdown(function.get(), true);
  if (duckdb_register_table_function(connection, function.get()) != DuckDBSuccess) {
    return MakeError(ErrorKind::kInternal, fmt::format("register the table function {}", name));
  }
  return {};
}

}  // namespace varve::query

#include "query/instance.h"

#include <fmt/format.h>

#include <array>

#include "query/sql_text.h"

namespace varve::query {

namespace {

constexpr size_t kFootersKeptMax = 1000;  // files; their footers count against no limit of DuckDB's

struct Setting {
  const char* name;
  const char* value;
};

// What must hold when user text arrives.
constexpr std::array kSandbox = {
    Setting{"autoinstall_known_extensions", "false"},
    Setting{"autoload_known_extensions", "false"},
    Setting{"allow_community_extensions", "false"},
    Setting{"allow_unsigned_extensions", "false"},
    Setting{"allow_persistent_secrets", "false"},
    Setting{"enable_external_access", "false"},
    Setting{"lock_configuration", "true"},
};

Status Set(const Config& config, const char* name, const std::string& value) {
  if (duckdb_set_config(config.get(), name, value.c_str()) == DuckDBSuccess) return {};
  return MakeError(ErrorKind::kInternal, fmt::format("DuckDB refused {} = {}", name, value));
}

Status SetAll(const Config& config, const SetupMessage& setup) {
  for (const Setting& setting : kSandbox) {
    const std::string_view name = setting.name;
    if (name == "enable_external_access" || name == "lock_configuration") continue;  // later
    TRY(Set(config, setting.name, setting.value));
  }
  TRY(Set(config, "threads", std::to_string(setup.threads)));
  TRY(Set(config, "memory_limit", fmt::format("{}B", setup.memory_bytes_max)));
  TRY(Set(config, "temp_directory", setup.temp_directory));
  if (!setup.temp_directory.empty()) {
    TRY(Set(config, "max_temp_directory_size", fmt::format("{}B", setup.temp_bytes_max)));
  }
  // The cache outlives no query here, and its copies would count against the query's memory.
  TRY(Set(config, "enable_external_file_cache", "false"));
  return {};
}

}  // namespace

Result<std::unique_ptr<Instance>> Instance::Open(const SetupMessage& setup) {
  Config config;
  if (duckdb_create_config(config.out()) != DuckDBSuccess) {
    return MakeError(ErrorKind::kInternal, "DuckDB gave no configuration");
  }
  TRY(SetAll(config, setup));
  std::unique_ptr<Instance> instance(new Instance);
  char* error = nullptr;
  if (duckdb_open_ext(nullptr, instance->database_.out(), config.get(), &error) != DuckDBSuccess) {
    const OwnedText words(error);
    return MakeError(ErrorKind::kInternal, fmt::format("open DuckDB: {}", words.view()));
  }
  if (duckdb_connect(instance->database_.get(), instance->connection_.out()) != DuckDBSuccess) {
    return MakeError(ErrorKind::kInternal, "connect to DuckDB");
  }
  TRY(instance->Execute("SET TimeZone = 'UTC'"));
  return instance;
}

Status Instance::Close(std::span<const std::string> paths) {
  CHECK(!closed_);
  const bool remember_footers = paths.size() <= kFootersKeptMax;
  for (const std::string& sql : {fmt::format("SET parquet_metadata_cache = {}", remember_footers),
                                 "SET allowed_paths = " + SqlStringList(paths),
                                 std::string("SET enable_external_access = false"),
                                 std::string("SET lock_configuration = true")}) {
    const Status set = Execute(sql);
    if (!set.ok()) return MakeError(ErrorKind::kInternal, set.error().message);
  }
  TRY(CheckSettings());
  closed_ = true;
  return {};
}

Status Instance::CheckSettings() {
  std::string wanted, found_sql;
  for (const Setting& setting : kSandbox) {
    wanted += fmt::format("{}={} ", setting.name, setting.value);
    found_sql += fmt::format("{}'{}=' || current_setting('{}') || ' '",
                             found_sql.empty() ? "" : " || ", setting.name, setting.name);
  }
  const std::string found = TRY(AskText(("SELECT " + found_sql).c_str(), {}));
  if (found == wanted) return {};
  return MakeError(ErrorKind::kInternal,
                   fmt::format("DuckDB's settings are {}, not {}", found, wanted));
}

Status Instance::SetView(const std::string& name, const std::string& select) {
  return Execute(fmt::format("CREATE OR REPLACE VIEW {} AS {}", SqlName(name), select));
}

Status Instance::KeepLakeViews(const std::set<std::string>& names) {
  for (auto view = lake_views_.begin(); view != lake_views_.end();) {
    if (names.contains(*view)) {
      ++view;
      continue;
    }
    TRY(Execute("DROP VIEW IF EXISTS " + SqlName(*view)));
    view = lake_views_.erase(view);
  }
  return {};
}

Status Instance::SetRows(const std::string& function, const RowSource* source) {
  auto& slot = rows_[function];
  if (!slot) {
    slot = std::make_unique<RowSlot>();
    slot->columns = source->columns();
    TRY(RegisterRowSlot(connection_.get(), function.c_str(), slot.get()));
  }
  slot->source = source;
  return {};
}

void Instance::ClearRows() {
  for (auto& [function, slot] : rows_) slot->source = nullptr;
}

Status Instance::Execute(const std::string& sql) {
  ResultSet result;
  if (duckdb_query(connection_.get(), sql.c_str(), result.out()) != DuckDBSuccess) {
    return FromDuckError(duckdb_result_error(result.get()));
  }
  return {};
}

Result<std::string> Instance::AskText(const char* sql, std::string_view argument) {
  Prepared prepared;
  if (duckdb_prepare(connection_.get(), sql, prepared.out()) != DuckDBSuccess) {
    return FromDuckError(duckdb_prepare_error(prepared.get()));
  }
  if (duckdb_nparams(prepared.get()) > 0) {
    duckdb_bind_varchar_length(prepared.get(), 1, argument.data(), argument.size());
  }
  ResultSet result;
  if (duckdb_execute_prepared(prepared.get(), result.out()) != DuckDBSuccess) {
    return FromDuckError(duckdb_result_error(result.get()));
  }
  const Chunk chunk(duckdb_fetch_chunk(*result.get()));
  if (!chunk || duckdb_data_chunk_get_size(chunk.get()) == 0) {
    return MakeError(ErrorKind::kInternal, "DuckDB gave no row");
  }
  duckdb_vector column = duckdb_data_chunk_get_vector(chunk.get(), 0);
  if (!IsValid(duckdb_vector_get_validity(column), 0)) return std::string();
  return std::string(TextOf(*static_cast<duckdb_string_t*>(duckdb_vector_get_data(column))));
}

}  // namespace varve::query

#include "query/instance.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "core/clock.h"
#include "core/log.h"
#include "query/sql_text.h"

namespace varve::query {

namespace {

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

Status SetAll(const Config& config, const EngineOptions& options, const std::string& temp) {
  for (const Setting& setting : kSandbox) {
    const std::string_view name = setting.name;
    if (name == "enable_external_access" || name == "lock_configuration") continue;  // later
    TRY(Set(config, setting.name, setting.value));
  }
  TRY(Set(config, "threads", std::to_string(options.threads)));
  TRY(Set(config, "memory_limit", fmt::format("{}B", options.memory_bytes_max)));
  TRY(Set(config, "temp_directory", temp));
  if (!temp.empty()) {
    TRY(Set(config, "max_temp_directory_size", fmt::format("{}B", options.temp_bytes_max)));
  }
  // The cache outlives no query here, and its copies would count against the query's memory.
  TRY(Set(config, "enable_external_file_cache", "false"));
  return {};
}

}  // namespace

Result<std::unique_ptr<Instance>> Instance::Open(const EngineOptions& options,
                                                 std::string temp_directory) {
  Config config;
  if (duckdb_create_config(config.out()) != DuckDBSuccess) {
    return MakeError(ErrorKind::kInternal, "DuckDB gave no configuration");
  }
  TRY(SetAll(config, options, temp_directory));
  std::unique_ptr<Instance> instance(new Instance);
  instance->temp_directory_ = std::move(temp_directory);
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

Instance::~Instance() {
  connection_.Reset();
  database_.Reset();
  if (temp_directory_.empty()) return;
  std::error_code ignored;  // what is left is removed when the engine opens again
  std::filesystem::remove_all(temp_directory_, ignored);
}

Status Instance::CloseFileSystem(std::span<const std::string> allowed_paths) {
  TRY(Execute("SET allowed_paths = " + SqlStringList(allowed_paths)));
  return Execute("SET enable_external_access = false");
}

Status Instance::LockConfiguration() {
  TRY(Execute("SET lock_configuration = true"));
  for (const Setting& setting : kSandbox) {
    const std::string value =
        TRY(AskText("SELECT CAST(current_setting($1) AS VARCHAR)", setting.name));
    if (value != setting.value) {
      return MakeError(ErrorKind::kInternal, fmt::format("DuckDB's {} is {}, not {}", setting.name,
                                                         value, setting.value));
    }
  }
  return {};
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
  duckdb_bind_varchar_length(prepared.get(), 1, argument.data(), argument.size());
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

InstancePool::InstancePool(const EngineOptions& options, uint32_t kept)
    : options_(options), kept_(kept), refill_([this] { Refill(); }) {}

InstancePool::~InstancePool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  refill_.join();
}

Result<std::unique_ptr<Instance>> InstancePool::OpenOne() {
  std::string temp;
  if (!options_.temp_directory.empty()) {
    uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = opened_++;
    }
    temp = fmt::format("{}/query-{}-{}", options_.temp_directory, getpid(), number);
  }
  return Instance::Open(options_, std::move(temp));
}

Result<std::unique_ptr<Instance>> InstancePool::Take() {
  std::unique_ptr<Instance> instance;
  {
    const std::lock_guard lock(mutex_);
    if (!ready_.empty()) {
      instance = std::move(ready_.front());
      ready_.pop_front();
    }
    failing_ = false;
  }
  wake_.notify_all();
  if (instance) return instance;
  return OpenOne();
}

void InstancePool::GiveBack(std::unique_ptr<Instance> instance) {
  std::unique_ptr<Instance> spare;  // closed after the lock is given up
  const std::lock_guard lock(mutex_);
  ready_.push_front(std::move(instance));
  if (ready_.size() > kept_) {
    spare = std::move(ready_.back());
    ready_.pop_back();
  }
}

void InstancePool::Refill() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || (!failing_ && ready_.size() < kept_); });
    if (stopping_) return;
    lock.unlock();
    auto opened = OpenOne();
    lock.lock();
    if (opened.ok()) {
      ready_.push_back(std::move(opened).value());
    } else {
      failing_ = true;
      LogWarn("query.instance_not_opened", {{"error", opened.error().message}});
    }
  }
}

}  // namespace varve::query

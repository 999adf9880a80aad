#include "query/instance.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
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

bool Instance::CanServe(const NamespaceId& ns, std::span<const std::string> paths) const {
  if (!closed_) return true;
  if (ns != ns_) return false;
  return std::ranges::all_of(paths,
                             [&](const std::string& path) { return allowed_.contains(path); });
}

Status Instance::Close(const NamespaceId& ns, std::span<const std::string> paths) {
  if (closed_) {
    CHECK(CanServe(ns, paths));
    return {};
  }
  TRY(Execute("SET allowed_paths = " + SqlStringList(paths)));
  TRY(Execute("SET enable_external_access = false"));
  TRY(Execute("SET lock_configuration = true"));
  TRY(CheckSettings());
  closed_ = true;
  ns_ = ns;
  allowed_.insert(paths.begin(), paths.end());
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
  std::string& made = views_[name];
  if (made == select) return {};
  made.clear();
  TRY(Execute(fmt::format("CREATE OR REPLACE VIEW {} AS {}", name, select)));
  made = select;
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

InstancePool::InstancePool(const EngineOptions& options, const Clock& clock)
    : options_(options), clock_(clock), refill_([this] { Refill(); }) {}

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

Result<std::unique_ptr<Instance>> InstancePool::Take(const NamespaceId& ns) {
  {
    const std::lock_guard lock(mutex_);
    for (auto it = served_.begin(); it != served_.end(); ++it) {
      if (it->instance->ns() != ns) continue;
      auto instance = std::move(it->instance);
      served_.erase(it);
      return instance;
    }
  }
  return TakeUnused();
}

Result<std::unique_ptr<Instance>> InstancePool::TakeUnused() {
  std::unique_ptr<Instance> instance;
  {
    const std::lock_guard lock(mutex_);
    if (!unused_.empty()) {
      instance = std::move(unused_.front());
      unused_.pop_front();
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
  if (!instance->closed()) {
    unused_.push_front(std::move(instance));
    return;
  }
  instance->ClearRows();
  served_.push_front({std::move(instance), clock_.MonotonicNs()});
  if (served_.size() > options_.queries_max) {
    spare = std::move(served_.back().instance);
    served_.pop_back();
  }
}

void InstancePool::DropIdle() {
  std::vector<std::unique_ptr<Instance>> dropped;  // closed after the lock is given up
  const std::lock_guard lock(mutex_);
  const int64_t idle_ns = static_cast<int64_t>(options_.cursor_idle_ms) * 1'000'000;
  while (!served_.empty() && clock_.MonotonicNs() - served_.back().used_ns >= idle_ns) {
    dropped.push_back(std::move(served_.back().instance));
    served_.pop_back();
  }
}

void InstancePool::Refill() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] {
      return stopping_ || (!failing_ && unused_.size() < options_.instances_ready);
    });
    if (stopping_) return;
    lock.unlock();
    auto opened = OpenOne();
    lock.lock();
    if (opened.ok()) {
      unused_.push_back(std::move(opened).value());
    } else {
      failing_ = true;
      LogWarn("query.instance_not_opened", {{"error", opened.error().message}});
    }
  }
}

}  // namespace varve::query

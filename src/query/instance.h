// A SQL worker's DuckDB, closed to files, network and settings before user text is bound in it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "query/duck_handles.h"
#include "query/row_scan.h"
#include "query/worker_messages.h"

namespace varve::query {

class Instance {
 public:
  // The temporary directory is this instance's alone: DuckDB lets SQL read what lies in it.
  static Result<std::unique_ptr<Instance>> Open(const SetupMessage& setup);

  // Once, for good: these files only, no setting changes. Reads the settings back; kInternal when
  // one does not hold.
  Status Close(std::span<const std::string> paths);
  bool closed() const { return closed_; }

  Status SetView(const std::string& name, const std::string& select);
  // Lake tables come and go: those that are not named here are no more.
  Status KeepLakeViews(const std::set<std::string>& names);
  void NoteLakeView(const std::string& name) { lake_views_.insert(name); }
  // What the table function gives from now on; null: nothing can be read from it.
  Status SetRows(const std::string& function, const RowSource* source);
  void ClearRows();

  Status Execute(const std::string& sql);
  // The first column of the first row as text; sql's $1 is bound to argument.
  Result<std::string> AskText(const char* sql, std::string_view argument);

  duckdb_connection connection() const { return connection_.get(); }

 private:
  Instance() = default;
  Status CheckSettings();

  bool closed_ = false;
  std::map<std::string, std::unique_ptr<RowSlot>> rows_;
  std::set<std::string> lake_views_;

  Database database_;
  Connection connection_;
};

}  // namespace varve::query

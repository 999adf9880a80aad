// What materialised views see of the lake: statements are checked and run by the query engine, over
// one snapshot that is taken once and whose files are known by name.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "app/lake_reader.h"
#include "query/engine.h"
#include "view/view_data.h"

namespace varve::app {

struct ViewLimits {
  uint64_t rows_max = 0;
  uint64_t bytes_max = 0;
};

class LakeViewData : public view::ViewData {
 public:
  // All are borrowed. snapshots: the engine's own.
  LakeViewData(ViewLimits limits, query::Engine& engine, query::SnapshotSource& snapshots,
               LakeReader& reader)
      : limits_(limits), engine_(engine), snapshots_(snapshots), reader_(reader) {}

  Result<view::CheckedSql> Check(const NamespaceId& tenant, std::string_view sql) override;
  Result<std::unique_ptr<view::ViewInput>> Open(const view::View& view) override;

 private:
  Result<std::string> WhyNotIncremental(const NamespaceId& tenant,
                                        const query::StatementFacts& facts);

  const ViewLimits limits_;
  query::Engine& engine_;
  query::SnapshotSource& snapshots_;
  LakeReader& reader_;
};

}  // namespace varve::app

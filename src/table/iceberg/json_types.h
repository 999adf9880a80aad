// Schemas, specs and orders in Iceberg's JSON. Included by .cc files only.
#pragma once

#include "table/json_reading.h"
#include "table/partition.h"
#include "table/schema.h"

namespace varve::table::iceberg {

using OrderedJson = nlohmann::ordered_json;

OrderedJson ToJson(const Schema& schema);
OrderedJson ToJson(const PartitionSpec& spec);
OrderedJson ToJson(const SortOrder& order);
OrderedJson FieldsToJson(const PartitionSpec& spec);

Result<Schema> SchemaFrom(const Json& json);
Result<PartitionSpec> SpecFrom(const Json& json);
Result<SortOrder> OrderFrom(const Json& json);

}  // namespace varve::table::iceberg

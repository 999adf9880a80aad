// The Avro schemas of manifests and manifest lists, as the specification and Iceberg Java 1.11 have
// them: a field's order here is the order in which it is written.
#pragma once

#include <string_view>

namespace varve::table::iceberg {

extern const std::string_view kManifestSchemaHead;  // then the partition's record type
extern const std::string_view kManifestSchemaTail;
extern const std::string_view kManifestListSchema;

}  // namespace varve::table::iceberg

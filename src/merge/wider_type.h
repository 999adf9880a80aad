// Which of two types holds the values of both. Included by .cc files only: it needs libparquet's
// schema.
#pragma once

#include <parquet/schema.h>

#include <vector>

#include "merge/input_set.h"

namespace varve::merge {

// The one that holds the values of both; nullptr: neither does.
const ::parquet::schema::Node* Wider(const ::parquet::schema::Node& a,
                                     const ::parquet::schema::Node& b, const TimestampRule& rule);

// A node that holds the values of both, if rows are cast one after the other: numbers that are
// stored in another way, structs whose fields differ (united by name), what may be null, the names
// that a list's parts have. nullptr: there is none.
::parquet::schema::NodePtr RowNode(const ::parquet::schema::Node& a,
                                   const ::parquet::schema::Node& b, const TimestampRule& rule);

// The node, or one as wide as is asked of its column.
::parquet::schema::NodePtr Widened(const ::parquet::schema::PrimitiveNode& node,
                                   const std::string& name, const std::vector<WideColumn>& wide);

}  // namespace varve::merge

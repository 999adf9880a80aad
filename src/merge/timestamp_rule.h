// Which type the output has for columns of times: the finest unit of the inputs, or one that the
// caller wants. Included by .cc files only: it needs libparquet's schema.
#pragma once

#include <parquet/schema.h>

#include "core/result.h"
#include "merge/input_set.h"

namespace varve::merge {

// Of two columns that differ in nothing but the unit of their times, the one whose unit is finer;
// where a unit is wanted, INT96 gives way to a TIMESTAMP. nullptr: they differ in something else.
const ::parquet::schema::PrimitiveNode* FinerTimes(const ::parquet::schema::PrimitiveNode& a,
                                                   const ::parquet::schema::PrimitiveNode& b,
                                                   const TimestampRule& rule);

// The column as the output has it; path: dotted.
::parquet::schema::NodePtr WithRule(const ::parquet::schema::PrimitiveNode& node,
                                    ::parquet::Repetition::type repetition, const std::string& path,
                                    const TimestampRule& rule);

// Ranges of the footers become the output's values; where that cannot be, there is none.
void ConvertRanges(InputSet& inputs, const std::string& key);

}  // namespace varve::merge

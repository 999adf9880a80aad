// The Arrow types in which rows go from a reader to a writer: those that libparquet's writer takes
// for the Parquet types that the output has, whatever Arrow types an input says its columns are of.
// Included by .cc files only: Arrow's headers are heavy.
#pragma once

#include <arrow/api.h>

#include <memory>

#include "core/result.h"

namespace parquet {
class SchemaDescriptor;
}

namespace varve::merge {

// An Arrow status as an error of that kind.
Status FromArrow(const arrow::Status& status, std::string_view doing,
                 ErrorKind kind = ErrorKind::kInternal);

// For rows on their way. Arrow's own pool keeps what is freed, tens of megabytes beyond any limit.
arrow::MemoryPool* RowMemory();

// One field for each of the schema's.
Result<std::shared_ptr<arrow::Schema>> RowSchema(const ::parquet::SchemaDescriptor& schema);

// Nulls of one of a row schema's types. What must not be null in a group is not, where the group
// is: libparquet's writer refuses it there too.
Result<std::shared_ptr<arrow::ArrayData>> NullRows(const std::shared_ptr<arrow::DataType>& type,
                                                   int64_t length);

// The array as one of a row schema's types: numbers are cast, times rounded down, structs united by
// name. kInvalid, TIMESTAMP_RANGE: a time has no room; kCorrupt: a decimal has none.
Result<std::shared_ptr<arrow::ArrayData>> Retyped(const arrow::ArrayData& data,
                                                  const std::shared_ptr<arrow::DataType>& type);

}  // namespace varve::merge

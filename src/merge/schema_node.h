// Nodes of a Parquet schema, compared and made again. A node is in one tree only, as it knows its
// parent: another tree has a copy. Included by .cc files only: it needs libparquet's schema.
#pragma once

#include <parquet/schema.h>

namespace varve::merge {

// It has no logical type.
bool IsPlain(const ::parquet::schema::Node& node);

// It has no type, as all its values are null; or all that it is made of, or a list's element, has
// none.
bool IsUntyped(const ::parquet::schema::Node& node);

bool HaveSameLogicalType(const ::parquet::schema::Node& a, const ::parquet::schema::Node& b);

// The node's name and type.
::parquet::schema::NodePtr LeafLike(const ::parquet::schema::PrimitiveNode& node,
                                    ::parquet::Repetition::type repetition, int field_id);

// The node's name and logical type, of these fields.
::parquet::schema::NodePtr GroupLike(const ::parquet::schema::GroupNode& node,
                                     ::parquet::Repetition::type repetition,
                                     const ::parquet::schema::NodeVector& fields, int field_id);

// With all that is below it.
::parquet::schema::NodePtr CopyOf(const ::parquet::schema::Node& node,
                                  ::parquet::Repetition::type repetition);

}  // namespace varve::merge

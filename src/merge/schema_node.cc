#include "merge/schema_node.h"

#include <parquet/types.h>

namespace varve::merge {

namespace pq = ::parquet;

using pq::schema::GroupNode;
using pq::schema::Node;
using pq::schema::NodePtr;
using pq::schema::NodeVector;
using pq::schema::PrimitiveNode;

bool IsPlain(const Node& node) {
  return node.logical_type() == nullptr || node.logical_type()->is_none();
}

bool IsUntyped(const Node& node) {
  if (node.is_primitive()) return !IsPlain(node) && node.logical_type()->is_null();
  const auto& group = static_cast<const GroupNode&>(node);
  const bool is_struct = IsPlain(node) && !node.is_repeated();
  int untyped = 0;
  for (int i = 0; i < group.field_count(); ++i) untyped += IsUntyped(*group.field(i)) ? 1 : 0;
  return is_struct ? untyped == group.field_count() : untyped > 0;
}

bool HaveSameLogicalType(const Node& a, const Node& b) {
  if (IsPlain(a) || IsPlain(b)) return IsPlain(a) == IsPlain(b);
  return a.logical_type()->Equals(*b.logical_type());
}

NodePtr LeafLike(const PrimitiveNode& node, pq::Repetition::type repetition, int field_id) {
  return PrimitiveNode::Make(node.name(), repetition, node.logical_type(), node.physical_type(),
                             node.type_length(), field_id);
}

NodePtr GroupLike(const GroupNode& node, pq::Repetition::type repetition, const NodeVector& fields,
                  int field_id) {
  return GroupNode::Make(node.name(), repetition, fields,
                         IsPlain(node) ? nullptr : node.logical_type(), field_id);
}

NodePtr CopyOf(const Node& node, pq::Repetition::type repetition) {
  if (node.is_primitive()) {
    return LeafLike(static_cast<const PrimitiveNode&>(node), repetition, node.field_id());
  }
  const auto& group = static_cast<const GroupNode&>(node);
  NodeVector fields;
  for (int i = 0; i < group.field_count(); ++i) {
    fields.push_back(CopyOf(*group.field(i), group.field(i)->repetition()));
  }
  return GroupLike(group, repetition, fields, node.field_id());
}

}  // namespace varve::merge

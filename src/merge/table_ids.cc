#include "merge/table_ids.h"

#include <parquet/types.h>

#include <algorithm>
#include <string>

#include "merge/schema_node.h"

namespace varve::merge {

namespace {

using ::parquet::schema::GroupNode;
using ::parquet::schema::Node;
using ::parquet::schema::NodePtr;
using ::parquet::schema::NodeVector;
using ::parquet::schema::PrimitiveNode;

constexpr int kNoId = -1;

NodePtr ItemsWithIds(const Node& items, bool is_map, const std::vector<FieldIds>& ids);

NodePtr WithIds(const Node& node, const std::string& name, const std::vector<FieldIds>& ids) {
  static const FieldIds kNone{{}, kNoId, {}};
  const auto found =
      std::find_if(ids.begin(), ids.end(), [&](const FieldIds& one) { return one.name == name; });
  const FieldIds& known = found == ids.end() ? kNone : *found;
  if (node.is_primitive()) {
    return LeafLike(static_cast<const PrimitiveNode&>(node), node.repetition(), known.id);
  }
  const auto& group = static_cast<const GroupNode&>(node);
  NodeVector fields;
  for (int i = 0; i < group.field_count(); ++i) {
    const Node& field = *group.field(i);
    fields.push_back(IsPlain(group)
                         ? WithIds(field, field.name(), known.fields)
                         : ItemsWithIds(field, group.logical_type()->is_map(), known.fields));
  }
  return GroupLike(group, group.repetition(), fields, known.id);
}

// What is repeated in a list or map: a group of the items, which is no field, or the item itself.
NodePtr ItemsWithIds(const Node& items, bool is_map, const std::vector<FieldIds>& ids) {
  if (items.is_primitive()) return WithIds(items, "element", ids);
  const auto& group = static_cast<const GroupNode&>(items);
  NodeVector fields;
  for (int i = 0; i < group.field_count(); ++i) {
    const char* name = !is_map ? "element" : i == 0 ? "key" : "value";
    fields.push_back(WithIds(*group.field(i), name, ids));
  }
  return GroupLike(group, group.repetition(), fields, kNoId);
}

}  // namespace

NodePtr WithTableIds(const GroupNode& root, const std::vector<FieldIds>& ids) {
  NodeVector fields;
  for (int i = 0; i < root.field_count(); ++i) {
    fields.push_back(WithIds(*root.field(i), root.field(i)->name(), ids));
  }
  return GroupLike(root, root.repetition(), fields, kNoId);
}

}  // namespace varve::merge

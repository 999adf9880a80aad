#include "merge/schema_union.h"

#include <arrow/type.h>
#include <parquet/arrow/schema.h>
#include <parquet/types.h>

#include <algorithm>
#include <map>
#include <utility>

#include "merge/schema_node.h"
#include "merge/table_ids.h"
#include "merge/timestamp_rule.h"
#include "merge/wider_type.h"
#include "parquet/try_parquet.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {

using pq::schema::GroupNode;
using pq::schema::NodePtr;
using pq::schema::NodeVector;
using pq::schema::PrimitiveNode;

// A top-level column, as seen so far.
struct Field {
  NodePtr node;
  uint32_t layout = 0;  // that has this type, for messages
  uint32_t last = 0;    // layout that has it
  size_t seen = 0;      // layouts that have it
  bool optional = false;
};

// What a node is called: path as libparquet has it, name without the groups that only make a list
// or map, whose parts are "element", "key" and "value" whatever the writer calls them.
struct NodeNames {
  std::string path, name;
};

NodeNames NamesIn(const GroupNode& parent, int at, const NodeNames& names) {
  const auto& node = *parent.field(at);
  NodeNames out{names.path + "." + node.name(), names.name};
  const pq::schema::Node* above = parent.parent();
  const bool holds_items = !IsPlain(parent) && node.is_repeated();
  const bool is_items = parent.is_repeated() && above != nullptr && !IsPlain(*above);
  if (holds_items && node.is_group()) return out;
  if (is_items && above->logical_type()->is_map()) {
    out.name += at == 0 ? ".key" : ".value";
  } else if (holds_items || (is_items && parent.field_count() == 1)) {
    out.name += ".element";
  } else {
    out.name += "." + node.name();
  }
  return out;
}

// The column as the output has it.
NodePtr AsOutput(const pq::schema::Node& node, pq::Repetition::type repetition,
                 const NodeNames& names, const SchemaRule& rule) {
  if (node.is_primitive()) {
    const NodePtr wide = Widened(static_cast<const PrimitiveNode&>(node), names.name, rule.wide);
    return WithRule(static_cast<const PrimitiveNode&>(*wide), repetition, names.path,
                    rule.timestamps);
  }
  const auto& old = static_cast<const GroupNode&>(node);
  NodeVector fields;
  for (int i = 0; i < old.field_count(); ++i) {
    const auto& field = *old.field(i);
    if (!rule.untyped_columns && IsUntyped(field)) continue;
    fields.push_back(AsOutput(field, field.repetition(), NamesIn(old, i, names), rule));
  }
  return GroupLike(old, repetition, fields, old.field_id());
}

// Whatever their ids, which are in the footer alone.
bool IsSameColumn(const pq::ColumnDescriptor& a, const pq::ColumnDescriptor& b) {
  const auto& one = static_cast<const PrimitiveNode&>(*a.schema_node());
  const auto& other = static_cast<const PrimitiveNode&>(*b.schema_node());
  return HaveSameLogicalType(one, other) && one.physical_type() == other.physical_type() &&
         one.converted_type() == other.converted_type() &&
         one.type_length() == other.type_length() && one.repetition() == other.repetition() &&
         a.max_definition_level() == b.max_definition_level() &&
         a.max_repetition_level() == b.max_repetition_level();
}

std::string GroupText(const pq::schema::Node& node) {
  NodeVector fields;
  fields.push_back(CopyOf(node, node.repetition()));
  pq::SchemaDescriptor schema;
  schema.Init(GroupNode::Make("schema", pq::Repetition::REQUIRED, fields));
  std::shared_ptr<arrow::Schema> as_arrow;
  const auto made = pq::arrow::FromParquetSchema(&schema, &as_arrow);
  return made.ok() ? as_arrow->field(0)->type()->ToString() : "a group";
}

std::string TypeText(const pq::schema::Node& node) {
  if (!node.is_primitive()) return GroupText(node);
  const auto& primitive = static_cast<const PrimitiveNode&>(node);
  std::string text = pq::TypeToString(primitive.physical_type(), primitive.type_length());
  if (IsPlain(node)) return text;
  std::string name = node.logical_type()->ToString();
  const size_t internals = name.find(", is_from_converted_type");
  if (internals != std::string::npos) name = name.substr(0, internals) + ")";
  return text + " (" + name + ")";
}

class Union {
 public:
  Union(InputSet& inputs, const SchemaRule& rule) : inputs_(inputs), rule_(rule) {}

  Status Add(uint32_t at) {
    const GroupNode& root = *inputs_.layouts[at].schema->group_node();
    for (int i = 0; i < root.field_count(); ++i) {
      const NodePtr& node = root.field(i);
      auto [found, is_new] = by_name_.try_emplace(node->name(), fields_.size());
      if (is_new) {
        fields_.push_back({node, at, at, 1, node->is_optional() || IsUntyped(*node)});
        continue;
      }
      Field& field = fields_[found->second];
      ++field.seen;
      if (std::exchange(field.last, at) == at) {
        return MakeError(ErrorKind::kInvalid, Path(at) + ": has two columns named " + node->name());
      }
      if (node->is_optional() || IsUntyped(*node)) field.optional = true;
      const pq::schema::Node* wider = Wider(*field.node, *node, rule_.timestamps);
      if (wider == nullptr) {
        NodePtr by_rows = RowNode(*field.node, *node, rule_.timestamps);
        if (by_rows == nullptr) return Conflict(field, *node, at);
        inputs_.nested = true;
        field.node = std::move(by_rows);
      } else if (wider == node.get()) {
        field.node = node;
        field.layout = at;
      }
    }
    return {};
  }

  NodePtr Root() const {
    NodeVector nodes;
    for (const Field& field : fields_) {
      if (!rule_.untyped_columns && IsUntyped(*field.node)) continue;
      const bool optional = field.optional || field.seen < inputs_.layouts.size();
      const auto repetition = field.node->is_repeated() ? pq::Repetition::REPEATED
                              : optional                ? pq::Repetition::OPTIONAL
                                                        : pq::Repetition::REQUIRED;
      const std::string& name = field.node->name();
      nodes.push_back(AsOutput(*field.node, repetition, {name, name}, rule_));
    }
    return GroupNode::Make("schema", pq::Repetition::REQUIRED, nodes);
  }

 private:
  const std::string& Path(uint32_t layout) const {
    return inputs_.files->path(inputs_.layouts[layout].example);
  }
  Error Conflict(const Field& field, const pq::schema::Node& node, uint32_t at) const {
    return MakeError(ErrorKind::kInvalid, "SCHEMA_CONFLICT",
                     "column " + node.name() + " is " + TypeText(*field.node) + " in " +
                         Path(field.layout) + " and " + TypeText(node) + " in " + Path(at));
  }

  InputSet& inputs_;
  const SchemaRule& rule_;
  std::vector<Field> fields_;
  std::map<std::string, size_t> by_name_;
};

// Where the output's columns are in the layout's files.
void PlaceColumns(InputSet& inputs, Layout& layout) {
  std::map<std::vector<std::string>, int> by_path;  // names may have dots
  for (int i = 0; i < layout.schema->num_columns(); ++i) {
    by_path[layout.schema->Column(i)->path()->ToDotVector()] = i;
    layout.shapes.push_back(parquet::ShapeOf(*layout.schema->Column(i)));
  }
  layout.as_output = layout.schema->num_columns() == static_cast<int>(inputs.columns.size());
  for (size_t i = 0; i < inputs.columns.size(); ++i) {
    const auto* now = inputs.schema->Column(static_cast<int>(i));
    const auto found = by_path.find(now->path()->ToDotVector());
    const auto* old = found == by_path.end() ? nullptr : layout.schema->Column(found->second);
    const bool missing =
        old == nullptr || (IsUntyped(*old->schema_node()) && !IsUntyped(*now->schema_node()));
    layout.chunk_of.push_back(missing ? -1 : found->second);
    if (missing) {
      layout.as_output = false;
      continue;
    }
    if (!IsSameColumn(*old, *now) || found->second != static_cast<int>(i)) layout.as_output = false;
    // The levels of a group that became optional would all be one more.
    if (old->max_definition_level() != now->max_definition_level() &&
        (old->max_definition_level() > 0 || now->max_definition_level() > 1)) {
      inputs.nested = true;
    }
  }
}

}  // namespace

Status UniteSchemas(InputSet& inputs, const SchemaRule& rule) {
  Union together(inputs, rule);
  for (uint32_t i = 0; i < inputs.layouts.size(); ++i) TRY(together.Add(i));
  auto schema = std::make_shared<pq::SchemaDescriptor>();
  TRY(parquet::TryParquet("unite the schemas", [&] {
    const NodePtr root = together.Root();
    schema->Init(
        rule.field_ids ? root : WithTableIds(static_cast<const GroupNode&>(*root), rule.table_ids));
  }));
  for (int i = 0; i < schema->num_columns(); ++i) {
    const pq::ColumnDescriptor& column = *schema->Column(i);
    inputs.columns.push_back(
        {column.path()->ToDotString(), parquet::ShapeOf(column), parquet::OrderOf(column)});
    if (column.max_repetition_level() > 0) inputs.nested = true;
  }
  inputs.schema = std::move(schema);
  for (Layout& layout : inputs.layouts) PlaceColumns(inputs, layout);
  return {};
}

}  // namespace varve::merge

#include "merge/schema_union.h"

#include <arrow/type.h>
#include <parquet/arrow/schema.h>
#include <parquet/types.h>

#include <algorithm>
#include <map>

#include "merge/timestamp_rule.h"
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
  size_t seen = 0;      // layouts that have it
  bool optional = false;
};

// The bits of a plain signed integer; 0: it is something else.
int IntegerBits(const PrimitiveNode& node) {
  const auto& type = node.logical_type();
  if (type == nullptr || type->is_none()) {
    if (node.physical_type() == pq::Type::INT32) return 32;
    return node.physical_type() == pq::Type::INT64 ? 64 : 0;
  }
  if (!type->is_int()) return 0;
  const auto& integer = static_cast<const pq::IntLogicalType&>(*type);
  return integer.is_signed() ? integer.bit_width() : 0;
}

bool IsFloat(const PrimitiveNode& node) {
  return node.physical_type() == pq::Type::FLOAT || node.physical_type() == pq::Type::DOUBLE;
}

bool SameType(const PrimitiveNode& a, const PrimitiveNode& b) {
  return a.physical_type() == b.physical_type() && a.type_length() == b.type_length() &&
         (a.logical_type() == nullptr ? b.logical_type() == nullptr
                                      : a.logical_type()->Equals(*b.logical_type()));
}

bool IsPlain(const pq::schema::Node& node) {
  return node.logical_type() == nullptr || node.logical_type()->is_none();
}

bool SameLogical(const pq::schema::Node& a, const pq::schema::Node& b) {
  if (IsPlain(a) || IsPlain(b)) return IsPlain(a) == IsPlain(b);
  return a.logical_type()->Equals(*b.logical_type());
}

bool SameDecimal(const pq::schema::Node& a, const pq::schema::Node& b) {
  return !IsPlain(a) && a.logical_type()->is_decimal() && SameLogical(a, b);
}

// 0: they are as long as each needs.
int DecimalBytes(const PrimitiveNode& node) {
  switch (node.physical_type()) {
    case pq::Type::INT32:
      return 4;
    case pq::Type::INT64:
      return 8;
    case pq::Type::FIXED_LEN_BYTE_ARRAY:
      return node.type_length();
    default:
      return 0;
  }
}

// A node is in one tree only: it knows its parent. path: the node's, dotted.
NodePtr Copy(const pq::schema::Node& node, pq::Repetition::type repetition, const std::string& path,
             const TimestampRule& rule) {
  if (node.is_primitive()) {
    return WithRule(static_cast<const PrimitiveNode&>(node), repetition, path, rule);
  }
  const auto& old = static_cast<const GroupNode&>(node);
  NodeVector fields;
  for (int i = 0; i < old.field_count(); ++i) {
    const auto& field = *old.field(i);
    fields.push_back(Copy(field, field.repetition(), path + "." + field.name(), rule));
  }
  return GroupNode::Make(old.name(), repetition, fields,
                         IsPlain(old) ? nullptr : old.logical_type(), old.field_id());
}

NodePtr WithoutIds(const pq::schema::Node& node) {
  const auto type = IsPlain(node) ? nullptr : node.logical_type();
  if (node.is_primitive()) {
    const auto& leaf = static_cast<const PrimitiveNode&>(node);
    return PrimitiveNode::Make(leaf.name(), leaf.repetition(), leaf.logical_type(),
                               leaf.physical_type(), leaf.type_length());
  }
  const auto& old = static_cast<const GroupNode&>(node);
  NodeVector fields;
  for (int i = 0; i < old.field_count(); ++i) fields.push_back(WithoutIds(*old.field(i)));
  return GroupNode::Make(old.name(), old.repetition(), fields, type);
}

// The one that holds the values of both; nullptr: there is none.
const pq::schema::Node* Wider(const pq::schema::Node& a, const pq::schema::Node& b,
                              const TimestampRule& rule) {
  if (!a.is_primitive() || !b.is_primitive()) {
    return a.is_primitive() == b.is_primitive() && a.Equals(&b) ? &a : nullptr;
  }
  const auto& one = static_cast<const PrimitiveNode&>(a);
  const auto& other = static_cast<const PrimitiveNode&>(b);
  if (a.is_repeated() || b.is_repeated()) return a.Equals(&b) ? &a : nullptr;
  if (SameType(one, other)) return &a;
  if (IntegerBits(one) > 0 && IntegerBits(other) > 0) {
    return IntegerBits(one) >= IntegerBits(other) ? &a : &b;
  }
  if (IsFloat(one) && IsFloat(other)) {
    return one.physical_type() == pq::Type::DOUBLE ? &a : &b;
  }
  if (SameDecimal(a, b) && DecimalBytes(one) > 0 && DecimalBytes(other) > 0) {
    return DecimalBytes(one) >= DecimalBytes(other) ? &a : &b;
  }
  return FinerTimes(one, other, rule);
}

// A node that holds the values of both, as rows: a type that is stored in another way, or groups
// that differ in what may be null or in the names that a list's parts have. nullptr: there is none.
NodePtr RowNode(const pq::schema::Node& a, const pq::schema::Node& b, const TimestampRule& rule) {
  const bool repeated = a.is_repeated() && b.is_repeated();
  if (a.is_repeated() != b.is_repeated() || a.is_primitive() != b.is_primitive()) return nullptr;
  const auto repetition = repeated                             ? pq::Repetition::REPEATED
                          : a.is_optional() || b.is_optional() ? pq::Repetition::OPTIONAL
                                                               : pq::Repetition::REQUIRED;
  if (a.is_primitive()) {
    const pq::schema::Node* wider = Wider(a, b, rule);
    if (wider == nullptr && SameDecimal(a, b)) wider = &a;
    if (wider == nullptr) return nullptr;
    const auto& of = static_cast<const PrimitiveNode&>(*wider);
    return PrimitiveNode::Make(a.name(), repetition, of.logical_type(), of.physical_type(),
                               of.type_length(), a.field_id());
  }
  const auto& one = static_cast<const GroupNode&>(a);
  const auto& other = static_cast<const GroupNode&>(b);
  if (one.field_count() != other.field_count() || !SameLogical(one, other)) return nullptr;
  const bool by_name = IsPlain(one) && !one.is_repeated();
  NodeVector fields;
  for (int i = 0; i < one.field_count(); ++i) {
    if (by_name && one.field(i)->name() != other.field(i)->name()) return nullptr;
    NodePtr field = RowNode(*one.field(i), *other.field(i), rule);
    if (field == nullptr) return nullptr;
    fields.push_back(std::move(field));
  }
  return GroupNode::Make(one.name(), repetition, fields,
                         IsPlain(one) ? nullptr : one.logical_type(), one.field_id());
}

std::string GroupText(const pq::schema::Node& node) {
  NodeVector fields;
  fields.push_back(Copy(node, node.repetition(), node.name(), {}));
  pq::SchemaDescriptor schema;
  schema.Init(GroupNode::Make("schema", pq::Repetition::REQUIRED, fields));
  std::shared_ptr<arrow::Schema> as_arrow;
  const auto made = pq::arrow::FromParquetSchema(&schema, &as_arrow);
  return made.ok() ? as_arrow->field(0)->type()->ToString() : "a group";
}

std::string TypeText(const pq::schema::Node& node) {
  if (!node.is_primitive()) return GroupText(node);
  const auto& primitive = static_cast<const PrimitiveNode&>(node);
  std::string text = pq::TypeToString(primitive.physical_type());
  const auto& logical = primitive.logical_type();
  if (logical != nullptr && !logical->is_none()) text += " (" + logical->ToString() + ")";
  return text;
}

class Union {
 public:
  Union(InputSet& inputs, const TimestampRule& rule) : inputs_(inputs), rule_(rule) {}

  Status Add(uint32_t at) {
    const GroupNode& root = *inputs_.layouts[at].schema->group_node();
    for (int i = 0; i < root.field_count(); ++i) {
      const NodePtr& node = root.field(i);
      auto [found, is_new] = by_name_.try_emplace(node->name(), fields_.size());
      if (is_new) {
        fields_.push_back({node, at, 1, node->is_optional()});
        continue;
      }
      Field& field = fields_[found->second];
      if (++field.seen > at + 1) {
        return MakeError(ErrorKind::kInvalid, Path(at) + ": has two columns named " + node->name());
      }
      if (node->is_optional()) field.optional = true;
      const pq::schema::Node* wider = Wider(*field.node, *node, rule_);
      if (wider == nullptr) {
        NodePtr by_rows = RowNode(*field.node, *node, rule_);
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
      const bool optional = field.optional || field.seen < inputs_.layouts.size();
      const auto repetition = field.node->is_repeated() ? pq::Repetition::REPEATED
                              : optional                ? pq::Repetition::OPTIONAL
                                                        : pq::Repetition::REQUIRED;
      nodes.push_back(Copy(*field.node, repetition, field.node->name(), rule_));
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
  const TimestampRule& rule_;
  std::vector<Field> fields_;
  std::map<std::string, size_t> by_name_;
};

// Where the output's columns are in the layout's files.
void PlaceColumns(InputSet& inputs, Layout& layout) {
  std::map<std::string, int> by_path;
  for (int i = 0; i < layout.schema->num_columns(); ++i) {
    by_path[layout.schema->Column(i)->path()->ToDotString()] = i;
    layout.shapes.push_back(parquet::ShapeOf(*layout.schema->Column(i)));
  }
  layout.as_output = layout.schema->num_columns() == static_cast<int>(inputs.columns.size());
  for (size_t i = 0; i < inputs.columns.size(); ++i) {
    auto found = by_path.find(inputs.columns[i].name);
    layout.chunk_of.push_back(found == by_path.end() ? -1 : found->second);
    if (found == by_path.end()) {
      layout.as_output = false;
      continue;
    }
    const auto* old = layout.schema->Column(found->second);
    const auto* now = inputs.schema->Column(static_cast<int>(i));
    if (!old->Equals(*now) || found->second != static_cast<int>(i)) layout.as_output = false;
    // The levels of a group that became optional would all be one more.
    if (old->max_definition_level() != now->max_definition_level() &&
        (old->max_definition_level() > 0 || now->max_definition_level() > 1)) {
      inputs.nested = true;
    }
  }
}

}  // namespace

Status UniteSchemas(InputSet& inputs, const SchemaRule& rule) {
  Union together(inputs, rule.timestamps);
  for (uint32_t i = 0; i < inputs.layouts.size(); ++i) TRY(together.Add(i));
  auto schema = std::make_shared<pq::SchemaDescriptor>();
  TRY(parquet::TryParquet("unite the schemas", [&] {
    const NodePtr root = together.Root();
    schema->Init(rule.field_ids ? root : WithoutIds(*root));
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

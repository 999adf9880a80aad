#include "merge/wider_type.h"

#include <parquet/types.h>

#include <algorithm>
#include <cmath>

#include "merge/schema_node.h"
#include "merge/timestamp_rule.h"

namespace varve::merge {

namespace pq = ::parquet;

namespace {

using pq::LogicalType;
using pq::schema::GroupNode;
using pq::schema::Node;
using pq::schema::NodePtr;
using pq::schema::NodeVector;
using pq::schema::PrimitiveNode;

struct Integer {
  int bits = 0;  // 0: it is something else
  bool is_signed = true;

  bool Holds(const Integer& other) const {
    if (is_signed == other.is_signed) return bits >= other.bits;
    return is_signed && bits > other.bits;
  }
};

Integer IntegerOf(const PrimitiveNode& node) {
  if (IsPlain(node)) {
    if (node.physical_type() == pq::Type::INT32) return {32};
    return {node.physical_type() == pq::Type::INT64 ? 64 : 0};
  }
  if (!node.logical_type()->is_int()) return {};
  const auto& integer = static_cast<const pq::IntLogicalType&>(*node.logical_type());
  return {integer.bit_width(), integer.is_signed()};
}

bool IsFloat(const PrimitiveNode& node) {
  return node.physical_type() == pq::Type::FLOAT || node.physical_type() == pq::Type::DOUBLE;
}

bool HaveSameType(const PrimitiveNode& a, const PrimitiveNode& b) {
  return a.physical_type() == b.physical_type() && a.type_length() == b.type_length() &&
         HaveSameLogicalType(a, b);
}

// nullptr: it is no decimal.
const pq::DecimalLogicalType* DecimalOf(const Node& node) {
  if (IsPlain(node) || !node.logical_type()->is_decimal()) return nullptr;
  return static_cast<const pq::DecimalLogicalType*>(node.logical_type().get());
}

bool AreDecimalsOfOneScale(const Node& a, const Node& b) {
  const auto *one = DecimalOf(a), *other = DecimalOf(b);
  return one != nullptr && other != nullptr && one->scale() == other->scale();
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

// That hold any number of so many digits, and its sign.
int BytesOfDigits(int digits) {
  return static_cast<int>(std::ceil((digits * std::log2(10.0) + 1) / 8));
}

const PrimitiveNode* WiderDecimal(const PrimitiveNode& a, const PrimitiveNode& b) {
  if (!AreDecimalsOfOneScale(a, b) || DecimalBytes(a) == 0 || DecimalBytes(b) == 0) return nullptr;
  const auto holds = [](const PrimitiveNode& x, const PrimitiveNode& y) {
    return DecimalOf(x)->precision() >= DecimalOf(y)->precision() &&
           DecimalBytes(x) >= DecimalBytes(y);
  };
  if (holds(a, b)) return &a;
  return holds(b, a) ? &b : nullptr;
}

NodePtr MakeDecimal(const PrimitiveNode& of, pq::Repetition::type repetition, int digits,
                    int bytes) {
  const auto type = LogicalType::Decimal(digits, DecimalOf(of)->scale());
  const auto make = [&](pq::Type::type physical, int length) {
    return PrimitiveNode::Make(of.name(), repetition, type, physical, length, of.field_id());
  };
  bytes = std::max(bytes, BytesOfDigits(digits));
  if (of.physical_type() == pq::Type::BYTE_ARRAY) return make(pq::Type::BYTE_ARRAY, -1);
  if (of.physical_type() != pq::Type::FIXED_LEN_BYTE_ARRAY && bytes <= 8) {
    return make(bytes <= 4 ? pq::Type::INT32 : pq::Type::INT64, -1);
  }
  return make(pq::Type::FIXED_LEN_BYTE_ARRAY, bytes);
}

// Of decimals that neither of the two types holds.
NodePtr DecimalOfBoth(const PrimitiveNode& a, const PrimitiveNode& b,
                      pq::Repetition::type repetition) {
  if (!AreDecimalsOfOneScale(a, b)) return nullptr;
  const bool any = DecimalBytes(a) == 0 || DecimalBytes(b) == 0;
  const PrimitiveNode& of = any || DecimalBytes(a) >= DecimalBytes(b) ? a : b;
  return MakeDecimal(of, repetition, std::max(DecimalOf(a)->precision(), DecimalOf(b)->precision()),
                     std::max(DecimalBytes(a), DecimalBytes(b)));
}

// Of integers that neither of the two types holds, as one has a sign: 64 bits hold those of 32.
NodePtr IntegerOfBoth(const PrimitiveNode& a, const PrimitiveNode& b,
                      pq::Repetition::type repetition) {
  const Integer one = IntegerOf(a), other = IntegerOf(b);
  if (one.bits == 0 || other.bits == 0 || std::max(one.bits, other.bits) == 64) return nullptr;
  return PrimitiveNode::Make(a.name(), repetition, nullptr, pq::Type::INT64, -1, a.field_id());
}

pq::Repetition::type OfBoth(const Node& a, const Node& b) {
  if (a.is_repeated()) return pq::Repetition::REPEATED;
  return a.is_optional() || b.is_optional() ? pq::Repetition::OPTIONAL : pq::Repetition::REQUIRED;
}

NodePtr MissingInOne(const Node& node) {
  return CopyOf(node, node.is_repeated() ? pq::Repetition::REPEATED : pq::Repetition::OPTIONAL);
}

// false: fields of one name do not meet.
bool UniteByName(const GroupNode& a, const GroupNode& b, const TimestampRule& rule,
                 NodeVector& out) {
  for (int i = 0; i < a.field_count(); ++i) {
    const int at = b.FieldIndex(a.field(i)->name());
    out.push_back(at < 0 ? MissingInOne(*a.field(i)) : RowNode(*a.field(i), *b.field(at), rule));
    if (out.back() == nullptr) return false;
  }
  for (int i = 0; i < b.field_count(); ++i) {
    if (a.FieldIndex(b.field(i)->name()) < 0) out.push_back(MissingInOne(*b.field(i)));
  }
  return true;
}

bool UniteByPosition(const GroupNode& a, const GroupNode& b, const TimestampRule& rule,
                     NodeVector& out) {
  if (a.field_count() != b.field_count()) return false;
  for (int i = 0; i < a.field_count(); ++i) {
    out.push_back(RowNode(*a.field(i), *b.field(i), rule));
    if (out.back() == nullptr) return false;
  }
  return true;
}

}  // namespace

const Node* Wider(const Node& a, const Node& b, const TimestampRule& rule) {
  if (a.is_primitive() && IsUntyped(a)) return &b;
  if (b.is_primitive() && IsUntyped(b)) return &a;
  if (!a.is_primitive() || !b.is_primitive()) {
    return a.is_primitive() == b.is_primitive() && a.Equals(&b) ? &a : nullptr;
  }
  const auto& one = static_cast<const PrimitiveNode&>(a);
  const auto& other = static_cast<const PrimitiveNode&>(b);
  if (a.is_repeated() || b.is_repeated()) return a.Equals(&b) ? &a : nullptr;
  if (HaveSameType(one, other)) return &a;
  const Integer x = IntegerOf(one), y = IntegerOf(other);
  if (x.bits > 0 && y.bits > 0) return x.Holds(y) ? &a : y.Holds(x) ? &b : nullptr;
  if (IsFloat(one) && IsFloat(other)) {
    return one.physical_type() == pq::Type::DOUBLE ? &a : &b;
  }
  if (const PrimitiveNode* wider = WiderDecimal(one, other)) return wider;
  return FinerTimes(one, other, rule);
}

NodePtr RowNode(const Node& a, const Node& b, const TimestampRule& rule) {
  if (a.is_primitive() && IsUntyped(a)) return MissingInOne(b);
  if (b.is_primitive() && IsUntyped(b)) return MissingInOne(a);
  if (a.is_repeated() != b.is_repeated() || a.is_primitive() != b.is_primitive()) return nullptr;
  const auto repetition = OfBoth(a, b);
  if (a.is_primitive()) {
    const Node* wider = Wider(a, b, rule);
    if (wider != nullptr) {
      return LeafLike(static_cast<const PrimitiveNode&>(*wider), repetition, a.field_id());
    }
    const auto& one = static_cast<const PrimitiveNode&>(a);
    const auto& other = static_cast<const PrimitiveNode&>(b);
    if (NodePtr both = DecimalOfBoth(one, other, repetition)) return both;
    return IntegerOfBoth(one, other, repetition);
  }
  const auto& one = static_cast<const GroupNode&>(a);
  const auto& other = static_cast<const GroupNode&>(b);
  if (!HaveSameLogicalType(one, other)) return nullptr;
  NodeVector fields;
  const bool is_struct = IsPlain(one) && !one.is_repeated();
  if (!(is_struct ? UniteByName(one, other, rule, fields)
                  : UniteByPosition(one, other, rule, fields))) {
    return nullptr;
  }
  return GroupLike(one, repetition, fields, one.field_id());
}

NodePtr Widened(const PrimitiveNode& node, const std::string& name,
                const std::vector<WideColumn>& wide) {
  const auto asked = std::find_if(wide.begin(), wide.end(),
                                  [&](const WideColumn& column) { return column.name == name; });
  const auto physical = node.physical_type();
  if (asked != wide.end()) {
    const auto to = [&](pq::Type::type type) {
      return PrimitiveNode::Make(node.name(), node.repetition(), nullptr, type, -1,
                                 node.field_id());
    };
    const auto* decimal = DecimalOf(node);
    const Integer integer = IntegerOf(node);
    if (asked->width == ColumnWidth::kInt64 && integer.bits > 0 && integer.bits < 64) {
      return to(pq::Type::INT64);
    }
    if (asked->width == ColumnWidth::kDouble && physical == pq::Type::FLOAT && IsPlain(node)) {
      return to(pq::Type::DOUBLE);
    }
    if (asked->width == ColumnWidth::kDecimal && decimal != nullptr &&
        decimal->precision() < asked->digits) {
      return MakeDecimal(node, node.repetition(), asked->digits, DecimalBytes(node));
    }
  }
  return CopyOf(node, node.repetition());
}

}  // namespace varve::merge

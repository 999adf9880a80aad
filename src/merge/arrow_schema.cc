#include "merge/arrow_schema.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/util/base64.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/schema.h>
#include <parquet/schema.h>

#include <algorithm>
#include <map>
#include <utility>

namespace varve::merge {

namespace pq = ::parquet;

namespace {

using SchemaPtr = std::shared_ptr<arrow::Schema>;
using FieldPtr = std::shared_ptr<arrow::Field>;

// Without the metadata of its file, of which the footer tells too. nullptr: it is not readable.
SchemaPtr Decoded(const std::string& text) {
  const auto bytes = arrow::util::base64_decode(text);
  if (!bytes.ok()) return nullptr;
  arrow::io::BufferReader stream(arrow::Buffer::FromString(*bytes));
  arrow::ipc::DictionaryMemo memo;
  const auto schema = arrow::ipc::ReadSchema(&stream, &memo);
  return schema.ok() ? (*schema)->RemoveMetadata() : nullptr;
}

// The columns' types by their Parquet types alone. nullptr: Arrow does not know one.
SchemaPtr ByParquet(const pq::SchemaDescriptor& schema) {
  SchemaPtr out;
  return pq::arrow::FromParquetSchema(&schema, &out).ok() ? out : nullptr;
}

// A reader takes the columns by position.
bool IsOfLayout(const arrow::Schema& schema, const Layout& layout) {
  const auto& root = *layout.schema->group_node();
  if (schema.num_fields() != root.field_count()) return false;
  for (int i = 0; i < schema.num_fields(); ++i) {
    if (schema.field(i)->name() != root.field(i)->name()) return false;
  }
  return true;
}

// What both say; of an extension that is not known here it is all that tells of it.
std::shared_ptr<const arrow::KeyValueMetadata> InBoth(const arrow::Field& a,
                                                      const arrow::Field& b) {
  if (!a.HasMetadata() || !b.HasMetadata()) return nullptr;
  auto out = std::make_shared<arrow::KeyValueMetadata>();
  for (int64_t i = 0; i < a.metadata()->size(); ++i) {
    const auto other = b.metadata()->Get(a.metadata()->key(i));
    if (other.ok() && *other == a.metadata()->value(i)) {
      out->Append(a.metadata()->key(i), a.metadata()->value(i));
    }
  }
  return out->size() > 0 ? out : nullptr;
}

std::string ExtensionOf(const arrow::Field& field) {
  if (!field.HasMetadata()) return {};
  return field.metadata()->Get("ARROW:extension:name").ValueOr("") + " " +
         field.metadata()->Get("ARROW:extension:metadata").ValueOr("");
}

bool SaysTheSame(const arrow::Field& a, const arrow::Field& b) {
  return a.type()->Equals(*b.type(), true) && ExtensionOf(a) == ExtensionOf(b);
}

struct Duration {
  arrow::TimeUnit::type unit;
  uint32_t file = 0;
};

std::string Text(arrow::TimeUnit::type unit) { return arrow::duration(unit)->ToString(); }

void FindDurations(const std::string& name, const arrow::DataType& type,
                   std::vector<std::pair<std::string, arrow::TimeUnit::type>>& out) {
  if (type.id() == arrow::Type::DURATION) {
    out.emplace_back(name, static_cast<const arrow::DurationType&>(type).unit());
  }
  for (const auto& field : type.fields()) {
    const bool is_struct = type.id() == arrow::Type::STRUCT;
    FindDurations(name + "." + (is_struct ? field->name() : "element"), *field->type(), out);
  }
}

// The type of one of the output's columns, as files tell of it one after the other.
class ColumnType {
 public:
  explicit ColumnType(const arrow::Field& by_parquet)
      : by_parquet_(by_parquet.WithMetadata(nullptr)) {}

  // A file has the column: it is this by its Parquet type, and Arrow's schema says `said`, or
  // nothing.
  void Add(const arrow::Field& by_parquet, FieldPtr said) {
    if (by_parquet.type()->id() == arrow::Type::NA) return;  // only nulls: the others' type
    if (said == nullptr) said = by_parquet_;
    said = InOutputsUnit(said);
    const bool same = by_parquet.type()->Equals(*by_parquet_->type()) ||
                      said->type()->Equals(*by_parquet_->type()) || IsTimes(*said);
    if (!same || (said_ != nullptr && !SaysTheSame(*said_, *said))) {
      agreed_ = false;
    } else if (said_ == nullptr) {
      said_ = std::move(said);
    } else {
      said_ = said_->WithMetadata(InBoth(*said_, *said));
    }
  }
  bool is_arrows() const {
    return agreed_ && said_ != nullptr &&
           (!said_->type()->Equals(*by_parquet_->type()) || !ExtensionOf(*said_).empty());
  }
  FieldPtr field() const {
    if (!agreed_ || said_ == nullptr) return by_parquet_;
    return said_->WithNullable(by_parquet_->nullable());
  }

 private:
  bool IsTimes(const arrow::Field& field) const {
    return field.type()->id() == arrow::Type::TIMESTAMP &&
           by_parquet_->type()->id() == arrow::Type::TIMESTAMP;
  }
  // Times of another unit become the output's, of the same zone.
  FieldPtr InOutputsUnit(const FieldPtr& said) const {
    if (!IsTimes(*said)) return said;
    const auto& to = static_cast<const arrow::TimestampType&>(*by_parquet_->type());
    const auto& from = static_cast<const arrow::TimestampType&>(*said->type());
    if (from.timezone().empty() != to.timezone().empty()) return by_parquet_;
    return said->WithType(arrow::timestamp(to.unit(), from.timezone()));
  }

  FieldPtr by_parquet_;
  FieldPtr said_;
  bool agreed_ = true;
};

}  // namespace

void ArrowSchemas::Add(const InputSet& inputs, uint32_t file, const std::string* text) {
  const uint32_t layout = inputs.layout_of[file];
  if (text == nullptr) {
    silent_.insert(layout);
    same_text_ = false;
    return;
  }
  const bool first = !text_;
  if (first) text_ = *text;
  if (*text_ != *text) same_text_ = false;
  if (!first && *text_ == *text && last_layout_ == layout) return;
  last_layout_ = layout;
  AddDecoded(file, layout, Decoded(*text));
  text_ = *text;
}

void ArrowSchemas::AddDecoded(uint32_t file, uint32_t layout, SchemaPtr schema) {
  if (schema == nullptr) {
    silent_.insert(layout);
    return;
  }
  const bool known = std::any_of(said_.begin(), said_.end(), [&](const Said& said) {
    return said.layout == layout && said.schema->Equals(*schema, true);
  });
  if (!known) said_.push_back({std::move(schema), layout, file});
}

Status ArrowSchemas::CheckDurations(const InputSet& inputs) const {
  std::map<std::string, Duration> seen;
  for (const Said& said : said_) {
    if (!IsOfLayout(*said.schema, inputs.layouts[said.layout])) continue;
    std::vector<std::pair<std::string, arrow::TimeUnit::type>> found;
    for (const auto& field : said.schema->fields()) {
      FindDurations(field->name(), *field->type(), found);
    }
    for (const auto& [name, unit] : found) {
      const auto [at, is_new] = seen.try_emplace(name, Duration{unit, said.file});
      if (is_new || at->second.unit == unit) continue;
      return MakeError(ErrorKind::kInvalid, "SCHEMA_CONFLICT",
                       "column " + name + " is " + Text(at->second.unit) + " in " +
                           inputs.files->path(at->second.file) + " and " + Text(unit) + " in " +
                           inputs.files->path(said.file));
    }
  }
  return {};
}

Result<std::optional<std::string>> ArrowSchemas::Together(const InputSet& inputs) const {
  if (said_.empty()) return std::optional<std::string>();
  TRY(CheckDurations(inputs));
  if (same_text_ && inputs.layouts.size() == 1 && inputs.layouts[0].as_output) return text_;
  const SchemaPtr output = ByParquet(*inputs.schema);
  std::vector<SchemaPtr> layouts;
  for (const Layout& layout : inputs.layouts) layouts.push_back(ByParquet(*layout.schema));
  const bool unknown = std::find(layouts.begin(), layouts.end(), nullptr) != layouts.end();
  if (output == nullptr || unknown) return std::optional<std::string>();
  bool any = silent_.empty();
  arrow::FieldVector fields;
  for (const FieldPtr& column : output->fields()) {
    ColumnType type(*column);
    const auto add = [&](uint32_t layout, const arrow::Schema* said) {
      const int at = layouts[layout]->GetFieldIndex(column->name());
      if (at < 0) return;
      const bool says = said != nullptr && IsOfLayout(*said, inputs.layouts[layout]);
      type.Add(*layouts[layout]->field(at), says ? said->field(at) : nullptr);
    };
    for (const Said& said : said_) add(said.layout, said.schema.get());
    for (const uint32_t layout : silent_) add(layout, nullptr);
    any = any || type.is_arrows();
    fields.push_back(type.field());
  }
  if (!any) return std::optional<std::string>();
  const auto bytes = arrow::ipc::SerializeSchema(*arrow::schema(fields));
  if (!bytes.ok()) return MakeError(ErrorKind::kInternal, bytes.status().message());
  return std::optional(arrow::util::base64_encode(
      {reinterpret_cast<const char*>((*bytes)->data()), static_cast<size_t>((*bytes)->size())}));
}

}  // namespace varve::merge

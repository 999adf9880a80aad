#include "table/iceberg/name_mapping.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "table/json_reading.h"

namespace varve::table::iceberg {
namespace {

using OrderedJson = nlohmann::ordered_json;

const OrderedJson& MemberOf(const OrderedJson& entry, const char* name) {
  static const OrderedJson kNone = OrderedJson::array();
  if (!entry.is_object()) return kNone;
  const auto found = entry.find(name);
  return found != entry.end() && found->is_array() ? *found : kNone;
}

// The entries of a mapping, or of a struct in it.
class Entries {
 public:
  explicit Entries(const OrderedJson& mapping) {
    for (const OrderedJson& entry : mapping) {
      if (!entry.is_object()) continue;
      const auto id = entry.find("field-id");
      if (id == entry.end() || !id->is_number_integer()) continue;
      by_id_.try_emplace(id->get<int64_t>(), &entry);
      for (const OrderedJson& name : MemberOf(entry, "names")) {
        if (name.is_string()) owners_.try_emplace(name.get<std::string>(), id->get<int64_t>());
      }
    }
  }

  std::optional<int64_t> OwnerOf(const std::string& name) const {
    const auto found = owners_.find(name);
    return found == owners_.end() ? std::nullopt : std::optional<int64_t>(found->second);
  }
  const OrderedJson& Of(int32_t field_id, const char* member) const {
    static const OrderedJson kNone;
    const auto found = by_id_.find(field_id);
    return MemberOf(found == by_id_.end() ? kNone : *found->second, member);
  }
  const std::map<int64_t, const OrderedJson*>& by_id() const { return by_id_; }

 private:
  std::map<int64_t, const OrderedJson*> by_id_;
  std::map<std::string, int64_t> owners_;
};

OrderedJson MappingOf(const std::vector<Field>& fields, const OrderedJson& old) {
  const Entries before(old);
  OrderedJson out = OrderedJson::array();
  std::set<int64_t> there;
  for (const Field& field : fields) {
    there.insert(field.id);
    OrderedJson one;
    one["field-id"] = field.id;
    one["names"] = OrderedJson::array();
    const auto owner = before.OwnerOf(field.name);
    if (!owner || *owner == field.id) one["names"].push_back(field.name);
    for (const OrderedJson& name : before.Of(field.id, "names")) {
      if (name.is_string() && name != field.name) one["names"].push_back(name);
    }
    if (!field.type.fields.empty()) {
      one["fields"] = MappingOf(field.type.fields, before.Of(field.id, "fields"));
    }
    out.push_back(std::move(one));
  }
  for (const auto& [id, entry] : before.by_id()) {
    if (!there.contains(id)) out.push_back(*entry);
  }
  return out;
}

std::string NameOf(const std::vector<Field>& fields, int64_t id) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const Field& one) { return one.id == id; });
  return found == fields.end() ? std::string() : found->name;
}

void AddOldNames(const std::vector<Field>& table, const OrderedJson& mapping,
                 const std::vector<Field>& file, const std::string& parent,
                 std::vector<OldName>& out);

void AddInner(const Field& table, const OrderedJson& mapping, const Field& file,
              const std::string& path, std::vector<OldName>& out) {
  if (table.type.id != file.type.id) return;
  if (table.type.id == TypeId::kStruct) {
    return AddOldNames(table.type.fields, mapping, file.type.fields, path + ".", out);
  }
  const Entries entries(mapping);
  for (size_t i = 0; i < file.type.fields.size(); ++i) {  // a list's element, a map's key and value
    const Field& item = table.type.fields[i];
    AddInner(item, entries.Of(item.id, "fields"), file.type.fields[i], path + "." + item.name, out);
  }
}

void AddOldNames(const std::vector<Field>& table, const OrderedJson& mapping,
                 const std::vector<Field>& file, const std::string& parent,
                 std::vector<OldName>& out) {
  const Entries entries(mapping);
  for (const Field& field : file) {
    const auto same = std::find_if(table.begin(), table.end(),
                                   [&](const Field& one) { return one.name == field.name; });
    const bool is_there = same != table.end();
    const auto owner = entries.OwnerOf(field.name);
    if (owner && (!is_there || *owner != same->id)) {
      const std::string now = NameOf(table, *owner);
      out.push_back({parent + field.name, now.empty() ? now : parent + now, is_there});
    } else if (is_there) {
      AddInner(*same, entries.Of(same->id, "fields"), field, parent + field.name, out);
    }
  }
}

}  // namespace

std::string NameMappingJson(const Schema& schema, std::string_view old) {
  const OrderedJson before = OrderedJson::parse(old, nullptr, false);
  return MappingOf(schema.fields, before.is_array() ? before : OrderedJson::array()).dump();
}

std::map<int32_t, std::vector<std::string>> MappedNames(std::string_view mapping) {
  std::map<int32_t, std::vector<std::string>> out;
  const OrderedJson json = OrderedJson::parse(mapping, nullptr, false);
  if (!json.is_array()) return out;
  const Entries entries(json);
  for (const auto& [id, entry] : entries.by_id()) {
    std::vector<std::string>& names = out[static_cast<int32_t>(id)];
    for (const OrderedJson& name : MemberOf(*entry, "names")) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
  }
  return out;
}

std::vector<OldName> OldNames(const Schema& table, std::string_view mapping, const Schema& file) {
  std::vector<OldName> out;
  const OrderedJson json = OrderedJson::parse(mapping, nullptr, false);
  if (json.is_array()) AddOldNames(table.fields, json, file.fields, "", out);
  return out;
}

}  // namespace varve::table::iceberg

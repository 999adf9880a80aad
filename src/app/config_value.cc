#include "app/config_value.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

#include "core/bytes.h"

namespace varve::app {
namespace {

struct Suffix {
  std::string_view text;
  uint64_t factor;
};
constexpr std::array<Suffix, 8> kByteSuffixes = {{{"GiB", 1ull << 30},
                                                  {"MiB", 1ull << 20},
                                                  {"KiB", 1ull << 10},
                                                  {"GB", 1'000'000'000},
                                                  {"MB", 1'000'000},
                                                  {"KB", 1'000},
                                                  {"kB", 1'000},
                                                  {"B", 1}}};
constexpr std::array<Suffix, 5> kTimeSuffixes = {
    {{"h", 3'600'000}, {"ms", 1}, {"min", 60'000}, {"m", 60'000}, {"s", 1'000}}};

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::span<const Suffix> SuffixesOf(std::string_view unit) {
  if (unit == "bytes") return kByteSuffixes;
  if (unit == "ms") return kTimeSuffixes;
  return {};
}

std::vector<std::string> SplitList(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t end = text.find(separator);
    std::string_view item = Trim(text.substr(0, end));
    if (!item.empty()) out.emplace_back(item);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

std::string ListText(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) {
    if (out.size() > 1) out += ", ";
    out += JsonQuote(item);
  }
  return out + "]";
}

std::vector<std::string> ScopeNames(uint8_t scopes) {
  std::vector<std::string> out;
  if (scopes & server::kScopeIngest) out.emplace_back("ingest");
  if (scopes & server::kScopeQuery) out.emplace_back("query");
  if (scopes & server::kScopeAdmin) out.emplace_back("admin");
  return out;
}

std::string_view ChoiceAt(std::string_view choices, size_t index) {
  for (; index > 0; --index) choices.remove_prefix(choices.find(' ') + 1);
  return choices.substr(0, choices.find(' '));
}

Error NotAllowed(const ConfigKey& key, std::string_view text) {
  return MakeError(
      ErrorKind::kInvalid, "INVALID_CONFIG",
      fmt::format("{} is not allowed; allowed: {}", JsonQuote(text), AllowedText(key)));
}

Result<uint64_t> NumberWithin(const ConfigKey& key, std::string_view text) {
  Result<uint64_t> number = ParseQuantity(text, key.range.unit);
  if (!number.ok() || *number < key.range.min || *number > key.range.max)
    return NotAllowed(key, text);
  return number;
}

Status SetChoice(const ConfigKey& key, const ChoiceRef& choice, Config& config,
                 std::string_view text) {
  std::string_view rest = key.choices;
  for (size_t index = 0; !rest.empty(); ++index) {
    std::string_view name = rest.substr(0, rest.find(' '));
    if (name == text) {
      choice.set(config, index);
      return {};
    }
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
  }
  return NotAllowed(key, text);
}

}  // namespace

Result<uint64_t> ParseQuantity(std::string_view text, std::string_view unit) {
  text = Trim(text);
  uint64_t number = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  Error bad = MakeError(ErrorKind::kInvalid, fmt::format("{} is not a number", JsonQuote(text)));
  if (ec != std::errc()) return bad;
  std::string_view suffix = Trim(text.substr(static_cast<size_t>(end - text.data())));
  if (suffix.empty()) return number;
  for (const Suffix& known : SuffixesOf(unit)) {
    if (suffix != known.text) continue;
    if (number > std::numeric_limits<uint64_t>::max() / known.factor) return bad;
    return number * known.factor;
  }
  return bad;
}

std::string QuantityText(uint64_t value, std::string_view unit) {
  if (value == 0) return "0";
  if (unit == "bytes") {
    for (size_t i = 0; i < 3; ++i) {
      const Suffix& suffix = kByteSuffixes[i];
      if (value % suffix.factor == 0)
        return fmt::format("{} {}", value / suffix.factor, suffix.text);
    }
  }
  if (unit == "ms") {
    if (value % 3'600'000 == 0) return fmt::format("{} h", value / 3'600'000);
    if (value % 60'000 == 0) return fmt::format("{} min", value / 60'000);
    if (value % 1'000 == 0) return fmt::format("{} s", value / 1'000);
    return fmt::format("{} ms", value);
  }
  return fmt::format("{}", value);
}

Status SetConfigValue(const ConfigKey& key, Config& config, std::string_view text) {
  FieldRef field = key.field(config);
  if (auto* flag = std::get_if<bool*>(&field)) {
    if (text != "true" && text != "false") return NotAllowed(key, text);
    **flag = text == "true";
  } else if (auto* small = std::get_if<uint32_t*>(&field)) {
    CHECK(key.range.max <= std::numeric_limits<uint32_t>::max());
    **small = static_cast<uint32_t>(TRY(NumberWithin(key, text)));
  } else if (auto* large = std::get_if<uint64_t*>(&field)) {
    **large = TRY(NumberWithin(key, text));
  } else if (auto* string = std::get_if<std::string*>(&field)) {
    **string = text;
  } else if (auto* list = std::get_if<std::vector<std::string>*>(&field)) {
    **list = SplitList(text, ',');
  } else if (auto* choice = std::get_if<ChoiceRef>(&field)) {
    return SetChoice(key, *choice, config, text);
  } else {
    CHECK(!"a table is not text");
  }
  return {};
}

std::string AllowedText(const ConfigKey& key) {
  Config defaults;
  FieldRef field = key.field(defaults);
  if (std::holds_alternative<bool*>(field)) return "true | false";
  if (std::holds_alternative<ChoiceRef>(field)) {
    std::string out(key.choices);
    for (size_t at = 0; (at = out.find(' ', at)) != std::string::npos; at += 3) {
      out.replace(at, 1, " | ");
    }
    return out;
  }
  if (std::holds_alternative<uint32_t*>(field) || std::holds_alternative<uint64_t*>(field)) {
    bool scaled = key.range.unit == "bytes" || key.range.unit == "ms";
    return fmt::format("{} to {}{}{}", QuantityText(key.range.min, key.range.unit),
                       QuantityText(key.range.max, key.range.unit), scaled ? "" : " ",
                       scaled ? "" : key.range.unit);
  }
  if (std::holds_alternative<std::vector<std::string>*>(field)) return "a list of strings";
  if (std::holds_alternative<std::string*>(field)) return "a string";
  return "an array of tables";
}

std::string TypeText(const ConfigKey& key) {
  Config defaults;
  FieldRef field = key.field(defaults);
  if (std::holds_alternative<bool*>(field)) return "boolean";
  if (std::holds_alternative<ChoiceRef>(field)) return "choice";
  if (std::holds_alternative<std::vector<std::string>*>(field)) return "list of strings";
  if (std::holds_alternative<std::string*>(field)) return key.secret ? "secret" : "string";
  if (key.range.unit == "bytes") return "bytes";
  if (key.range.unit == "ms") return "milliseconds";
  if (!key.range.unit.empty()) return "integer";
  return "array of tables";
}

std::string ConfigValueText(const ConfigKey& key, Config& config) {
  FieldRef field = key.field(config);
  if (auto* flag = std::get_if<bool*>(&field)) return **flag ? "true" : "false";
  if (auto* small = std::get_if<uint32_t*>(&field)) return fmt::format("{}", **small);
  if (auto* large = std::get_if<uint64_t*>(&field)) return fmt::format("{}", **large);
  if (auto* string = std::get_if<std::string*>(&field)) {
    if (key.secret) return (*string)->empty() ? "\"\"" : "\"(set)\"";
    return JsonQuote(**string);
  }
  if (auto* list = std::get_if<std::vector<std::string>*>(&field)) return ListText(**list);
  if (auto* choice = std::get_if<ChoiceRef>(&field)) {
    return JsonQuote(ChoiceAt(key.choices, choice->get(config)));
  }
  std::string out;
  if (auto* keys = std::get_if<std::vector<server::ApiKey>*>(&field)) {
    for (const server::ApiKey& api : **keys) {
      out += fmt::format("{}{{name = {}, scopes = {}{}}}", out.empty() ? "" : ", ",
                         JsonQuote(api.name), ListText(ScopeNames(api.scopes)),
                         api.ns.empty() ? "" : ", namespace = " + JsonQuote(api.ns));
    }
  } else if (auto* rules = std::get_if<std::vector<notify::NotifyRule>*>(&field)) {
    for (const notify::NotifyRule& rule : **rules) {
      out += fmt::format(
          "{}{{prefix = {}, suffix = {}, actions = {}, queue = {}, every_namespace = {}}}",
          out.empty() ? "" : ", ", JsonQuote(rule.prefix), JsonQuote(rule.suffix),
          ListText(rule.actions), JsonQuote(rule.queue), rule.every_namespace);
    }
  }
  return "[" + out + "]";
}

std::string EnvironmentName(const ConfigKey& key) {
  std::string out = "VARVE_";
  for (char c : key.name) {
    out += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return out;
}

}  // namespace varve::app

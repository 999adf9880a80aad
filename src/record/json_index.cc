#include "record/json_index.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>

#include "core/check.h"
#include "record/event.h"

namespace varve::record {

static_assert(kJsonPaddingBytes >= simdjson::SIMDJSON_PADDING);

namespace {
const uint32_t kNoTokens[1] = {0};
constexpr size_t kCapacityMin = 1u << 16;

const char* Describe(simdjson::error_code error) {
  switch (error) {
    case simdjson::UTF8_ERROR:
      return "the text is not UTF-8";
    case simdjson::UNESCAPED_CHARS:
      return "a control character inside a string";
    case simdjson::UNCLOSED_STRING:
      return "a string does not end";
    case simdjson::CAPACITY:
    case simdjson::MEMALLOC:
      return "the text is too large";
    default:
      return "the text is not JSON";
  }
}
}  // namespace

struct JsonIndex::Impl {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
  size_t capacity = 0;

  simdjson::error_code Grow(size_t size) {
    if (size < capacity) return simdjson::SUCCESS;
    const size_t wanted = std::bit_ceil(std::max(size + 1, kCapacityMin));
    parser.reset();
    capacity = 0;
    const auto* active = simdjson::get_active_implementation().operator->();
    if (auto error = active->create_dom_parser_implementation(wanted, 1, parser)) return error;
    capacity = wanted;
    return simdjson::SUCCESS;
  }
};

JsonIndex::JsonIndex() : impl_(std::make_unique<Impl>()), tokens_(kNoTokens) {}
JsonIndex::~JsonIndex() = default;

const char* JsonIndex::Build(std::string_view text) {
  tokens_ = kNoTokens;
  count_ = 0;
  if (text.size() > UINT32_MAX - 2 * kJsonPaddingBytes) return Describe(simdjson::CAPACITY);
  if (text.empty()) return nullptr;
  if (auto error = impl_->Grow(text.size())) return Describe(error);
  const auto error = impl_->parser->stage1(reinterpret_cast<const uint8_t*>(text.data()),
                                           text.size(), simdjson::stage1_mode::regular);
  if (error == simdjson::EMPTY) return nullptr;
  if (error != simdjson::SUCCESS) return Describe(error);
  tokens_ = impl_->parser->structural_indexes.get();
  count_ = impl_->parser->n_structural_indexes;
  CHECK(tokens_[count_] == text.size());
  return nullptr;
}

std::string MinifyJson(std::string_view text) {
  std::string out(text.size() + kJsonPaddingBytes, '\0');
  size_t size = 0;
  const auto error = simdjson::minify(text.data(), text.size(), out.data(), size);
  CHECK(error == simdjson::SUCCESS);
  out.resize(size);
  return out;
}

}  // namespace varve::record

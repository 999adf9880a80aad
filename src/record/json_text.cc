#include "record/json_text.h"

#include "record/event.h"
#include "record/json_walker.h"

namespace varve::record {

const char* JsonChecker::Check(std::string_view text) {
  padded_.assign(text);
  padded_.resize(text.size() + kJsonPaddingBytes);
  const std::string_view body(padded_.data(), text.size());
  if (const char* error = index_.Build(body)) return error;
  if (index_.count() == 0) return "no JSON value";
  JsonWalker walker(body, index_, kJsonDepthMax);
  if (!walker.Value(0)) return walker.error();
  return walker.at_end() ? nullptr : "something stands behind the JSON value";
}

}  // namespace varve::record

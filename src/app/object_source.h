// Objects for `varve store`: of a data directory, or of a server that has one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/target.h"
#include "core/result.h"

namespace varve::app {

struct ListedObject {
  std::string key, etag, modified;  // modified: ISO 8601
  uint64_t size = 0;
};

struct ObjectPage {
  std::vector<ListedObject> objects;  // ascending by key
  std::string next_start_after;       // empty: the last page
};

class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  virtual Result<ObjectPage> List(const std::string& prefix, const std::string& start_after,
                                  size_t objects_max) = 0;
  // The object's bytes, in order, until on_bytes says false.
  virtual Status Read(const std::string& key,
                      const std::function<bool(std::string_view)>& on_bytes) = 0;
  // What is known of it, a line each.
  virtual Result<std::string> Describe(const std::string& key) = 0;
};

// --url or VARVE_URL: that server. Else --data, or the configuration's directory, as it is: a
// server that has it is no hindrance, and nothing in it is changed.
Result<std::unique_ptr<ObjectSource>> OpenObjectSource(const TargetOptions& options);

}  // namespace varve::app

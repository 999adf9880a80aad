// What the files say of Arrow's types, in the "ARROW:schema" of their footers: a file has it
// besides its Parquet schema, which knows neither durations, nor time zones, dictionaries or
// extensions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/result.h"
#include "merge/input_set.h"

namespace arrow {
class Schema;
}

namespace varve::merge {

class ArrowSchemas {
 public:
  static constexpr const char* kKey = "ARROW:schema";

  // What a file says, whose layout is among the inputs'; nullptr: nothing.
  void Add(const InputSet& inputs, uint32_t file, const std::string* text);
  // What the output is to say; nullopt: nothing. A column has the type that all files which have it
  // say, or else that of its Parquet type alone. SCHEMA_CONFLICT: numbers that are durations of
  // different units.
  Result<std::optional<std::string>> Together(const InputSet& inputs) const;

 private:
  // Once for all files of a layout that say the same.
  struct Said {
    std::shared_ptr<arrow::Schema> schema;
    uint32_t layout = 0, file = 0;
  };

  Status CheckDurations(const InputSet& inputs) const;
  void AddDecoded(uint32_t file, uint32_t layout, std::shared_ptr<arrow::Schema> schema);

  std::vector<Said> said_;
  std::set<uint32_t> silent_;  // layouts of files that say nothing
  std::optional<std::string> text_;
  uint32_t last_layout_ = 0;
  bool same_text_ = true;
};

}  // namespace varve::merge

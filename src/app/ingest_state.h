// How far each input of `varve ingest --state FILE` has been acknowledged.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/result.h"

namespace varve::app {

struct InputState {
  uint64_t offset = 0;  // everything before it is acknowledged
  uint64_t line = 1;    // of the byte at offset
  std::string head;     // SHA-256 of the input's first bytes: a replaced file starts again
  uint64_t head_bytes = 0;
};

class IngestState {
 public:
  // An absent file is an empty state; path "" keeps none.
  static Result<IngestState> Load(const std::string& path);

  // Where to go on; {0, 1} where the input is new or another file has taken its name.
  Result<InputState> ResumeAt(const std::string& input);
  // Remembered and written beside, then renamed.
  Status Save(const std::string& input, uint64_t offset, uint64_t line);

 private:
  std::string path_;
  std::map<std::string, InputState> inputs_;
};

}  // namespace varve::app

// A data directory opened in this process, for commands where no server has it.
#pragma once

#include <memory>

#include "app/config.h"
#include "core/result.h"

namespace varve::query {
class Engine;
}
namespace varve::queue {
class Queue;
}

namespace varve::app {

class Embedded {
 public:
  virtual ~Embedded() = default;
  // Over the live files and the rows that only the journal holds.
  virtual query::Engine& engine() = 0;
  virtual queue::Queue& queue() = 0;
};

// The caller holds a DataDirLock of config.data_dir. Nothing of the data is changed: the journal is
// read, not repaired.
Result<std::unique_ptr<Embedded>> OpenEmbedded(const Config& config);

}  // namespace varve::app

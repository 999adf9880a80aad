#include "app/embedded.h"

#include "app/lake.h"

namespace varve::app {
namespace {

class EmbeddedLake : public Embedded {
 public:
  explicit EmbeddedLake(std::unique_ptr<Lake> lake) : lake_(std::move(lake)) {}
  query::Engine& engine() override { return *lake_->engine; }
  queue::Queue& queue() override { return *lake_->queue; }

 private:
  std::unique_ptr<Lake> lake_;
};

}  // namespace

Result<std::unique_ptr<Embedded>> OpenEmbedded(const Config& config) {
  Config reading = config;
  reading.query.instances_ready = 1;
  std::unique_ptr<Lake> lake =
      TRY(OpenLake(reading, DataDirPaths(config.data_dir), LakeUse::kRead));
  return std::unique_ptr<Embedded>(std::make_unique<EmbeddedLake>(std::move(lake)));
}

}  // namespace varve::app

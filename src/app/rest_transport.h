// HTTP for the calls to another program's catalog.
#pragma once

#include <memory>

#include "catalog/rest_heads.h"

namespace varve::app {

// Nothing where no such catalog is configured.
std::unique_ptr<catalog::IcebergHeads> OpenRestHeads(const catalog::RestHeadsOptions& options);

}  // namespace varve::app

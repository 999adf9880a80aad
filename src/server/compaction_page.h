// The compaction at a glance, for a browser: one page that needs nothing else and loads itself
// again.
#pragma once

#include <string>

#include "compact/window_consumer.h"
#include "compact/window_report.h"

namespace varve::server {

std::string CompactionPage(const compact::CompactionStatus& status,
                           const compact::WindowStats& consumer);

}  // namespace varve::server

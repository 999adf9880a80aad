// `varve serve`: every module wired into one process.
#pragma once

#include "app/config.h"

namespace varve::app {

// Runs until SIGTERM or SIGINT, then flushes; the process's exit code.
int RunServe(const Config& config);

}  // namespace varve::app

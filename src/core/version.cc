#include "core/version.h"

namespace varve {
std::string_view Version() { return VARVE_VERSION; }
}  // namespace varve

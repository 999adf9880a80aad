#include "core/check.h"

#include <cstdio>
#include <cstdlib>

namespace varve {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "level=fatal event=check_failed at=%s:%d condition=\"%s\"\n", file, line,
               condition);
  std::abort();
}

}  // namespace varve

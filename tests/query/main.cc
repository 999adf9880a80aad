// The tests' program is also the SQL worker that their engines start.
#include <gtest/gtest.h>

#include <string_view>

#include "query/sql_worker.h"

// In place of the memory wall, which a sanitizer's shadow memory does not fit behind; the exit code
// is kExitNoMemory.
extern "C" const char* __asan_default_options() {
  return "hard_rss_limit_mb=1000:exitcode=77:handle_abort=0";
}

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "sql-worker") return varve::query::RunSqlWorker();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

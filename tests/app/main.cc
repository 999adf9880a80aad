// The tests' program is also the SQL worker that their engines start.
#include <gtest/gtest.h>

#include <string_view>

#include "query/sql_worker.h"

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "sql-worker") return varve::query::RunSqlWorker();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

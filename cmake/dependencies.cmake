# Arrow and DuckDB: an installed one if there is one, else what scripts/deps put into build/deps.
set(VARVE_DEPS ${CMAKE_SOURCE_DIR}/build/deps CACHE PATH "Where scripts/deps fetch puts its files")
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(CURL REQUIRED)
find_path(ZSTD_INCLUDE zstd.h REQUIRED)
# Static: its literalCompressionMode is no part of the library's stable interface.
find_library(ZSTD_LIBRARY libzstd.a REQUIRED)

find_package(Arrow 26 QUIET CONFIG)
find_package(Parquet 26 QUIET CONFIG)
if(Arrow_FOUND AND Parquet_FOUND)
  add_library(arrow ALIAS Arrow::arrow_shared)
  add_library(parquet ALIAS Parquet::parquet_shared)
else()
  foreach(lib arrow parquet)
    add_library(${lib} SHARED IMPORTED)
    set_target_properties(${lib} PROPERTIES
      IMPORTED_LOCATION ${VARVE_DEPS}/arrow/lib/lib${lib}.so.2600
      INTERFACE_INCLUDE_DIRECTORIES ${VARVE_DEPS}/arrow/include)
  endforeach()
  target_link_libraries(parquet INTERFACE arrow)
  # libparquet needs arrow_compute at run time; it is found beside it.
  target_link_options(parquet INTERFACE -Wl,-rpath-link,${VARVE_DEPS}/arrow/lib)
endif()

find_package(DuckDB 1.5 QUIET CONFIG)
if(DuckDB_FOUND)
  add_library(duckdb_c ALIAS duckdb)
else()
  add_library(duckdb_c SHARED IMPORTED)
  set_target_properties(duckdb_c PROPERTIES
    IMPORTED_LOCATION ${VARVE_DEPS}/duckdb/lib/libduckdb.so
    IMPORTED_SONAME libduckdb.so
    INTERFACE_INCLUDE_DIRECTORIES ${VARVE_DEPS}/duckdb/include)
endif()

add_library(sqlite3_amalgamation STATIC ${VARVE_DEPS}/sqlite/sqlite3.c)
target_include_directories(sqlite3_amalgamation SYSTEM PUBLIC ${VARVE_DEPS}/sqlite)
target_compile_definitions(sqlite3_amalgamation PRIVATE
  SQLITE_THREADSAFE=1 SQLITE_DQS=0 SQLITE_OMIT_LOAD_EXTENSION SQLITE_MAX_MMAP_SIZE=0
  SQLITE_DEFAULT_SYNCHRONOUS=2 SQLITE_DEFAULT_WAL_SYNCHRONOUS=2)
target_compile_options(sqlite3_amalgamation PRIVATE -w)
target_link_libraries(sqlite3_amalgamation PUBLIC Threads::Threads)

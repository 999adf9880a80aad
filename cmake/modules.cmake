# Eight files at a time are compiled in half the time, most of which goes into the templates that each
# of them uses; names in a module's anonymous namespaces are its own for that. Without it, as the
# `dev` preset has it, each file shows whether it includes what it uses.
option(VARVE_UNITY "Compile a module's files eight at a time" ON)

# One static library a module; what it links is what its level allows it to include.
function(varve_module name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_library(varve_${name} STATIC ${sources})
  set_target_properties(varve_${name} PROPERTIES UNITY_BUILD ${VARVE_UNITY})
  target_include_directories(varve_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  foreach(lib ${ARGN})
    if(TARGET ${lib} OR NOT lib MATCHES "^varve_")
      target_link_libraries(varve_${name} PUBLIC ${lib})
    endif()
  endforeach()
endfunction()

varve_module(core fmt::fmt OpenSSL::Crypto Threads::Threads)
target_compile_definitions(varve_core PRIVATE VARVE_VERSION="${PROJECT_VERSION}")
varve_module(store varve_core)
varve_module(state varve_core sqlite3_amalgamation)
varve_module(parquet varve_core parquet ${ZSTD_LIBRARY})
varve_module(record varve_core varve_parquet parquet
  nlohmann_json::nlohmann_json ZLIB::ZLIB)
varve_module(merge varve_core varve_parquet parquet)
# Their inner loops are what a merge's time goes into.
foreach(name parquet merge)
  target_compile_options(varve_${name} PRIVATE $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU>>:-fvect-cost-model=dynamic>)
endforeach()
varve_module(queue varve_core varve_store varve_state nlohmann_json::nlohmann_json)
varve_module(table varve_core varve_store varve_parquet parquet nlohmann_json::nlohmann_json ZLIB::ZLIB)
varve_module(catalog varve_core varve_store varve_table nlohmann_json::nlohmann_json)
varve_module(journal varve_core varve_store varve_state varve_record)
varve_module(notify varve_core varve_store varve_state varve_record varve_queue
  nlohmann_json::nlohmann_json)
varve_module(workflow varve_core varve_state)
varve_module(ingest varve_core varve_store varve_state varve_record varve_queue varve_journal
  varve_notify nlohmann_json::nlohmann_json)
varve_module(compact varve_core varve_store varve_state varve_record varve_queue varve_notify
  varve_merge varve_table varve_catalog varve_workflow nlohmann_json::nlohmann_json)
varve_module(query varve_core varve_store varve_state varve_record varve_table duckdb_c
  nlohmann_json::nlohmann_json)
varve_module(view varve_core varve_store varve_state varve_queue varve_notify varve_workflow
  nlohmann_json::nlohmann_json)
varve_module(server varve_core varve_store varve_queue varve_catalog varve_workflow varve_journal
  varve_ingest varve_compact varve_query varve_view
  OpenSSL::SSL ZLIB::ZLIB ${ZSTD_LIBRARY} nlohmann_json::nlohmann_json)

if(VARVE_SANITIZE)
  # Clang 14 puts this check's data in front of a coroutine's parts too, where it does not assemble.
  target_compile_options(varve_server PUBLIC $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>)
endif()

file(GLOB app_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/app/*.cc)
if(app_sources)
  list(REMOVE_ITEM app_sources ${CMAKE_SOURCE_DIR}/src/app/main.cc)
  add_library(varve_app STATIC ${app_sources})
  set_target_properties(varve_app PROPERTIES UNITY_BUILD ${VARVE_UNITY})
  target_link_libraries(varve_app PUBLIC varve_server varve_compact varve_catalog varve_merge
    CLI11::CLI11 CURL::libcurl)
  add_executable(varve ${CMAKE_SOURCE_DIR}/src/app/main.cc)
  target_link_libraries(varve PRIVATE varve_app)
endif()

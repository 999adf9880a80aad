# tests/<module>/*_test.cc become one GoogleTest program a module: <module>_test.
find_package(GTest REQUIRED)
find_package(rapidcheck QUIET)

function(varve_test module)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${module}/*.cc)
  if(NOT sources OR NOT TARGET varve_${module})
    return()
  endif()
  add_executable(${module}_test ${sources})
  set_target_properties(${module}_test PROPERTIES UNITY_BUILD ${VARVE_UNITY})
  target_include_directories(${module}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_compile_definitions(${module}_test PRIVATE VARVE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(${module}_test PRIVATE varve_${module} GTest::gmock GTest::gtest_main
    rapidcheck)
  target_compile_options(${module}_test PRIVATE -O0)  # it is the module that has to be quick
  add_test(NAME ${module} COMMAND ${module}_test)
  add_dependencies(unit_tests ${module}_test)
endfunction()

add_custom_target(unit_tests)  # all of them, without benchmarks: what the sanitizers run
foreach(module core store state parquet record merge queue table catalog journal notify workflow
    ingest compact query view server app)
  varve_test(${module})
endforeach()
if(VARVE_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_subdirectory(${CMAKE_SOURCE_DIR}/tests/fuzz)
endif()
if(EXISTS ${CMAKE_SOURCE_DIR}/bench/CMakeLists.txt)
  add_subdirectory(${CMAKE_SOURCE_DIR}/bench)
endif()

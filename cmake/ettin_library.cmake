# ettin_precompile(TARGET SET HEADER...)
#   With ETTIN_PRECOMPILE the first target of a SET compiles the headers, the others of it reuse them:
#   reading JSON's header alone takes longer than most files of our own. A SET is compiled with the
#   same options throughout; -D of single targets are fine.
function(ettin_precompile target set)
  if(NOT ETTIN_PRECOMPILE)
    return()
  endif()
  get_property(first GLOBAL PROPERTY ETTIN_PRECOMPILED_${set})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(GLOBAL PROPERTY ETTIN_PRECOMPILED_${set} ${target})
  endif()
endfunction()
set(ettin_large_headers <nlohmann/json.hpp> <fmt/format.h> <functional> <memory> <optional> <string>
                        <vector>)

# ettin_library(NAME SOURCES ... [DEPS layer...] [LINK target...])
#   One layer of src/: an object collection linked into the one library `ettin`, and a target
#   `ettin_NAME` of its own so that a layer can only see the layers it names.
function(ettin_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LINK" ${ARGN})
  add_library(ettin_${name} OBJECT ${ARG_SOURCES})
  target_include_directories(ettin_${name} PUBLIC
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(ettin_${name} PRIVATE ettin_options PUBLIC ${ARG_LINK})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(ettin_${name} PUBLIC ettin_${dep})
  endforeach()
  ettin_precompile(ettin_${name} library ${ettin_large_headers})
  set_property(GLOBAL APPEND PROPERTY ETTIN_LAYERS ettin_${name})
endfunction()

# What the thread sanitizer is asked about.
add_custom_target(ettin_thread_tests)

# ettin_test(NAME [THREADS] SOURCES ... [LABELS label...] [LINK target...])
#   One GoogleTest program per layer; every TEST becomes a ctest entry. THREADS: what it tests runs on
#   several threads, so that the thread sanitizer has something to see; its label ends in _threads.
function(ettin_test name)
  if(NOT ETTIN_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "THREADS" "" "SOURCES;LABELS;LINK" ${ARGN})
  set(labels ${ARG_LABELS})
  if(NOT labels)
    set(labels unit)
  endif()
  if(ARG_THREADS)
    string(APPEND labels _threads)
    add_dependencies(ettin_thread_tests ${name}_test)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE ettin_options ettin GTest::gtest_main ${ARG_LINK})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/src
                                                  ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name}_test PRIVATE
    ETTIN_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    ETTIN_SHARED_DIR="${PROJECT_SOURCE_DIR}/../shared")
  ettin_precompile(${name}_test test <gtest/gtest.h> ${ettin_large_headers})
  gtest_discover_tests(${name}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${labels}" TIMEOUT 600)
endfunction()

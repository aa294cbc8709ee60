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
  set_property(GLOBAL APPEND PROPERTY ETTIN_LAYERS ettin_${name})
endfunction()

# ettin_test(NAME SOURCES ... [LABELS label...] [LINK target...])
#   One GoogleTest program per layer; every TEST becomes a ctest entry.
function(ettin_test name)
  if(NOT ETTIN_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LABELS;LINK" ${ARGN})
  set(labels ${ARG_LABELS})
  if(NOT labels)
    set(labels unit)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE ettin_options ettin GTest::gtest_main ${ARG_LINK})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/src
                                                  ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name}_test PRIVATE
    ETTIN_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    ETTIN_SHARED_DIR="${PROJECT_SOURCE_DIR}/../shared")
  gtest_discover_tests(${name}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${labels}" TIMEOUT 600)
endfunction()

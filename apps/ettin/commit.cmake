# Writes OUTPUT with the commit of SOURCE_DIR, and only when it changed, so that a build recompiles
# one small file after a commit and nothing otherwise.
set(commit unknown)
find_program(git git)
if(git AND EXISTS "${SOURCE_DIR}/.git")
  execute_process(COMMAND "${git}" describe --always --dirty --abbrev=12 --exclude=*
    WORKING_DIRECTORY "${SOURCE_DIR}" RESULT_VARIABLE failed OUTPUT_VARIABLE described
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT failed)
    set(commit "${described}")
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[// Made by apps/ettin/commit.cmake.
#include "machine.h"

namespace ettin::cli {

std::string_view source_commit() { return "@commit@"; }

}  // namespace ettin::cli
]] @ONLY)

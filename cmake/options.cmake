option(ETTIN_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(ETTIN_WERROR "Treat warnings as errors" OFF)
option(ETTIN_PRECOMPILE "Read the large headers once; the release preset does not, to see that each file includes what it uses" OFF)
set(ETTIN_SANITIZE "" CACHE STRING "Sanitizers: address+undefined, thread, or empty")

add_library(ettin_options INTERFACE)
target_compile_features(ettin_options INTERFACE cxx_std_20)
target_compile_options(ettin_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wvla -Walloca -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms in "literal" + std::string: GCC bug 105651, fixed in 13.
  target_compile_options(ettin_options INTERFACE -Wno-restrict)
endif()
if(ETTIN_WERROR)
  target_compile_options(ettin_options INTERFACE -Werror)
endif()

# Hardening that costs nothing measurable; files are hostile.
target_compile_options(ettin_options INTERFACE -fstack-protector-strong)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(ettin_options INTERFACE -fcf-protection)
endif()
target_compile_definitions(ettin_options INTERFACE _GLIBCXX_ASSERTIONS)
if(NOT ETTIN_SANITIZE)
  target_compile_definitions(ettin_options INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()

if(ETTIN_SANITIZE STREQUAL "address+undefined")
  set(flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(ETTIN_SANITIZE STREQUAL "thread")
  set(flags -fsanitize=thread -fno-omit-frame-pointer)
elseif(ETTIN_SANITIZE)
  message(FATAL_ERROR "ETTIN_SANITIZE: '${ETTIN_SANITIZE}' is none of address+undefined, thread")
endif()
if(flags)
  target_compile_options(ettin_options INTERFACE ${flags})
  target_link_options(ettin_options INTERFACE ${flags})
endif()

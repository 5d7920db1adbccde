# How every module, program and test of Tare is declared. One call each; sources are found by pattern, so a new
# file needs no edit here: `x.cpp` belongs to the module, `x_test.cpp` beside it to the module's test program.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Werror -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-fpch-preprocess)  # ccache can only hash what it can see
endif()
add_compile_definitions(_GNU_SOURCE TARE_VERSION="${PROJECT_VERSION}")

find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(fmt REQUIRED)

# tare_module(base DEPS ... LIBS ... SOURCES pattern...): a static library `tare_base` from the sources in the
# calling folder (and the patterns named), and a test program `base_tests` from its *_test.cpp files.
function(tare_module name)
  cmake_parse_arguments(M "" "" "DEPS;LIBS;SOURCES;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp ${M_SOURCES})
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  foreach(pattern IN LISTS M_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${pattern}")
  endforeach()
  add_library(tare_${name} STATIC ${sources})
  target_include_directories(tare_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM M_DEPS PREPEND tare_)
  target_link_libraries(tare_${name} PUBLIC ${M_DEPS} fmt::fmt ${M_LIBS})
  target_precompile_headers(tare_${name} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.h)
  if(tests)
    add_executable(${name}_tests ${tests})
    target_link_libraries(${name}_tests PRIVATE tare_${name} GTest::gtest_main GTest::gmock)
    target_precompile_headers(${name}_tests PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch_test.h)
    add_test(NAME ${name} COMMAND ${name}_tests --gtest_brief=1)
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
endfunction()

# tare_program(tared SOURCES main.cpp DEPS host LIBS ...): one of the programs in build/bin.
function(tare_program name)
  cmake_parse_arguments(P "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  list(TRANSFORM P_DEPS PREPEND tare_)
  target_link_libraries(${name} PRIVATE ${P_DEPS} ${P_LIBS})
endfunction()

# How every module, program, test, benchmark and fuzz target of Tare is declared. One call each; sources are found
# by pattern, so a new file needs no edit here: `x.cpp` belongs to the module, `x_test.cpp` beside it to the module's
# test program.
#
#   tare_module(NAME DEPS modules... LIBS targets... SOURCES patterns... EXCLUDE regexes...)   library + unit tests
#   tare_program(NAME SOURCES ... DEPS ... LIBS ...)                                          build/bin/NAME
#   tare_static_program(NAME SOURCES ...)                      static, small, no exceptions: for code inside a sandbox
#   tare_kernel_test(NAME SOURCES ... DEPS ... LIBS ... PROGRAMS ...)      GoogleTest that needs root and namespaces
#   tare_script_test(NAME COMMAND ... LABELS ...)                          any command; exit status 0 is a pass
#   tare_fuzz(NAME SOURCES ... DEPS ...)                                   see tests/fuzz/CMakeLists.txt
#   tare_bench(NAME SOURCES ... DEPS ... LIBS ...)                         build/bin/bench_NAME (Google Benchmark)
#
# Options (cmake -D...):
#   TARE_SANITIZE=address,undefined | thread    every target but the static ones
#   TARE_FUZZ=ON                                libFuzzer build (clang): used by `./dev fuzz` in build/fuzz
set(TARE_SANITIZE "" CACHE STRING "Sanitizers, comma-separated: address,undefined or thread")
option(TARE_FUZZ "Build the fuzz targets with libFuzzer (clang only)" OFF)

# ---- Compiler cache and linker --------------------------------------------------------------------------------
# Paths are made relative to the build folder before they are hashed, so a fresh clone elsewhere, or a build folder
# beside this one, hits what another has built. -ffile-prefix-map keeps __FILE__ and the debug information the same
# in spite of it: src/base/error.cpp, whether the compiler was given the absolute or the relative path.
string(FIND "${PROJECT_BINARY_DIR}/" "${PROJECT_SOURCE_DIR}/" inside)
set(TARE_CACHE_BASE /)
if(inside EQUAL 0)
  set(TARE_CACHE_BASE ${PROJECT_SOURCE_DIR})
endif()
file(RELATIVE_PATH TARE_SOURCE_FROM_BUILD ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR})
string(REGEX REPLACE "([^/])$" "\\1/" TARE_SOURCE_FROM_BUILD ${TARE_SOURCE_FROM_BUILD})
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${TARE_CACHE_BASE} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# ---- Flags ----------------------------------------------------------------------------------------------------
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -fno-omit-frame-pointer
                    -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -ffile-prefix-map=${TARE_SOURCE_FROM_BUILD}=)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Werror -fpch-preprocess)  # ccache can only hash what it can see
  # Guesses of the optimiser, wrong on std::string and std::variant in g++ 12 at -O2 (its bugs 105329, 105651, 105562);
  # the real ones are found by the sanitizers and clang-tidy.
  add_compile_options(-Wno-restrict -Wno-array-bounds -Wno-stringop-overread -Wno-stringop-overflow
                      -Wno-maybe-uninitialized)
else()
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")  # the same for clang
endif()
add_compile_definitions(_GNU_SOURCE TARE_VERSION="${PROJECT_VERSION}")
# Line tables are what a backtrace and a profiler need; full types cost a third of the build and most of the disk.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

set(TARE_SANITIZE_FLAGS "")
if(TARE_SANITIZE)
  set(TARE_SANITIZE_FLAGS -fsanitize=${TARE_SANITIZE} -fno-sanitize-recover=all)
endif()
if(TARE_FUZZ)
  set(TARE_SANITIZE_FLAGS -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
endif()
if(TARE_SANITIZE_FLAGS)
  add_compile_options(${TARE_SANITIZE_FLAGS})
  add_link_options(${TARE_SANITIZE_FLAGS})
endif()

# Programs carry their libraries but for libc, SQLite and libseccomp: starting `tare` cost 4.6 ms, most of it the
# relocation of libcrypto and libstdc++ (docs/performance.md).
set(OPENSSL_USE_STATIC_LIBS ON)
set(Boost_USE_STATIC_LIBS ON)
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(fmt REQUIRED)
add_library(tare_fmt STATIC ${PROJECT_SOURCE_DIR}/cmake/fmt_library.cpp)

# Every GoogleTest program writes its cases here; tools/test_summary.py counts them.
set(TARE_TEST_RESULTS ${PROJECT_BINARY_DIR}/test_results)

# ---- Modules and programs -------------------------------------------------------------------------------------

# Two precompiled headers for the whole tree (pch: modules; pch_test: tests), compiled once and shared by all.
# A unit whose flags do not fit compiles without it (a warning, not an error).
foreach(pch pch pch_test)
  add_library(tare_${pch} OBJECT ${PROJECT_SOURCE_DIR}/cmake/pch.cpp)
  target_link_libraries(tare_${pch} PRIVATE tare_fmt)
  target_precompile_headers(tare_${pch} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/${pch}.h)
endforeach()
target_link_libraries(tare_pch_test PRIVATE GTest::gtest GTest::gmock)

function(tare_precompile target pch)
  target_precompile_headers(${target} REUSE_FROM tare_${pch})
  target_compile_options(${target} PRIVATE -Wno-error=invalid-pch)
endfunction()

# Declares `command` as the ctest test `name`, whose cases are counted from its XML.
function(tare_gtest name program)
  cmake_parse_arguments(T "SERIAL" "TIMEOUT" "LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${program} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT}
                       ENVIRONMENT "GTEST_OUTPUT=xml:${TARE_TEST_RESULTS}/${name}.xml")
  if(T_SERIAL)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

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
  if(NOT sources)
    message(STATUS "module ${name}: no sources yet")
    add_library(tare_${name} INTERFACE)
    return()
  endif()
  add_library(tare_${name} STATIC ${sources})
  target_include_directories(tare_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM M_DEPS PREPEND tare_)
  target_link_libraries(tare_${name} PUBLIC ${M_DEPS} tare_fmt ${M_LIBS})
  tare_precompile(tare_${name} pch)
  if(tests AND NOT TARE_FUZZ)
    add_executable(${name}_tests ${tests})
    target_link_libraries(${name}_tests PRIVATE tare_${name} GTest::gtest_main GTest::gmock)
    tare_precompile(${name}_tests pch_test)
    tare_gtest(${name} ${name}_tests LABELS unit)
  endif()
endfunction()

# tare_program(tared SOURCES main.cpp DEPS host LIBS ...): one of the programs in build/bin. WHOLE links the C library
# in, too, for a program that starts often: nothing is left to be loaded. It cannot use name services (getpwnam,
# getaddrinfo).
function(tare_program name)
  cmake_parse_arguments(P "WHOLE" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  list(TRANSFORM P_DEPS PREPEND tare_)
  target_link_libraries(${name} PRIVATE ${P_DEPS} ${P_LIBS})
  if(P_WHOLE AND NOT TARE_SANITIZE_FLAGS)
    # bfd: a program that Debian's mold (1.10) links with -static-pie ends with SIGSEGV before main().
    target_link_options(${name} PRIVATE -static-pie -fuse-ld=bfd -Wl,--gc-sections)
  elseif(NOT TARE_SANITIZE_FLAGS)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc -Wl,--as-needed)
  endif()
endfunction()

# tare_static_program(tare-init SOURCES main.cpp apply.cpp ../plan/decode.cpp LIBS ...): a program that runs inside a
# sandbox: static, small, without exceptions, RTTI, precompiled header, sanitizers or any of our libraries.
# What it shares with the rest (the plan's codec) is compiled again here, with its own flags.
function(tare_static_program name)
  cmake_parse_arguments(P "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE TARE_STATIC=1)
  target_compile_options(${name} PRIVATE -Os -g1 -fno-exceptions -fno-rtti -fno-threadsafe-statics
                         -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections)
  target_link_options(${name} PRIVATE -static -Wl,--gc-sections)
  if(TARE_SANITIZE_FLAGS)
    target_compile_options(${name} PRIVATE -fno-sanitize=all)
    target_link_options(${name} PRIVATE -fno-sanitize=all)
  endif()
  target_link_libraries(${name} PRIVATE ${P_LIBS})
endfunction()

# ---- Tests beyond the modules' own ----------------------------------------------------------------------------

# tare_kernel_test(sandbox_kernel SOURCES a_test.cpp DEPS sandbox PROGRAMS tared tare): a GoogleTest program that
# works on the real kernel (root, namespaces, cgroups), alone. PROGRAMS are built first; where they are is in
# the macro TARE_BIN_DIR. LABELS defaults to kernel; `LABELS full` keeps it for `./dev test full`.
function(tare_kernel_test name)
  cmake_parse_arguments(K "" "TIMEOUT" "SOURCES;DEPS;LIBS;PROGRAMS;LABELS" ${ARGN})
  if(TARE_FUZZ)
    return()
  endif()
  if(NOT K_LABELS)
    set(K_LABELS kernel)
  endif()
  if(NOT K_TIMEOUT)
    set(K_TIMEOUT 900)
  endif()
  add_executable(${name} ${K_SOURCES})
  list(TRANSFORM K_DEPS PREPEND tare_)
  target_link_libraries(${name} PRIVATE ${K_DEPS} ${K_LIBS} GTest::gtest_main GTest::gmock)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE TARE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
                             TARE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  tare_precompile(${name} pch_test)
  foreach(program IN LISTS K_PROGRAMS)
    add_dependencies(${name} ${program})
  endforeach()
  tare_gtest(${name} ${name} SERIAL TIMEOUT ${K_TIMEOUT} LABELS ${K_LABELS})
endfunction()

# tare_script_test(tidy COMMAND python3 x.py LABELS tools TIMEOUT 60): counted as one case, or as many as its
# output says ("Ran N tests" of unittest, or "N passed, N failed").
function(tare_script_test name)
  cmake_parse_arguments(S "SERIAL" "TIMEOUT" "COMMAND;LABELS" ${ARGN})
  if(TARE_FUZZ)
    return()
  endif()
  if(NOT S_TIMEOUT)
    set(S_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${S_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${S_LABELS}" TIMEOUT ${S_TIMEOUT})
  if(S_SERIAL)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

# The modules whose headers the sources include ("http/codec.h" -> http): their dependencies need no list.
function(tare_modules_of out)
  set(modules "")
  foreach(source IN LISTS ARGN)
    file(STRINGS ${source} includes REGEX "^#include \"[a-z_]+/")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^#include \"([a-z_]+)/.*" "\\1" module "${line}")
      if(TARGET tare_${module})
        list(APPEND modules ${module})
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES modules)
  set(${out} ${modules} PARENT_SCOPE)
endfunction()

# tare_fuzz(http SOURCES http_fuzz.cpp DEPS http): under TARE_FUZZ the libFuzzer program build/fuzz/bin/fuzz_http;
# otherwise the same target with a driver of ours that tries a bounded, always equal number of inputs: a test.
function(tare_fuzz name)
  cmake_parse_arguments(F "" "" "SOURCES;DEPS" ${ARGN})
  list(TRANSFORM F_DEPS PREPEND tare_)
  set(driver ${PROJECT_SOURCE_DIR}/tests/fuzz/driver.cpp)
  add_executable(fuzz_${name} ${F_SOURCES})
  target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(fuzz_${name} PRIVATE ${F_DEPS} tare_fmt)
  if(TARE_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${driver})
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/seeds/${name})
    set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
endfunction()

# tare_bench(sandbox SOURCES sandbox_bench.cpp DEPS sandbox): build/bin/bench_sandbox, when Google Benchmark is there.
function(tare_bench name)
  cmake_parse_arguments(B "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  find_package(benchmark QUIET)
  if(NOT benchmark_FOUND OR TARE_FUZZ)
    return()
  endif()
  list(TRANSFORM B_DEPS PREPEND tare_)
  add_executable(bench_${name} ${B_SOURCES})
  target_include_directories(bench_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(bench_${name} PRIVATE TARE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  target_link_libraries(bench_${name} PRIVATE ${B_DEPS} ${B_LIBS} benchmark::benchmark tare_fmt)
endfunction()

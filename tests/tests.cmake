# SPDX-License-Identifier: MIT
# Tests that run on the build machine: the portable parts and the host stand-ins of the machine in one archive, and
# one CMocka program for each test_*.c of tests/unit, tests/machine, tests/sim and tests/uc.

# What nested tests start in level 1: the way into an uncompressed Linux.
add_executable(linux_entry.elf ${PROJECT_SOURCE_DIR}/tests/system/linux_entry.S)
make_freestanding(linux_entry.elf)
target_link_options(linux_entry.elf PRIVATE ${FREESTANDING_LINK} -Wl,--omagic -Wl,-Ttext=0xff0000 -Wl,-e,linux_entry)
set_target_properties(linux_entry.elf PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

find_library(CMOCKA cmocka)
find_library(CAPSTONE capstone)
find_library(UNICORN unicorn)
if(NOT CMOCKA OR NOT CAPSTONE OR NOT UNICORN)
    message(STATUS "host tests are left out: libcmocka-dev, libcapstone-dev or libunicorn-dev is missing")
    return()
endif()

set(SANITIZE -fsanitize=address,undefined)
set(HOSTED -std=gnu17 -O1 -g -fno-omit-frame-pointer ${SANITIZE} -fno-sanitize-recover=all ${WARNINGS})

# What a second build folder, with clang as its compiler, is for: "fuzz" has the fuzz targets in place of the test
# programs, "coverage" has both, and they count which lines and branches run.
set(INSTRUMENT none CACHE STRING "none, fuzz or coverage")
if(INSTRUMENT STREQUAL fuzz)
    list(APPEND HOSTED -fsanitize=fuzzer-no-link)
elseif(INSTRUMENT STREQUAL coverage)
    list(APPEND HOSTED -fprofile-instr-generate -fcoverage-mapping)
    list(APPEND SANITIZE -fprofile-instr-generate)
endif()

# tests/machine stands in for the machine. A test of a single other file names it in a comment line of its own:
# /* links: svm/vmcb_check.c hv/mem/pool.c */

# mem.c would replace the C library's own memcpy and its kin, which the sanitizers watch.
sources_below(HOSTED_SOURCES hv/lib hv/partition hv/hypercall hv/exit partitions/root/worker vmbus)
list(FILTER HOSTED_SOURCES EXCLUDE REGEX "/hv/lib/mem\\.c$")
file(GLOB SUPPORT_SOURCES CONFIGURE_DEPENDS tests/machine/*.c tests/sim/*.c tests/uc/*.c
    tests/uc/*.S tests/unit/*.c)
set(TEST_SOURCES ${SUPPORT_SOURCES})
list(FILTER TEST_SOURCES INCLUDE REGEX "/test_[^/]*\\.c$")
list(FILTER SUPPORT_SOURCES EXCLUDE REGEX "/test_[^/]*\\.c$")
set_source_files_properties(${SUPPORT_SOURCES} ${TEST_SOURCES} PROPERTIES COMPILE_OPTIONS -Wno-conversion)
set_source_files_properties(tests/uc/test_guests.c PROPERTIES
    COMPILE_DEFINITIONS "GUEST_FOLDER=\"${PROJECT_BINARY_DIR}/guests\"")

if(HOSTED_SOURCES OR SUPPORT_SOURCES)
    add_library(hosted STATIC ${HOSTED_SOURCES} ${SUPPORT_SOURCES})
    target_include_directories(hosted PUBLIC ${PROJECT_SOURCE_DIR})
    target_compile_options(hosted PRIVATE ${HOSTED})
endif()

if(NOT INSTRUMENT STREQUAL none)
    include(tests/fuzz/fuzz.cmake)
endif()
if(INSTRUMENT STREQUAL fuzz)
    return()
endif()

add_custom_target(host_tests ALL)
foreach(source IN LISTS TEST_SOURCES)
    get_filename_component(name ${source} NAME_WE)
    get_filename_component(folder ${source} DIRECTORY)
    get_filename_component(group ${folder} NAME)
    set(target ${group}.${name})
    set(extra)
    file(STRINGS ${source} links REGEX "^/\\* links: .*\\*/$")
    foreach(line IN LISTS links)
        string(REGEX REPLACE "^/\\* links: +(.*[^ ]) *\\*/$" "\\1" words ${line})
        separate_arguments(words)
        list(APPEND extra ${words})
    endforeach()
    list(TRANSFORM extra PREPEND ${PROJECT_SOURCE_DIR}/)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    add_executable(${target} ${source} ${extra})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
    target_compile_options(${target} PRIVATE ${HOSTED})
    target_link_options(${target} PRIVATE ${SANITIZE})
    if(TARGET hosted)
        target_link_libraries(${target} PRIVATE hosted)
    endif()
    target_link_libraries(${target} PRIVATE ${CMOCKA} ${CAPSTONE} ${UNICORN} pthread)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${group})
    add_dependencies(host_tests ${target})
    add_test(NAME ${group}/${name} COMMAND ${target})
    set_tests_properties(${group}/${name} PROPERTIES TIMEOUT 300)
endforeach()

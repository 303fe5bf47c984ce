# SPDX-License-Identifier: MIT
# Fuzz targets: one libFuzzer program for each tests/fuzz/fuzz_<name>.c. The other files of the folder are in each.

# Each input of a sim target boots the machine, which goes through all its pages: comparisons there are not worth a
# look, and half of the time goes into them.
if(INSTRUMENT STREQUAL fuzz)
    set_property(SOURCE hv/partition/page_owner.c hv/partition/gpa_space.c hv/partition/root_memory.c
        ${PROJECT_SOURCE_DIR}/tests/machine/memory.c ${PROJECT_SOURCE_DIR}/tests/machine/real_mtrr.c
        APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize-coverage=trace-cmp)
endif()

file(GLOB FUZZ_SUPPORT CONFIGURE_DEPENDS tests/fuzz/*.c)
set(FUZZ_SOURCES ${FUZZ_SUPPORT})
list(FILTER FUZZ_SOURCES INCLUDE REGEX "/fuzz_[^/]*\\.c$")
list(FILTER FUZZ_SUPPORT EXCLUDE REGEX "/fuzz_[^/]*\\.c$")

add_library(fuzz_support OBJECT ${FUZZ_SUPPORT})
add_custom_target(fuzz_targets ALL)
foreach(source IN LISTS FUZZ_SOURCES)
    get_filename_component(name ${source} NAME_WE)
    list(APPEND FUZZ_PROGRAMS ${name})
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE fuzz_support hosted ${CMOCKA} pthread)
    # Each copy out of guest memory passes by hostile_page.c.
    target_link_options(${name} PRIVATE ${SANITIZE} -fsanitize=fuzzer -Wl,--wrap=gpa_read -Wl,--wrap=window_read
        -Wl,--wrap=window_load_u32)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
    add_dependencies(fuzz_targets ${name})
endforeach()
foreach(target IN LISTS FUZZ_PROGRAMS ITEMS fuzz_support)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
    target_compile_options(${target} PRIVATE ${HOSTED} -Wno-conversion)
endforeach()

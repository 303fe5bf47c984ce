# SPDX-License-Identifier: MIT
# What the bench compares with: the floor, a bare program that runs the bench guest in the least of hypervisors.

file(GLOB FLOOR_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/bench/floor*.c
    ${PROJECT_SOURCE_DIR}/tests/bench/floor*.S)
add_bare_program(floor ${PROJECT_BINARY_DIR}/bench ${CHILD}/guest.ld ${FLOOR_SOURCES} ${GUEST_LIB_SOURCES})
# Above the guest that it loads; it counts nothing.
target_link_options(floor BEFORE PRIVATE -Wl,--defsym=guest_base=0x4000000)
target_compile_definitions(floor PRIVATE NDEBUG)
set_target_properties(floor PROPERTIES OUTPUT_NAME floor.elf)

# SPDX-License-Identifier: MIT
# What the bench compares with: the floor, a bare program that runs the bench guest in the least of hypervisors.

file(GLOB FLOOR_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/bench/floor*.c
    ${PROJECT_SOURCE_DIR}/tests/bench/floor*.S)
add_bare_program(floor ${PROJECT_BINARY_DIR}/bench ${CHILD}/guest.ld ${FLOOR_SOURCES} ${GUEST_LIB_SOURCES})
# Above the guest that it loads; it counts nothing.
target_link_options(floor BEFORE PRIVATE -Wl,--defsym=guest_base=0x4000000)
target_compile_definitions(floor PRIVATE NDEBUG)
set_target_properties(floor PROPERTIES OUTPUT_NAME floor.elf)

# The same guest under KVM: a VMM for a Linux whose only program it is.
add_executable(kvm_vmm ${PROJECT_SOURCE_DIR}/tests/bench/kvm_vmm.c)
target_include_directories(kvm_vmm PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_options(kvm_vmm PRIVATE -std=gnu17 -O2 ${WARNINGS} -Wno-conversion)
target_link_options(kvm_vmm PRIVATE -static -pthread)
set_target_properties(kvm_vmm PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)

# The same guest for Xen, which finds its entry in a note.
add_bare_program(bench_xen ${PROJECT_BINARY_DIR}/bench ${CHILD}/guest.ld ${CHILD}/bench.c
    ${PROJECT_SOURCE_DIR}/tests/bench/xen_note.S ${GUEST_LIB_SOURCES})
set_target_properties(bench_xen PROPERTIES OUTPUT_NAME bench_xen.elf)

# Counts in QEMU what the guest's time-stamp counter does not show.
add_library(qemu_count MODULE ${PROJECT_SOURCE_DIR}/tests/bench/qemu_count.c)
target_include_directories(qemu_count PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_options(qemu_count PRIVATE -std=gnu17 -O2 ${WARNINGS} -Wno-conversion)
set_target_properties(qemu_count PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)

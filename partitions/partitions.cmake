# SPDX-License-Identifier: MIT
# What runs inside partitions: minroot and the bare guests.

set(ROOT ${PROJECT_SOURCE_DIR}/partitions/root)
set(CHILD ${PROJECT_SOURCE_DIR}/partitions/child)

# The freestanding helpers, for whoever needs some of them.
sources_below(LIB_SOURCES hv/lib)
if(LIB_SOURCES)
    add_library(partition_lib STATIC ${LIB_SOURCES})
    make_freestanding(partition_lib -mcmodel=small -fno-stack-protector)
endif()

# The VMBus side, for a worker that makes a bus.
sources_below(VMBUS_SOURCES vmbus)
if(VMBUS_SOURCES)
    add_library(partition_vmbus STATIC ${VMBUS_SOURCES})
    make_freestanding(partition_vmbus -mcmodel=small -fno-stack-protector)
    if(TARGET partition_lib)
        target_link_libraries(partition_vmbus PRIVATE partition_lib)
    endif()
endif()

# Links one program that is loaded by a hypervisor or boot loader: name, output folder, linker script, sources.
function(add_bare_program target folder script)
    add_executable(${target} ${ARGN})
    make_freestanding(${target} -mcmodel=small -fno-stack-protector)
    target_link_options(${target} PRIVATE ${FREESTANDING_LINK} -T${script})
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${script} RUNTIME_OUTPUT_DIRECTORY ${folder})
    if(TARGET partition_lib)
        target_link_libraries(${target} PRIVATE partition_lib)
    endif()
endfunction()

sources_below(MINROOT_SOURCES ${ROOT}/kernel ${ROOT}/device ${ROOT}/selftest ${ROOT}/worker)
if(EXISTS ${ROOT}/kernel/minroot.ld AND MINROOT_SOURCES)
    add_bare_program(minroot.debug ${PROJECT_BINARY_DIR} ${ROOT}/kernel/minroot.ld ${MINROOT_SOURCES})
    if(TARGET partition_vmbus)
        target_link_libraries(minroot.debug PRIVATE partition_vmbus)
    endif()
    add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/minroot.elf
        COMMAND ${CMAKE_OBJCOPY} --strip-all $<TARGET_FILE:minroot.debug> ${PROJECT_BINARY_DIR}/minroot.elf
        DEPENDS minroot.debug VERBATIM)
    add_custom_target(minroot ALL DEPENDS ${PROJECT_BINARY_DIR}/minroot.elf)
else()
    message(STATUS "minroot.elf is left out: no sources or no minroot.ld")
endif()

sources_below(GUEST_LIB_SOURCES ${CHILD}/lib)
file(GLOB GUEST_SOURCES CONFIGURE_DEPENDS ${CHILD}/*.c)
if(EXISTS ${CHILD}/guest.ld AND GUEST_SOURCES)
    foreach(source IN LISTS GUEST_SOURCES)
        get_filename_component(name ${source} NAME_WE)
        add_bare_program(guest.${name} ${PROJECT_BINARY_DIR}/guests ${CHILD}/guest.ld ${source} ${GUEST_LIB_SOURCES})
        set_target_properties(guest.${name} PROPERTIES OUTPUT_NAME ${name}.elf)
    endforeach()
else()
    message(STATUS "bare guests are left out: no sources or no partitions/child/guest.ld")
endif()

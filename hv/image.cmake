# SPDX-License-Identifier: MIT
# The hypervisor image: hv/ and the CPU backends, linked twice. The first link only serves to learn the addresses of
# all functions, which the second one carries as a table, so that a panic can name what is on its stack.

set(SCRIPT ${PROJECT_SOURCE_DIR}/hv/boot/partita.ld)
set(SYMBOLS_TOOL ${PROJECT_SOURCE_DIR}/hv/debug/symbols.py)
set(SYMBOLS_NONE ${PROJECT_SOURCE_DIR}/hv/debug/symbols_none.S)

sources_below(HV_SOURCES hv svm vmx)
list(REMOVE_ITEM HV_SOURCES ${SYMBOLS_NONE})

if(NOT EXISTS ${SCRIPT} OR NOT HV_SOURCES)
    message(STATUS "partita.elf is left out: no sources or no hv/boot/partita.ld")
    return()
endif()

add_library(hv_objects OBJECT ${HV_SOURCES})
# Frame pointers let a panic walk the stack.
make_freestanding(hv_objects -mcmodel=kernel -fno-omit-frame-pointer ${STACK_PROTECTOR})

function(link_image target)
    make_freestanding(${target} -mcmodel=kernel)
    target_link_libraries(${target} PRIVATE hv_objects)
    target_link_options(${target} PRIVATE ${FREESTANDING_LINK} -mcmodel=kernel -T${SCRIPT})
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${SCRIPT})
endfunction()

add_executable(partita.pass1.elf ${SYMBOLS_NONE})
link_image(partita.pass1.elf)

set(SYMBOLS ${PROJECT_BINARY_DIR}/symbols.S)
add_custom_command(OUTPUT ${SYMBOLS}
    COMMAND ${PYTHON} ${SYMBOLS_TOOL} --nm ${CMAKE_NM} --write ${SYMBOLS} $<TARGET_FILE:partita.pass1.elf>
    DEPENDS partita.pass1.elf ${SYMBOLS_TOOL} VERBATIM)

add_executable(partita.elf.debug ${SYMBOLS})
link_image(partita.elf.debug)
# The addresses in the table are those of the first link: they must hold in the second.
add_custom_command(TARGET partita.elf.debug POST_BUILD
    COMMAND ${PYTHON} ${SYMBOLS_TOOL} --nm ${CMAKE_NM} --check ${SYMBOLS} $<TARGET_FILE:partita.elf.debug> VERBATIM)

set(IMAGE ${PROJECT_BINARY_DIR}/partita.elf)
add_custom_command(OUTPUT ${IMAGE}
    COMMAND ${CMAKE_OBJCOPY} --strip-all $<TARGET_FILE:partita.elf.debug> ${IMAGE}
    DEPENDS partita.elf.debug VERBATIM)
add_custom_target(image ALL DEPENDS ${IMAGE})

/* SPDX-License-Identifier: MIT */
/* Lines "<child> <command>" go to the worker of that child, and what it says goes to the console. */
#include "partitions/root/device/command.h"

#include "hv/lib/str.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/vm.h"

#define LINE_BYTES 4096u

static char line[LINE_BYTES];
static uint32_t length;

void host_command_write(struct host_vm *host, const char *text)
{
    console_write(CONSOLE_STREAM_REPLY, host->index, (const uint8_t *)text, str_length(text));
}

void host_command_ended(struct host_vm *host, const char *error)
{
    console_text(CONSOLE_STREAM_REPLIED, host->index, "%s", error == NULL ? "" : error);
}

static void run(void)
{
    const char *command = str_find_char(line, ' ');
    struct host_vm *vm;
    uint64_t index;

    if (command == NULL) {
        return;
    }
    line[command - line] = '\0';
    if (!str_parse_u64(line, &index) || index >= VM_MAX) {
        return;
    }
    vm = vm_get((uint32_t)index);
    if (vm == NULL) {
        console_text(CONSOLE_STREAM_REPLIED, (uint32_t)index, "there is no such child");
    } else {
        worker_command(vm->worker, command + 1);
    }
}

void command_input(void)
{
    char byte;

    while (console_peek(CONSOLE_INPUT_COMMANDS, (uint8_t *)&byte, 1) != 0) {
        console_consume(CONSOLE_INPUT_COMMANDS, 1);
        if (byte == '\n') {
            line[length] = '\0';
            length = 0;
            run();
        } else if (length < LINE_BYTES - 1) {
            line[length++] = byte;
        }
    }
}

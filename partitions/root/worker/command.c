/* SPDX-License-Identifier: MIT */
/*
 * Commands for a VM, one at a time: a word, and what it takes, with single spaces between. Some are done at once, some
 * when the guest has answered. The page for their users is docs/root-commands.md.
 */
#include "partitions/root/worker/command.h"

#include <stdarg.h>

#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "partitions/root/worker/vm.h"

#define TEXT_BYTES        160u
#define VERSION_MINOR     0xFFFFu
#define NOBODY_LISTENS    "nobody in the guest listens, or it still owes an answer"
#define NOTHING_SHOWN     "the guest shows no picture"
#define PAIRS_IN_POOL_MAX 4096u
#define SCAN_CODES_MAX    64u
#define SCAN_CODE_E0      0xE0
#define SCAN_CODE_UP      0x80
#define SCAN_CODE_MASK    0x7F
#define NUMBER_BYTES      8u
#define MOUSE_NUMBERS_MIN 2u
#define MOUSE_NUMBERS_MAX 4u
#define MOUSE_USAGE                                                                                                    \
    "X and Y are 0 to 32767, BUTTONS 0 to 31 (1 left, 2 right, 4 middle), WHEEL steps up or, with -, down"

/* One command; `rest` is what follows the blank behind its name. */
struct verb {
    const char *name;
    const char *arguments;
    const char *help;
    void (*run)(struct vm *vm, const char *rest);
};

static const struct {
    const char *name;
    uint8_t pool;
} pools[] = {
    {"external", IC_KVP_POOL_EXTERNAL},
    {"guest", IC_KVP_POOL_GUEST},
    {"auto", IC_KVP_POOL_AUTO},
    {"auto-external", IC_KVP_POOL_AUTO_EXTERNAL},
    {"auto-internal", IC_KVP_POOL_AUTO_INTERNAL},
};

static struct vm *vm_of_bus(struct bus *bus)
{
    return CONTAINER_OF(bus, struct vm, bus);
}

static void print(struct vm *vm, const char *format, ...) PRINTF_LIKE(2, 3);

static void print(struct vm *vm, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)fmt_vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    host_command_write(vm->host, text);
}

/* The end of a command; null: it was done. */
static void end(struct vm *vm, const char *error)
{
    vm->command = (struct command){0};
    host_command_ended(vm->host, error);
}

/* The guest has been asked, or could not be. */
static void wait_if(struct vm *vm, bool is_asked)
{
    if (is_asked) {
        vm->command.is_waiting = true;
    } else {
        end(vm, NOBODY_LISTENS);
    }
}

static void end_with_status(struct vm *vm, uint32_t status)
{
    char text[TEXT_BYTES];

    if (status == 0) {
        end(vm, NULL);
        return;
    }
    (void)fmt_snprintf(text, sizeof(text), "the guest refuses it, or cannot do it: status 0x%08x", status);
    end(vm, text);
}

void command_shutdown_answered(struct shutdown *shutdown, uint32_t status)
{
    end_with_status(vm_of_bus(CONTAINER_OF(shutdown, struct bus, shutdown)), status);
}

void command_vss_answered(struct vss *vss, uint32_t status)
{
    end_with_status(vm_of_bus(CONTAINER_OF(vss, struct bus, vss)), status);
}

/* Asks for a pair, or leaves one there. */
static void ask_kvp(struct vm *vm, const struct kvp_question *question)
{
    enum kvp_result result = kvp_ask(&vm->bus.kvp, question);

    if (result == KVP_TOO_LONG) {
        end(vm, "a key has at most 255 characters, a value 1023");
    } else {
        wait_if(vm, result == KVP_ASKED);
    }
}

static void ask_next_pair(struct vm *vm)
{
    ask_kvp(vm, &(struct kvp_question){
                    .operation = IC_KVP_ENUMERATE, .pool = vm->command.pool, .index = vm->command.index});
}

void command_kvp_answered(struct kvp *kvp, const struct kvp_answer *answer)
{
    struct vm *vm = vm_of_bus(CONTAINER_OF(kvp, struct bus, kvp));

    if (answer->status == IC_STATUS_NO_MORE && vm->command.is_list) {
        end(vm, NULL);
        return;
    }
    if (answer->status != 0) {
        end_with_status(vm, answer->status);
        return;
    }
    if (!vm->command.is_list) {
        end(vm, NULL);
        return;
    }
    host_command_write(vm->host, answer->key);
    host_command_write(vm->host, "=");
    host_command_write(vm->host, answer->value);
    host_command_write(vm->host, "\n");
    if (++vm->command.index == PAIRS_IN_POOL_MAX) {
        end(vm, "the guest goes on for ever");
    } else {
        ask_next_pair(vm);
    }
}

static const char *state_name(const struct vmbus_channel_info *info)
{
    if (info->is_rescinded) {
        return "taken away";
    }
    return info->state == VMBUS_CHANNEL_OPEN ? "open" : info->state == VMBUS_CHANNEL_HIDDEN ? "not offered" : "closed";
}

static void run_status(struct vm *vm, const char *rest)
{
    uint32_t version = vm->bus.vmbus == NULL ? 0 : vmbus_version(vm->bus.vmbus);
    struct vmbus_channel_info info;

    (void)rest;
    print(vm, "vmbus: version %u.%u\n", version >> 16, version & VERSION_MINOR);
    print(vm, "heartbeat: %s\n", heartbeat_is_in_contact(&vm->bus.heartbeat) ? "in contact" : "no contact");
    for (uint32_t relid = 1; vm->bus.vmbus != NULL && relid <= VMBUS_CHANNELS_MAX; relid++) {
        vmbus_get_channel(vm->bus.vmbus, relid, &info);
        if (info.state != VMBUS_CHANNEL_FREE) {
            print(vm, "channel %u: %s, %s, %llu packets in, %llu out, %llu signals in, %llu out\n", relid,
                  info.name == NULL ? "nobody's" : info.name, state_name(&info), (unsigned long long)info.packets_in,
                  (unsigned long long)info.packets_out, (unsigned long long)info.signals_in,
                  (unsigned long long)info.signals_out);
        }
    }
    end(vm, NULL);
}

static void run_power_button(struct vm *vm, const char *rest)
{
    (void)rest;
    acpi_pm_press_power_button(&vm->acpi_pm);
    end(vm, NULL);
}

static void ask_shutdown(struct vm *vm, const char *rest, bool is_restart)
{
    bool is_forced = str_equal(rest, "force");

    if (rest[0] != '\0' && !is_forced) {
        end(vm, "only \"force\" may follow");
        return;
    }
    wait_if(vm, shutdown_request(&vm->bus.shutdown, is_restart, is_forced));
}

static void run_shutdown(struct vm *vm, const char *rest)
{
    ask_shutdown(vm, rest, false);
}

static void run_restart(struct vm *vm, const char *rest)
{
    ask_shutdown(vm, rest, true);
}

static void run_time(struct vm *vm, const char *rest)
{
    bool is_heard = vm->bus.timesync.ic.state == IC_READY;

    (void)rest;
    timesync_step(&vm->bus.timesync);
    end(vm, is_heard ? NULL : "nobody in the guest listens");
}

static void run_freeze(struct vm *vm, const char *rest)
{
    (void)rest;
    wait_if(vm, vss_freeze(&vm->bus.vss, false));
}

static void run_thaw(struct vm *vm, const char *rest)
{
    (void)rest;
    wait_if(vm, vss_freeze(&vm->bus.vss, true));
}

/* False, and the command has ended, without a key. */
static bool has_key(struct vm *vm, const char *rest)
{
    if (rest[0] == '\0' || rest[0] == ' ') {
        end(vm, "the key is missing");
        return false;
    }
    return true;
}

static void run_kvp_list(struct vm *vm, const char *rest)
{
    for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
        if (str_equal(rest, pools[i].name)) {
            vm->command = (struct command){.is_list = true, .pool = pools[i].pool};
            ask_next_pair(vm);
            return;
        }
    }
    end(vm, "the pools are external, guest, auto, auto-external and auto-internal");
}

static void run_kvp_set(struct vm *vm, const char *rest)
{
    const char *value = str_find_char(rest, ' ');
    char key[KVP_KEY_BYTES_MAX];

    if (!has_key(vm, rest)) {
        return;
    }
    if (value == NULL) {
        end(vm, "the value is missing");
        return;
    }
    (void)str_copy(key, rest, MIN(sizeof(key), (size_t)(value - rest) + 1));
    ask_kvp(vm, &(struct kvp_question){
                    .operation = IC_KVP_SET, .pool = IC_KVP_POOL_EXTERNAL, .key = key, .value = value + 1});
}

static void run_kvp_delete(struct vm *vm, const char *rest)
{
    if (has_key(vm, rest)) {
        ask_kvp(vm, &(struct kvp_question){.operation = IC_KVP_DELETE, .pool = IC_KVP_POOL_EXTERNAL, .key = rest});
    }
}

static void end_typing(struct vm *vm, enum keyboard_result result)
{
    static const char *const errors[] = {
        [KEYBOARD_NO_KEY] = "a character is on no key of the US layout",
        [KEYBOARD_NOT_READY] = "nobody in the guest listens to the keyboard",
        [KEYBOARD_FULL] = "the guest has to take earlier keys first, or these are too many at once",
    };

    end(vm, errors[result]);
}

static void run_type(struct vm *vm, const char *rest)
{
    end_typing(vm, keyboard_type(&vm->bus.keyboard, rest));
}

/* The value of a byte in two hexadecimal digits, with a blank or the end behind them; or -1. */
static int byte_of(const char *text)
{
    char number[] = {'0', 'x', text[0], text[0] == '\0' ? '\0' : text[1], '\0'};
    uint64_t value;

    if (text[0] == '\0' || text[1] == '\0' || (text[2] != ' ' && text[2] != '\0') || !str_parse_u64(number, &value)) {
        return -1;
    }
    return (int)value;
}

/* Bytes of scan code set 1 become keys: E0 before a code, and bit 7 of a key that goes up. */
static void run_scan_codes(struct vm *vm, const char *rest)
{
    struct key keys[SCAN_CODES_MAX];
    uint8_t prefix = 0;
    uint32_t count = 0;

    while (*rest != '\0') {
        int code = byte_of(rest);

        if (code < 0 || count == SCAN_CODES_MAX) {
            end(vm, "up to 64 codes are possible, each two hexadecimal digits: 1c 9c is Enter, down and up");
            return;
        }
        if (code == SCAN_CODE_E0) {
            prefix = KEYBOARD_INFO_E0;
        } else {
            keys[count++] = (struct key){
                .make_code = (uint8_t)code & SCAN_CODE_MASK,
                .info = prefix | (code & SCAN_CODE_UP ? KEYBOARD_INFO_BREAK : 0),
            };
            prefix = 0;
        }
        rest += rest[2] == ' ' ? 3 : 2;
    }
    end_typing(vm, keyboard_send(&vm->bus.keyboard, keys, count));
}

/* Takes the number at `text`, whose magnitude is at most `max`; what follows it and a blank, or null: it is none. */
static const char *take_number(const char *text, uint32_t max, int32_t *value)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    const char *blank = str_find_char(digits, ' ');
    size_t length = blank == NULL ? str_length(digits) : (size_t)(blank - digits);
    char number[NUMBER_BYTES];
    uint64_t magnitude;

    if (length >= sizeof(number)) {
        return NULL;
    }
    (void)str_copy(number, digits, length + 1);
    if (!str_parse_u64(number, &magnitude) || magnitude > max) {
        return NULL;
    }
    *value = text[0] == '-' ? -(int32_t)magnitude : (int32_t)magnitude;
    return blank == NULL ? "" : blank + 1;
}

static void run_mouse(struct vm *vm, const char *rest)
{
    static const char *const errors[] = {
        [MOUSE_NOT_THERE] = MOUSE_USAGE,
        [MOUSE_NOT_READY] = "nobody in the guest listens to the mouse",
        [MOUSE_FULL] = "the guest has to take earlier movements first",
    };
    int32_t numbers[MOUSE_NUMBERS_MAX] = {0};
    uint32_t count = 0;

    while (rest != NULL && *rest != '\0' && count < MOUSE_NUMBERS_MAX) {
        rest = take_number(rest, MOUSE_POSITION_MAX, &numbers[count++]);
    }
    if (rest == NULL || *rest != '\0' || count < MOUSE_NUMBERS_MIN || numbers[0] < 0 || numbers[1] < 0 ||
        numbers[2] < 0 || numbers[2] > (int32_t)UINT8_MAX) {
        end(vm, MOUSE_USAGE);
        return;
    }
    end(vm, errors[mouse_move(&vm->bus.mouse, &(struct mouse_position){.x = (uint16_t)numbers[0],
                                                                       .y = (uint16_t)numbers[1],
                                                                       .buttons = (uint8_t)numbers[2],
                                                                       .wheel = (int16_t)numbers[3]})]);
}

void command_screenshot_sent(struct screenshot *screenshot, const char *error)
{
    end(CONTAINER_OF(screenshot, struct vm, screenshot), error);
}

static void run_screenshot(struct vm *vm, const char *rest)
{
    struct video_resolution size;

    (void)rest;
    if (!video_get_size(&vm->bus.video, &size)) {
        end(vm, NOTHING_SHOWN);
        return;
    }
    vm->command.is_waiting = true;
    video_watch(&vm->bus.video);
    screenshot_send(&vm->screenshot, &size);
}

static void run_display(struct vm *vm, const char *rest)
{
    const struct video *video = &vm->bus.video;
    const struct video_pointer *pointer = &video->pointer;
    const struct video_rectangle *damage = &video->damage;
    struct video_resolution size;

    (void)rest;
    if (!video_get_size(video, &size)) {
        end(vm, NOTHING_SHOWN);
        return;
    }
    print(vm, "size: %u %u\n", size.width, size.height);
    print(vm, "pointer: %s at %d %d, of %u %u\n", pointer->is_visible ? "visible" : "hidden", pointer->x, pointer->y,
          pointer->width, pointer->height);
    if (damage->left == damage->right) {
        print(vm, "changed since the last screenshot: nothing\n");
    } else {
        print(vm, "changed since the last screenshot: %d %d to %d %d\n", damage->left, damage->top, damage->right,
              damage->bottom);
    }
    end(vm, NULL);
}

/* The LUN of one of the VM's disks; false, and the command has ended, if it is none. */
static bool take_disk(struct vm *vm, const char *rest, uint32_t *lun)
{
    uint64_t number;

    if (!str_parse_u64(rest, &number) || number >= vm->bus.disk_count) {
        end(vm, "there is no such disk; they count from 0");
        return false;
    }
    *lun = (uint32_t)number;
    return true;
}

static void run_disk_add(struct vm *vm, const char *rest)
{
    uint32_t lun;

    if (take_disk(vm, rest, &lun)) {
        end(vm, bus_add_disk(&vm->bus, lun) ? NULL : "the disk is there already");
    }
}

void command_disk_detached(struct storvsp *controller, uint32_t lun)
{
    (void)lun;
    end(vm_of_bus(CONTAINER_OF(controller, struct bus, storage)), NULL);
}

static void run_disk_remove(struct vm *vm, const char *rest)
{
    uint32_t lun;

    if (!take_disk(vm, rest, &lun)) {
        return;
    }
    if (!storvsp_has_unit(&vm->bus.storage, lun)) {
        end(vm, "the disk is not there");
        return;
    }
    /* Before the call, which may be what ends its last request. */
    vm->command.is_waiting = true;
    if (storvsp_detach(&vm->bus.storage, lun)) {
        end(vm, NULL);
    }
}

static void run_help(struct vm *vm, const char *rest);

static const struct verb verbs[] = {
    {"help", "", "this list", run_help},
    {"status", "", "VMBus, heartbeat and channels", run_status},
    {"shutdown", " [force]", "ask the guest to power off", run_shutdown},
    {"restart", " [force]", "ask the guest to restart", run_restart},
    {"power-button", "", "press the power button", run_power_button},
    {"time", "", "set the guest's clock", run_time},
    {"freeze", "", "freeze the guest's file systems", run_freeze},
    {"thaw", "", "thaw them", run_thaw},
    {"kvp-list", " POOL", "keys and values of a pool", run_kvp_list},
    {"kvp-set", " KEY VALUE", "leave a value in the pool external", run_kvp_set},
    {"kvp-delete", " KEY", "take it away", run_kvp_delete},
    {"type", " TEXT", "type it on the keyboard", run_type},
    {"scan-codes", " HEX...", "keys by their codes of set 1", run_scan_codes},
    {"mouse", " X Y [BUTTONS [WHEEL]]", "move it, press its buttons, turn its wheel", run_mouse},
    {"display", "", "what the screen shows: size, pointer, changes", run_display},
    {"screenshot", "", "the picture on it", run_screenshot},
    {"disk-add", " LUN", "put a disk there that is kept for it", run_disk_add},
    {"disk-remove", " LUN", "take it away", run_disk_remove},
};

static void run_help(struct vm *vm, const char *rest)
{
    (void)rest;
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        print(vm, "%s%s: %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
    }
    end(vm, NULL);
}

static void run(struct vm *vm, const char *command)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        size_t length = str_length(verbs[i].name);

        if (str_starts_with(command, verbs[i].name) && (command[length] == ' ' || command[length] == '\0')) {
            const char *rest = command[length] == ' ' ? command + length + 1 : command + length;

            if (rest[0] != '\0' && verbs[i].arguments[0] == '\0') {
                end(vm, "nothing may follow this command");
            } else {
                verbs[i].run(vm, rest);
            }
            return;
        }
    }
    end(vm, "there is no such command; \"help\" lists them");
}

void worker_command(struct vm *vm, const char *command)
{
    host_vm_lock(vm->host);
    if (vm->command.is_waiting) {
        host_command_ended(vm->host, "an earlier command has not ended yet");
    } else {
        run(vm, command);
    }
    host_vm_unlock(vm->host);
}

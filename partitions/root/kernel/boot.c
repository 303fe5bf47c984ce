/* SPDX-License-Identifier: MIT */
/* Reads the PVH start info and the command line. All of it may lie anywhere in RAM, so it is copied before memory is
 * handed out; modules stay where they are. */
#include "partitions/root/kernel/boot.h"

#include "hv/lib/addr.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/vm.h"

#define START_INFO_MAGIC              0x336EC578u
#define START_INFO_VERSION_MEMORY_MAP 1u

/* The start info (Xen, public/arch-x86/hvm/start_info.h). */
struct start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t command_line;
    uint64_t rsdp;
    uint64_t ranges;
    uint32_t range_count;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct start_info) == 56, "start info");

/* One module in it. */
struct start_info_module {
    uint64_t start;
    uint64_t bytes;
    uint64_t command_line;
    uint64_t rsvd;
};
_Static_assert(sizeof(struct start_info_module) == 32, "module of the start info");

static struct boot_info info;

const struct boot_info *boot_info(void)
{
    return &info;
}

const struct boot_module *boot_next_module(const struct boot_module *before, const char *name)
{
    const struct boot_module *at = before == NULL ? info.modules : before + 1;

    for (; at < info.modules + info.module_count; at++) {
        if (str_equal(at->name, name)) {
            return at;
        }
    }
    return NULL;
}

const struct boot_module *boot_module(const char *name)
{
    return boot_next_module(NULL, name);
}

/* Copies the last word of a text. */
static void copy_last_word(const char *text, char *word, size_t size)
{
    const char *end = text + str_length_max(text, BOOT_TEXT_BYTES);
    size_t length = 0;

    while (end > text && end[-1] == ' ') {
        end--;
    }
    while (end - length > text && end[-1 - (ptrdiff_t)length] != ' ' && length + 1 < size) {
        length++;
    }
    memcpy(word, end - length, length);
    word[length] = '\0';
}

bool boot_read(uint64_t start_info)
{
    const struct start_info *start = (const struct start_info *)start_info;
    const char *text = start->command_line == 0 ? "" : (const char *)start->command_line;

    if (start->magic != START_INFO_MAGIC || start->version < START_INFO_VERSION_MEMORY_MAP) {
        console_error("minroot: not started through its PVH entry with a memory map (magic %#x, version %u)",
                      start->magic, start->version);
        return false;
    }
    if (start->range_count > BOOT_RANGE_MAX || start->module_count > BOOT_MODULE_MAX ||
        str_copy(info.command_line, text, sizeof(info.command_line)) >= sizeof(info.command_line)) {
        console_error("minroot: %u memory ranges, %u modules, %zu bytes of command line: more than %u, %u, %u",
                      start->range_count, start->module_count, str_length(text), BOOT_RANGE_MAX, BOOT_MODULE_MAX,
                      BOOT_TEXT_BYTES - 1);
        return false;
    }
    info.rsdp = start->rsdp;
    info.range_count = start->range_count;
    info.module_count = start->module_count;
    memcpy(info.ranges, (const void *)start->ranges, info.range_count * sizeof(info.ranges[0]));
    for (uint32_t i = 0; i < info.module_count; i++) {
        const struct start_info_module *module = (const struct start_info_module *)start->modules + i;

        info.modules[i].start = module->start;
        info.modules[i].bytes = module->bytes;
        if (module->command_line != 0) {
            copy_last_word((const char *)module->command_line, info.modules[i].name, sizeof(info.modules[i].name));
            if (str_copy(info.modules[i].words, (const char *)module->command_line, BOOT_WORDS_BYTES) >=
                    BOOT_WORDS_BYTES &&
                str_equal(info.modules[i].name, "batch")) {
                console_error("minroot: a module of the batch has more than %u bytes of words", BOOT_WORDS_BYTES - 1);
                return false;
            }
        }
    }
    return true;
}

#define DEFAULT_MEMORY  MIB(256)
#define MEMORY_MIN      MIB(16)
#define SPARE_DISKS_MAX ((1u << VM_DISKS_MAX) - 1)
_Static_assert(VM_VPS_MAX == 256 && VM_MAX == 16 && VM_DISKS_MAX == 8, "the texts below name the limits");

/* Copies the next word, quotes taken away, and returns what is behind it; null at the end; *is_whole: nothing is
 * missing. */
static const char *next_word(const char *at, char *word, size_t size, bool *is_whole)
{
    size_t length = 0;
    bool is_quoted = false;

    while (*at == ' ') {
        at++;
    }
    if (*at == '\0') {
        return NULL;
    }
    for (; *at != '\0' && (is_quoted || *at != ' '); at++) {
        if (*at == '"') {
            is_quoted = !is_quoted;
        } else if (length + 1 < size) {
            word[length++] = *at;
        }
    }
    word[length] = '\0';
    *is_whole = !is_quoted && length + 1 < size;
    return at;
}

/* Parses a number in a range after the prefix; false if it is none. */
static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    return str_parse_size(text, value) && *value >= least && *value <= most;
}

/* Null, or what it should have been. */
static const char *parse_bool(const char *text, bool *value)
{
    *value = str_equal(text, "1");
    return *value || str_equal(text, "0") ? NULL : "0 or 1";
}

/* Takes one word; null, or what it should have been. */
static const char *take_word(const char *word, struct options *options)
{
    if (str_starts_with(word, "vps=")) {
        return parse_number(word + 4, 1, VM_VPS_MAX, &options->vp_count) ? NULL : "a number from 1 to 256";
    }
    if (str_starts_with(word, "memory=")) {
        return parse_number(word + 7, MEMORY_MIN, WORKER_MEMORY_MAX_BYTES, &options->memory_bytes) &&
                       is_aligned_u64(options->memory_bytes, LARGE_PAGE_SIZE)
                   ? NULL
                   : "a size from 16M to 1T, a multiple of 2M";
    }
    if (str_starts_with(word, "children=")) {
        return parse_number(word + 9, 1, VM_MAX, &options->child_count) ? NULL : "a number from 1 to 16";
    }
    if (str_starts_with(word, "disks=")) {
        return parse_number(word + 6, 0, VM_DISKS_MAX, &options->disk_count) ? NULL : "a number from 0 to 8";
    }
    if (str_starts_with(word, "spare=")) {
        return parse_number(word + 6, 0, SPARE_DISKS_MAX, &options->spare_disks) ? NULL : "a number from 0 to 255";
    }
    if (str_starts_with(word, "frames=")) {
        return parse_bool(word + 7, &options->is_framed);
    }
    if (str_starts_with(word, "vmbus=")) {
        return parse_bool(word + 6, &options->has_vmbus);
    }
    if (str_starts_with(word, "net=")) {
        return parse_bool(word + 4, &options->has_network);
    }
    if (str_starts_with(word, "append=")) {
        (void)str_copy(options->append, word + 7, sizeof(options->append));
        return NULL;
    }
    if (str_starts_with(word, "test=")) {
        return str_copy(options->test, word + 5, sizeof(options->test)) < sizeof(options->test) ? NULL : "a short name";
    }
    return str_equal(word, "batch") ? NULL
                                    : "one of vps= memory= children= frames= vmbus= net= disks= spare= append= test=";
}

bool options_parse(const char *command_line, struct options *options, char *error, size_t error_bytes)
{
    static char word[BOOT_TEXT_BYTES];
    bool is_whole = true;
    bool is_good = true;

    *options = (struct options){.vp_count = 1, .memory_bytes = DEFAULT_MEMORY, .child_count = 1, .has_vmbus = true};
    /* To the end in any case: how an error is shown depends on frames= and children=, wherever they stand. */
    for (const char *at = next_word(command_line, word, sizeof(word), &is_whole); at != NULL;
         at = next_word(at, word, sizeof(word), &is_whole)) {
        const char *expected = is_whole ? take_word(word, options) : "a closing quote";

        if (expected != NULL && is_good) {
            (void)fmt_snprintf(error, error_bytes, "option %.60s: expected %s", word, expected);
            is_good = false;
        }
    }
    return is_good;
}

/* SPDX-License-Identifier: MIT */
/*
 * Finds out what kind of kernel a file is and puts failures into words. The
 * formats are in the other files of this folder.
 */
#include "partitions/root/worker/loader/loader.h"

#include "hv/lib/addr.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "partitions/root/worker/loader/elf.h"
#include "partitions/root/worker/loader/place.h"
#include "vmbus/host.h"

/* The note by which a PVH kernel names its entry. */
#define PVH_NOTE_OWNER "Xen"
#define PVH_NOTE_TYPE  18u

/* How an archive that Linux unpacks begins: a cpio archive, or one of the kernel's compressions. */
struct initrd_signature {
    uint8_t length;
    uint8_t bytes[6];
};

static const struct initrd_signature initrd_signatures[] = {
    {6, {'0', '7', '0', '7', '0', '1'}},
    {6, {'0', '7', '0', '7', '0', '2'}},
    {2, {0x1F, 0x8B}},                     /* gzip */
    {2, {0x1F, 0x9E}},                     /* gzip, old */
    {3, {'B', 'Z', 'h'}},                  /* bzip2 */
    {3, {0x5D, 0x00, 0x00}},               /* LZMA */
    {6, {0xFD, '7', 'z', 'X', 'Z', 0x00}}, /* XZ */
    {4, {0x89, 'L', 'Z', 'O'}},            /* LZO */
    {4, {0x02, 0x21, 0x4C, 0x18}},         /* LZ4, legacy frame */
    {4, {0x28, 0xB5, 0x2F, 0xFD}},         /* Zstandard */
};

/* Linux panics on an initrd that it cannot unpack; the reason is easier to find with this line. */
static void warn_of_strange_initrd(const struct loader_input *input)
{
    if (input->initrd.bytes == NULL) {
        return;
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(initrd_signatures); i++) {
        const struct initrd_signature *signature = &initrd_signatures[i];

        if (blob_has(&input->initrd, 0, signature->length) &&
            memcmp(input->initrd.bytes, signature->bytes, signature->length) == 0) {
            return;
        }
    }
    host_log(input->host, HOST_LOG_WARNING,
             "the initrd is neither a cpio archive nor compressed: Linux will refuse it");
}

static bool load_elf(const struct loader_input *input, struct loader_entry *entry, struct loader_error *error)
{
    struct elf_image image;
    uint64_t entry_gpa;

    if (!elf_parse(&input->kernel, &image, error)) {
        return false;
    }
    if (elf_find_note(&input->kernel, &image, PVH_NOTE_OWNER, PVH_NOTE_TYPE, &entry_gpa)) {
        warn_of_strange_initrd(input);
        return loader_load_pvh(input, &image, entry_gpa, entry, error);
    }
    if (loader_is_multiboot1(&input->kernel)) {
        return loader_load_multiboot1(input, entry, error);
    }
    return place_fail(error, LOADER_NO_ENTRY, 0, 0);
}

bool loader_load(const struct loader_input *input, struct loader_entry *entry, struct loader_error *error)
{
    if (input->kernel.bytes == NULL || input->kernel.length == 0) {
        return place_fail(error, LOADER_NO_KERNEL, 0, 0);
    }
    if (loader_is_bzimage(&input->kernel)) {
        warn_of_strange_initrd(input);
        return loader_load_bzimage(input, entry, error);
    }
    if (elf_is_elf(&input->kernel)) {
        return load_elf(input, entry, error);
    }
    if (loader_is_multiboot1(&input->kernel)) {
        return loader_load_multiboot1(input, entry, error);
    }
    return place_fail(error, LOADER_UNKNOWN_FORMAT, 0, 0);
}

static unsigned long long mebibytes_up(uint64_t bytes)
{
    return (unsigned long long)(bytes / MIB(1) + (bytes % MIB(1) != 0 ? 1 : 0));
}

void loader_describe_error(const struct loader_error *error, char *line, size_t line_bytes)
{
    unsigned long long value = error->value;
    unsigned long long limit = error->limit;

    switch (error->status) {
    case LOADER_OK:
        fmt_snprintf(line, line_bytes, "no error");
        break;
    case LOADER_NO_KERNEL:
        fmt_snprintf(line, line_bytes, "there is no kernel, or it is empty");
        break;
    case LOADER_UNKNOWN_FORMAT:
        fmt_snprintf(line, line_bytes, "the kernel is neither a bzImage nor an ELF file nor a Multiboot image");
        break;
    case LOADER_TRUNCATED:
        fmt_snprintf(line, line_bytes, "the kernel file is truncated: it has %llu bytes and needs %llu", limit, value);
        break;
    case LOADER_BAD_HEADER:
        fmt_snprintf(line, line_bytes, "the kernel file is corrupt: %s is %llu", error->what, value);
        break;
    case LOADER_OLD_PROTOCOL:
        fmt_snprintf(line, line_bytes, "the bzImage has boot protocol 0x%llx, needed is 0x%llx or newer", value, limit);
        break;
    case LOADER_NO_64BIT_ENTRY:
        fmt_snprintf(line, line_bytes, "the bzImage has no 64-bit entry");
        break;
    case LOADER_NO_ENTRY:
        fmt_snprintf(line, line_bytes, "the ELF kernel has neither a PVH entry nor a Multiboot header");
        break;
    case LOADER_ENTRY_OUTSIDE:
        fmt_snprintf(line, line_bytes, "the kernel's entry 0x%llx is outside its segments", value);
        break;
    case LOADER_UNSUPPORTED_FLAGS:
        fmt_snprintf(line, line_bytes, "the Multiboot header asks for what is not served: flags 0x%llx", value);
        break;
    case LOADER_TOO_MANY_SEGMENTS:
        fmt_snprintf(line, line_bytes, "the ELF kernel has %llu program headers, at most %llu are served", value,
                     limit);
        break;
    case LOADER_SEGMENTS_OVERLAP:
        fmt_snprintf(line, line_bytes, "segments of the ELF kernel overlap at 0x%llx", value);
        break;
    case LOADER_SEGMENT_OUTSIDE_RAM:
        fmt_snprintf(line, line_bytes, "the kernel wants 0x%llx bytes at 0x%llx, where no usable RAM is", limit, value);
        break;
    case LOADER_NO_ROOM:
        fmt_snprintf(line, line_bytes, "the kernel does not fit in memory of %llu MiB: it needs %llu MiB",
                     limit / MIB(1), mebibytes_up(value));
        break;
    case LOADER_INITRD_EMPTY:
        fmt_snprintf(line, line_bytes, "the initrd is empty");
        break;
    case LOADER_INITRD_NO_ROOM:
        fmt_snprintf(line, line_bytes, "the initrd of %llu MiB does not fit beside the kernel in memory of %llu MiB",
                     mebibytes_up(value), limit / MIB(1));
        break;
    case LOADER_COMMAND_LINE_TOO_LONG:
        fmt_snprintf(line, line_bytes, "the command line has %llu bytes, the kernel takes %llu", value, limit);
        break;
    case LOADER_MEMORY_FAILED:
        fmt_snprintf(line, line_bytes, "guest memory at 0x%llx cannot be written", value);
        break;
    }
}

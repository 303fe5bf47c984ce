/* SPDX-License-Identifier: MIT */
/* Reads the root table, MADT, FADT and HPET, and finds one name in the DSDT. Does not interpret AML, and leaves the
 * other tables alone. */
#include "hv/lib/acpi/acpi_tables.h"

#include <stdarg.h>

#include "hv/lib/acpi/acpi_format.h"
#include "hv/lib/addr.h"
#include "hv/lib/bytes.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"

#define RSDP_OLD_BYTES  20
#define TABLE_BYTES_MAX MIB(16)
#define FADT_OLD_BYTES  (offsetof(struct acpi_fadt, flags) + sizeof(uint32_t))
#define PM_TIMER_BYTES  4
#define LOG_LINE_BYTES  120

/* Encodings of AML, as far as a package of small constants needs them. */
#define AML_ONE                 0x01u
#define AML_NAME                0x08u
#define AML_BYTE                0x0Au
#define AML_PACKAGE             0x12u
#define AML_PACKAGE_BYTES_SHIFT 6
#define SLEEP_TYPE_MAX          7u

/* Passes a line on. */
static PRINTF_LIKE(2, 3) void complain(const struct acpi_memory *memory, const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)fmt_vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    memory->log(line);
}

/* Checks the header of the table at `address` and copies it out. Logs what is wrong. */
static bool read_header(const struct acpi_memory *memory, uint64_t address, struct acpi_header *header)
{
    const void *source = memory->at(memory->context, address, sizeof(*header));

    if (source == NULL) {
        complain(memory, "ACPI: a table at 0x%llx cannot be reached", (unsigned long long)address);
        return false;
    }
    memcpy(header, source, sizeof(*header));
    if (header->bytes < sizeof(*header) || header->bytes > TABLE_BYTES_MAX) {
        complain(memory, "ACPI: the table at 0x%llx has a length of %u bytes", (unsigned long long)address,
                 header->bytes);
        return false;
    }
    return true;
}

/* The whole table at `address`, its checksum right and at least `minimum` bytes long; null (logged) otherwise. */
static const uint8_t *read_table(const struct acpi_memory *memory, uint64_t address, size_t minimum, size_t *bytes)
{
    struct acpi_header header;

    if (!read_header(memory, address, &header)) {
        return NULL;
    }
    const uint8_t *table = memory->at(memory->context, address, header.bytes);
    if (table == NULL || header.bytes < minimum) {
        complain(memory, "ACPI: table %.4s is cut short (%u bytes)", header.signature, header.bytes);
        return NULL;
    }
    if (byte_sum(table, header.bytes) != 0) {
        complain(memory, "ACPI: table %.4s has a wrong checksum", header.signature);
        return NULL;
    }
    *bytes = header.bytes;
    return table;
}

void acpi_set_defaults(struct acpi_info *info, uint32_t boot_apic_id)
{
    memset(info, 0, sizeof(*info));
    info->cpu_count = 1;
    info->apic_ids[0] = boot_apic_id;
    info->lapic_address = X86_APIC_BASE_DEFAULT;
    info->has_8259 = true;
}

/* Notes an enabled processor; the boot processor is there already, and some firmware lists one in both forms. */
static void add_cpu(struct acpi_info *info, uint32_t apic_id)
{
    for (uint32_t i = 0; i < info->cpu_count; i++) {
        if (info->apic_ids[i] == apic_id) {
            return;
        }
    }
    if (info->cpu_count == ACPI_CPU_MAX) {
        info->cpu_ignored_count++;
        return;
    }
    info->apic_ids[info->cpu_count++] = apic_id;
}

static void read_madt_ioapic(const struct acpi_memory *memory, const uint8_t *bytes, struct acpi_info *info)
{
    struct acpi_madt_ioapic entry;

    memcpy(&entry, bytes, sizeof(entry));
    if (info->ioapic_count == ACPI_IOAPIC_MAX) {
        complain(memory, "ACPI: IO-APIC %u is one too many", entry.id);
        return;
    }
    info->ioapics[info->ioapic_count++] =
        (struct acpi_ioapic){.id = entry.id, .address = entry.address, .gsi_base = entry.gsi_base};
}

static void read_madt_override(const struct acpi_memory *memory, const uint8_t *bytes, struct acpi_info *info)
{
    struct acpi_madt_override entry;

    memcpy(&entry, bytes, sizeof(entry));
    if (info->override_count == ACPI_OVERRIDE_MAX) {
        complain(memory, "ACPI: the override of interrupt %u is one too many", entry.source);
        return;
    }
    info->overrides[info->override_count++] =
        (struct acpi_override){.source = entry.source, .gsi = entry.gsi, .flags = entry.flags};
}

/* One MADT entry; `bytes` has all entry->bytes of it. */
static void read_madt_entry(const struct acpi_memory *memory, const struct acpi_madt_entry *entry, const uint8_t *bytes,
                            struct acpi_info *info)
{
    static const uint8_t needed[] = {
        [ACPI_MADT_LAPIC] = sizeof(struct acpi_madt_lapic),
        [ACPI_MADT_IOAPIC] = sizeof(struct acpi_madt_ioapic),
        [ACPI_MADT_OVERRIDE] = sizeof(struct acpi_madt_override),
        [ACPI_MADT_LAPIC_ADDRESS] = sizeof(struct acpi_madt_lapic_address),
        [ACPI_MADT_X2APIC] = sizeof(struct acpi_madt_x2apic),
    };
    struct acpi_madt_lapic lapic;
    struct acpi_madt_x2apic x2apic;
    struct acpi_madt_lapic_address lapic_address;

    if (entry->type < ARRAY_SIZE(needed) && entry->bytes < needed[entry->type]) {
        complain(memory, "ACPI: a MADT entry of type %u has only %u bytes", entry->type, entry->bytes);
        return;
    }
    switch (entry->type) {
    case ACPI_MADT_LAPIC:
        memcpy(&lapic, bytes, sizeof(lapic));
        if ((lapic.flags & ACPI_MADT_CPU_ENABLED) != 0) {
            add_cpu(info, lapic.apic_id);
        }
        break;
    case ACPI_MADT_X2APIC:
        memcpy(&x2apic, bytes, sizeof(x2apic));
        if ((x2apic.flags & ACPI_MADT_CPU_ENABLED) != 0) {
            add_cpu(info, x2apic.apic_id);
        }
        break;
    case ACPI_MADT_IOAPIC:
        read_madt_ioapic(memory, bytes, info);
        break;
    case ACPI_MADT_OVERRIDE:
        read_madt_override(memory, bytes, info);
        break;
    case ACPI_MADT_LAPIC_ADDRESS:
        memcpy(&lapic_address, bytes, sizeof(lapic_address));
        info->lapic_address = lapic_address.address;
        break;
    default:
        break;
    }
}

static void read_madt(const struct acpi_memory *memory, uint64_t address, struct acpi_info *info)
{
    size_t bytes;
    const uint8_t *table = read_table(memory, address, sizeof(struct acpi_madt), &bytes);
    struct acpi_madt madt;

    if (table == NULL) {
        return;
    }
    memcpy(&madt, table, sizeof(madt));
    info->lapic_address = madt.lapic_address;
    info->has_8259 = (madt.flags & ACPI_MADT_PC_AT) != 0;

    for (size_t offset = sizeof(madt); bytes - offset >= sizeof(struct acpi_madt_entry);) {
        struct acpi_madt_entry entry;
        memcpy(&entry, table + offset, sizeof(entry));
        if (entry.bytes < sizeof(entry) || entry.bytes > bytes - offset) {
            complain(memory, "ACPI: a MADT entry of type %u has a length of %u bytes; the rest is ignored", entry.type,
                     entry.bytes);
            break;
        }
        read_madt_entry(memory, &entry, table + offset, info);
        offset += entry.bytes;
    }
}

/* An I/O port given in the old or, if that is 0, in the generic form; 0 if there is none or it is no port. */
static uint16_t port_of(uint32_t old, const struct acpi_address *generic)
{
    uint64_t address = old;

    if (old == 0 && generic->space == ACPI_SPACE_IO) {
        address = generic->address;
    }
    return address <= UINT16_MAX ? (uint16_t)address : 0;
}

static void read_fadt(const struct acpi_memory *memory, uint64_t address, struct acpi_info *info)
{
    size_t bytes;
    const uint8_t *table = read_table(memory, address, FADT_OLD_BYTES, &bytes);
    struct acpi_fadt fadt = {.rsvd0 = 0};

    if (table == NULL) {
        return;
    }
    memcpy(&fadt, table, bytes < sizeof(fadt) ? bytes : sizeof(fadt));
    info->sci = fadt.sci;
    info->dsdt = fadt.x_dsdt != 0 ? fadt.x_dsdt : fadt.dsdt;
    info->pm1a_control_port = port_of(fadt.pm1a_control, &fadt.x_pm1a_control);
    info->pm1b_control_port = port_of(fadt.pm1b_control, &fadt.x_pm1b_control);
    if (fadt.pm_timer_bytes == PM_TIMER_BYTES) {
        info->pm_timer_port = port_of(fadt.pm_timer, &fadt.x_pm_timer);
        info->pm_timer_is_32bit = (fadt.flags & ACPI_FADT_TIMER_32BIT) != 0;
    }
}

static void read_hpet(const struct acpi_memory *memory, uint64_t address, struct acpi_info *info)
{
    size_t bytes;
    const uint8_t *table = read_table(memory, address, sizeof(struct acpi_hpet), &bytes);
    struct acpi_hpet hpet;

    if (table == NULL) {
        return;
    }
    memcpy(&hpet, table, sizeof(hpet));
    if (hpet.base.space == ACPI_SPACE_MEMORY && hpet.base.address != 0) {
        info->has_hpet = true;
        info->hpet_address = hpet.base.address;
    }
}

/* One entry of the root table. */
static void read_entry(const struct acpi_memory *memory, uint64_t address, struct acpi_info *info)
{
    struct acpi_header header;

    if (!read_header(memory, address, &header)) {
        return;
    }
    if (info->table_count < ACPI_TABLE_MAX) {
        struct acpi_table *table = &info->tables[info->table_count++];
        memcpy(table->signature, header.signature, sizeof(header.signature));
        table->address = address;
        table->bytes = header.bytes;
    }
    if (memcmp(header.signature, "APIC", 4) == 0) {
        read_madt(memory, address, info);
    } else if (memcmp(header.signature, "FACP", 4) == 0) {
        read_fadt(memory, address, info);
    } else if (memcmp(header.signature, "HPET", 4) == 0) {
        read_hpet(memory, address, info);
    } else if (memcmp(header.signature, "MCFG", 4) == 0) {
        info->has_mcfg = true;
    } else if (memcmp(header.signature, "DMAR", 4) == 0 || memcmp(header.signature, "IVRS", 4) == 0) {
        info->has_iommu = true;
    }
}

/* Checks the root pointer and says which root table it names. Logs what is wrong. */
static bool read_rsdp(const struct acpi_memory *memory, const uint8_t *bytes, size_t size, uint64_t *address,
                      bool *is_xsdt)
{
    struct acpi_rsdp rsdp = {.revision = 0};

    if (size < RSDP_OLD_BYTES) {
        complain(memory, "ACPI: the root pointer has only %zu bytes", size);
        return false;
    }
    memcpy(&rsdp, bytes, size < sizeof(rsdp) ? size : sizeof(rsdp));
    if (memcmp(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature)) != 0 || byte_sum(bytes, RSDP_OLD_BYTES) != 0) {
        complain(memory, "ACPI: the root pointer has a wrong signature or checksum");
        return false;
    }
    bool is_long = rsdp.revision >= 2 && size >= sizeof(rsdp) && rsdp.bytes >= sizeof(rsdp);
    *is_xsdt = is_long && rsdp.xsdt != 0 && byte_sum(bytes, sizeof(rsdp)) == 0;
    *address = *is_xsdt ? rsdp.xsdt : rsdp.rsdt;
    if (*address == 0) {
        complain(memory, "ACPI: the root pointer names no root table");
        return false;
    }
    return true;
}

bool acpi_parse(const struct acpi_memory *memory, const uint8_t *rsdp, size_t rsdp_bytes, uint32_t boot_apic_id,
                struct acpi_info *info)
{
    uint64_t root;
    bool is_xsdt;
    size_t bytes;

    acpi_set_defaults(info, boot_apic_id);
    if (!read_rsdp(memory, rsdp, rsdp_bytes, &root, &is_xsdt)) {
        return false;
    }
    const uint8_t *table = read_table(memory, root, sizeof(struct acpi_header), &bytes);
    if (table == NULL || memcmp(table, is_xsdt ? "XSDT" : "RSDT", 4) != 0) {
        complain(memory, "ACPI: there is no usable root table at 0x%llx", (unsigned long long)root);
        return false;
    }
    info->root_table = root;
    info->root_table_is_xsdt = is_xsdt;

    size_t step = is_xsdt ? sizeof(uint64_t) : sizeof(uint32_t);
    for (size_t offset = sizeof(struct acpi_header); bytes - offset >= step; offset += step) {
        uint64_t address = 0;
        memcpy(&address, table + offset, step);
        if (address != 0) {
            read_entry(memory, address, info);
        }
    }
    return true;
}

/* One constant of AML that can be a sleep type; false if it is something else. */
static bool read_sleep_type(const uint8_t **at, const uint8_t *end, uint8_t *value)
{
    if (*at < end && **at == AML_BYTE) {
        (*at)++;
    } else if (*at<end &&* * at> AML_ONE) {
        return false;
    }
    if (*at == end || **at > SLEEP_TYPE_MAX) {
        return false;
    }
    *value = *(*at)++;
    return true;
}

bool acpi_find_sleep_types(const struct acpi_memory *memory, const struct acpi_info *info, uint8_t *pm1a, uint8_t *pm1b)
{
    size_t bytes = 0;
    const uint8_t *dsdt = info->dsdt == 0 ? NULL : read_table(memory, info->dsdt, sizeof(struct acpi_header), &bytes);

    if (dsdt == NULL) {
        return false;
    }

    const uint8_t *end = dsdt + bytes;

    for (const uint8_t *name = dsdt + sizeof(struct acpi_header); end - name > 8; name++) {
        if (memcmp(name, "_S5_", 4) != 0 || name[4] != AML_PACKAGE ||
            !(name[-1] == AML_NAME || (name[-1] == '\\' && name[-2] == AML_NAME))) {
            continue;
        }

        /* Package length: the top bits of its first byte say how many more bytes it has. Then the element count. */
        const uint8_t *at = name + 5 + (name[5] >> AML_PACKAGE_BYTES_SHIFT) + 1;

        if (at < end && *at++ >= 2 && read_sleep_type(&at, end, pm1a) && read_sleep_type(&at, end, pm1b)) {
            return true;
        }
    }
    return false;
}

/* SPDX-License-Identifier: MIT */
/*
 * Firmware tables (ACPI specification 6.0, ACPI Software Programming Model). They
 * say what is there and no more: fixed hardware with PM timer, power button, S5
 * and reset register; IO-APIC and local APICs but no 8259; two serial ports and
 * an RTC; VMBus if the VM has it; no 8042, no VGA, no PIT, no HPET, no PCI.
 */
#include "partitions/root/worker/acpi/tables.h"

#include "hv/lib/bytes.h"
#include "hv/lib/str.h"
#include "partitions/root/worker/acpi/aml.h"
#include "partitions/root/worker/dev/acpi_pm.h"
#include "partitions/root/worker/dev/rtc.h"
#include "partitions/root/worker/guest_memory.h"
#include "partitions/root/worker/layout.h"
#include "vmbus/host.h"

/* Header of all tables but RSDP and FACS. */
#define HEADER_LENGTH           4u
#define HEADER_REVISION         8u
#define HEADER_CHECKSUM         9u
#define HEADER_OEM              10u
#define HEADER_OEM_TABLE        16u
#define HEADER_OEM_REVISION     24u
#define HEADER_CREATOR          28u
#define HEADER_CREATOR_REVISION 32u
#define HEADER_BYTES            36u

#define SIGNATURE_BYTES 4u
#define OEM_ID          "PRTITA"
#define OEM_TABLE_ID    "PARTITA "
#define CREATOR_ID      "PRTA"

/* Root system description pointer. */
#define RSDP_SIGNATURE         "RSD PTR "
#define RSDP_CHECKSUM          8u
#define RSDP_OEM               9u
#define RSDP_REVISION          15u
#define RSDP_RSDT              16u
#define RSDP_LENGTH            20u
#define RSDP_XSDT              24u
#define RSDP_EXTENDED_CHECKSUM 32u
#define RSDP_FIRST_BYTES       20u
#define RSDP_BYTES             36u
#define RSDP_REVISION_2        2u

/* Firmware ACPI control structure. */
#define FACS_LENGTH    4u
#define FACS_VERSION   32u
#define FACS_BYTES     64u
#define FACS_ALIGNMENT 64u

/* Fixed ACPI description table. */
#define FADT_REVISION             6u
#define FADT_BYTES                276u
#define FADT_FIRMWARE_CONTROL     36u
#define FADT_DSDT                 40u
#define FADT_SCI_INTERRUPT        46u
#define FADT_PM1A_EVENT_BLOCK     56u
#define FADT_PM1A_CONTROL_BLOCK   64u
#define FADT_PM_TIMER_BLOCK       76u
#define FADT_PM1_EVENT_LENGTH     88u
#define FADT_PM1_CONTROL_LENGTH   89u
#define FADT_PM_TIMER_LENGTH      91u
#define FADT_C2_LATENCY           96u
#define FADT_C3_LATENCY           98u
#define FADT_CENTURY              108u
#define FADT_BOOT_ARCHITECTURE    109u
#define FADT_FLAGS                112u
#define FADT_RESET_REGISTER       116u
#define FADT_RESET_VALUE          128u
#define FADT_X_DSDT               140u
#define FADT_X_PM1A_EVENT_BLOCK   148u
#define FADT_X_PM1A_CONTROL_BLOCK 172u
#define FADT_X_PM_TIMER_BLOCK     208u

#define FADT_NO_C2 101u
#define FADT_NO_C3 1001u

#define BOOT_ARCHITECTURE_LEGACY_DEVICES 0x0001u
#define BOOT_ARCHITECTURE_NO_VGA         0x0004u

#define FLAG_WBINVD                (1u << 0)
#define FLAG_C1                    (1u << 2)
#define FLAG_NO_FIXED_SLEEP_BUTTON (1u << 5)
#define FLAG_NO_FIXED_RTC_WAKE     (1u << 6)
#define FLAG_TIMER_32_BITS         (1u << 8)
#define FLAG_RESET_REGISTER        (1u << 10)
#define FLAG_HEADLESS              (1u << 12)

/* Generic address structure. */
#define GAS_SPACE        0u
#define GAS_BIT_WIDTH    1u
#define GAS_ACCESS       3u
#define GAS_ADDRESS      4u
#define GAS_SPACE_IO     1u
#define GAS_ACCESS_BYTE  1u
#define GAS_ACCESS_WORD  2u
#define GAS_ACCESS_DWORD 3u

/* Multiple APIC description table. */
#define MADT_REVISION          4u
#define MADT_LOCAL_APIC        0u
#define MADT_IO_APIC           1u
#define MADT_OVERRIDE          2u
#define MADT_LOCAL_APIC_NMI    4u
#define MADT_X2APIC            9u
#define MADT_X2APIC_NMI        10u
#define MADT_ENABLED           1u
#define MADT_ALL_PROCESSORS_8  0xFFu
#define MADT_ALL_PROCESSORS_32 0xFFFFFFFFu
#define MADT_NMI_INPUT         1u
/* APIC ids from here on do not fit the local APIC entry. */
#define MADT_X2APIC_FIRST_ID   255u
/* Polarity in bits 1:0 (1 is active high), trigger in bits 3:2 (3 is level). */
#define MADT_ACTIVE_HIGH_LEVEL 0x000Du

#define RSDT_REVISION  1u
#define XSDT_REVISION  1u
#define DSDT_REVISION  2u
#define DSDT_BYTES_MAX 512u

#define TABLE_ALIGNMENT 16u

/* Writes tables to guest RAM one behind the other; all but the last header field is known only at a table's end. */
struct table_writer {
    struct host_vm *host;
    uint64_t gpa;       /* where the next byte goes */
    uint64_t table_gpa; /* the table that is being written */
    uint8_t sum;        /* of its bytes without the header */
    bool is_ok;         /* everything fitted so far */
};

static void writer_align(struct table_writer *writer, uint64_t alignment)
{
    writer->gpa = align_up_u64(writer->gpa, alignment);
}

static void writer_append(struct table_writer *writer, const uint8_t *bytes, size_t length)
{
    if (!writer->is_ok || writer->gpa + length > LAYOUT_ACPI_GPA + LAYOUT_ACPI_BYTES) {
        writer->is_ok = false;
        return;
    }
    writer->is_ok = guest_memory_write(writer->host, writer->gpa, bytes, length);
    writer->sum = (uint8_t)(writer->sum + byte_sum(bytes, length));
    writer->gpa += length;
}

static void table_begin(struct table_writer *writer)
{
    writer_align(writer, TABLE_ALIGNMENT);
    writer->table_gpa = writer->gpa;
    writer->gpa += HEADER_BYTES;
    writer->sum = 0;
}

/* Writes the header of the table and returns where it is. */
static uint64_t table_end(struct table_writer *writer, const char *signature, uint8_t revision)
{
    uint8_t header[HEADER_BYTES] = {0};

    memcpy(header, signature, SIGNATURE_BYTES);
    put_u32(header + HEADER_LENGTH, (uint32_t)(writer->gpa - writer->table_gpa));
    header[HEADER_REVISION] = revision;
    memcpy(header + HEADER_OEM, OEM_ID, sizeof(OEM_ID) - 1);
    memcpy(header + HEADER_OEM_TABLE, OEM_TABLE_ID, sizeof(OEM_TABLE_ID) - 1);
    put_u32(header + HEADER_OEM_REVISION, 1);
    memcpy(header + HEADER_CREATOR, CREATOR_ID, sizeof(CREATOR_ID) - 1);
    put_u32(header + HEADER_CREATOR_REVISION, 1);
    header[HEADER_CHECKSUM] = (uint8_t) - (writer->sum + byte_sum(header, sizeof(header)));
    if (writer->is_ok) {
        writer->is_ok = guest_memory_write(writer->host, writer->table_gpa, header, sizeof(header));
    }
    return writer->table_gpa;
}

static uint64_t write_facs(struct table_writer *writer)
{
    uint8_t facs[FACS_BYTES] = "FACS";

    writer_align(writer, FACS_ALIGNMENT);

    uint64_t gpa = writer->gpa;

    put_u32(facs + FACS_LENGTH, FACS_BYTES);
    facs[FACS_VERSION] = 2;
    writer_append(writer, facs, sizeof(facs));
    return gpa;
}

static void add_serial_port(struct aml *aml, const char *name, uint32_t unique_id, uint16_t port, uint8_t irq)
{
    struct aml_mark device = aml_begin_device(aml, name);

    aml_name_hardware_id(aml, "PNP0501");
    aml_name_integer(aml, "_UID", unique_id);
    aml_name_port_and_irq(aml, port, LAYOUT_UART_PORTS, irq);
    aml_end(aml, device);
}

/* VMBus, below the module whose window its devices' memory is taken from, as Hyper-V has them in VMs without PCI. */
static void add_vmbus(struct aml *aml)
{
    struct aml_mark module = aml_begin_device(aml, "VMOD");

    aml_name_string(aml, "_HID", "ACPI0004");
    aml_name_integer(aml, "_UID", 0);
    aml_name_memory_window(aml, (uint32_t)LAYOUT_MMIO_WINDOW_GPA, (uint32_t)LAYOUT_MMIO_WINDOW_BYTES);

    struct aml_mark bus = aml_begin_device(aml, "VMBS");

    aml_name_string(aml, "_HID", "VMBus");
    aml_name_string(aml, "_DDN", "VMBUS");
    aml_name_integer(aml, "_UID", 0);
    aml_name_no_resources(aml); /* its interrupts come through the SynIC; Linux wants the list all the same */
    aml_end(aml, bus);
    aml_end(aml, module);
}

static uint64_t write_dsdt(struct table_writer *writer, bool has_vmbus)
{
    static const uint8_t s5[4] = {ACPI_PM_SLEEP_TYPE_S5, 0, 0, 0};
    uint8_t bytes[DSDT_BYTES_MAX];
    struct aml aml;
    struct aml_mark scope;
    struct aml_mark device;

    aml_init(&aml, bytes, sizeof(bytes));
    aml_name_byte_package(&aml, "\\_S5_", s5, sizeof(s5));
    scope = aml_begin_scope(&aml, "\\_SB_");
    add_serial_port(&aml, "COM1", 1, LAYOUT_COM1_PORT, LAYOUT_COM1_PIN);
    add_serial_port(&aml, "COM2", 2, LAYOUT_COM2_PORT, LAYOUT_COM2_PIN);
    device = aml_begin_device(&aml, "RTC0");
    aml_name_hardware_id(&aml, "PNP0B00");
    aml_name_port_and_irq(&aml, LAYOUT_RTC_PORT, LAYOUT_RTC_PORTS, LAYOUT_RTC_PIN);
    aml_end(&aml, device);
    if (has_vmbus) {
        add_vmbus(&aml);
    }
    aml_end(&aml, scope);

    table_begin(writer);
    writer->is_ok = writer->is_ok && aml_is_complete(&aml);
    writer_append(writer, bytes, aml.length);
    return table_end(writer, "DSDT", DSDT_REVISION);
}

static void put_io_address(uint8_t *gas, uint8_t bit_width, uint8_t access, uint16_t port)
{
    gas[GAS_SPACE] = GAS_SPACE_IO;
    gas[GAS_BIT_WIDTH] = bit_width;
    gas[GAS_ACCESS] = access;
    put_u64(gas + GAS_ADDRESS, port);
}

static uint64_t write_fadt(struct table_writer *writer, uint64_t facs_gpa, uint64_t dsdt_gpa)
{
    uint8_t fadt[FADT_BYTES] = {0};

    put_u32(fadt + FADT_FIRMWARE_CONTROL, (uint32_t)facs_gpa);
    put_u32(fadt + FADT_DSDT, (uint32_t)dsdt_gpa);
    put_u64(fadt + FADT_X_DSDT, dsdt_gpa);
    put_u16(fadt + FADT_SCI_INTERRUPT, LAYOUT_SCI_PIN);
    put_u32(fadt + FADT_PM1A_EVENT_BLOCK, LAYOUT_PM1_EVENT_PORT);
    put_u32(fadt + FADT_PM1A_CONTROL_BLOCK, LAYOUT_PM1_CONTROL_PORT);
    put_u32(fadt + FADT_PM_TIMER_BLOCK, LAYOUT_PM_TIMER_PORT);
    fadt[FADT_PM1_EVENT_LENGTH] = 4;
    fadt[FADT_PM1_CONTROL_LENGTH] = 2;
    fadt[FADT_PM_TIMER_LENGTH] = 4;
    put_u16(fadt + FADT_C2_LATENCY, FADT_NO_C2);
    put_u16(fadt + FADT_C3_LATENCY, FADT_NO_C3);
    fadt[FADT_CENTURY] = RTC_CENTURY_INDEX;
    put_u16(fadt + FADT_BOOT_ARCHITECTURE, BOOT_ARCHITECTURE_LEGACY_DEVICES | BOOT_ARCHITECTURE_NO_VGA);
    put_u32(fadt + FADT_FLAGS, FLAG_WBINVD | FLAG_C1 | FLAG_NO_FIXED_SLEEP_BUTTON | FLAG_NO_FIXED_RTC_WAKE |
                                   FLAG_TIMER_32_BITS | FLAG_RESET_REGISTER | FLAG_HEADLESS);
    put_io_address(fadt + FADT_RESET_REGISTER, 8, GAS_ACCESS_BYTE, LAYOUT_RESET_PORT);
    fadt[FADT_RESET_VALUE] = LAYOUT_RESET_VALUE;
    put_io_address(fadt + FADT_X_PM1A_EVENT_BLOCK, 32, GAS_ACCESS_WORD, LAYOUT_PM1_EVENT_PORT);
    put_io_address(fadt + FADT_X_PM1A_CONTROL_BLOCK, 16, GAS_ACCESS_WORD, LAYOUT_PM1_CONTROL_PORT);
    put_io_address(fadt + FADT_X_PM_TIMER_BLOCK, 32, GAS_ACCESS_DWORD, LAYOUT_PM_TIMER_PORT);

    table_begin(writer);
    writer_append(writer, fadt + HEADER_BYTES, sizeof(fadt) - HEADER_BYTES);
    return table_end(writer, "FACP", FADT_REVISION);
}

static void add_processor(struct table_writer *writer, uint32_t apic_id)
{
    if (apic_id < MADT_X2APIC_FIRST_ID) {
        uint8_t entry[8] = {MADT_LOCAL_APIC, sizeof(entry), (uint8_t)apic_id, (uint8_t)apic_id, MADT_ENABLED};

        writer_append(writer, entry, sizeof(entry));
    } else {
        uint8_t entry[16] = {MADT_X2APIC, sizeof(entry)};

        put_u32(entry + 4, apic_id);
        put_u32(entry + 8, MADT_ENABLED);
        put_u32(entry + 12, apic_id);
        writer_append(writer, entry, sizeof(entry));
    }
}

static uint64_t write_madt(struct table_writer *writer, uint32_t vp_count)
{
    uint8_t fixed[8] = {0};
    uint8_t io_apic[12] = {MADT_IO_APIC, sizeof(io_apic)};
    uint8_t sci[10] = {MADT_OVERRIDE, sizeof(sci), 0, LAYOUT_SCI_PIN};
    uint8_t nmi[6] = {MADT_LOCAL_APIC_NMI, sizeof(nmi), MADT_ALL_PROCESSORS_8, 0, 0, MADT_NMI_INPUT};

    table_begin(writer);
    /* The flags behind the address stay zero: there are no 8259s. */
    put_u32(fixed, (uint32_t)LAYOUT_LOCAL_APIC_GPA);
    writer_append(writer, fixed, sizeof(fixed));
    for (uint32_t i = 0; i < vp_count; i++) {
        add_processor(writer, i);
    }
    put_u32(io_apic + 4, (uint32_t)LAYOUT_IOAPIC_GPA);
    writer_append(writer, io_apic, sizeof(io_apic));
    put_u32(sci + 4, LAYOUT_SCI_PIN);
    put_u16(sci + 8, MADT_ACTIVE_HIGH_LEVEL);
    writer_append(writer, sci, sizeof(sci));
    writer_append(writer, nmi, sizeof(nmi));
    if (vp_count > MADT_X2APIC_FIRST_ID) {
        uint8_t x2apic_nmi[12] = {MADT_X2APIC_NMI, sizeof(x2apic_nmi)};

        put_u32(x2apic_nmi + 4, MADT_ALL_PROCESSORS_32);
        x2apic_nmi[8] = MADT_NMI_INPUT;
        writer_append(writer, x2apic_nmi, sizeof(x2apic_nmi));
    }
    return table_end(writer, "APIC", MADT_REVISION);
}

/* RSDT and XSDT: the same list with short and long addresses. */
static uint64_t write_list(struct table_writer *writer, const uint64_t *tables, uint32_t count, bool is_long)
{
    uint32_t entry_bytes = is_long ? 8 : 4;

    table_begin(writer);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t entry[8];

        put_u64(entry, tables[i]);
        writer_append(writer, entry, entry_bytes);
    }
    return is_long ? table_end(writer, "XSDT", XSDT_REVISION) : table_end(writer, "RSDT", RSDT_REVISION);
}

static void write_rsdp(struct table_writer *writer, uint64_t rsdt_gpa, uint64_t xsdt_gpa)
{
    uint8_t rsdp[RSDP_BYTES] = RSDP_SIGNATURE;

    memcpy(rsdp + RSDP_OEM, OEM_ID, sizeof(OEM_ID) - 1);
    rsdp[RSDP_REVISION] = RSDP_REVISION_2;
    put_u32(rsdp + RSDP_RSDT, (uint32_t)rsdt_gpa);
    put_u32(rsdp + RSDP_LENGTH, RSDP_BYTES);
    put_u64(rsdp + RSDP_XSDT, xsdt_gpa);
    rsdp[RSDP_CHECKSUM] = (uint8_t)-byte_sum(rsdp, RSDP_FIRST_BYTES);
    rsdp[RSDP_EXTENDED_CHECKSUM] = (uint8_t)-byte_sum(rsdp, RSDP_BYTES);
    writer_append(writer, rsdp, sizeof(rsdp));
}

bool acpi_write_tables(struct host_vm *host, uint32_t vp_count, bool has_vmbus, uint64_t *rsdp_gpa)
{
    struct table_writer writer = {.host = host, .gpa = LAYOUT_ACPI_GPA + RSDP_BYTES, .is_ok = true};
    uint64_t facs_gpa = write_facs(&writer);
    uint64_t dsdt_gpa = write_dsdt(&writer, has_vmbus);
    uint64_t tables[2];
    uint64_t rsdt_gpa;
    uint64_t xsdt_gpa;

    tables[0] = write_fadt(&writer, facs_gpa, dsdt_gpa);
    tables[1] = write_madt(&writer, vp_count);
    rsdt_gpa = write_list(&writer, tables, ARRAY_SIZE(tables), false);
    xsdt_gpa = write_list(&writer, tables, ARRAY_SIZE(tables), true);
    /* It comes first in memory and last in time: it points at the others. */
    writer.gpa = LAYOUT_ACPI_GPA;
    write_rsdp(&writer, rsdt_gpa, xsdt_gpa);
    *rsdp_gpa = LAYOUT_ACPI_GPA;
    return writer.is_ok;
}

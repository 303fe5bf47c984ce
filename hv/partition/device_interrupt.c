/* SPDX-License-Identifier: MIT */
/*
 * Device interrupts of the root. Root VP i lives on processor i, so a device interrupt that arrives on a processor is
 * for that processor's root VP; what has to be found is the root's vector. The local APIC itself says whether the
 * interrupt was level-triggered. An edge is ended at once; a level-triggered one stays in service until the root's EOI,
 * so that the device does not interrupt again before its handler ran.
 */
#include "hv/partition/device_interrupt.h"

#include "hv/cpu/cpu.h"
#include "hv/debug/trace.h"
#include "hv/irq/irq.h"
#include "hv/lib/addr.h"
#include "hv/lib/bitmap.h"
#include "hv/mem/mem.h"
#include "hv/partition/apic.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"
#include "hv/sync/spinlock.h"

#define VECTORS      256u
#define VECTOR_FIRST 16u /* of the root's own vectors: what an APIC can deliver */

/* MSI address and data, redirection entry (SDM vol. 3, Message Signalled Interrupts; IO-APIC). */
#define MSI_ADDRESS           0xfee00000u
#define MSI_DESTINATION_SHIFT 12
#define MSI_DESTINATION_MAX   0xffu
#define RTE_LEVEL             (1u << 15)
#define RTE_DESTINATION_SHIFT 24

/* One physical vector of one processor. */
struct device_vector {
    uint64_t device_id; /* [device_lock] who has mapped it */
    uint8_t vector;     /* [a] the root's vector; 0: not mapped */
};

/* The vectors of one processor. */
struct device_table {
    struct device_vector vectors[IRQ_VECTOR_DEVICE_LAST - IRQ_VECTOR_DEVICE_FIRST + 1];
    uint8_t physical[VECTORS]; /* [C] by the root's vector: level-triggered physical one that it stands for, or 0 */
    uint64_t in_service[VECTORS / 64]; /* [C] level-triggered physical vectors without their EOI */
    uint64_t ended[VECTORS / 64];      /* [C] of those, what the root has ended */
};
_Static_assert(sizeof(struct device_table) <= PAGE_SIZE, "a processor's table is one page");

static struct device_table *tables[CPU_MAX]; /* [I] after device_interrupt_init() */
static struct spinlock device_lock = SPINLOCK_INIT(LOCK_RANK_IRQ, "device vectors");

bool device_interrupt_init(void)
{
    for (uint32_t i = 0; i < cpu_count(); i++) {
        tables[i] = page_alloc();
        if (tables[i] == NULL) {
            return false;
        }
    }
    return true;
}

static struct device_vector *entry_of(struct device_table *table, uint32_t physical)
{
    return &table->vectors[physical - IRQ_VECTOR_DEVICE_FIRST];
}

/*
 * The root's vector for a physical one. One that nobody has mapped is delivered under its own number: the root has
 * programmed the IO-APIC itself.
 */
static uint8_t translate(struct device_table *table, uint8_t physical)
{
    uint8_t vector = READ_ONCE(entry_of(table, physical)->vector);

    return vector != 0 ? vector : physical;
}

/* Physical EOIs that have become possible: the APIC ends the highest vector in service, so lower ones wait for it. */
static void send_eois(struct device_table *table)
{
    for (;;) {
        size_t highest = bitmap_find_last(table->in_service, VECTORS);

        if (highest == BITMAP_NONE || !bitmap_test(table->ended, highest)) {
            return;
        }
        bitmap_clear(table->in_service, highest);
        bitmap_clear(table->ended, highest);
        lapic_eoi();
    }
}

void irq_deliver_device(uint8_t vector)
{
    struct cpu *cpu = cpu_this();
    struct device_table *table = tables[cpu->index];
    struct vp *vp = cpu->root_vp;
    uint8_t root_vector;

    if (table == NULL || vp == NULL || vector < IRQ_VECTOR_DEVICE_FIRST || vector > IRQ_VECTOR_DEVICE_LAST) {
        lapic_eoi(); /* before there is a root, or on a processor without one: nobody to tell */
        return;
    }
    root_vector = translate(table, vector);
    trace(TRACE_INTERRUPT, vp->trace_id, vector, root_vector);
    if (!lapic_is_level(vector)) {
        lapic_eoi();
        (void)apic_set_irr(vp, root_vector, false);
        return;
    }
    bitmap_set(table->in_service, vector);
    bitmap_clear(table->ended, vector);
    table->physical[root_vector] = vector;
    if (!apic_set_irr(vp, root_vector, true) && !apic_is_pending(vp, root_vector)) {
        /* The root's APIC is switched off: no EOI will come. */
        device_interrupt_eoi(vp, root_vector);
    }
}

void irq_deliver_nmi(void)
{
    struct vp *vp = cpu_this()->root_vp;

    /* It may have interrupted anything, the holder of any lock: only the bit is set. The NMI itself has ended guest
     * mode. */
    if (vp != NULL) {
        atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_NMI, memory_order_release);
    }
}

void device_interrupt_eoi(struct vp *root_vp, uint8_t vector)
{
    struct device_table *table = tables[root_vp->index];
    uint8_t physical;

    if (table == NULL) {
        return;
    }
    physical = table->physical[vector];
    if (physical == 0 || !bitmap_test(table->in_service, physical)) {
        return;
    }
    table->physical[vector] = 0;
    bitmap_set(table->ended, physical);
    send_eois(table);
}

/* Finds a free physical vector of a processor: the root's own number if possible, since that needs no translation. */
static uint32_t find_free(struct device_table *table, uint32_t wanted)
{
    if (wanted >= IRQ_VECTOR_DEVICE_FIRST && wanted <= IRQ_VECTOR_DEVICE_LAST && entry_of(table, wanted)->vector == 0) {
        return wanted;
    }
    for (uint32_t physical = IRQ_VECTOR_DEVICE_LAST; physical >= IRQ_VECTOR_DEVICE_FIRST; physical--) {
        if (entry_of(table, physical)->vector == 0) {
            return physical;
        }
    }
    return 0;
}

static void fill_entry(uint64_t device_id, uint32_t physical, bool is_level_triggered, uint32_t apic_id,
                       struct hv_interrupt_entry *entry)
{
    if (hv_device_id_type(device_id) == HV_DEVICE_TYPE_IOAPIC) {
        *entry = (struct hv_interrupt_entry){
            .source = HvInterruptSourceIoApic,
            .data_low = physical | (is_level_triggered ? RTE_LEVEL : 0),
            .data_high = apic_id << RTE_DESTINATION_SHIFT,
        };
        return;
    }
    *entry = (struct hv_interrupt_entry){
        .source = HvInterruptSourceMsi,
        .data_low = MSI_ADDRESS | apic_id << MSI_DESTINATION_SHIFT,
        .data_high = physical,
    };
}

hv_status_t device_interrupt_map(uint64_t device_id, uint32_t interrupt_type, uint32_t trigger_mode, uint32_t vector,
                                 uint32_t target_vp, struct hv_interrupt_entry *entry)
{
    uint32_t type = hv_device_id_type(device_id);
    const struct cpu *cpu = cpu_get(target_vp);
    struct device_table *table;
    uint32_t physical;

    if (type != HV_DEVICE_TYPE_PCI && type != HV_DEVICE_TYPE_IOAPIC) {
        return HV_STATUS_INVALID_DEVICE_ID;
    }
    if (interrupt_type != HvX64InterruptTypeFixed || trigger_mode > HV_INTERRUPT_TRIGGER_MODE_LEVEL ||
        (trigger_mode == HV_INTERRUPT_TRIGGER_MODE_LEVEL && type == HV_DEVICE_TYPE_PCI) || vector < VECTOR_FIRST ||
        vector >= VECTORS) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (cpu == NULL || tables[cpu->index] == NULL || cpu->apic_id > MSI_DESTINATION_MAX) {
        return HV_STATUS_INVALID_VP_INDEX; /* without interrupt remapping only 8-bit APIC ids can be named */
    }
    table = tables[cpu->index];
    spin_lock(&device_lock);
    physical = find_free(table, vector);
    if (physical != 0) {
        entry_of(table, physical)->device_id = device_id;
        WRITE_ONCE(entry_of(table, physical)->vector, (uint8_t)vector);
    }
    spin_unlock(&device_lock);
    if (physical == 0) {
        return HV_STATUS_NO_RESOURCES;
    }
    fill_entry(device_id, physical, trigger_mode == HV_INTERRUPT_TRIGGER_MODE_LEVEL, cpu->apic_id, entry);
    return HV_STATUS_SUCCESS;
}

/* Physical vector and destination that an entry names; false: not an entry of ours. */
static bool parse_entry(uint64_t device_id, const struct hv_interrupt_entry *entry, uint32_t *physical,
                        uint32_t *apic_id)
{
    if (hv_device_id_type(device_id) == HV_DEVICE_TYPE_IOAPIC) {
        *physical = entry->data_low & 0xffu;
        *apic_id = entry->data_high >> RTE_DESTINATION_SHIFT;
    } else {
        *physical = entry->data_high & 0xffu;
        *apic_id = (entry->data_low >> MSI_DESTINATION_SHIFT) & MSI_DESTINATION_MAX;
    }
    return *physical >= IRQ_VECTOR_DEVICE_FIRST && *physical <= IRQ_VECTOR_DEVICE_LAST;
}

hv_status_t device_interrupt_unmap(uint64_t device_id, const struct hv_interrupt_entry *entry)
{
    uint32_t type = hv_device_id_type(device_id);
    hv_status_t status = HV_STATUS_NOT_FOUND;
    uint32_t physical;
    uint32_t apic_id;

    if (type != HV_DEVICE_TYPE_PCI && type != HV_DEVICE_TYPE_IOAPIC) {
        return HV_STATUS_INVALID_DEVICE_ID;
    }
    if (!parse_entry(device_id, entry, &physical, &apic_id)) {
        return HV_STATUS_NOT_FOUND;
    }
    for (uint32_t i = 0; i < cpu_count() && status != HV_STATUS_SUCCESS; i++) {
        struct device_vector *vector;

        if (tables[i] == NULL || cpu_get(i)->apic_id != apic_id) {
            continue;
        }
        vector = entry_of(tables[i], physical);
        spin_lock(&device_lock);
        if (vector->vector != 0 && vector->device_id == device_id) {
            WRITE_ONCE(vector->vector, 0);
            vector->device_id = 0;
            status = HV_STATUS_SUCCESS;
        }
        spin_unlock(&device_lock);
    }
    return status;
}

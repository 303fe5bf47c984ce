/* SPDX-License-Identifier: MIT */
/* Finds and enables the hypervisor's interface, makes hypercalls, deposits memory, and takes messages: VP signals wake
 * child VPs. */
#include "partitions/root/kernel/hypercall.h"

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/str.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/memory.h"
#include "partitions/root/kernel/sched.h"

#define DEPOSIT_PAGES         8u  /* at a time; also the size of a contiguous piece */
#define DEPOSIT_PAGES_MAPPING 32u /* for second-level tables */
#define WITHDRAW_LIST_MAX     512u

#define IOAPIC_REDIRECTION      0x10u
#define IOAPIC_MASKED           0x10000u
#define IOAPIC_LEVEL            0x8000u
#define IOAPIC_ACTIVE_LOW       0x2000u
#define IOAPIC_ROUTE_MASK       0xFFFu /* vector, delivery mode, destination mode */
#define IOAPIC_WINDOW           4u     /* data register, in 32-bit words behind the index register */
#define INTERRUPT_SOURCE_MSI    1u
#define INTERRUPT_SOURCE_IOAPIC 2u

struct deposit root_deposit = {.partition_id = HV_PARTITION_ID_SELF};
struct deposit_record *deposit_log;
uint64_t deposit_log_room;

uint64_t hypercall_raw(uint64_t control, uint64_t input, uint64_t output)
{
    register uint64_t r8 __asm__("r8") = output;
    uint64_t result;

    __asm__ volatile("call *%[page]"
                     : "=a"(result), "+c"(control), "+d"(input), "+r"(r8)
                     : [page] "r"(hypercall_page)
                     : "memory", "cc", "r9", "r10", "r11");
    return result;
}

hv_status_t hypercall_fast(uint16_t code, uint64_t first, uint64_t second)
{
    return hv_hypercall_result_status(hypercall_raw(code | HV_HYPERCALL_FAST, first, second));
}

/* Makes a call from rep *done on until it is complete or fails. */
static hv_status_t issue(uint64_t code, uint32_t reps, uint32_t *done, const void *input, size_t input_bytes)
{
    struct cpu *cpu = cpu_this();
    uint64_t result;

    memcpy(cpu->hypercall_input, input, input_bytes);
    do {
        result = hypercall_raw(code | hv_hypercall_control(0, 0, reps, *done), (uint64_t)cpu->hypercall_input,
                               (uint64_t)cpu->hypercall_output);
        *done = hv_hypercall_result_reps(result);
    } while (hv_hypercall_result_status(result) == HV_STATUS_SUCCESS && *done < reps);
    return hv_hypercall_result_status(result);
}

/* Deposits DEPOSIT_PAGES or DEPOSIT_PAGES_MAPPING pages, in one piece if that is possible. */
static bool give_pages(struct deposit *deposit, uint32_t count)
{
    uint64_t input[1 + DEPOSIT_PAGES_MAPPING] = {deposit->partition_id};
    uint64_t block = memory_alloc(count, count);
    uint32_t done = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t page = block != 0 ? block + i * PAGE_SIZE : memory_alloc(1, 1);

        count = page == 0 ? i : count;
        input[1 + i] = page >> PAGE_SHIFT;
    }
    if (count != 0) {
        (void)issue(HvCallDepositMemory, count, &done, input, (1 + count) * sizeof(input[0]));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i >= done) {
            memory_free(input[1 + i] << PAGE_SHIFT, 1);
        } else if (deposit_log_room != 0) {
            *deposit_log++ = (struct deposit_record){.address = input[1 + i] << PAGE_SHIFT, .deposit = deposit};
            deposit_log_room--;
        }
    }
    (void)__atomic_fetch_add(&deposit->deposited_count, done, __ATOMIC_RELAXED);
    return done != 0;
}

hv_status_t hypercall(struct deposit *deposit, uint16_t code, uint32_t *reps, const void *input, size_t input_bytes,
                      void *output, size_t output_bytes)
{
    uint32_t wanted = reps == NULL ? 0 : *reps;
    uint32_t done = 0;
    hv_status_t status;
    bool is_short;

    do {
        status = issue(code, wanted, &done, input, input_bytes);

        bool is_root_short =
            status == HV_STATUS_INSUFFICIENT_ROOT_MEMORY || status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY;

        is_short = is_root_short || status == HV_STATUS_INSUFFICIENT_MEMORY ||
                   status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY;
        is_short = is_short && deposit != NULL &&
                   give_pages(is_root_short ? &root_deposit : deposit,
                              code == HvCallMapGpaPages ? DEPOSIT_PAGES_MAPPING : DEPOSIT_PAGES);
    } while (is_short);
    memcpy(output, cpu_this()->hypercall_output, output_bytes);
    if (reps != NULL) {
        *reps = done;
    }
    return status;
}

hv_status_t hypercall_withdraw(struct deposit *deposit)
{
    struct hv_input_withdraw_memory input = {.partition_id = deposit->partition_id};
    uint64_t pages[WITHDRAW_LIST_MAX];
    hv_status_t status;

    do {
        uint32_t count = WITHDRAW_LIST_MAX;

        status = hypercall(NULL, HvCallWithdrawMemory, &count, &input, sizeof(input), pages, sizeof(pages));
        for (uint32_t i = 0; i < count; i++) {
            memory_free(pages[i] << PAGE_SHIFT, 1);
        }
        deposit->withdrawn_count += count;
    } while (status == HV_STATUS_SUCCESS);
    return status == HV_STATUS_NO_RESOURCES ? HV_STATUS_SUCCESS : status;
}

/* Has a device's interrupt arrive at a vector of this processor; *entry is what the device needs. */
static bool map_interrupt(uint64_t device_id, uint32_t trigger_mode, uint8_t vector, uint32_t source,
                          struct hv_interrupt_entry *entry)
{
    uint32_t vp = cpu_this()->vp_index;
    struct {
        struct hv_input_map_device_interrupt fixed;
        uint64_t bank_mask;
        uint64_t bank;
    } input = {
        .fixed.partition_id = HV_PARTITION_ID_SELF,
        .fixed.device_id = device_id,
        .fixed.trigger_mode = trigger_mode,
        .fixed.vector_count = 1,
        .fixed.target.vector = vector,
        .fixed.target.flags = HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET,
        .fixed.target.processor_mask_or_set_format = HV_GENERIC_SET_SPARSE_4K,
        .bank_mask = UINT64_C(1) << (vp / HV_VP_SET_VPS_PER_BANK),
        .bank = UINT64_C(1) << (vp % HV_VP_SET_VPS_PER_BANK),
    };
    uint64_t header = 2; /* quadwords: bank mask and bank */
    uint32_t done = 0;
    hv_status_t status = issue(HvCallMapDeviceInterrupt | header << HV_HYPERCALL_VARIABLE_HEADER_SIZE_SHIFT, 0, &done,
                               &input, sizeof(input));

    *entry = ((const struct hv_output_map_device_interrupt *)cpu_this()->hypercall_output)->interrupt_entry;
    return status == HV_STATUS_SUCCESS && entry->source == source;
}

bool hypercall_map_msi(uint16_t function, uint8_t vector, uint32_t *address, uint32_t *data)
{
    struct hv_interrupt_entry entry;

    if (!map_interrupt((uint64_t)HV_DEVICE_TYPE_PCI << HV_DEVICE_TYPE_SHIFT | function, HV_INTERRUPT_TRIGGER_MODE_EDGE,
                       vector, INTERRUPT_SOURCE_MSI, &entry)) {
        return false;
    }
    *address = entry.data_low;
    *data = entry.data_high;
    return true;
}

bool hypercall_map_uart(const struct uart_route *route, uint8_t vector)
{
    volatile uint32_t *ioapic = (volatile uint32_t *)route->ioapic;
    uint32_t index = IOAPIC_REDIRECTION + 2 * route->pin;
    struct hv_interrupt_entry entry;

    if (!map_interrupt((uint64_t)HV_DEVICE_TYPE_IOAPIC << HV_DEVICE_TYPE_SHIFT | route->ioapic_id,
                       route->is_level ? HV_INTERRUPT_TRIGGER_MODE_LEVEL : HV_INTERRUPT_TRIGGER_MODE_EDGE, vector,
                       INTERRUPT_SOURCE_IOAPIC, &entry) ||
        !memory_map(route->ioapic, PAGE_SIZE, 0)) {
        return false;
    }

    uint32_t low = (entry.data_low & IOAPIC_ROUTE_MASK) | (route->is_level ? IOAPIC_LEVEL : 0) |
                   (route->is_active_low ? IOAPIC_ACTIVE_LOW : 0);

    ioapic[0] = index;
    ioapic[IOAPIC_WINDOW] = low | IOAPIC_MASKED;
    ioapic[0] = index + 1;
    ioapic[IOAPIC_WINDOW] = entry.data_high;
    ioapic[0] = index;
    ioapic[IOAPIC_WINDOW] = low;
    return true;
}

#define CPUID_1_ECX_X2APIC (1u << 21)
#define NEEDED_PRIVILEGES                                                                                              \
    (HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX | HV_ACCESS_PARTITION_REFERENCE_COUNTER | HV_ACCESS_SYNIC_REGS |    \
     HV_ACCESS_SYNTHETIC_TIMER_REGS | HV_ACCESS_FREQUENCY_REGS)
#define NEEDED_FEATURES (HV_FEATURE_FREQUENCY_REGS | HV_FEATURE_DIRECT_SYNTHETIC_TIMERS)
/* An open system without a number of its own; the version is minroot's. */
#define GUEST_OS_ID     (HV_GUEST_OS_ID_OPEN_SOURCE | (UINT64_C(1) << HV_GUEST_OS_ID_OPEN_VERSION_SHIFT))

static struct hyperv_info info;

const struct hyperv_info *hyperv_info(void)
{
    return &info;
}

uint64_t hyperv_enable_page(uint32_t msr)
{
    uint64_t page = rdmsr(msr) & HV_X64_MSR_PAGE_GPFN_MASK;

    if (page == 0 || !memory_map(page, PAGE_SIZE, 0)) {
        return 0;
    }
    wrmsr(msr, page | HV_X64_MSR_PAGE_ENABLE);
    return page;
}

/* Null, or what is missing. */
static const char *find_hypervisor(void)
{
    struct cpuid_registers leaf = cpuid(HV_CPUID_HYPERVISOR_PRESENT_LEAF);

    if ((leaf.ecx & HV_CPUID_1_ECX_HYPERVISOR_PRESENT) == 0) {
        return "no hypervisor here: minroot is the root partition of Partita and does not run on the bare machine";
    }
    leaf = cpuid(HV_CPUID_VENDOR_AND_MAX_FUNCTION);
    if (leaf.eax < HV_CPUID_MIN_MAX_FUNCTION || leaf.ebx != HV_CPUID_VENDOR_EBX || leaf.ecx != HV_CPUID_VENDOR_ECX ||
        leaf.edx != HV_CPUID_VENDOR_EDX || cpuid(HV_CPUID_INTERFACE).eax != HV_CPUID_INTERFACE_HV1) {
        return "the hypervisor here does not have the Hyper-V interface";
    }
    leaf = cpuid(HV_CPUID_FEATURES);
    info.privileges = (uint64_t)leaf.ebx << 32 | leaf.eax;
    info.vps_max = cpuid(HV_CPUID_IMPLEMENT_LIMITS).eax;
    if ((info.privileges & HV_CREATE_PARTITIONS) == 0) {
        return "this partition may not create partitions: it is not the root";
    }
    if ((info.privileges & NEEDED_PRIVILEGES) != NEEDED_PRIVILEGES || (leaf.edx & NEEDED_FEATURES) != NEEDED_FEATURES ||
        (cpuid(HV_CPUID_HYPERVISOR_PRESENT_LEAF).ecx & CPUID_1_ECX_X2APIC) == 0) {
        return "the hypervisor lacks hypercalls, VP index, reference counter, frequencies, SynIC, direct timers or "
               "x2APIC";
    }
    return NULL;
}

bool hyperv_init(void)
{
    const char *missing = find_hypervisor();

    if (missing != NULL) {
        console_error("minroot: %s", missing);
        return false;
    }
    wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID);

    uint64_t page = hyperv_enable_page(HV_X64_MSR_HYPERCALL);

    if (page == 0 || (rdmsr(HV_X64_MSR_HYPERCALL) & HV_X64_MSR_HYPERCALL_ENABLE) == 0) {
        console_error("minroot: the hypervisor gives no hypercall page");
        return false;
    }
    memory_set_text_writable(hypercall_page, true);
    memcpy(hypercall_page, (const void *)page, sizeof(hypercall_page));
    memory_set_text_writable(hypercall_page, false);
    return true;
}

void hyperv_free_slot(struct hv_message *slot)
{
    WRITE_ONCE(slot->header.message_type, HvMessageTypeNone);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((READ_ONCE(slot->header.message_flags) & HV_MESSAGE_FLAG_PENDING) != 0) {
        wrmsr(HV_X64_MSR_EOM, 0);
    }
}

/* Interrupt of SINT 0. */
static void take_message(void)
{
    struct hv_message *slot = &cpu_this()->messages->sint_message[HV_SYNIC_SINT_INTERCEPTION];
    const struct hv_vp_signal_pair_scheduler_message *pairs = (const void *)slot->payload;
    uint32_t type = READ_ONCE(slot->header.message_type);

    for (uint32_t i = 0; type == HvMessageTypeSchedulerVpSignalPair && i < pairs->vp_count; i++) {
        sched_signal(pairs->partition_ids[i], pairs->vp_indexes[i]);
    }
    /* Nothing else was asked for; the slot must become free all the same. */
    if (type != HvMessageTypeNone) {
        hyperv_free_slot(slot);
    }
}

void hyperv_init_processor(void)
{
    struct cpu *cpu = cpu_this();

    cpu->vp_index = (uint32_t)rdmsr(HV_X64_MSR_VP_INDEX);
    cpu->hypercall_input = memory_alloc_zeroed(PAGE_SIZE);
    cpu->hypercall_output = memory_alloc_zeroed(PAGE_SIZE);
    cpu->messages = (struct hv_message_page *)hyperv_enable_page(HV_X64_MSR_SIMP);
    cpu->events = (struct hv_synic_event_flags_page *)hyperv_enable_page(HV_X64_MSR_SIEFP);
    if (cpu->messages == NULL || cpu->events == NULL) {
        console_error("minroot: the hypervisor gives no message page or no event flags page");
        power_off();
    }
    trap_set_handler(TRAP_VECTOR_SYNIC, take_message);
    wrmsr(HV_X64_MSR_SINT0 + HV_SYNIC_SINT_INTERCEPTION, TRAP_VECTOR_SYNIC);
    wrmsr(HV_X64_MSR_SCONTROL, HV_SCONTROL_ENABLE);
}

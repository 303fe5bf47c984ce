/* SPDX-License-Identifier: MIT */
/* Makes and unmakes children with the calls, and in the order, in which Linux's mshv driver makes them. RAM is mapped
 * without access first; a piece of 2 MiB is zeroed and mapped for real when child or worker first touch it. */
#include "partitions/root/kernel/vm.h"

#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_message.h"
#include "hv/lib/bitmap.h"
#include "hv/lib/fmt.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/memory.h"
#include "vmbus/switch.h"

#define CREATION_FLAGS                                                                                                 \
    (HV_PARTITION_CREATION_FLAG_EXO_PARTITION | HV_PARTITION_CREATION_FLAG_INTERCEPT_MESSAGE_PAGE_ENABLED |            \
     HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED | HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE |                            \
     HV_PARTITION_CREATION_FLAG_GPA_SUPER_PAGES_ENABLED)
/* What mshv clients ask for. */
#define SYNTHETIC_FEATURES                                                                                             \
    (HV_SYNTH_FEATURE_HYPERVISOR_PRESENT | HV_SYNTH_FEATURE_HV1 |                                                      \
     HV_SYNTH_FEATURE_ACCESS_PARTITION_REFERENCE_COUNTER | HV_SYNTH_FEATURE_ACCESS_SYNIC_REGS |                        \
     HV_SYNTH_FEATURE_ACCESS_SYNTHETIC_TIMER_REGS | HV_SYNTH_FEATURE_ACCESS_INTR_CTRL_REGS |                           \
     HV_SYNTH_FEATURE_ACCESS_HYPERCALL_REGS | HV_SYNTH_FEATURE_ACCESS_VP_INDEX |                                       \
     HV_SYNTH_FEATURE_ACCESS_PARTITION_REFERENCE_TSC | HV_SYNTH_FEATURE_ACCESS_GUEST_IDLE_REG |                        \
     HV_SYNTH_FEATURE_ACCESS_FREQUENCY_REGS | HV_SYNTH_FEATURE_DIRECT_SYNTHETIC_TIMERS |                               \
     HV_SYNTH_FEATURE_TLB_FLUSH_HYPERCALLS | HV_SYNTH_FEATURE_SYNTHETIC_CLUSTER_IPI)
#define UNMAP_MAX  512u
#define TEXT_BYTES (BOOT_TEXT_BYTES + 64u)

static struct net_switch children_switch; /* private: between them alone */
static struct host_vm *vms[VM_MAX];       /* set before the VPs are queued, cleared after they have stopped */

uint64_t vm_partition_id(const struct host_vm *vm)
{
    return vm->deposit.partition_id;
}

struct host_vm *vm_get(uint32_t index)
{
    return index < VM_MAX ? vms[index] : NULL;
}

bool vm_has_ended(const struct host_vm *vm)
{
    return __atomic_load_n(&vm->has_ended, __ATOMIC_ACQUIRE) != 0;
}

struct child_vp *vm_find_vp(uint64_t partition_id, uint32_t vp_index)
{
    for (uint32_t i = 0; i < VM_MAX; i++) {
        const struct host_vm *vm = __atomic_load_n(&vms[i], __ATOMIC_ACQUIRE);

        if (vm != NULL && vm->deposit.partition_id == partition_id) {
            return vp_index < vm->vp_count ? &vm->vps[vp_index] : NULL;
        }
    }
    return NULL;
}

/* Prints a call that failed; returns whether it succeeded. */
static bool check(const struct host_vm *vm, const char *name, hv_status_t status)
{
    if (status != HV_STATUS_SUCCESS) {
        console_text(CONSOLE_STREAM_ERROR, vm->index, "minroot: child %u: %s failed with status %#x", vm->index, name,
                     status);
    }
    return status == HV_STATUS_SUCCESS;
}

/* A simple call with deposits. */
static bool call(struct host_vm *vm, const char *name, uint16_t code, const void *input, size_t input_bytes,
                 void *output, size_t output_bytes)
{
    struct deposit *deposit = code == HvCallCreatePartition ? &root_deposit : &vm->deposit;

    return check(vm, name, hypercall(deposit, code, NULL, input, input_bytes, output, output_bytes));
}

static bool create(struct host_vm *vm)
{
    struct hv_input_create_partition input = {.flags = CREATION_FLAGS, .compatibility_version = HV_COMPATIBILITY_21_H2};
    struct hv_output_create_partition output = {0};
    struct hv_input_set_partition_property property = {
        .property_code = HvPartitionPropertySyntheticProcFeatures,
        .property_value = SYNTHETIC_FEATURES,
    };

    if (!call(vm, "HvCallCreatePartition", HvCallCreatePartition, &input, sizeof(input), &output, sizeof(output))) {
        return false;
    }
    vm->deposit.partition_id = output.partition_id;
    property.partition_id = output.partition_id;
    return call(vm, "HvCallSetPartitionProperty", HvCallSetPartitionProperty, &property, sizeof(property), NULL, 0) &&
           call(vm, "HvCallInitializePartition", HvCallInitializePartition, &output, sizeof(output), NULL, 0);
}

/* One of the pages that a VP shares with us, or null (already said). */
static void *map_state_page(struct host_vm *vm, uint32_t index, uint16_t type)
{
    struct hv_input_map_vp_state_page map = {.partition_id = vm->deposit.partition_id, .vp_index = index, .type = type};
    struct hv_output_map_vp_state_page page;

    if (!call(vm, "HvCallMapVpStatePage", HvCallMapVpStatePage, &map, sizeof(map), &page, sizeof(page))) {
        return NULL;
    }
    return (void *)(page.map_location << PAGE_SHIFT);
}

static bool create_vp(struct host_vm *vm, uint32_t index)
{
    struct child_vp *vp = &vm->vps[index];
    struct hv_input_create_vp input = {.partition_id = vm->deposit.partition_id, .vp_index = index};

    if (!call(vm, "HvCallCreateVp", HvCallCreateVp, &input, sizeof(input), NULL, 0)) {
        return false;
    }
    vp->vm = vm;
    vp->index = index;
    vp->last_cpu = index % cpu_count();
    vp->registers = map_state_page(vm, index, HV_VP_STATE_PAGE_REGISTERS);
    vp->intercept = map_state_page(vm, index, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE);
    return vp->registers != NULL && vp->intercept != NULL;
}

hv_status_t vm_map_pages(struct host_vm *vm, uint32_t flags, uint64_t gpa, uint64_t address, uint32_t count)
{
    struct {
        struct hv_input_map_gpa_pages header;
        uint64_t pages[VM_MAP_PAGES_MAX];
    } input = {
        .header.target_partition_id = vm->deposit.partition_id,
        .header.target_gpa_base = gpa >> PAGE_SHIFT,
        .header.map_flags = flags,
    };
    uint64_t page_bytes = (flags & HV_MAP_GPA_LARGE_PAGE) != 0 ? LARGE_PAGE_SIZE : PAGE_SIZE;

    for (uint32_t i = 0; i < count && address != 0; i++) {
        input.pages[i] = (address + i * page_bytes) >> PAGE_SHIFT;
    }
    return hypercall(&vm->deposit, HvCallMapGpaPages, &count, &input,
                     sizeof(input.header) + count * sizeof(input.pages[0]), NULL, 0);
}

/* Maps `count` large pages from `gpa` on; our address 0: without access. */
static bool map_large(struct host_vm *vm, uint64_t gpa, uint64_t address, uint32_t count)
{
    uint32_t flags = HV_MAP_GPA_LARGE_PAGE | (address == 0 ? HV_MAP_GPA_NO_ACCESS
                                                           : HV_MAP_GPA_ADJUSTABLE | HV_MAP_GPA_READABLE |
                                                                 HV_MAP_GPA_WRITABLE | HV_MAP_GPA_EXECUTABLE);

    return check(vm, "HvCallMapGpaPages", vm_map_pages(vm, flags, gpa, address, count));
}

/* Bytes of the map of what is populated. */
static uint64_t populated_bytes(const struct host_vm *vm)
{
    const struct vm_ram *last = &vm->ram[vm->ram_count - 1];

    return BITMAP_WORDS((last->gpa + last->bytes) / LARGE_PAGE_SIZE) * sizeof(uint64_t);
}

static bool map_ram(struct host_vm *vm)
{
    for (uint32_t i = 0; i < vm->ram_count; i++) {
        struct vm_ram *ram = &vm->ram[i];

        ram->address = memory_alloc(ram->bytes / PAGE_SIZE, PAGES_PER_LARGE_PAGE);
        if (ram->address == 0) {
            console_text(CONSOLE_STREAM_ERROR, vm->index,
                         "minroot: child %u: no %llu MiB of memory in one piece (%llu MiB are free)", vm->index,
                         (unsigned long long)(ram->bytes >> 20), (unsigned long long)(memory_free_pages() >> 8));
            return false;
        }
        for (uint64_t at = 0; at < ram->bytes; at += VM_MAP_PAGES_MAX * LARGE_PAGE_SIZE) {
            if (!map_large(vm, ram->gpa + at, 0,
                           (uint32_t)min_u64((ram->bytes - at) / LARGE_PAGE_SIZE, VM_MAP_PAGES_MAX))) {
                return false;
            }
        }
    }
    vm->populated = memory_alloc_zeroed(populated_bytes(vm));
    return true;
}

bool vm_populate(struct host_vm *vm, uint64_t gpa)
{
    uint64_t base = align_down_u64(gpa, LARGE_PAGE_SIZE);
    bool is_present = false;

    spin_lock(&vm->ram_lock);
    for (uint32_t i = 0; i < vm->ram_count; i++) {
        const struct vm_ram *ram = &vm->ram[i];

        if (range_contains_address(ram->gpa, ram->bytes, base)) {
            is_present = bitmap_test(vm->populated, base / LARGE_PAGE_SIZE);
            if (!is_present) {
                void *memory = memset((void *)(ram->address + (base - ram->gpa)), 0, LARGE_PAGE_SIZE);

                is_present = map_large(vm, base, (uint64_t)memory, 1);
                bitmap_assign(vm->populated, base / LARGE_PAGE_SIZE, is_present);
            }
        }
    }
    spin_unlock(&vm->ram_lock);
    return is_present;
}

bool vm_create_partition(struct host_vm *vm, uint32_t index, uint64_t memory_bytes, uint32_t vp_count)
{
    struct worker_ram_range ranges[WORKER_RAM_RANGES_MAX];
    bool is_good;

    *vm = (struct host_vm){.index = index, .vp_count = vp_count};
    vm->vps = memory_alloc_zeroed(vp_count * sizeof(*vm->vps));
    vm->ram_count = worker_ram_layout(memory_bytes, ranges);
    for (uint32_t i = 0; i < vm->ram_count; i++) {
        vm->ram[i] = (struct vm_ram){.gpa = ranges[i].gpa, .bytes = ranges[i].length_bytes};
    }
    is_good = create(vm);
    for (uint32_t i = 0; i < vp_count && is_good; i++) {
        is_good = create_vp(vm, i);
    }
    if (is_good && map_ram(vm)) {
        return true;
    }
    (void)vm_destroy_partition(vm);
    return false;
}

/* Unmaps RAM of a finalised partition; like Linux, for what the hypervisor has dropped already. */
static void unmap_ram(const struct host_vm *vm, const struct vm_ram *ram)
{
    for (uint64_t at = 0; at < ram->bytes; at += UNMAP_MAX * LARGE_PAGE_SIZE) {
        struct hv_input_unmap_gpa_pages input = {
            .target_partition_id = vm->deposit.partition_id,
            .target_gpa_base = (ram->gpa + at) >> PAGE_SHIFT,
            .unmap_flags = HV_UNMAP_GPA_LARGE_PAGE,
        };
        uint32_t count = (uint32_t)min_u64((ram->bytes - at) / LARGE_PAGE_SIZE, UNMAP_MAX);

        (void)!hypercall(NULL, HvCallUnmapGpaPages, &count, &input, sizeof(input), NULL, 0);
    }
}

static bool take_down(struct host_vm *vm)
{
    uint64_t id = vm->deposit.partition_id;

    for (uint32_t i = 0; i < vm->vp_count && vm->vps[i].intercept != NULL; i++) {
        struct hv_input_unmap_vp_state_page unmap = {
            .partition_id = id, .vp_index = i, .type = HV_VP_STATE_PAGE_INTERCEPT_MESSAGE};

        (void)call(vm, "HvCallUnmapVpStatePage", HvCallUnmapVpStatePage, &unmap, sizeof(unmap), NULL, 0);
        unmap.type = HV_VP_STATE_PAGE_REGISTERS;
        (void)call(vm, "HvCallUnmapVpStatePage", HvCallUnmapVpStatePage, &unmap, sizeof(unmap), NULL, 0);
    }
    if (!check(vm, "HvCallFinalizePartition", hypercall_fast(HvCallFinalizePartition, id, 0))) {
        return false;
    }
    for (uint32_t i = 0; i < vm->ram_count; i++) {
        unmap_ram(vm, &vm->ram[i]);
    }
    device_memory_unmap(vm);
    if (!check(vm, "HvCallWithdrawMemory", hypercall_withdraw(&vm->deposit)) ||
        !check(vm, "HvCallDeletePartition", hypercall_fast(HvCallDeletePartition, id, 0))) {
        return false;
    }
    if (vm->deposit.withdrawn_count != vm->deposit.deposited_count) {
        console_text(CONSOLE_STREAM_ERROR, vm->index, "minroot: child %u: %llu pages deposited, %llu withdrawn",
                     vm->index, (unsigned long long)vm->deposit.deposited_count,
                     (unsigned long long)vm->deposit.withdrawn_count);
    }
    return vm->deposit.withdrawn_count == vm->deposit.deposited_count;
}

bool vm_destroy_partition(struct host_vm *vm)
{
    bool is_clean = vm->deposit.partition_id == 0 || take_down(vm);

    /* Memory of a partition that is still there in part stays lost: it may still be mapped. */
    for (uint32_t i = 0; i < vm->ram_count && is_clean; i++) {
        memory_free_bytes((const void *)vm->ram[i].address, vm->ram[i].bytes);
    }
    if (is_clean) {
        memory_free_bytes((const void *)vm->device.address, vm->device.bytes);
    }
    memory_free_bytes(vm->populated, populated_bytes(vm));
    memory_free_bytes(vm->vps, vm->vp_count * sizeof(*vm->vps));
    return is_clean;
}

/* The kernel of one child: that of its part of a batch, the module named for it, or the one for all. */
static const struct boot_module *find_kernel(uint32_t index, const struct options *options)
{
    char name[sizeof("kernel") + 10];
    const struct boot_module *own;

    if (options->kernel != NULL) {
        return options->kernel;
    }
    (void)fmt_snprintf(name, sizeof(name), "kernel%u", index);
    own = boot_module(name);
    return own != NULL ? own : boot_module("kernel");
}

static void retry_messages(struct host_timer *timer)
{
    worker_messages_wanted(timer->host->worker);
}

bool vm_start(uint32_t index, const struct options *options)
{
    const struct boot_module *kernel = find_kernel(index, options);
    const struct boot_module *initrd = boot_module("initrd");
    char text[TEXT_BYTES];
    struct host_vm *vm = memory_alloc_zeroed(sizeof(*vm));
    struct block_disk *disks[VM_DISKS_MAX];
    struct worker_config config = {
        .memory_bytes = options->memory_bytes,
        .vp_count = (uint32_t)options->vp_count,
        .has_vmbus = options->has_vmbus,
        .number = (uint8_t)index,
        .network = options->has_network ? &children_switch : NULL,
        .kernel = (const void *)kernel->start,
        .kernel_bytes = kernel->bytes,
        .initrd = initrd == NULL ? NULL : (const void *)initrd->start,
        .initrd_bytes = initrd == NULL ? 0 : initrd->bytes,
        .command_line = text,
        .disks = disks,
        .spare_disks = options->spare_disks,
    };

    (void)fmt_snprintf(text, sizeof(text), "%s partita.child=%u", options->append, index);
    if (!vm_create_partition(vm, index, config.memory_bytes, config.vp_count)) {
        return false;
    }
    host_timer_init(&vm->message_retry, vm, retry_messages);
    vm->storage = memory_alloc_zeroed(worker_storage_bytes());
    if (disks_create(vm, options, disks)) {
        config.disk_count = vm->disk_count;
        vm->worker = worker_create(vm->storage, vm, &config, vm->error, sizeof(vm->error));
    }
    if (vm->worker == NULL) {
        console_text(CONSOLE_STREAM_ERROR, index, "minroot: child %u: %s", index, vm->error);
        disks_destroy(vm);
        (void)vm_destroy_partition(vm);
        return false;
    }
    __atomic_store_n(&vms[index], vm, __ATOMIC_RELEASE);
    console_text(CONSOLE_STREAM_PROGRESS, index, "child %u: partition %llu, %u VPs, %llu MiB", index,
                 (unsigned long long)vm->deposit.partition_id, vm->vp_count,
                 (unsigned long long)(config.memory_bytes >> 20));
    for (uint32_t i = 0; i < vm->vp_count; i++) {
        sched_add(&vm->vps[i]);
    }
    return true;
}

static void report_end(const struct host_vm *vm)
{
    uint32_t status = vm->end_reason == HOST_VM_EXIT        ? vm->end_status
                      : vm->end_reason == HOST_VM_POWER_OFF ? 0
                                                            : VM_STATUS_FAILED + (uint32_t)vm->end_reason;

    if (status >= VM_STATUS_FAILED && vm->end_reason != HOST_VM_EXIT) {
        console_text(CONSOLE_STREAM_ERROR, vm->index,
                     vm->end_status == 0 ? "minroot: child %u: %s" : "minroot: child %u: %s (%#x)", vm->index,
                     worker_end_reason_text(vm->end_reason), vm->end_status);
    }
    console_text(CONSOLE_STREAM_EXIT, vm->index, "%u", status);
}

bool vm_reap(void)
{
    bool any_left = false;

    for (uint32_t i = 0; i < VM_MAX; i++) {
        struct host_vm *vm = vms[i];

        if (vm == NULL || !vm_has_ended(vm) || !sched_stop_vm(vm->vps, vm->vp_count)) {
            any_left = any_left || vm != NULL;
            continue;
        }
        sched_forget(&vms[i]);
        host_timer_cancel(&vm->message_retry);
        worker_destroy(vm->worker);
        port_deliver(); /* what this child sent last does not wait for the next one of its number */
        memory_free_bytes(vm->storage, worker_storage_bytes());
        disks_destroy(vm);
        (void)vm_destroy_partition(vm);
        report_end(vm);
        memory_free_bytes(vm, sizeof(*vm));
    }
    return !any_left;
}

bool vm_handle_intercept(struct child_vp *vp)
{
    struct host_vm *vm = vp->vm;
    const struct hv_message *message = vp->intercept;
    const struct hv_x64_memory_intercept_message *access =
        (const struct hv_x64_memory_intercept_message *)message->payload;
    enum worker_outcome outcome;

    if (message->header.message_type == HvMessageTypeGpaIntercept && vm_populate(vm, access->guest_physical_address)) {
        return true;
    }
    outcome = worker_handle_intercept(vm->worker, vp->index, message);
    /* A halted VP is known as one to the hypervisor, which says so at the next dispatch. Stalled does not happen:
     * streams take everything here. */
    return outcome == WORKER_RESUME || outcome == WORKER_HALTED;
}

void vm_fail(struct host_vm *vm, uint32_t vp_index, const char *name, hv_status_t status)
{
    console_text(CONSOLE_STREAM_ERROR, vm->index, "minroot: child %u: %s for VP %u failed with status %#x", vm->index,
                 name, vp_index, status);
    host_vm_ended(vm, HOST_VM_HOST_FAILED, status);
}

void vm_input(void)
{
    struct host_vm *vm = vms[0];
    uint8_t bytes[64];
    size_t count;
    size_t taken;

    do {
        count = console_peek(CONSOLE_INPUT_CHILD, bytes, sizeof(bytes));
        taken = vm == NULL || count == 0 ? 0 : worker_stream_input(vm->worker, HOST_STREAM_COM1, bytes, count);
        console_consume(CONSOLE_INPUT_CHILD, taken);
    } while (taken != 0 && taken == count);
}

void host_log(struct host_vm *host, enum host_log_level level, const char *line)
{
    if (level <= HOST_LOG_WARNING) {
        console_text(CONSOLE_STREAM_ERROR, host->index, "minroot: child %u: %s", host->index, line);
    } else if (level == HOST_LOG_INFO) {
        console_text(CONSOLE_STREAM_PROGRESS, host->index, "child %u: %s", host->index, line);
    }
}

void host_vm_lock(struct host_vm *host)
{
    spin_lock(&host->lock);
}

void host_vm_unlock(struct host_vm *host)
{
    spin_unlock(&host->lock);
}

void *host_guest_memory(struct host_vm *host, uint64_t gpa, uint64_t length_bytes)
{
    for (uint32_t i = 0; i < host->ram_count; i++) {
        const struct vm_ram *ram = &host->ram[i];

        if (!range_contains(ram->gpa, ram->bytes, gpa, length_bytes) || length_bytes == 0) {
            continue;
        }
        for (uint64_t at = align_down_u64(gpa, LARGE_PAGE_SIZE); at < gpa + length_bytes; at += LARGE_PAGE_SIZE) {
            if (!vm_populate(host, at)) {
                return NULL;
            }
        }
        return (void *)(ram->address + (gpa - ram->gpa));
    }
    return NULL;
}

uint64_t host_blocked_signals(struct host_vm *host)
{
    return sched_blocked_signals(host->vps, host->vp_count);
}

void host_vp_kick(struct host_vm *host, uint32_t vp_index)
{
    if (vp_index < host->vp_count) {
        sched_kick(&host->vps[vp_index]);
    }
}

hv_status_t host_assert_interrupt(struct host_vm *host, uint32_t type, bool is_level, bool is_logical, uint64_t apic_id,
                                  uint32_t vector)
{
    struct hv_input_assert_virtual_interrupt input = {
        .partition_id = host->deposit.partition_id,
        .interrupt_type = type,
        .control_flags = (is_level ? HV_INTERRUPT_CONTROL_LEVEL_TRIGGERED : 0) |
                         (is_logical ? HV_INTERRUPT_CONTROL_LOGICAL_DEST_MODE : 0),
        .destination_address = apic_id,
        .vector = vector,
    };

    return hypercall(NULL, HvCallAssertVirtualInterrupt, NULL, &input, sizeof(input), NULL, 0);
}

hv_status_t host_translate_gva(struct host_vm *host, uint32_t vp_index, uint64_t gva, uint32_t flags,
                               enum host_translate_result *result, uint64_t *gpa)
{
    struct hv_input_translate_virtual_address input = {
        .partition_id = host->deposit.partition_id,
        .vp_index = vp_index,
        .control_flags = flags,
        .gva_page = gva >> PAGE_SHIFT,
    };
    struct hv_output_translate_virtual_address output;
    hv_status_t status =
        hypercall(&host->deposit, HvCallTranslateVirtualAddress, NULL, &input, sizeof(input), &output, sizeof(output));

    if (status == HV_STATUS_SUCCESS) {
        *result = (enum host_translate_result)output.result_code;
        *gpa = output.gpa_page << PAGE_SHIFT | (gva & PAGE_MASK);
    }
    return status;
}

size_t host_stream_write(struct host_vm *host, enum host_stream stream, const void *bytes, size_t length_bytes)
{
    console_write(stream == HOST_STREAM_COM1 ? CONSOLE_STREAM_CONSOLE : CONSOLE_STREAM_DATA, host->index, bytes,
                  length_bytes);
    return length_bytes;
}

void host_stream_input_wanted(struct host_vm *host, enum host_stream stream)
{
    if (host->index == 0 && stream == HOST_STREAM_COM1) {
        sched_raise(SCHED_EVENT_INPUT);
    }
}

void host_vm_ended(struct host_vm *host, enum host_vm_end reason, uint32_t status)
{
    if (vm_has_ended(host)) {
        return;
    }
    host->end_reason = reason;
    host->end_status = status;
    __atomic_store_n(&host->has_ended, 1u, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < host->vp_count; i++) {
        sched_kick(&host->vps[i]);
    }
    sched_raise(SCHED_EVENT_ENDED);
}

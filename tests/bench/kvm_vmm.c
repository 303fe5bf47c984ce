/* SPDX-License-Identifier: MIT */
/*
 * The least that runs a bench guest under KVM: VPs, 64 MiB, KVM's own interrupt controllers, Hyper-V's interface, a
 * serial port to stdout and the exit port. With one VP it also prices what only a VMM can do, one KVM_RUN. Runs as the
 * only program of a Linux on the emulated CPU. Arguments: the guest, the number of VPs.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_partition.h"
#include "partitions/child/bench.h"

#define PORT_SERIAL        0x3F8
#define PORT_SERIAL_STATUS 0x3FD
#define SERIAL_EMPTY       0x60
#define PORT_EXIT          0xF4
#define TSS_ADDRESS        0xFFFBD000ul
#define INFORMATION        0x9000u /* where the guest finds its Multiboot information */
#define WORDS_OFFSET       16u
#define MULTIBOOT_MAGIC    0x1BADB002u
#define MULTIBOOT_BOOTED   0x2BADB002u
#define CPUID_MAX          256
#define CPUID_1_HYPERVISOR (1u << 31)
#define SIGNATURE_HV1      0x31237648u
#define LARGE_PAGE         (2ul << 20)
#define PAGE               4096u
#define ROUNDS             200
#define SMALL_MEMORY       (16u << 20)
#define CODE_ADDRESS       0x1000u
#define VPS_MAX            2

struct vp {
    int file;
    struct kvm_run *run;
};

/* A VM. */
struct machine {
    int vm;
    uint8_t *memory;
    size_t bytes;
    struct vp vps[VPS_MAX];
    int vp_count;
    size_t run_bytes;
};

static int kvm;

static int call(int file, unsigned long request, const void *argument, const char *name)
{
    int result = ioctl(file, request, argument);

    if (result < 0) {
        err(1, "%s", name);
    }
    return result;
}
#define CALL(file, request, argument) call(file, request, (const void *)(uintptr_t)(argument), #request)

static uint64_t rdtsc(void)
{
    return __builtin_ia32_rdtsc();
}

static void create_vp(struct machine *machine, int index)
{
    struct vp *vp = &machine->vps[index];

    vp->file = CALL(machine->vm, KVM_CREATE_VCPU, index);
    vp->run = mmap(NULL, machine->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vp->file, 0);
    if (vp->run == MAP_FAILED) {
        err(1, "state of a VP");
    }
}

static void machine_create(struct machine *machine, size_t bytes, int vp_count)
{
    struct kvm_userspace_memory_region region = {.memory_size = bytes};

    machine->bytes = bytes;
    /* Twice as much address space as needed holds an aligned piece. */
    machine->memory = mmap(NULL, bytes + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (machine->memory == MAP_FAILED) {
        err(1, "memory");
    }
    machine->memory += -(uintptr_t)machine->memory % LARGE_PAGE;
    region.userspace_addr = (uintptr_t)machine->memory;
    machine->vm = CALL(kvm, KVM_CREATE_VM, 0);
    CALL(machine->vm, KVM_SET_TSS_ADDR, TSS_ADDRESS);
    CALL(machine->vm, KVM_CREATE_IRQCHIP, 0);
    CALL(machine->vm, KVM_SET_USER_MEMORY_REGION, &region);
    machine->run_bytes = (size_t)CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    machine->vp_count = vp_count;
    for (int i = 0; i < vp_count; i++) {
        create_vp(machine, i);
    }
}

static void machine_destroy(struct machine *machine)
{
    for (int i = 0; i < machine->vp_count; i++) {
        (void)munmap(machine->vps[i].run, machine->run_bytes);
        (void)close(machine->vps[i].file);
    }
    (void)close(machine->vm);
    (void)munmap(machine->memory, machine->bytes);
}

/* Hyper-V's leaves instead of KVM's. */
static void set_cpuid(const struct vp *vp)
{
    static const struct kvm_cpuid_entry2 leaves[] = {
        {.function = HV_CPUID_VENDOR_AND_MAX_FUNCTION,
         .eax = HV_CPUID_VENDOR_AND_MAX_FUNCTION + 5,
         .ebx = HV_CPUID_VENDOR_EBX,
         .ecx = HV_CPUID_VENDOR_ECX,
         .edx = HV_CPUID_VENDOR_EDX},
        {.function = HV_CPUID_VENDOR_AND_MAX_FUNCTION + 1, .eax = SIGNATURE_HV1},
        {.function = HV_CPUID_FEATURES,
         .eax =
             (uint32_t)(HV_ACCESS_PARTITION_REFERENCE_COUNTER | HV_ACCESS_SYNIC_REGS | HV_ACCESS_SYNTHETIC_TIMER_REGS |
                        HV_ACCESS_INTR_CTRL_REGS | HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX),
         .edx = HV_FEATURE_DIRECT_SYNTHETIC_TIMERS},
    };
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(cpuid->entries[0]));
    uint32_t count = 0;

    if (cpuid == NULL) {
        err(1, "CPUID");
    }
    cpuid->nent = CPUID_MAX - sizeof(leaves) / sizeof(leaves[0]);
    CALL(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function >> 8 != HV_CPUID_VENDOR_AND_MAX_FUNCTION >> 8) {
            cpuid->entries[count] = cpuid->entries[i];
            cpuid->entries[count].ecx |= cpuid->entries[count].function == 1 ? CPUID_1_HYPERVISOR : 0;
            count++;
        }
    }
    memcpy(&cpuid->entries[count], leaves, sizeof(leaves));
    cpuid->nent = count + sizeof(leaves) / sizeof(leaves[0]);
    CALL(vp->file, KVM_SET_CPUID2, cpuid);
    free(cpuid);
}

/* Puts the image where its Multiboot header says; returns its entry point. */
static uint32_t load(const struct machine *machine, const char *name)
{
    static uint8_t file[1 << 20];
    FILE *stream = fopen(name, "rb");
    size_t bytes = stream != NULL ? fread(file, 1, sizeof(file), stream) : 0;

    for (size_t at = 0; at + 32 <= bytes && at < 8192; at += 4) {
        uint32_t header[8]; /* magic, flags, checksum; addresses: header, load, load end, memory end, entry */

        memcpy(header, file + at, sizeof(header));
        if (header[0] == MULTIBOOT_MAGIC && header[0] + header[1] + header[2] == 0) {
            memcpy(machine->memory + header[4], file + at - (header[3] - header[4]), header[5] - header[4]);
            return header[7];
        }
    }
    errx(1, "%s is no Multiboot image", name);
}

/* The state in which Multiboot starts a kernel. */
static void set_state(const struct vp *vp, uint32_t entry)
{
    struct kvm_segment code = {.limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1};
    struct kvm_segment data = code;
    struct kvm_regs registers = {.rip = entry, .rflags = 2, .rax = MULTIBOOT_BOOTED, .rbx = INFORMATION};
    struct kvm_sregs state;

    data.type = 3;
    data.selector = 16;
    CALL(vp->file, KVM_GET_SREGS, &state);
    state.cs = code;
    state.ds = state.es = state.ss = state.fs = state.gs = data;
    state.cr0 |= 1;
    CALL(vp->file, KVM_SET_SREGS, &state);
    CALL(vp->file, KVM_SET_REGS, &registers);
}

/* All that is not for the guest to touch first is there; what is backed by 4 KiB is there too, but not in KVM's tables.
 */
static void populate(const struct machine *machine)
{
    (void)madvise(machine->memory, BENCH_LARGE_START, MADV_NOHUGEPAGE);
    (void)madvise(machine->memory + BENCH_LARGE_START, BENCH_LARGE_END - BENCH_LARGE_START, MADV_HUGEPAGE);
    for (size_t at = 0; at < BENCH_LARGE_START; at += PAGE) {
        *(volatile uint8_t *)(machine->memory + at) = 0;
    }
}

/* Serves a port; true: the guest has ended. */
static int serve_port(struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    if (run->io.direction == KVM_EXIT_IO_IN) {
        *data = run->io.port == PORT_SERIAL_STATUS ? SERIAL_EMPTY : UINT8_MAX;
    } else if (run->io.port == PORT_SERIAL) {
        (void)putchar(*data);
    }
    return run->io.direction == KVM_EXIT_IO_OUT && run->io.port == PORT_EXIT;
}

/* Until the guest ends. */
static void run_vp(const struct vp *vp)
{
    for (;;) {
        /* A VP that waits for its start comes back without an exit. */
        if (ioctl(vp->file, KVM_RUN, 0) < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                err(1, "KVM_RUN");
            }
        } else if (vp->run->exit_reason == KVM_EXIT_IO) {
            if (serve_port(vp->run)) {
                return;
            }
        } else if (vp->run->exit_reason != KVM_EXIT_HYPERV) {
            errx(1, "unexpected exit %u", vp->run->exit_reason);
        }
    }
}

static void *run_other(void *vp)
{
    run_vp(vp);
    errx(1, "not the first VP has ended the guest");
}

static void run_guest(const char *name, int vp_count)
{
    struct kvm_enable_cap synic = {.cap = KVM_CAP_HYPERV_SYNIC2};
    static struct machine machine;
    uint32_t words = 0;
    pthread_t thread;

    machine_create(&machine, BENCH_MEMORY_BYTES, vp_count);
    for (int i = 0; i < vp_count; i++) {
        set_cpuid(&machine.vps[i]);
        CALL(machine.vps[i].file, KVM_ENABLE_CAP, &synic);
    }
    populate(&machine);
    memcpy(machine.memory + INFORMATION + WORDS_OFFSET, &words, sizeof(words));
    set_state(&machine.vps[0], load(&machine, name));
    for (int i = 1; i < vp_count; i++) {
        if (pthread_create(&thread, NULL, run_other, &machine.vps[i]) != 0) {
            errx(1, "no thread");
        }
    }
    run_vp(&machine.vps[0]);
}

/* A VM at a port write in real mode, run up to it. */
static void start_small(struct machine *machine)
{
    static const uint8_t code[] = {0xE6, 0x80, 0xEB, 0xFC}; /* out %al, $0x80; jmp to it */
    struct kvm_regs registers = {.rip = CODE_ADDRESS, .rflags = 2};
    struct kvm_sregs state;

    machine_create(machine, SMALL_MEMORY, 1);
    memcpy(machine->memory + CODE_ADDRESS, code, sizeof(code));
    CALL(machine->vps[0].file, KVM_GET_SREGS, &state);
    state.cs.base = 0;
    state.cs.selector = 0;
    CALL(machine->vps[0].file, KVM_SET_SREGS, &state);
    CALL(machine->vps[0].file, KVM_SET_REGS, &registers);
    CALL(machine->vps[0].file, KVM_RUN, 0);
}

static void price_run(void)
{
    uint64_t result = UINT64_MAX;
    struct machine machine;

    start_small(&machine);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = rdtsc();

        CALL(machine.vps[0].file, KVM_RUN, 0);

        uint64_t time = rdtsc() - start;

        result = time < result ? time : result;
    }
    machine_destroy(&machine);
    printf("BENCH dispatch %llu\n", (unsigned long long)result);
}

int main(int count, char **words)
{
    int vp_count = count == 3 ? atoi(words[2]) : 0;

    kvm = open("/dev/kvm", O_RDWR);
    if (vp_count < 1 || vp_count > VPS_MAX || kvm < 0) {
        err(1, "/dev/kvm, or the arguments");
    }
    if (vp_count == 1) {
        price_run();
    }
    run_guest(words[1], vp_count);
    (void)fflush(stdout);
    return 0;
}

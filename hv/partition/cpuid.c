/* SPDX-License-Identifier: MIT */
/*
 * Answers CPUID: policy tables (cpuid_policy.c) over the machine's, then what depends on the partition and the VP
 * (topology, XSAVE, bits that mirror control registers), the hypervisor's leaves, and registered results on top. TLFS,
 * Feature and Interface Discovery.
 */
#include "hv/partition/cpuid.h"

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_features.h"
#include "hv/cpu/cpu.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/backend.h"
#include "hv/partition/cpuid_policy.h"
#include "hv/partition/deposit.h"
#include "hv/partition/partition.h"
#include "hv/partition/reftime.h"
#include "hv/partition/vp.h"
#include "hv/partition/vp_fpu.h"

/* Second-level tables have four levels, linear addresses too: what is beyond does not exist for a partition. */
#define ADDRESS_BITS_MAX 48u
#define HV_LEAF_FIRST    0x40000000u
#define HV_LEAF_LAST     0x400000ffu
#define HV_LEAF_MAX      HV_CPUID_NESTED_FEATURES
#define HV_VERSION_MAJOR 10u
/* Without the extended processor masks a guest names processors in one 64-bit word. */
#define PLAIN_MASK_VPS   64u
#define SPIN_RETRIES     0xfffu

#define XSAVE_LEGACY_BYTES   576u /* legacy region and header */
#define XSAVE_FIRST_EXTENDED 2u
#define XSAVE_COMPONENTS     63u
#define XSAVE_ALIGNED        (1u << 1)
#define XSAVE_ALIGNMENT      64u
#define XCR0_AVX512          (X86_XCR0_OPMASK | X86_XCR0_ZMM_HI256 | X86_XCR0_HI16_ZMM)
/* Components that partitions may have; all of them together fit in one page. */
#define XCR0_ALLOWED         (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX | XCR0_AVX512 | X86_XCR0_PKRU)

/* Topology levels of leaves 0xB and 0x1F. */
#define TOPOLOGY_LEVEL_THREAD     1u
#define TOPOLOGY_LEVEL_CORE       2u
#define TOPOLOGY_LEVEL_TYPE_SHIFT 8

/* Cache leaves 4 and 0x8000001D, EAX. */
#define CACHE_TYPE_MASK     0x1fu
#define CACHE_LEVEL_SHIFT   5
#define CACHE_LEVEL_MASK    7u
#define CACHE_SHARING_SHIFT 14
#define CACHE_SHARING_MAX   0xfffu
#define CACHE_CORES_SHIFT   26
#define CACHE_CORES_MAX     0x3fu
#define CACHE_LEVEL_SHARED  3u

/* One registered result. */
struct cpuid_entry {
    uint32_t leaf;
    uint32_t subleaf;
    bool is_subleaf_specific;
    uint32_t values[CPUID_REGISTER_COUNT];
    uint32_t masks[CPUID_REGISTER_COUNT];
};

#define ENTRIES_PER_PAGE (PAGE_SIZE / sizeof(struct cpuid_entry))

/* A page of registered results. */
struct cpuid_page {
    struct cpuid_entry entries[ENTRIES_PER_PAGE];
};

/* What a child's synthetic features mean: privileges, and what leaf 4 recommends. */
struct synthetic_feature {
    uint64_t feature;
    uint64_t privileges;
    uint32_t hints;
};

static const struct synthetic_feature synthetic_table[] = {
    {HV_SYNTH_FEATURE_HYPERVISOR_PRESENT, 0, 0},
    {HV_SYNTH_FEATURE_HV1, 0, 0},
    {HV_SYNTH_FEATURE_ACCESS_VP_RUN_TIME_REG, HV_ACCESS_VP_RUN_TIME_REG, 0},
    {HV_SYNTH_FEATURE_ACCESS_PARTITION_REFERENCE_COUNTER, HV_ACCESS_PARTITION_REFERENCE_COUNTER, 0},
    {HV_SYNTH_FEATURE_ACCESS_SYNIC_REGS, HV_ACCESS_SYNIC_REGS | HV_POST_MESSAGES | HV_SIGNAL_EVENTS, 0},
    {HV_SYNTH_FEATURE_ACCESS_SYNTHETIC_TIMER_REGS, HV_ACCESS_SYNTHETIC_TIMER_REGS, 0},
    {HV_SYNTH_FEATURE_ACCESS_INTR_CTRL_REGS, HV_ACCESS_INTR_CTRL_REGS, 0},
    {HV_SYNTH_FEATURE_ACCESS_HYPERCALL_REGS, HV_ACCESS_HYPERCALL_MSRS, 0},
    {HV_SYNTH_FEATURE_ACCESS_VP_INDEX, HV_ACCESS_VP_INDEX, 0},
    {HV_SYNTH_FEATURE_ACCESS_PARTITION_REFERENCE_TSC, HV_ACCESS_PARTITION_REFERENCE_TSC, 0},
    {HV_SYNTH_FEATURE_ACCESS_GUEST_IDLE_REG, HV_ACCESS_GUEST_IDLE_REG, 0},
    {HV_SYNTH_FEATURE_ACCESS_FREQUENCY_REGS, HV_ACCESS_FREQUENCY_REGS, 0},
    {HV_SYNTH_FEATURE_DIRECT_SYNTHETIC_TIMERS, 0, 0},
    {HV_SYNTH_FEATURE_EXTENDED_PROCESSOR_MASKS, 0, HV_HINT_EX_PROCESSOR_MASKS},
    {HV_SYNTH_FEATURE_TLB_FLUSH_HYPERCALLS, 0, HV_HINT_REMOTE_TLB_FLUSH_HYPERCALL},
    {HV_SYNTH_FEATURE_SYNTHETIC_CLUSTER_IPI, 0, HV_HINT_CLUSTER_IPI_HYPERCALL},
    {HV_SYNTH_FEATURE_NOTIFY_LONG_SPIN_WAIT, 0, 0},
    {HV_SYNTH_FEATURE_SIGNAL_EVENTS, HV_SIGNAL_EVENTS, 0},
};

/* Of a child whose root has not set the property: everything but the calls that replace native flushes and IPIs. */
#define SYNTHETIC_DEFAULT                                                                                              \
    (HV_SYNTH_FEATURE_HYPERVISOR_PRESENT | HV_SYNTH_FEATURE_HV1 | HV_SYNTH_FEATURE_ACCESS_VP_RUN_TIME_REG |            \
     HV_SYNTH_FEATURE_ACCESS_PARTITION_REFERENCE_COUNTER | HV_SYNTH_FEATURE_ACCESS_SYNIC_REGS |                        \
     HV_SYNTH_FEATURE_ACCESS_SYNTHETIC_TIMER_REGS | HV_SYNTH_FEATURE_ACCESS_INTR_CTRL_REGS |                           \
     HV_SYNTH_FEATURE_ACCESS_HYPERCALL_REGS | HV_SYNTH_FEATURE_ACCESS_VP_INDEX |                                       \
     HV_SYNTH_FEATURE_ACCESS_PARTITION_REFERENCE_TSC | HV_SYNTH_FEATURE_ACCESS_GUEST_IDLE_REG |                        \
     HV_SYNTH_FEATURE_ACCESS_FREQUENCY_REGS | HV_SYNTH_FEATURE_DIRECT_SYNTHETIC_TIMERS)

uint64_t cpuid_assignable_features(void)
{
    uint64_t features = 0;

    for (size_t i = 0; i < ARRAY_SIZE(synthetic_table); i++) {
        features |= synthetic_table[i].feature;
    }
    return features;
}

uint64_t cpuid_child_privileges(uint64_t synthetic_features)
{
    uint64_t features = synthetic_features != 0 ? synthetic_features : SYNTHETIC_DEFAULT;
    uint64_t privileges = 0;

    for (size_t i = 0; i < ARRAY_SIZE(synthetic_table); i++) {
        privileges |= features & synthetic_table[i].feature ? synthetic_table[i].privileges : 0;
    }
    return privileges;
}

uint64_t cpuid_root_privileges(void)
{
    return cpuid_child_privileges(0) | HV_CREATE_PARTITIONS | HV_ACCESS_PARTITION_ID | HV_ACCESS_MEMORY_POOL |
           HV_CREATE_PORT | HV_CONNECT_PORT | HV_ACCESS_STATS | HV_CPU_MANAGEMENT | HV_ACCESS_VP_REGISTERS;
}

static uint64_t synthetic_features_of(const struct partition *partition)
{
    return partition->is_root || partition->synthetic_features == 0 ? SYNTHETIC_DEFAULT : partition->synthetic_features;
}

uint32_t cpuid_synthetic_features(const struct partition *partition)
{
    uint64_t privileges = partition->privileges;
    uint32_t features = HV_FEATURE_XMM_HYPERCALL_INPUT | HV_FEATURE_GUEST_CRASH_REGS;

    features |= privileges & HV_ACCESS_HYPERCALL_MSRS ? HV_FEATURE_HYPERCALL_MSR_LOCK : 0;
    features |= privileges & HV_ACCESS_GUEST_IDLE_REG ? HV_FEATURE_GUEST_IDLE_STATE : 0;
    features |= privileges & HV_ACCESS_FREQUENCY_REGS ? HV_FEATURE_FREQUENCY_REGS : 0;
    features |= privileges & HV_ACCESS_SYNIC_REGS ? HV_FEATURE_SINT_POLLING_MODE : 0;
    if ((privileges & HV_ACCESS_SYNTHETIC_TIMER_REGS) &&
        (synthetic_features_of(partition) & HV_SYNTH_FEATURE_DIRECT_SYNTHETIC_TIMERS)) {
        features |= HV_FEATURE_DIRECT_SYNTHETIC_TIMERS;
    }
    return features;
}

static uint32_t hints_of(const struct partition *partition)
{
    uint32_t hints = HV_HINT_RELAXED_TIMING | (backend->features->has_virtual_eoi ? HV_HINT_DEPRECATE_AUTO_EOI : 0);

    for (size_t i = 0; i < ARRAY_SIZE(synthetic_table); i++) {
        hints |= synthetic_features_of(partition) & synthetic_table[i].feature ? synthetic_table[i].hints : 0;
    }
    return hints;
}

/* Leaves 0x40000000 to 0x400000FF. Those above 6 say that there is nothing: no power management, nesting, isolation. */
static void hypervisor_leaf(const struct partition *partition, uint32_t leaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    uint32_t hints = hints_of(partition);

    switch (leaf) {
    case HV_CPUID_VENDOR_AND_MAX_FUNCTION:
        out[CPUID_EAX] = HV_LEAF_MAX;
        out[CPUID_EBX] = HV_CPUID_VENDOR_EBX;
        out[CPUID_ECX] = HV_CPUID_VENDOR_ECX;
        out[CPUID_EDX] = HV_CPUID_VENDOR_EDX;
        break;
    case HV_CPUID_INTERFACE:
        out[CPUID_EAX] = HV_CPUID_INTERFACE_HV1;
        break;
    case HV_CPUID_VERSION:
        out[CPUID_EAX] = HV_CPUID_VERSION_BUILD_MSHV_MIN;
        out[CPUID_EBX] = HV_VERSION_MAJOR << HV_CPUID_VERSION_EBX_MAJOR_SHIFT;
        break;
    case HV_CPUID_FEATURES:
        out[CPUID_EAX] = hv_privileges_eax(partition->privileges);
        out[CPUID_EBX] = hv_privileges_ebx(partition->privileges);
        out[CPUID_EDX] = cpuid_synthetic_features(partition);
        break;
    case HV_CPUID_ENLIGHTENMENT_INFO:
        out[CPUID_EAX] = hints;
        out[CPUID_EBX] = synthetic_features_of(partition) & HV_SYNTH_FEATURE_NOTIFY_LONG_SPIN_WAIT
                             ? SPIN_RETRIES
                             : HV_HINT_EBX_SPIN_NEVER_NOTIFY;
        out[CPUID_ECX] = cpuid_physical_bits();
        break;
    case HV_CPUID_IMPLEMENT_LIMITS:
        out[CPUID_EAX] = (hints & (HV_HINT_REMOTE_TLB_FLUSH_HYPERCALL | HV_HINT_CLUSTER_IPI_HYPERCALL)) &&
                                 !(hints & HV_HINT_EX_PROCESSOR_MASKS)
                             ? PLAIN_MASK_VPS
                             : PARTITION_VP_MAX;
        out[CPUID_EBX] = CPU_MAX;
        break;
    case HV_CPUID_HARDWARE_FEATURES:
        out[CPUID_EAX] = HV_HW_MSR_BITMAPS | HV_HW_SECOND_LEVEL_ADDRESS_TRANSLATION;
        break;
    default:
        break;
    }
}

uint8_t cpuid_physical_bits(void)
{
    uint32_t registers[CPUID_REGISTER_COUNT];

    cpuid_policy_machine(CPUID_LEAF_EXTENDED_SIZES, 0, registers);
    if ((registers[CPUID_EAX] & 0xffu) == 0) {
        return 36; /* a processor without the leaf */
    }
    return (uint8_t)min_u32(registers[CPUID_EAX] & 0xffu, ADDRESS_BITS_MAX);
}

uint64_t cpuid_feature_bank(const struct partition *partition, uint32_t bank)
{
    uint64_t disabled = bank < ARRAY_SIZE(partition->disabled_features) ? partition->disabled_features[bank] : 0;

    return cpuid_policy_bank(bank) & ~disabled;
}

uint64_t cpuid_xsave_features(const struct partition *partition)
{
    return cpuid_policy_xsave() & ~partition->disabled_xsave;
}

/* A leaf as the policy leaves it for this partition. */
static void partition_leaf(const struct partition *partition, uint32_t leaf, uint32_t subleaf,
                           uint32_t out[CPUID_REGISTER_COUNT])
{
    cpuid_policy_machine(leaf, subleaf, out);
    cpuid_policy_disable(partition->disabled_features, partition->disabled_xsave, leaf, subleaf, out);
}

uint64_t cpuid_xcr0_mask(const struct partition *partition)
{
    uint32_t features[CPUID_REGISTER_COUNT];
    uint32_t extended[CPUID_REGISTER_COUNT];
    struct cpuid_result components;
    uint64_t mask;

    partition_leaf(partition, CPUID_LEAF_FEATURES, 0, features);
    if (!(features[CPUID_ECX] & CPUID_1_ECX_XSAVE)) {
        return 0;
    }
    partition_leaf(partition, CPUID_LEAF_STRUCTURED_FEATURES, 0, extended);
    components = cpuid_machine(CPUID_LEAF_XSAVE, 0);
    mask = (components.eax | (uint64_t)components.edx << 32) & XCR0_ALLOWED;
    if (partition->disabled_xsave & HV_XSAVE_FEATURE_AVX) {
        mask &= ~(X86_XCR0_AVX | XCR0_AVX512);
    }
    if (partition->disabled_xsave & HV_XSAVE_FEATURE_AVX512) {
        mask &= ~XCR0_AVX512;
    }
    if (!(extended[CPUID_ECX] & CPUID_7_ECX_PKU)) {
        mask &= ~X86_XCR0_PKRU;
    }
    return mask;
}

uint32_t cpuid_xsave_size(uint64_t components, bool is_compacted)
{
    uint32_t end = XSAVE_LEGACY_BYTES;

    for (uint32_t i = XSAVE_FIRST_EXTENDED; i < XSAVE_COMPONENTS; i++) {
        struct cpuid_result info;

        if (!((components >> i) & 1u)) {
            continue;
        }
        info = cpuid_machine(CPUID_LEAF_XSAVE, i);
        if (!is_compacted) {
            end = max_u32(end, info.ebx + info.eax);
        } else {
            if (info.ecx & XSAVE_ALIGNED) {
                end = (end + XSAVE_ALIGNMENT - 1) & ~(XSAVE_ALIGNMENT - 1);
            }
            end += info.eax;
        }
    }
    return end;
}

uint32_t cpuid_xsave_size_max(void)
{
    return cpuid_xsave_size(XCR0_ALLOWED, false);
}

bool cpuid_xcr0_is_valid(const struct vp *vp, uint64_t value)
{
    uint64_t mask = cpuid_xcr0_mask(vp->partition);
    uint64_t avx512 = value & XCR0_AVX512;

    return (value & ~mask) == 0 && (value & X86_XCR0_X87) && (!(value & X86_XCR0_AVX) || (value & X86_XCR0_SSE)) &&
           (avx512 == 0 || (avx512 == XCR0_AVX512 && (value & X86_XCR0_AVX)));
}

/* Leaf 0xD. */
static void xsave_leaf(struct vp *vp, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    uint64_t mask = cpuid_xcr0_mask(vp->partition);
    struct cpuid_result info;

    if (mask == 0) {
        memset(out, 0, CPUID_REGISTER_COUNT * sizeof(out[0]));
        return;
    }
    switch (subleaf) {
    case 0:
        out[CPUID_EAX] = (uint32_t)mask;
        out[CPUID_EBX] = cpuid_xsave_size(vp_fpu_xcr0(vp), false);
        out[CPUID_ECX] = cpuid_xsave_size(mask, false);
        out[CPUID_EDX] = (uint32_t)(mask >> 32);
        break;
    case 1:
        /* EAX is the policy's. No supervisor components, so the compacted size is that of XCR0 alone. */
        out[CPUID_EBX] = cpuid_xsave_size(vp_fpu_xcr0(vp), true);
        break;
    default:
        if (subleaf < XSAVE_COMPONENTS && ((mask >> subleaf) & 1u)) {
            info = cpuid_machine(CPUID_LEAF_XSAVE, subleaf);
            out[CPUID_EAX] = info.eax;
            out[CPUID_EBX] = info.ebx;
            out[CPUID_ECX] = info.ecx & XSAVE_ALIGNED;
        }
        break;
    }
}

/* A child's topology: one package, each VP a core with one thread. */
struct topology {
    uint32_t count; /* VPs */
    uint32_t shift; /* bits of an APIC id inside the package */
    uint32_t id;    /* this VP's APIC id */
};

static struct topology topology_of(const struct vp *vp)
{
    struct topology topology = {.count = max_u32(vp->partition->vp_count, vp->index + 1), .id = vp->apic.id};

    while ((1u << topology.shift) < topology.count) {
        topology.shift++;
    }
    return topology;
}

/* Leaves 4 and 0x8000001D: who shares the cache. */
static void cache_leaf(const struct topology *topology, bool has_cores, uint32_t out[CPUID_REGISTER_COUNT])
{
    uint32_t level = (out[CPUID_EAX] >> CACHE_LEVEL_SHIFT) & CACHE_LEVEL_MASK;
    uint32_t others = (1u << topology->shift) - 1;
    uint32_t sharing = level >= CACHE_LEVEL_SHARED ? min_u32(others, CACHE_SHARING_MAX) : 0;

    if ((out[CPUID_EAX] & CACHE_TYPE_MASK) == 0) {
        return;
    }
    out[CPUID_EAX] &= (1u << CACHE_SHARING_SHIFT) - 1;
    out[CPUID_EAX] |= sharing << CACHE_SHARING_SHIFT;
    if (has_cores) {
        out[CPUID_EAX] |= min_u32(others, CACHE_CORES_MAX) << CACHE_CORES_SHIFT;
    }
}

/* Leaves 0xB and 0x1F. */
static void levels_leaf(const struct topology *topology, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    out[CPUID_EAX] = 0;
    out[CPUID_EBX] = 0;
    out[CPUID_ECX] = subleaf & 0xffu;
    out[CPUID_EDX] = topology->id;
    if (subleaf == 0) {
        out[CPUID_EBX] = 1;
        out[CPUID_ECX] |= TOPOLOGY_LEVEL_THREAD << TOPOLOGY_LEVEL_TYPE_SHIFT;
    } else if (subleaf == 1) {
        out[CPUID_EAX] = topology->shift;
        out[CPUID_EBX] = topology->count;
        out[CPUID_ECX] |= TOPOLOGY_LEVEL_CORE << TOPOLOGY_LEVEL_TYPE_SHIFT;
    }
}

/* Leaf 1 of a child: ids, counts. */
static void features_leaf_topology(const struct topology *topology, uint32_t out[CPUID_REGISTER_COUNT])
{
    out[CPUID_EBX] &= 0xffffu;
    out[CPUID_EBX] |= min_u32(topology->count, 0xff) << 16 | topology->id << 24;
    out[CPUID_EDX] &= ~CPUID_1_EDX_HTT;
    out[CPUID_EDX] |= topology->count > 1 ? CPUID_1_EDX_HTT : 0;
}

/* What a child sees in place of the machine's topology. */
static void child_topology(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    struct topology topology = topology_of(vp);

    switch (leaf) {
    case CPUID_LEAF_FEATURES:
        features_leaf_topology(&topology, out);
        break;
    case CPUID_LEAF_CACHE:
        cache_leaf(&topology, true, out);
        break;
    case CPUID_LEAF_EXTENDED_CACHE:
        cache_leaf(&topology, false, out);
        break;
    case CPUID_LEAF_TOPOLOGY:
    case CPUID_LEAF_TOPOLOGY_V2:
        levels_leaf(&topology, subleaf, out);
        break;
    case CPUID_LEAF_EXTENDED_FEATURES:
        out[CPUID_ECX] &= ~CPUID_EXTENDED_ECX_CMP_LEGACY;
        out[CPUID_ECX] |= topology.count > 1 && backend->features->has_thread_count ? CPUID_EXTENDED_ECX_CMP_LEGACY : 0;
        break;
    case CPUID_LEAF_EXTENDED_SIZES:
        out[CPUID_ECX] =
            backend->features->has_thread_count ? ((topology.count - 1) & 0xffu) | topology.shift << 12 : 0;
        break;
    case CPUID_LEAF_EXTENDED_TOPOLOGY:
        out[CPUID_EAX] = topology.id;
        out[CPUID_EBX] = topology.id & 0xffu;
        out[CPUID_ECX] = 0;
        break;
    default:
        break;
    }
}

/* The root runs on the processors themselves: their topology is its own. */
static void root_topology(uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    struct cpuid_result raw;

    if (leaf == CPUID_LEAF_FEATURES) {
        out[CPUID_EBX] = cpuid_machine(leaf, 0).ebx;
    } else if (leaf == CPUID_LEAF_TOPOLOGY || leaf == CPUID_LEAF_TOPOLOGY_V2) {
        raw = cpuid_machine(leaf, subleaf);
        out[CPUID_EAX] = raw.eax;
        out[CPUID_EBX] = raw.ebx;
        out[CPUID_ECX] = raw.ecx;
        out[CPUID_EDX] = raw.edx;
    }
}

/* Leaf limits and sizes, and what the hypervisor adds to the machine's features. */
static void adjust(struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    const struct partition *partition = vp->partition;

    switch (leaf) {
    case 0:
        out[CPUID_EAX] = min_u32(out[CPUID_EAX], CPUID_LEAF_BASIC_MAX);
        break;
    case CPUID_LEAF_FEATURES:
        out[CPUID_ECX] |= CPUID_1_ECX_HYPERVISOR | CPUID_1_ECX_X2APIC;
        break;
    case CPUID_LEAF_POWER:
        out[CPUID_EAX] = CPUID_6_EAX_ARAT;
        break;
    case CPUID_LEAF_STRUCTURED_FEATURES:
        if (subleaf == 0) {
            out[CPUID_EAX] = min_u32(cpuid_machine(leaf, 0).eax, 1);
        }
        break;
    case CPUID_LEAF_XSAVE:
        xsave_leaf(vp, subleaf, out);
        break;
    case CPUID_LEAF_EXTENDED_FIRST:
        out[CPUID_EAX] = min_u32(out[CPUID_EAX], CPUID_LEAF_EXTENDED_MAX);
        break;
    case CPUID_LEAF_EXTENDED_POWER:
        /* TLFS, TSC Invariant Controls: a guest that has the control sees the bit once it has asked for it. */
        if ((partition->privileges & HV_ACCESS_TSC_INVARIANT_CONTROLS) && partition->reftime.tsc_invariant == 0) {
            out[CPUID_EDX] &= ~CPUID_EXTENDED_POWER_INVARIANT_TSC;
        }
        break;
    case CPUID_LEAF_EXTENDED_SIZES:
        if (out[CPUID_EAX] != 0) {
            out[CPUID_EAX] = cpuid_physical_bits() | min_u32((out[CPUID_EAX] >> 8) & 0xffu, ADDRESS_BITS_MAX) << 8;
        }
        break;
    default:
        break;
    }
}

static bool is_mirrored(uint32_t leaf)
{
    return leaf == CPUID_LEAF_FEATURES || leaf == CPUID_LEAF_STRUCTURED_FEATURES ||
           leaf == CPUID_LEAF_EXTENDED_FEATURES;
}

/* Bits that mirror the VP's control registers; they do so in registered results too. */
static NOINLINE void mirror(struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    struct vp_paging_state paging;
    bool has_apic = (atomic_load_explicit(&vp->apic.base, memory_order_relaxed) & X86_APIC_BASE_ENABLE) != 0;

    if (leaf == CPUID_LEAF_FEATURES) {
        backend->get_paging(vp, &paging);
        out[CPUID_ECX] &= ~CPUID_1_ECX_OSXSAVE;
        out[CPUID_ECX] |=
            (out[CPUID_ECX] & CPUID_1_ECX_XSAVE) && (paging.cr4 & X86_CR4_OSXSAVE) ? CPUID_1_ECX_OSXSAVE : 0;
        out[CPUID_EDX] &= has_apic ? UINT32_MAX : ~CPUID_1_EDX_APIC;
    } else if (leaf == CPUID_LEAF_STRUCTURED_FEATURES && subleaf == 0) {
        backend->get_paging(vp, &paging);
        out[CPUID_ECX] &= ~CPUID_7_ECX_OSPKE;
        out[CPUID_ECX] |= (out[CPUID_ECX] & CPUID_7_ECX_PKU) && (paging.cr4 & X86_CR4_PKE) ? CPUID_7_ECX_OSPKE : 0;
    } else if (leaf == CPUID_LEAF_EXTENDED_FEATURES) {
        out[CPUID_EDX] &= has_apic ? UINT32_MAX : ~CPUID_EXTENDED_EDX_APIC;
    }
}

static struct cpuid_entry *entry_at(struct vp *vp, uint32_t index)
{
    return &vp->cpuid.pages[index / ENTRIES_PER_PAGE]->entries[index % ENTRIES_PER_PAGE];
}

static struct cpuid_entry *find_entry(struct vp *vp, uint32_t leaf, uint32_t subleaf)
{
    for (uint32_t i = 0; i < vp->cpuid.count; i++) {
        struct cpuid_entry *entry = entry_at(vp, i);

        if (entry->leaf == leaf && (!entry->is_subleaf_specific || entry->subleaf == subleaf)) {
            return entry;
        }
    }
    return NULL;
}

/* All of a leaf that does not change while the VP runs. */
static void compute(struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    const struct cpuid_entry *entry;

    if (leaf >= HV_LEAF_FIRST && leaf <= HV_LEAF_LAST) {
        memset(out, 0, CPUID_REGISTER_COUNT * sizeof(out[0]));
        hypervisor_leaf(vp->partition, leaf, out);
        return;
    }
    partition_leaf(vp->partition, leaf, subleaf, out);
    if (leaf <= min_u32(cpuid_machine(leaf & CPUID_LEAF_EXTENDED_FIRST, 0).eax,
                        leaf & CPUID_LEAF_EXTENDED_FIRST ? CPUID_LEAF_EXTENDED_MAX : CPUID_LEAF_BASIC_MAX)) {
        adjust(vp, leaf, subleaf, out);
        if (vp->is_root) {
            root_topology(leaf, subleaf, out);
        } else {
            child_topology(vp, leaf, subleaf, out);
        }
    }
    entry = find_entry(vp, leaf, subleaf);
    for (uint32_t reg = 0; entry != NULL && reg < CPUID_REGISTER_COUNT; reg++) {
        out[reg] = (out[reg] & ~entry->masks[reg]) | (entry->values[reg] & entry->masks[reg]);
    }
}

/*
 * Not kept: leaves with contents from XCR0 or an MSR, which are not worth a key of their own; and what another
 * processor than its own says of a root VP, whose ids are the processor's.
 */
static bool is_kept(const struct vp *vp, uint32_t leaf)
{
    return leaf != CPUID_LEAF_XSAVE && leaf != CPUID_LEAF_EXTENDED_POWER &&
           (!vp->is_root || cpu_this()->current_vp == vp);
}

/* Whatever cpuid_query() does not find. */
static NOINLINE void query_anew(struct vp *vp, struct cpuid_answer *answer, uint32_t leaf, uint32_t subleaf,
                                uint32_t out[CPUID_REGISTER_COUNT])
{
    answer->kept_for = is_kept(vp, leaf) ? READ_ONCE(vp->partition->vp_count) + 1 : 0;
    answer->leaf = leaf;
    answer->subleaf = subleaf;
    answer->is_mirrored = is_mirrored(leaf);
    compute(vp, leaf, subleaf, answer->values);
    memcpy(out, answer->values, sizeof(answer->values));
    mirror(vp, leaf, subleaf, out);
}

void cpuid_query(struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    struct cpuid_answer *answer = cpuid_answer_of(&vp->cpuid, leaf);

    if (!cpuid_answers(answer, leaf, subleaf, READ_ONCE(vp->partition->vp_count))) {
        query_anew(vp, answer, leaf, subleaf, out);
        return;
    }
    for (uint32_t reg = 0; reg < CPUID_REGISTER_COUNT; reg++) {
        out[reg] = answer->values[reg];
    }
    if (answer->is_mirrored) {
        mirror(vp, leaf, subleaf, out);
    }
}

void cpuid_forget(struct vp *vp)
{
    memset(vp->cpuid.answers, 0, sizeof(vp->cpuid.answers));
}

hv_status_t cpuid_register(struct vp *vp, const struct hv_input_register_intercept_result_cpuid *input)
{
    struct cpuid_entry *entry;
    uint32_t page;

    if (input->input_eax >= HV_LEAF_FIRST && input->input_eax <= HV_LEAF_LAST) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    entry = find_entry(vp, input->input_eax, input->input_ecx);
    if (entry == NULL || entry->is_subleaf_specific != (input->subleaf_specific != 0)) {
        page = vp->cpuid.count / (uint32_t)ENTRIES_PER_PAGE;
        if (page >= CPUID_PAGE_MAX) {
            return HV_STATUS_NO_RESOURCES;
        }
        if (vp->cpuid.pages[page] == NULL) {
            vp->cpuid.pages[page] = part_page_alloc(vp->partition);
        }
        if (vp->cpuid.pages[page] == NULL) {
            return HV_STATUS_INSUFFICIENT_MEMORY;
        }
        entry = entry_at(vp, vp->cpuid.count++);
    }
    cpuid_forget(vp);
    *entry = (struct cpuid_entry){
        .leaf = input->input_eax,
        .subleaf = input->input_ecx,
        .is_subleaf_specific = input->subleaf_specific != 0,
        .values = {input->eax, input->ebx, input->ecx, input->edx},
        .masks = {input->eax_mask, input->ebx_mask, input->ecx_mask, input->edx_mask},
    };
    return HV_STATUS_SUCCESS;
}

void cpuid_destroy(struct vp *vp)
{
    for (uint32_t i = 0; i < CPUID_PAGE_MAX; i++) {
        part_page_free(vp->partition, vp->cpuid.pages[i]);
        vp->cpuid.pages[i] = NULL;
    }
    vp->cpuid.count = 0;
}

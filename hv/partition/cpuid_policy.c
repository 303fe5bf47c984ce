/* SPDX-License-Identifier: MIT */
/*
 * Policy tables for CPUID. A bit that is not listed is not seen by any partition: a new processor's feature stays
 * hidden until somebody has thought about it. Hidden on purpose: VMX, SVM, SMX, SGX (no nesting); TSC deadline (the
 * APIC timer has none); MONITOR (the hypervisor idles for its guests); performance monitoring, processor trace, IBS,
 * resource control; AMX and supervisor states (XSAVE areas are one page, XSS is not virtual); CET, LA57; the
 * speculation controls (their MSRs are the hypervisor's own). Root and children have one table: what the root sees is
 * what stock VMMs give to their guests. Intel SDM vol. 2, CPUID; AMD APM vol. 3, Obtaining Processor Information.
 */
#include "hv/partition/cpuid_policy.h"

#include <stddef.h>

#include "hv/abi/hv_features.h"
#include "hv/cpu/asm.h"
#include "hv/lib/compiler.h"

/* What may be seen of a range of leaves, in one subleaf or (ANY) in all. */
struct leaf_policy {
    uint32_t first, last;
    uint32_t subleaf;
    uint32_t mask[CPUID_REGISTER_COUNT];
};

#define ANY 0xffffffffu
#define ALL 0xffffffffu

static const struct leaf_policy policies[] = {
    {0x00000000, 0x00000000, ANY, {ALL, ALL, ALL, ALL}},
    /* ECX: SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND; topology is cpuid.c's
     */
    {0x00000001, 0x00000001, ANY, {ALL, 0x0000ffff, 0x76da3203, 0x178bfbff}},
    {0x00000002, 0x00000002, ANY, {ALL, ALL, ALL, ALL}},
    {0x00000004, 0x00000004, ANY, {ALL, ALL, ALL, ALL}},
    /* Always-running APIC timer: the virtual one never stops. */
    {0x00000006, 0x00000006, ANY, {CPUID_6_EAX_ARAT, 0, 0, 0}},
    /*
     * EBX: FSGSBASE BMI1 AVX2 FDP-exception SMEP BMI2 ERMS INVPCID FPU-CS/DS AVX512F DQ RDSEED ADX SMAP IFMA CLFLUSHOPT
     * CLWB AVX512CD SHA BW VL. ECX: VBMI UMIP PKU VBMI2 GFNI VAES VPCLMUL VNNI BITALG VPOPCNTDQ RDPID MOVDIRI
     * MOVDIR64B. EDX: FSRM VP2INTERSECT SERIALIZE AVX512-FP16.
     */
    {0x00000007, 0x00000007, 0, {0x00000001, 0xf1bf27e9, 0x18405f4e, 0x00804110}},
    /* EAX: SHA512 SM3 SM4 AVX-VNNI AVX512-BF16 CMPCCXADD FZLRM FSRS FSRC AVX-IFMA */
    {0x00000007, 0x00000007, 1, {0x00801cb7, 0, 0, 0}},
    {0x00000015, 0x00000016, ANY, {ALL, ALL, ALL, ALL}},
    {0x80000000, 0x80000000, ANY, {ALL, ALL, ALL, ALL}},
    /*
     * ECX: LAHF CmpLegacy AltMovCr8 ABM SSE4A MisAlignSse Prefetch XOP FMA4 TBM TopologyExtensions.
     * EDX: the common ones, SYSCALL NX MMXEXT FFXSR 1G-pages RDTSCP LM 3DNow.
     */
    {0x80000001, 0x80000001, ANY, {ALL, ALL, 0x006109f3, 0xefd3fbff}},
    {0x80000002, 0x80000004, ANY, {ALL, ALL, ALL, ALL}},
    {0x80000005, 0x80000006, ANY, {ALL, ALL, ALL, ALL}},
    {0x80000007, 0x80000007, ANY, {0, 0, 0, CPUID_EXTENDED_POWER_INVARIANT_TSC}},
    /* EAX: linear and physical sizes; a guest's own limit is the same. EBX: CLZERO, saved FP error pointers, WBNOINVD.
     */
    {0x80000008, 0x80000008, ANY, {0x0000ffff, 0x00000205, ALL, 0}},
    {0x80000019, 0x80000019, ANY, {ALL, ALL, 0, 0}},
    {0x8000001a, 0x8000001a, ANY, {0x00000007, 0, 0, 0}},
    {0x8000001d, 0x8000001d, ANY, {ALL, ALL, ALL, ALL}},
    {0x8000001e, 0x8000001e, ANY, {ALL, ALL, ALL, 0}},
    /* LFENCE serialises, null selector clears base: both are the processor's own behaviour. */
    {0x80000021, 0x80000021, ANY, {0x00000044, 0, 0, 0}},
};

/* An ABI feature bit and where CPUID shows it. */
struct feature_bit {
    uint64_t feature;
    uint32_t leaf;
    uint8_t subleaf;
    uint8_t reg; /* enum cpuid_register */
    uint8_t bit;
};

static const struct feature_bit bank0[] = {
    {HV_PROC_FEATURE_SSE3, 1, 0, CPUID_ECX, 0},
    {HV_PROC_FEATURE_PCLMULQDQ, 1, 0, CPUID_ECX, 1},
    {HV_PROC_FEATURE_SSSE3, 1, 0, CPUID_ECX, 9},
    {HV_PROC_FEATURE_CMPXCHG16B, 1, 0, CPUID_ECX, 13},
    {HV_PROC_FEATURE_PCID, 1, 0, CPUID_ECX, 17},
    {HV_PROC_FEATURE_SSE4_1, 1, 0, CPUID_ECX, 19},
    {HV_PROC_FEATURE_SSE4_2, 1, 0, CPUID_ECX, 20},
    {HV_PROC_FEATURE_MOVBE, 1, 0, CPUID_ECX, 22},
    {HV_PROC_FEATURE_POP_CNT, 1, 0, CPUID_ECX, 23},
    {HV_PROC_FEATURE_AES, 1, 0, CPUID_ECX, 25},
    {HV_PROC_FEATURE_F16C, 1, 0, CPUID_ECX, 29},
    {HV_PROC_FEATURE_RD_RAND, 1, 0, CPUID_ECX, 30},
    {HV_PROC_FEATURE_RD_WR_FS_GS, 7, 0, CPUID_EBX, 0},
    {HV_PROC_FEATURE_BMI1, 7, 0, CPUID_EBX, 3},
    {HV_PROC_FEATURE_X87_POINTERS_SAVED, 7, 0, CPUID_EBX, 6},
    {HV_PROC_FEATURE_SMEP, 7, 0, CPUID_EBX, 7},
    {HV_PROC_FEATURE_BMI2, 7, 0, CPUID_EBX, 8},
    {HV_PROC_FEATURE_ENHANCED_FAST_STRING, 7, 0, CPUID_EBX, 9},
    {HV_PROC_FEATURE_INVPCID, 7, 0, CPUID_EBX, 10},
    {HV_PROC_FEATURE_DEP_X87_FPU_SAVE, 7, 0, CPUID_EBX, 13},
    {HV_PROC_FEATURE_RD_SEED, 7, 0, CPUID_EBX, 18},
    {HV_PROC_FEATURE_ADX, 7, 0, CPUID_EBX, 19},
    {HV_PROC_FEATURE_SMAP, 7, 0, CPUID_EBX, 20},
    {HV_PROC_FEATURE_CLFLUSHOPT, 7, 0, CPUID_EBX, 23},
    {HV_PROC_FEATURE_CLWB, 7, 0, CPUID_EBX, 24},
    {HV_PROC_FEATURE_SHA, 7, 0, CPUID_EBX, 29},
    {HV_PROC_FEATURE_UMIP, 7, 0, CPUID_ECX, 2},
    {HV_PROC_FEATURE_RD_PID, 7, 0, CPUID_ECX, 22},
    {HV_PROC_FEATURE_FAST_SHORT_REP_MOV, 7, 0, CPUID_EDX, 4},
    {HV_PROC_FEATURE_LAHF_SAHF, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_ECX, 0},
    {HV_PROC_FEATURE_ALTMOVCR8, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_ECX, 4},
    {HV_PROC_FEATURE_LZCNT, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_ECX, 5},
    {HV_PROC_FEATURE_SSE4A, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_ECX, 6},
    {HV_PROC_FEATURE_MIS_ALIGN_SSE, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_ECX, 7},
    {HV_PROC_FEATURE_INTEL_PREFETCH, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_ECX, 8},
    {HV_PROC_FEATURE_XOP, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_ECX, 11},
    {HV_PROC_FEATURE_FMA4, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_ECX, 16},
    {HV_PROC_FEATURE_MMX_EXT, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_EDX, 22},
    {HV_PROC_FEATURE_PAGE_1GB, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_EDX, 26},
    {HV_PROC_FEATURE_RDTSCP, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_EDX, 27},
    {HV_PROC_FEATURE_EXTENDED_AMD3DNOW, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_EDX, 30},
    {HV_PROC_FEATURE_AMD3DNOW, CPUID_LEAF_EXTENDED_FEATURES, 0, CPUID_EDX, 31},
};

static const struct feature_bit bank1[] = {
    {HV_PROC_FEATURE1_MOVDIRI, 7, 0, CPUID_ECX, 27},
    {HV_PROC_FEATURE1_MOVDIR64B, 7, 0, CPUID_ECX, 28},
    {HV_PROC_FEATURE1_SERIALIZE, 7, 0, CPUID_EDX, 14},
    {HV_PROC_FEATURE1_SHA512, 7, 1, CPUID_EAX, 0},
    {HV_PROC_FEATURE1_SM3, 7, 1, CPUID_EAX, 1},
    {HV_PROC_FEATURE1_SM4, 7, 1, CPUID_EAX, 2},
    {HV_PROC_FEATURE1_CMPCCXADD, 7, 1, CPUID_EAX, 7},
    {HV_PROC_FEATURE1_FZ_L_REP_MOVSB, 7, 1, CPUID_EAX, 10},
    {HV_PROC_FEATURE1_FS_REP_STOSB, 7, 1, CPUID_EAX, 11},
    {HV_PROC_FEATURE1_FS_REP_CMPSB, 7, 1, CPUID_EAX, 12},
    {HV_PROC_FEATURE1_TSC_INVARIANT, CPUID_LEAF_EXTENDED_POWER, 0, CPUID_EDX, 8},
    {HV_PROC_FEATURE1_CL_ZERO, CPUID_LEAF_EXTENDED_SIZES, 0, CPUID_EBX, 0},
};

static const struct feature_bit xsave_features[] = {
    {HV_XSAVE_FEATURE_FMA, 1, 0, CPUID_ECX, 12},
    {HV_XSAVE_FEATURE_XSAVE, 1, 0, CPUID_ECX, 26},
    {HV_XSAVE_FEATURE_AVX, 1, 0, CPUID_ECX, 28},
    {HV_XSAVE_FEATURE_AVX2, 7, 0, CPUID_EBX, 5},
    {HV_XSAVE_FEATURE_AVX512, 7, 0, CPUID_EBX, 16},
    {HV_XSAVE_FEATURE_AVX512_DQ, 7, 0, CPUID_EBX, 17},
    {HV_XSAVE_FEATURE_AVX512_IFMA, 7, 0, CPUID_EBX, 21},
    {HV_XSAVE_FEATURE_AVX512_CD, 7, 0, CPUID_EBX, 28},
    {HV_XSAVE_FEATURE_AVX512_BW, 7, 0, CPUID_EBX, 30},
    {HV_XSAVE_FEATURE_AVX512_VL, 7, 0, CPUID_EBX, 31},
    {HV_XSAVE_FEATURE_AVX512_VBMI, 7, 0, CPUID_ECX, 1},
    {HV_XSAVE_FEATURE_AVX512_VBMI2, 7, 0, CPUID_ECX, 6},
    {HV_XSAVE_FEATURE_GFNI, 7, 0, CPUID_ECX, 8},
    {HV_XSAVE_FEATURE_VAES, 7, 0, CPUID_ECX, 9},
    {HV_XSAVE_FEATURE_VPCLMULQDQ, 7, 0, CPUID_ECX, 10},
    {HV_XSAVE_FEATURE_AVX512_VNNI, 7, 0, CPUID_ECX, 11},
    {HV_XSAVE_FEATURE_AVX512_BITALG, 7, 0, CPUID_ECX, 12},
    {HV_XSAVE_FEATURE_AVX512_VPOPCNTDQ, 7, 0, CPUID_ECX, 14},
    {HV_XSAVE_FEATURE_AVX512_VP2_INTERSECT, 7, 0, CPUID_EDX, 8},
    {HV_XSAVE_FEATURE_AVX512_FP16, 7, 0, CPUID_EDX, 23},
    {HV_XSAVE_FEATURE_AVX_VNNI, 7, 1, CPUID_EAX, 4},
    {HV_XSAVE_FEATURE_AVX512_BF16, 7, 1, CPUID_EAX, 5},
    {HV_XSAVE_FEATURE_AVX_IFMA, 7, 1, CPUID_EAX, 23},
    {HV_XSAVE_FEATURE_XSAVEOPT, CPUID_LEAF_XSAVE, 1, CPUID_EAX, 0},
    {HV_XSAVE_FEATURE_XSAVE_COMP, CPUID_LEAF_XSAVE, 1, CPUID_EAX, 1},
};

/* XSAVEOPT, XSAVEC, XGETBV with ECX = 1; XSAVES would need a virtual XSS. */
#define XSAVE_1_EAX_VALID 0x7u

static struct cpuid_result (*machine_reader)(uint32_t leaf, uint32_t subleaf);

void cpuid_set_machine(struct cpuid_result (*read)(uint32_t leaf, uint32_t subleaf))
{
    machine_reader = read;
}

struct cpuid_result cpuid_machine(uint32_t leaf, uint32_t subleaf)
{
    return machine_reader != NULL ? machine_reader(leaf, subleaf) : cpuid(leaf, subleaf);
}

void cpuid_policy_mask(uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    for (uint32_t reg = 0; reg < CPUID_REGISTER_COUNT; reg++) {
        out[reg] = 0;
    }
    if (leaf == CPUID_LEAF_XSAVE) { /* components and sizes are cpuid.c's */
        out[CPUID_EAX] = subleaf == 1 ? XSAVE_1_EAX_VALID : 0;
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
        const struct leaf_policy *policy = &policies[i];

        if (leaf >= policy->first && leaf <= policy->last && (policy->subleaf == ANY || policy->subleaf == subleaf)) {
            for (uint32_t reg = 0; reg < CPUID_REGISTER_COUNT; reg++) {
                out[reg] = policy->mask[reg];
            }
            return;
        }
    }
}

void cpuid_policy_machine(uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    uint32_t limit = cpuid_machine(leaf & CPUID_LEAF_EXTENDED_FIRST, 0).eax;
    struct cpuid_result raw;

    cpuid_policy_mask(leaf, subleaf, out);
    if (leaf > limit) { /* some processors answer these with another leaf's contents */
        raw = (struct cpuid_result){0, 0, 0, 0};
    } else {
        raw = cpuid_machine(leaf, subleaf);
    }
    out[CPUID_EAX] &= raw.eax;
    out[CPUID_EBX] &= raw.ebx;
    out[CPUID_ECX] &= raw.ecx;
    out[CPUID_EDX] &= raw.edx;
}

/* Clears the bits of one table's disabled features that are in this leaf. */
static void disable(const struct feature_bit *table, size_t count, uint64_t disabled, uint32_t leaf, uint32_t subleaf,
                    uint32_t registers[CPUID_REGISTER_COUNT])
{
    if (disabled == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct feature_bit *entry = &table[i];

        if ((disabled & entry->feature) && entry->leaf == leaf &&
            (entry->subleaf == subleaf || (leaf != CPUID_LEAF_STRUCTURED_FEATURES && leaf != CPUID_LEAF_XSAVE))) {
            registers[entry->reg] &= ~(1u << entry->bit);
        }
    }
}

void cpuid_policy_disable(const uint64_t disabled_features[2], uint64_t disabled_xsave, uint32_t leaf, uint32_t subleaf,
                          uint32_t registers[CPUID_REGISTER_COUNT])
{
    disable(bank0, ARRAY_SIZE(bank0), disabled_features[0], leaf, subleaf, registers);
    disable(bank1, ARRAY_SIZE(bank1), disabled_features[1], leaf, subleaf, registers);
    disable(xsave_features, ARRAY_SIZE(xsave_features), disabled_xsave, leaf, subleaf, registers);
}

static uint64_t present(const struct feature_bit *table, size_t count)
{
    uint64_t features = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t registers[CPUID_REGISTER_COUNT];

        cpuid_policy_machine(table[i].leaf, table[i].subleaf, registers);
        if ((registers[table[i].reg] >> table[i].bit) & 1u) {
            features |= table[i].feature;
        }
    }
    return features;
}

uint64_t cpuid_policy_bank(uint32_t bank)
{
    return bank == 0 ? present(bank0, ARRAY_SIZE(bank0)) : bank == 1 ? present(bank1, ARRAY_SIZE(bank1)) : 0;
}

uint64_t cpuid_policy_xsave(void)
{
    return present(xsave_features, ARRAY_SIZE(xsave_features));
}

/* SPDX-License-Identifier: MIT */
/*
 * AMD-V backend: can this machine serve, per-processor set-up, making and freeing the backend's part of a VP, and the
 * table that common code calls. Running, exits, events and registers are in the other files. APM vol. 2, Secure Virtual
 * Machine.
 */
#include "svm/svm.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/safe.h"
#include "hv/debug/debug.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"

#define CPUID_EXTENDED_MAX          0x80000000u
#define CPUID_EXTENDED_FEATURES     0x80000001u
#define CPUID_SVM                   0x8000000au
#define CPUID_HYPERVISOR            0x40000000u
#define CPUID_FEATURES              1u
#define CPUID_FEATURES_HYPERVISOR   (1u << 31)
#define CPUID_FEATURES_ECX_SVM      (1u << 2)
#define CPUID_FEATURES_EDX_1G_PAGES (1u << 26)
#define CPUID_SVM_EDX_NESTED_PAGING (1u << 0)
#define CPUID_SVM_EDX_NEXT_RIP      (1u << 3)
#define CPUID_SVM_EDX_DECODE_ASSIST (1u << 7)
#define CPUID_SVM_EDX_PAUSE_FILTER  (1u << 10)
#define CPUID_SVM_EDX_PAUSE_GAP     (1u << 12)

struct backend_features svm_features = {.has_thread_count = true};
uint32_t svm_asid_count;
bool svm_has_next_rip;
bool svm_has_decode_assist;
bool svm_interrupts_are_virtual;
bool svm_has_pause_filter;
bool svm_has_pause_threshold;

/* The machine is one of QEMU's without a real processor's help. A hypervisor in between says its own name. */
static bool is_qemu_software_cpu(void)
{
    struct cpuid_result name;

    if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID_FEATURES_HYPERVISOR)) {
        return false;
    }
    name = cpuid(CPUID_HYPERVISOR, 0);
    return memcmp(&name.ebx, "TCGT", sizeof(name.ebx)) == 0 && memcmp(&name.ecx, "CGTC", sizeof(name.ecx)) == 0 &&
           memcmp(&name.edx, "GTCG", sizeof(name.edx)) == 0;
}

static enum backend_fit svm_probe(char *why, size_t size)
{
    uint64_t vm_cr;

    if (cpuid(CPUID_EXTENDED_MAX, 0).eax < CPUID_SVM ||
        !(cpuid(CPUID_EXTENDED_FEATURES, 0).ecx & CPUID_FEATURES_ECX_SVM)) {
        return BACKEND_ABSENT;
    }
    if (!(cpuid(CPUID_SVM, 0).edx & CPUID_SVM_EDX_NESTED_PAGING)) {
        fmt_snprintf(why, size, "the processor has AMD-V but no nested paging (NPT)");
        return BACKEND_UNUSABLE;
    }
    if (msr_read_safe(X86_MSR_AMD_VM_CR, &vm_cr) && (vm_cr & X86_VM_CR_SVMDIS)) {
        fmt_snprintf(why, size,
                     "AMD-V is disabled by the firmware (VM_CR.SVMDIS); switch SVM on in the firmware set-up");
        return BACKEND_UNUSABLE;
    }
    struct cpuid_result svm = cpuid(CPUID_SVM, 0);
    svm_has_next_rip = (svm.edx & CPUID_SVM_EDX_NEXT_RIP) != 0;
    svm_has_decode_assist = (svm.edx & CPUID_SVM_EDX_DECODE_ASSIST) != 0;
    svm_asid_count = svm.ebx;
    svm_has_pause_filter = (svm.edx & CPUID_SVM_EDX_PAUSE_FILTER) != 0;
    svm_has_pause_threshold = (svm.edx & CPUID_SVM_EDX_PAUSE_GAP) != 0;
    svm_interrupts_are_virtual = is_qemu_software_cpu();
    svm_gpa_format.has_1g_pages = (cpuid(CPUID_EXTENDED_FEATURES, 0).edx & CPUID_FEATURES_EDX_1G_PAGES) != 0;
    if (svm.ebx < 2) {
        fmt_snprintf(why, size, "the processor offers %u address-space identifiers; at least 2 are needed", svm.ebx);
        return BACKEND_UNUSABLE;
    }
    return BACKEND_FITS;
}

static bool svm_init(void)
{
    return svm_bitmap_init();
}

static bool svm_enable_processor(void)
{
    struct cpu *cpu = cpu_this();
    struct svm_cpu *own = page_alloc();
    void *host_save = page_alloc();
    uint64_t vm_cr;

    if (own == NULL || host_save == NULL) {
        log_line("processor %u: no memory for AMD-V", cpu->index);
        return false;
    }
    if (msr_read_safe(X86_MSR_AMD_VM_CR, &vm_cr) && (vm_cr & X86_VM_CR_SVMDIS)) {
        log_line("processor %u: AMD-V is disabled by the firmware", cpu->index);
        return false;
    }
    own->host_vmcb = page_alloc();
    if (own->host_vmcb == NULL) {
        log_line("processor %u: no memory for AMD-V", cpu->index);
        return false;
    }
    own->host_vmcb_spa = mem_to_spa(own->host_vmcb);
    own->next_asid = 1;
    own->asid_epoch = 1;
    wrmsr(X86_MSR_EFER, rdmsr(X86_MSR_EFER) | X86_EFER_SVME);
    wrmsr(X86_MSR_AMD_VM_HSAVE_PA, mem_to_spa(host_save).value);
    __asm__ volatile("vmsave %0" : : "a"(own->host_vmcb_spa.value) : "memory");
    cpu->backend = own;
    return true;
}

static hv_status_t svm_vp_create(struct vp *vp)
{
    struct svm_vp *own = vp_page_alloc(vp);

    if (own == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    own->vmcb = vp_page_alloc(vp);
    if (own->vmcb == NULL) {
        vp_page_free(vp, own);
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    own->vmcb_spa = mem_to_spa(own->vmcb);
    svm_init_events(own);
    vp->backend = own;
    vmcb_init_control(vp);
    return HV_STATUS_SUCCESS;
}

static void svm_vp_destroy(struct vp *vp)
{
    struct svm_vp *own = svm_of(vp);

    if (own != NULL) {
        timer_cancel(&own->shadow_timer);
        vp_page_free(vp, own->vmcb);
        vp_page_free(vp, own);
        vp->backend = NULL;
    }
}

/* A VMCB is memory like any other: nothing to give up. */
static void svm_vp_put(struct vp *vp)
{
    (void)vp;
}

const struct cpu_backend svm_backend = {
    .name = "AMD-V",
    .gpa_format = &svm_gpa_format,
    .features = &svm_features,
    .hypercall_instruction = {0x0f, 0x01, 0xd9}, /* VMMCALL */
    .hypercall_op = X86_OP_VMMCALL,
    .processor_vendor = HV_PROCESSOR_VENDOR_AMD,
    .state_msrs = &svm_state_msrs,
    .child_msrs = &svm_child_msrs,
    .root_msrs = &svm_root_msrs,
    .stored_msr_reset = SVM_HWCR_RESET,
    .probe = svm_probe,
    .init = svm_init,
    .enable_processor = svm_enable_processor,
    .vp_create = svm_vp_create,
    .vp_destroy = svm_vp_destroy,
    .vp_put = svm_vp_put,
    .vp_reset = svm_vp_reset,
    .vp_run = svm_vp_run,
    .get_register = svm_get_register,
    .set_register = svm_set_register,
    .get_paging = svm_get_paging,
    .get_code_mode = svm_get_code_mode,
    .is_code_state = svm_is_code_state,
    .guest_tsc = svm_guest_tsc,
    .intercepts_changed = svm_intercepts_changed,
};

/* SPDX-License-Identifier: MIT */
/* The library of the bare guests: output, exit, exceptions, local APIC, start of other VPs, hypercalls. */
#include "partitions/child/lib/guest.h"

#include <stdarg.h>

#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"

#define UART_LINE_STATUS       5u
#define UART_EMPTY             0x20u
#define MULTIBOOT_COMMAND_LINE 16u /* offsets in the information */
#define MULTIBOOT_MODULE_COUNT 20u
#define MULTIBOOT_MODULES      24u
#define CPUID_HYPERVISOR       0x40000000u
#define CPUID_XEN_EBX          0x566E6558u
#define XEN_COMMAND_LINE       24u /* offset in the start info */
#define XEN_TEXT_PORT          0xE9u
#define XEN_SCHED_OP           29u
#define XEN_SCHED_SHUTDOWN     2u
#define XEN_SHUTDOWN_REBOOT    1u
#define CPUID_1_ECX_X2APIC     (1u << 21)
#define SPURIOUS_ENABLE        0x1FFu
#define XAPIC_PAGE             UINT64_C(0xFEE00000)
#define XAPIC_ICR_HIGH_MSR     (X86_MSR_X2APIC_ICR + 1)
#define ICR_INIT_ALL_OTHERS    0xC4500u
#define ICR_STARTUP_ALL_OTHERS 0xC4600u
/* Open source, no system in particular. */
#define GUEST_OS_ID            (HV_GUEST_OS_ID_OPEN_SOURCE | UINT64_C(0x10000))
#define INSN_BYTES_MAX         15u
#define RET                    0xC3u

/* One gate of the IDT. */
struct idt_gate {
    uint64_t low;
    uint64_t high;
};

/* One boot module in the Multiboot information. */
struct multiboot_module {
    uint32_t start, end, words, rsvd;
};

/* Operand of LIDT. */
struct table_pointer {
    uint16_t limit;
    uint64_t base;
} PACKED;

extern const uint8_t guest_interrupt_entries[256][16];
extern const uint8_t guest_trampoline[], guest_trampoline_end[];
extern uint64_t guest_try_rip, guest_try_rsp;
extern uint32_t guest_try_vector;

static struct idt_gate idt[256] ALIGNED(16);
static void (*handlers[256])(void);
static const char *command_line = "";
static uint64_t information; /* Multiboot's, or the start info of Xen */
static uint16_t text_port = GUEST_COM1;
static uint32_t failure_count;
static bool is_x2apic;
static void (*ap_function)(uint32_t number);
static uint32_t ap_count; /* atomic */
static void *hypercall_page;
static uint8_t insn_buffer[INSN_BYTES_MAX + 1];

void guest_print(const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    (void)fmt_vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (const char *at = text; *at != '\0'; at++) {
        while ((inb(GUEST_COM1 + UART_LINE_STATUS) & UART_EMPTY) == 0) {
            cpu_relax();
        }
        outb(text_port, (uint8_t)*at);
    }
}

bool guest_check(bool condition, const char *name, const char *format, ...)
{
    char text[192];
    va_list arguments;

    if (condition) {
        guest_print("PASS %s\n", name);
        return true;
    }
    va_start(arguments, format);
    (void)fmt_vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    guest_print("FAIL %s: %s\n", name, text);
    failure_count++;
    return false;
}

uint8_t guest_failures(void)
{
    return (uint8_t)(failure_count > 100 ? 100 : failure_count);
}

bool guest_is_xen(void)
{
    uint32_t leaf[4];

    cpuid(CPUID_HYPERVISOR, 0, leaf);
    return leaf[1] == CPUID_XEN_EBX;
}

uint64_t guest_xen_call(uint64_t number, uint64_t first, uint64_t second)
{
    __asm__ volatile("vmmcall" : "+a"(number), "+D"(first), "+S"(second) : : "memory");
    return number;
}

void guest_exit(uint8_t status)
{
    static const uint32_t reason = XEN_SHUTDOWN_REBOOT;

    if (guest_is_xen()) {
        (void)guest_xen_call(XEN_SCHED_OP, XEN_SCHED_SHUTDOWN, (uint64_t)&reason);
    }
    for (;;) {
        outb(GUEST_EXIT_PORT, status);
        __asm__ volatile("cli; hlt");
    }
}

uint64_t guest_option(const char *name, uint64_t otherwise)
{
    size_t length = str_length(name);

    for (const char *at = command_line; at != NULL; at = str_find_char(at, ' ')) {
        at += *at == ' ' ? 1 : 0;
        if (str_starts_with(at, name) && at[length] == '=') {
            uint64_t value = 0;

            for (at += length + 1; *at >= '0' && *at <= '9'; at++) {
                value = value * 10 + (uint64_t)(*at - '0');
            }
            return value;
        }
    }
    return otherwise;
}

bool guest_find_module(uint32_t index, struct guest_module *module)
{
    const struct multiboot_module *modules =
        (const struct multiboot_module *)(uint64_t) * (const uint32_t *)(information + MULTIBOOT_MODULES);

    if (index >= *(const uint32_t *)(information + MULTIBOOT_MODULE_COUNT)) {
        return false;
    }
    *module = (struct guest_module){
        .start = modules[index].start,
        .bytes = modules[index].end - modules[index].start,
        .words = modules[index].words,
    };
    return true;
}

void guest_set_handler(uint8_t vector, void (*handler)(void))
{
    handlers[vector] = handler;
}

void guest_interrupt(struct guest_frame *frame)
{
    if (handlers[frame->vector] != NULL) {
        handlers[frame->vector]();
        return;
    }
    if (frame->vector < X86_VECTOR_EXCEPTION_COUNT && guest_try_rip != 0) {
        guest_try_vector = GUEST_FAULT((uint32_t)frame->vector);
        frame->rip = guest_try_rip;
        frame->rsp = guest_try_rsp;
        frame->rflags &= ~(X86_RFLAGS_TF | X86_RFLAGS_DF);
        return;
    }
    guest_print("FAIL exception or interrupt %u, error %#llx, at %#llx\n", (unsigned)frame->vector,
                (unsigned long long)frame->error, (unsigned long long)frame->rip);
    guest_exit(101);
}

uint32_t guest_try_bytes(const uint8_t *bytes, size_t count, struct guest_registers *registers)
{
    memcpy(insn_buffer, bytes, count);
    insn_buffer[count] = RET;
    /* The buffer was written as data and runs as code: a jump in between makes it visible. */
    return guest_try(insn_buffer, registers);
}

uint32_t guest_try_rdmsr(uint32_t msr, uint64_t *value)
{
    static const uint8_t code[] = {0x0F, 0x32};
    struct guest_registers registers = {.rcx = msr};
    uint32_t fault = guest_try_bytes(code, sizeof(code), &registers);

    *value = (registers.rdx << 32) | (uint32_t)registers.rax;
    return fault;
}

uint32_t guest_try_wrmsr(uint32_t msr, uint64_t value)
{
    static const uint8_t code[] = {0x0F, 0x30};
    struct guest_registers registers = {.rax = (uint32_t)value, .rcx = msr, .rdx = value >> 32};

    return guest_try_bytes(code, sizeof(code), &registers);
}

bool guest_apic_is_x2(void)
{
    return is_x2apic;
}

uint32_t guest_apic_read(uint32_t msr)
{
    volatile uint32_t *page = (volatile uint32_t *)XAPIC_PAGE;

    return is_x2apic ? (uint32_t)rdmsr(msr) : page[(msr - X86_MSR_X2APIC_FIRST) * 4];
}

void guest_apic_write(uint32_t msr, uint32_t value)
{
    volatile uint32_t *page = (volatile uint32_t *)XAPIC_PAGE;

    if (is_x2apic) {
        wrmsr(msr, value);
    } else {
        page[(msr - X86_MSR_X2APIC_FIRST) * 4] = value;
    }
}

void guest_apic_init(void)
{
    uint64_t base = rdmsr(X86_MSR_APIC_BASE) | X86_APIC_BASE_ENABLE;
    uint32_t leaf[4];

    cpuid(1, 0, leaf);
    is_x2apic = (leaf[2] & CPUID_1_ECX_X2APIC) != 0;
    wrmsr(X86_MSR_APIC_BASE, base | (is_x2apic ? X86_APIC_BASE_X2APIC : 0));
    guest_apic_write(X86_MSR_X2APIC_TPR, 0);
    guest_apic_write(X86_MSR_X2APIC_SVR, SPURIOUS_ENABLE);
}

uint32_t guest_apic_id(void)
{
    uint32_t id = guest_apic_read(X86_MSR_X2APIC_APIC_ID);

    return is_x2apic ? id : id >> 24;
}

void guest_apic_eoi(void)
{
    guest_apic_write(X86_MSR_X2APIC_EOI, 0);
}

void guest_apic_send(uint32_t apic_id, uint32_t command)
{
    if (is_x2apic) {
        wrmsr(X86_MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
    } else {
        guest_apic_write(XAPIC_ICR_HIGH_MSR, apic_id << 24);
        guest_apic_write(X86_MSR_X2APIC_ICR, command);
    }
}

uint32_t guest_start_others(void (*function)(uint32_t number), uint32_t wanted, uint64_t limit_100ns)
{
    uint64_t start = guest_clock();

    ap_function = function;
    memcpy((void *)(uint64_t)GUEST_TRAMPOLINE, guest_trampoline, (size_t)(guest_trampoline_end - guest_trampoline));
    guest_apic_send(0, ICR_INIT_ALL_OTHERS);
    guest_wait(GUEST_CLOCK_100NS_PER_MS);
    guest_apic_send(0, ICR_STARTUP_ALL_OTHERS | GUEST_TRAMPOLINE >> 12);
    while (__atomic_load_n(&ap_count, __ATOMIC_ACQUIRE) < wanted && guest_clock() - start < limit_100ns) {
        cpu_relax();
    }
    return __atomic_load_n(&ap_count, __ATOMIC_ACQUIRE);
}

static void load_idt(void)
{
    struct table_pointer pointer = {.limit = sizeof(idt) - 1, .base = (uint64_t)idt};

    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void guest_ap_begin(uint64_t number)
{
    load_idt();
    guest_apic_init();
    (void)__atomic_fetch_add(&ap_count, 1u, __ATOMIC_RELEASE);
    ap_function((uint32_t)number);
}

uint64_t guest_clock(void)
{
    return rdmsr(HV_X64_MSR_TIME_REF_COUNT);
}

void guest_wait(uint64_t duration_100ns)
{
    uint64_t start = guest_clock();

    while (guest_clock() - start < duration_100ns) {
        cpu_relax();
    }
}

void guest_synic_init(struct hv_message_page *messages, struct hv_synic_event_flags_page *events, uint32_t sint,
                      uint8_t vector)
{
    wrmsr(HV_X64_MSR_SIMP, (uint64_t)messages | HV_X64_MSR_PAGE_ENABLE);
    wrmsr(HV_X64_MSR_SIEFP, (uint64_t)events | HV_X64_MSR_PAGE_ENABLE);
    wrmsr(HV_X64_MSR_SINT0 + sint, vector);
    wrmsr(HV_X64_MSR_SCONTROL, HV_SCONTROL_ENABLE);
}

bool guest_enable_hypercalls(void *page)
{
    wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID);
    wrmsr(HV_X64_MSR_HYPERCALL, (uint64_t)page | HV_X64_MSR_HYPERCALL_ENABLE);
    hypercall_page = page;
    return rdmsr(HV_X64_MSR_HYPERCALL) == ((uint64_t)page | HV_X64_MSR_HYPERCALL_ENABLE);
}

uint64_t guest_hypercall(uint64_t control, uint64_t input, uint64_t output)
{
    register uint64_t r8 __asm__("r8") = output;
    uint64_t result;

    __asm__ volatile("call *%[page]"
                     : "=a"(result), "+c"(control), "+d"(input), "+r"(r8)
                     : [page] "r"(hypercall_page)
                     : "memory", "cc", "r9", "r10", "r11");
    return result;
}

void guest_begin(uint64_t start_information)
{
    uint32_t text;

    information = start_information;
    text = *(const uint32_t *)(information + (guest_is_xen() ? XEN_COMMAND_LINE : MULTIBOOT_COMMAND_LINE));
    text_port = guest_is_xen() ? XEN_TEXT_PORT : GUEST_COM1;
    if (text != 0) {
        command_line = (const char *)(uint64_t)text;
    }
    for (uint32_t vector = 0; vector < ARRAY_SIZE(idt); vector++) {
        uint64_t entry = (uint64_t)guest_interrupt_entries[vector];

        idt[vector].low =
            (entry & 0xFFFF) | (uint64_t)GUEST_CS << 16 | UINT64_C(0x8E00) << 32 | (entry >> 16 & 0xFFFF) << 48;
        idt[vector].high = entry >> 32;
    }
    load_idt();
    guest_exit(guest_main());
}

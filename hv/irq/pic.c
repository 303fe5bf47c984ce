/* SPDX-License-Identifier: MIT */
/* The two 8259s, only to silence them. When the root unmasks them, ExtINT reaches it through lapic_set_pin_mask(). */
#include "hv/boot/acpi.h"
#include "hv/cpu/asm.h"
#include "hv/irq/irq.h"

#define PIC1_COMMAND            0x20
#define PIC1_DATA               0x21
#define PIC2_COMMAND            0xa0
#define PIC2_DATA               0xa1
#define ICW1_INIT_WITH_ICW4     0x11
#define ICW3_PIC1_HAS_PIC2_ON_2 0x04
#define ICW3_PIC2_IS_ON_2       0x02
#define ICW4_8086               0x01
#define MASK_ALL                0xff
#define PIC2_VECTOR_OFFSET      8

void pic_disable(void)
{
    if (!acpi_info()->has_8259) {
        return;
    }
    outb(PIC1_COMMAND, ICW1_INIT_WITH_ICW4);
    outb(PIC2_COMMAND, ICW1_INIT_WITH_ICW4);
    outb(PIC1_DATA, IRQ_VECTOR_DEVICE_FIRST);
    outb(PIC2_DATA, IRQ_VECTOR_DEVICE_FIRST + PIC2_VECTOR_OFFSET);
    outb(PIC1_DATA, ICW3_PIC1_HAS_PIC2_ON_2);
    outb(PIC2_DATA, ICW3_PIC2_IS_ON_2);
    outb(PIC1_DATA, ICW4_8086);
    outb(PIC2_DATA, ICW4_8086);
    outb(PIC1_DATA, MASK_ALL);
    outb(PIC2_DATA, MASK_ALL);
}

/* SPDX-License-Identifier: MIT */
/* Writes ACPI Machine Language: the few terms that the tables of the worker need. */
#ifndef ACPI_AML_H
#define ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/* A buffer that grows to its capacity. Nothing is written beyond it: the overflow is remembered instead. */
struct aml {
    uint8_t *bytes;
    size_t capacity;
    size_t length;
    bool has_overflowed;
};

/* An object whose length is filled in when it ends. */
struct aml_mark {
    size_t length_at;
};

void aml_init(struct aml *aml, uint8_t *bytes, size_t capacity);

/* All terms fitted and all objects were short enough. */
MUST_CHECK bool aml_is_complete(const struct aml *aml);

/* Scope(path) and Device(name): `path` is four characters, behind a backslash if it is at the root. */
struct aml_mark aml_begin_scope(struct aml *aml, const char *path);
struct aml_mark aml_begin_device(struct aml *aml, const char *name);

/* Closes the innermost open object. */
void aml_end(struct aml *aml, struct aml_mark mark);

/* Name(path, value) for an integer. */
void aml_name_integer(struct aml *aml, const char *path, uint32_t value);

/* Name(_HID, EisaId(id)); `id` is three capitals and four capital hexadecimal digits. */
void aml_name_hardware_id(struct aml *aml, const char *id);

/* Name(path, "text"). */
void aml_name_string(struct aml *aml, const char *path, const char *text);

/* Name(path, Package() {values...}) for up to 255 bytes. */
void aml_name_byte_package(struct aml *aml, const char *path, const uint8_t *values, uint8_t count);

/* Name(_CRS, ResourceTemplate() {IO(Decode16, first, first, 1, count), IRQNoFlags() {irq}}). */
void aml_name_port_and_irq(struct aml *aml, uint16_t first_port, uint8_t port_count, uint8_t irq);

/* Name(_CRS, ResourceTemplate() {}), and the same with one DWordMemory (ResourceProducer, uncacheable, read and write):
 * addresses that the device hands on to those below it. */
void aml_name_no_resources(struct aml *aml);
void aml_name_memory_window(struct aml *aml, uint32_t base, uint32_t length_bytes);

#endif

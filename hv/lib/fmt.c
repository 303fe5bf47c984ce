/* SPDX-License-Identifier: MIT */
/*
 * Formatted output into memory: parses a format, converts integers and strings.
 * Allocates nothing and needs about 150 bytes of stack, so that a panic can use
 * it. Where the output goes is not its business.
 */
#include "hv/lib/fmt.h"

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/str.h"

/* Digits of the longest number: 2^64 - 1 in decimal. */
#define FMT_MAX_DIGITS 20

/* Where the output goes; length counts what did not fit too. */
struct fmt_output {
    char *buffer;
    size_t size;
    size_t length;
};

/* One directive of the format, after its percent sign. */
struct fmt_directive {
    bool has_zero_pad;
    bool is_left_justified;
    bool has_plus;
    bool has_space;
    bool has_prefix;
    bool has_precision;
    unsigned int width;
    unsigned int precision;
    /* Size of an integer argument in bytes. */
    size_t argument_size;
    char conversion;
};

static void put_char(struct fmt_output *output, char character)
{
    if (output->length < output->size) {
        output->buffer[output->length] = character;
    }
    output->length++;
}

static void put_repeated(struct fmt_output *output, char character, size_t count)
{
    for (; count != 0; count--) {
        put_char(output, character);
    }
}

static void put_bytes(struct fmt_output *output, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_char(output, bytes[i]);
    }
}

/* Bytes in a field of the directive's width, filled with blanks. */
static void put_text(struct fmt_output *output, const struct fmt_directive *directive, const char *text, size_t length)
{
    size_t padding = directive->width > length ? directive->width - length : 0;

    if (!directive->is_left_justified) {
        put_repeated(output, ' ', padding);
    }
    put_bytes(output, text, length);
    if (directive->is_left_justified) {
        put_repeated(output, ' ', padding);
    }
}

/* A number: sign or base prefix, then zeros, then digits, in a field of the directive's width. */
static void put_number(struct fmt_output *output, const struct fmt_directive *directive, const char *prefix,
                       uint64_t value)
{
    const char *digit_characters = directive->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned int base = directive->conversion == 'u' || directive->conversion == 'd' ? 10 : 16;
    char digits[FMT_MAX_DIGITS];
    size_t digit_count = 0;

    /* A precision of zero prints a zero as nothing, as in C. */
    for (uint64_t rest = value; rest != 0 || (digit_count == 0 && !(directive->has_precision && !directive->precision));
         rest /= base) {
        digit_count++;
        digits[FMT_MAX_DIGITS - digit_count] = digit_characters[rest % base];
    }

    size_t prefix_length = strlen(prefix);
    size_t zero_count = 0;

    if (directive->has_precision) {
        zero_count = directive->precision > digit_count ? directive->precision - digit_count : 0;
    } else if (directive->has_zero_pad && !directive->is_left_justified) {
        size_t plain_length = prefix_length + digit_count;

        zero_count = directive->width > plain_length ? directive->width - plain_length : 0;
    }

    size_t total = prefix_length + zero_count + digit_count;
    size_t padding = directive->width > total ? directive->width - total : 0;

    if (!directive->is_left_justified) {
        put_repeated(output, ' ', padding);
    }
    put_bytes(output, prefix, prefix_length);
    put_repeated(output, '0', zero_count);
    put_bytes(output, digits + FMT_MAX_DIGITS - digit_count, digit_count);
    if (directive->is_left_justified) {
        put_repeated(output, ' ', padding);
    }
}

/* Reads a decimal number at *format and moves behind it; saturates far above any sensible width. */
static unsigned int parse_number(const char **format)
{
    unsigned int number = 0;

    for (; **format >= '0' && **format <= '9'; (*format)++) {
        if (number < 100000u) {
            number = number * 10 + (unsigned int)(**format - '0');
        }
    }
    return number;
}

static const char *parse_flags(const char *format, struct fmt_directive *directive)
{
    for (;; format++) {
        switch (*format) {
        case '0':
            directive->has_zero_pad = true;
            break;
        case '-':
            directive->is_left_justified = true;
            break;
        case '+':
            directive->has_plus = true;
            break;
        case ' ':
            directive->has_space = true;
            break;
        case '#':
            directive->has_prefix = true;
            break;
        default:
            return format;
        }
    }
}

static const char *parse_length(const char *format, struct fmt_directive *directive)
{
    directive->argument_size = sizeof(int);
    if (*format == 'z') {
        directive->argument_size = sizeof(size_t);
        format++;
    } else if (*format == 'l') {
        directive->argument_size = sizeof(long);
        format++;
        if (*format == 'l') {
            directive->argument_size = sizeof(long long);
            format++;
        }
    } else if (*format == 'h') {
        directive->argument_size = sizeof(short);
        format++;
        if (*format == 'h') {
            directive->argument_size = sizeof(char);
            format++;
        }
    }
    return format;
}

/* The arguments of one call; a struct, so that they can be handed on by address on every ABI. */
struct fmt_arguments {
    va_list list;
};

/* Width and precision, as digits or taken from the arguments; returns what follows them. */
static const char *parse_width_and_precision(const char *format, struct fmt_directive *directive,
                                             struct fmt_arguments *arguments)
{
    if (*format == '*') {
        int width = va_arg(arguments->list, int);

        directive->is_left_justified = directive->is_left_justified || width < 0;
        directive->width = width < 0 ? 0u - (unsigned int)width : (unsigned int)width;
        format++;
    } else {
        directive->width = parse_number(&format);
    }
    if (*format != '.') {
        return format;
    }
    format++;
    directive->has_precision = true;
    if (*format == '*') {
        int precision = va_arg(arguments->list, int);

        directive->has_precision = precision >= 0;
        directive->precision = precision < 0 ? 0 : (unsigned int)precision;
        format++;
    } else {
        directive->precision = parse_number(&format);
    }
    return format;
}

static uint64_t next_unsigned(const struct fmt_directive *directive, struct fmt_arguments *arguments)
{
    if (directive->argument_size == sizeof(unsigned long)) {
        return va_arg(arguments->list, unsigned long);
    }

    unsigned int value = va_arg(arguments->list, unsigned int);

    if (directive->argument_size == sizeof(short)) {
        return (unsigned short)value;
    }
    return directive->argument_size == sizeof(char) ? (unsigned char)value : value;
}

static int64_t next_signed(const struct fmt_directive *directive, struct fmt_arguments *arguments)
{
    if (directive->argument_size == sizeof(long)) {
        return va_arg(arguments->list, long);
    }

    int value = va_arg(arguments->list, int);

    if (directive->argument_size == sizeof(short)) {
        return (short)value;
    }
    return directive->argument_size == sizeof(char) ? (signed char)value : value;
}

_Static_assert(sizeof(long) == sizeof(long long) && sizeof(long) == sizeof(size_t), "one size for l, ll and z");

static void put_signed(struct fmt_output *output, struct fmt_directive *directive, int64_t value)
{
    const char *prefix = "";

    if (value < 0) {
        prefix = "-";
    } else if (directive->has_plus) {
        prefix = "+";
    } else if (directive->has_space) {
        prefix = " ";
    }
    directive->conversion = 'd';
    put_number(output, directive, prefix, value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value);
}

static void put_string(struct fmt_output *output, const struct fmt_directive *directive, const char *string)
{
    if (string == NULL) {
        string = "(null)";
    }
    put_text(output, directive, string,
             directive->has_precision ? strnlen(string, directive->precision) : strlen(string));
}

/* Converts one argument; false when the conversion is unknown. */
static bool put_directive(struct fmt_output *output, struct fmt_directive *directive, struct fmt_arguments *arguments)
{
    uint64_t value;
    char character;

    switch (directive->conversion) {
    case 'c':
        character = (char)va_arg(arguments->list, int);
        put_text(output, directive, &character, 1);
        return true;
    case 's':
        put_string(output, directive, va_arg(arguments->list, const char *));
        return true;
    case 'd':
    case 'i':
        put_signed(output, directive, next_signed(directive, arguments));
        return true;
    case 'u':
        put_number(output, directive, "", next_unsigned(directive, arguments));
        return true;
    case 'x':
        value = next_unsigned(directive, arguments);
        put_number(output, directive, directive->has_prefix && value != 0 ? "0x" : "", value);
        return true;
    case 'X':
        value = next_unsigned(directive, arguments);
        put_number(output, directive, directive->has_prefix && value != 0 ? "0X" : "", value);
        return true;
    case 'p':
        put_number(output, directive, "0x", (uint64_t)(uintptr_t)va_arg(arguments->list, void *));
        return true;
    case '%':
        put_char(output, '%');
        return true;
    default:
        return false;
    }
}

size_t fmt_vsnprintf(char *buffer, size_t size, const char *format, va_list arguments)
{
    struct fmt_output output = {.buffer = buffer, .size = size, .length = 0};
    struct fmt_arguments copy;

    va_copy(copy.list, arguments);
    while (*format != '\0') {
        struct fmt_directive directive = {.has_zero_pad = false};
        const char *begin = format;

        if (*format != '%') {
            put_char(&output, *format++);
            continue;
        }
        format = parse_flags(format + 1, &directive);
        format = parse_width_and_precision(format, &directive, &copy);
        format = parse_length(format, &directive);
        directive.conversion = *format;
        if (!put_directive(&output, &directive, &copy)) {
            /* Which arguments it would have taken is unknown, so no later one can be read. */
            put_bytes(&output, begin, strlen(begin));
            break;
        }
        format++;
    }
    va_end(copy.list);
    if (size != 0) {
        buffer[output.length < size ? output.length : size - 1] = '\0';
    }
    return output.length;
}

size_t fmt_snprintf(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    size_t length;

    va_start(arguments, format);
    length = fmt_vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}

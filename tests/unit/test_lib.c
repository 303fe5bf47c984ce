/* SPDX-License-Identifier: MIT */
/*
 * hv/lib: formatting and the memory functions against the C library's, the rest
 * against its own contract. The instruction decoder has tests of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The freestanding functions, under names beside those of the C library. */
#define memcpy  lib_memcpy
#define memmove lib_memmove
#define memset  lib_memset
#define memcmp  lib_memcmp
#define strlen  lib_strlen
#define strnlen lib_strnlen
#define strcmp  lib_strcmp
#define strncmp lib_strncmp
#include "hv/lib/mem.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#include <string.h>

#include "hv/lib/addr.h"
#include "hv/lib/bitmap.h"
#include "hv/lib/compiler.h"
#include "hv/lib/fmt.h"
#include "hv/lib/guid.h"
#include "hv/lib/list.h"
#include "hv/lib/range.h"

/* Formats with both libraries, into room for everything and into little room. */
#define CHECK_FORMAT(...)                                                                                              \
    do {                                                                                                               \
        char expected[512];                                                                                            \
        char got[512];                                                                                                 \
        char cut_expected[6];                                                                                          \
        char cut_got[8] = "!!!!!!!";                                                                                   \
        int expected_length = snprintf(expected, sizeof(expected), __VA_ARGS__);                                       \
        assert_int_equal(fmt_snprintf(got, sizeof(got), __VA_ARGS__), expected_length);                                \
        assert_string_equal(got, expected);                                                                            \
        memcpy(cut_expected, expected, sizeof(cut_expected) - 1);                                                      \
        cut_expected[sizeof(cut_expected) - 1] = '\0';                                                                 \
        assert_int_equal(fmt_snprintf(cut_got, 6, __VA_ARGS__), expected_length);                                      \
        assert_string_equal(cut_got, cut_expected);                                                                    \
        assert_int_equal(cut_got[6], '!');                                                                             \
        assert_int_equal(fmt_snprintf(NULL, 0, __VA_ARGS__), expected_length);                                         \
    } while (0)

static const int int_values[] = {0, 1, -1, 7, 42, -999, 123456789, INT32_MAX, INT32_MIN};
static const unsigned long long_values[] = {0,          1,         9,         10,         0xABCDEF,
                                            UINT32_MAX, 1ul << 32, 1ul << 63, UINT64_MAX, 0x1234567890ABCDEFul};

static void test_format_int(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(int_values); i++) {
        int value = int_values[i];
        unsigned int bits = (unsigned int)value;

        CHECK_FORMAT("%d", value);
        CHECK_FORMAT("<%5i>", value);
        CHECK_FORMAT("<%-12d>", value);
        CHECK_FORMAT("<%012d>", value);
        CHECK_FORMAT("<%+d|% d>", value, value);
        CHECK_FORMAT("<%.4d|%8.4d|%-8.4d>", value, value, value);
        CHECK_FORMAT("<%*d|%*d>", 9, value, -9, value);
        CHECK_FORMAT("<%u|%10u|%-10u|%010u>", bits, bits, bits, bits);
        CHECK_FORMAT("<%x|%X|%#x|%#X|%#010x>", bits, bits, bits, bits, bits);
        CHECK_FORMAT("<%.0u|%.*x>", bits, 3, bits);
        CHECK_FORMAT("<%hd|%hhd|%hu|%hhx>", (short)value, (signed char)value, (unsigned short)bits,
                     (unsigned char)bits);
    }
}

static void test_format_long(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(long_values); i++) {
        unsigned long value = long_values[i];

        CHECK_FORMAT("%lu %ld %lx", value, (long)value, value);
        CHECK_FORMAT("%llu %lld %llX", (unsigned long long)value, (long long)value, (unsigned long long)value);
        CHECK_FORMAT("%zu %zx", (size_t)value, (size_t)value);
        CHECK_FORMAT("<%016lx|%#18lx|%-20lu|%+ld>", value, value, value, (long)value);
    }
}

static void test_format_text(void **state)
{
    static const char not_terminated[3] = {'a', 'b', 'c'};
    char room[64];
    char empty[1] = {'x'};

    (void)state;
    CHECK_FORMAT("plain text, longer than the short buffer");
    CHECK_FORMAT("%s and %s", "first", "second");
    CHECK_FORMAT("<%10s|%-10s|%.2s|%10.2s|%-10.3s|%.0s>", "text", "text", "text", "text", "text", "text");
    CHECK_FORMAT("<%.*s|%.*s>", 3, "abcdef", -1, "abcdef");
    CHECK_FORMAT("%.3s", not_terminated);
    CHECK_FORMAT("%c%c<%4c|%-4c>", 'a', 'b', 'c', 'd');
    CHECK_FORMAT("100%%, %d%%", 5);
    CHECK_FORMAT("%p", (void *)(uintptr_t)0xFEE00000);
    assert_int_equal(fmt_snprintf(room, sizeof(room), "%p", NULL), 3);
    assert_string_equal(room, "0x0");

    const char *volatile null_string = NULL;

    fmt_snprintf(room, sizeof(room), "<%s>", null_string);
    assert_string_equal(room, "<(null)>");
    assert_int_equal(fmt_snprintf(empty, sizeof(empty), "%s", "abc"), 3);
    assert_int_equal(empty[0], 0);
}

/* Hands a format past the compiler's check. */
static size_t format_unchecked(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    size_t length;

    va_start(arguments, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    length = fmt_vsnprintf(buffer, size, format, arguments);
#pragma GCC diagnostic pop
    va_end(arguments);
    return length;
}

static void test_format_unknown(void **state)
{
    char got[64];

    (void)state;
    assert_int_equal(format_unchecked(got, sizeof(got), "%d %f %d", 1, 2.0, 3), 7);
    assert_string_equal(got, "1 %f %d");
    assert_int_equal(format_unchecked(got, sizeof(got), "%d %", 1), 3);
    assert_string_equal(got, "1 %");
    assert_int_equal(format_unchecked(got, sizeof(got), "%n"), 2);
    assert_string_equal(got, "%n");
    /* An absurd width is cut short, not endless. */
    assert_true(format_unchecked(got, sizeof(got), "%99999999999999d", 1) < 2000000);
}

static void test_mem_functions(void **state)
{
    unsigned char source[80];
    unsigned char expected[160];
    unsigned char got[160];

    (void)state;
    for (size_t i = 0; i < sizeof(source); i++) {
        source[i] = (unsigned char)(i * 7 + 1);
    }
    for (size_t size = 0; size <= 40; size++) {
        for (size_t at = 0; at < 9; at++) {
            memset(expected, 0xEE, sizeof(expected));
            memset(got, 0xEE, sizeof(got));
            memcpy(expected + at, source + 3, size);
            assert_ptr_equal(lib_memcpy(got + at, source + 3, size), got + at);
            assert_memory_equal(got, expected, sizeof(got));
            memset(expected + 60 + at, (int)(0x180 + at), size);
            assert_ptr_equal(lib_memset(got + 60 + at, (int)(0x180 + at), size), got + 60 + at);
            assert_memory_equal(got, expected, sizeof(got));
        }
    }
}

static void test_mem_overlap(void **state)
{
    unsigned char expected[96];
    unsigned char got[96];

    (void)state;
    for (size_t size = 0; size <= 40; size++) {
        for (size_t from = 0; from < 40; from += 3) {
            for (size_t to = 0; to < 40; to++) {
                for (size_t i = 0; i < sizeof(got); i++) {
                    expected[i] = (unsigned char)(i * 5 + 3);
                }
                memcpy(got, expected, sizeof(got));
                memmove(expected + to, expected + from, size);
                assert_ptr_equal(lib_memmove(got + to, got + from, size), got + to);
                assert_memory_equal(got, expected, sizeof(got));
            }
        }
    }
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void test_compare(void **state)
{
    static const char *const strings[] = {"", "a", "ab", "abc", "abd", "b", "\xFF", "ab\x80", "abcdefghij"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        const char *a = strings[i];

        assert_int_equal(lib_strlen(a), strlen(a));
        for (size_t limit = 0; limit < 12; limit++) {
            assert_int_equal(lib_strnlen(a, limit), strnlen(a, limit));
        }
        for (size_t j = 0; j < ARRAY_SIZE(strings); j++) {
            const char *b = strings[j];

            assert_int_equal(sign(lib_strcmp(a, b)), sign(strcmp(a, b)));
            assert_int_equal(str_equal(a, b), i == j);
            for (size_t limit = 0; limit < 5; limit++) {
                assert_int_equal(sign(lib_strncmp(a, b, limit)), sign(strncmp(a, b, limit)));
            }
            assert_int_equal(sign(lib_memcmp(a, b, 1)), sign(memcmp(a, b, 1)));
        }
    }
    assert_int_equal(lib_memcmp("abc", "abd", 2), 0);
    assert_true(lib_memcmp("a\xFF", "a\x01", 2) > 0);
    assert_int_equal(lib_memcmp("x", "y", 0), 0);
}

static void test_str_copy(void **state)
{
    char room[8] = "???????";

    (void)state;
    assert_int_equal(str_copy(room, "abc", sizeof(room)), 3);
    assert_string_equal(room, "abc");
    assert_int_equal(str_append(room, "def", sizeof(room)), 6);
    assert_string_equal(room, "abcdef");
    assert_int_equal(str_append(room, "ghi", sizeof(room)), 9);
    assert_string_equal(room, "abcdefg");
    assert_int_equal(str_copy(room, "0123456789", 4), 10);
    assert_string_equal(room, "012");
    assert_int_equal(room[4], 'e');
    assert_int_equal(str_copy(room, "abc", 0), 3);
    assert_string_equal(room, "012");
    /* No terminator within the size: left alone. */
    assert_int_equal(str_append(room, "zz", 2), 4);
    assert_string_equal(room, "012");
    assert_true(str_starts_with("console=ttyS0", "console="));
    assert_true(str_starts_with("abc", ""));
    assert_false(str_starts_with("con", "console="));
    assert_ptr_equal(str_find_char(room, '2'), room + 2);
    assert_ptr_equal(str_find_char(room, '\0'), room + 3);
    assert_null(str_find_char(room, '9'));
}

static void test_str_parse(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"007", 7},
        {"12345", 12345},
        {"0x0", 0},
        {"0xfFe", 0xFFE},
        {"0XABCDEF", 0xABCDEF},
        {"18446744073709551615", UINT64_MAX},
        {"0xFFFFFFFFFFFFFFFF", UINT64_MAX},
    };
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "-1",
                                      "+1",
                                      "0x",
                                      "0xg",
                                      "1f",
                                      "x1",
                                      "1.0",
                                      "1,",
                                      "12a",
                                      "0x1G",
                                      "18446744073709551616",
                                      "0x10000000000000000",
                                      "99999999999999999999999"};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(str_parse_u64(good[i].text, &value));
        assert_int_equal(value, good[i].value);
        assert_true(str_parse_size(good[i].text, &value));
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        value = 77;
        assert_false(str_parse_u64(bad[i], &value));
        assert_int_equal(value, 77);
    }
    assert_true(str_parse_size("4k", &value) && value == KIB(4));
    assert_true(str_parse_size("512M", &value) && value == MIB(512));
    assert_true(str_parse_size("2G", &value) && value == GIB(2));
    assert_true(str_parse_size("0x10g", &value) && value == GIB(16));
    assert_true(str_parse_size("16777215T", &value) && value == UINT64_C(16777215) << 40);
    value = 77;
    assert_false(str_parse_size("16777216T", &value));
    assert_false(str_parse_size("M", &value));
    assert_false(str_parse_size("1MB", &value));
    assert_false(str_parse_size("1KK", &value));
    assert_false(str_parse_size("1 M", &value));
    assert_false(str_parse_size("1P", &value));
    assert_int_equal(value, 77);
}

static void test_range_arithmetic(void **state)
{
    uint64_t out = 77;
    uint32_t out32 = 77;
    size_t out_size = 77;

    (void)state;
    assert_false(range_add_u64(UINT64_MAX, 1, &out));
    assert_false(range_sub_u64(1, 2, &out));
    assert_false(range_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    assert_false(range_align_up_u64(UINT64_MAX - 4094, PAGE_SIZE, &out));
    assert_false(range_add_u32(UINT32_MAX, 1, &out32));
    assert_false(range_mul_u32(65536, 65536, &out32));
    assert_false(range_add_size(SIZE_MAX, 1, &out_size));
    assert_false(range_mul_size(SIZE_MAX / 2, 3, &out_size));
    assert_true(out == 77 && out32 == 77 && out_size == 77);
    assert_true(range_add_u64(UINT64_MAX, 0, &out) && out == UINT64_MAX);
    assert_true(range_sub_u64(2, 2, &out) && out == 0);
    assert_true(range_mul_u64(UINT64_MAX, 1, &out) && out == UINT64_MAX);
    assert_true(range_align_up_u64(UINT64_MAX - 4095, PAGE_SIZE, &out) && out == UINT64_MAX - 4095);
    assert_true(range_align_up_u64(1, PAGE_SIZE, &out) && out == PAGE_SIZE);
    assert_true(range_align_up_u64(0, PAGE_SIZE, &out) && out == 0);
    assert_true(range_add_u32(1, 2, &out32) && out32 == 3);
    assert_true(range_mul_u32(65535, 65537, &out32) && out32 == UINT32_MAX);
    assert_true(range_add_size(1, 2, &out_size) && out_size == 3);
    assert_true(range_mul_size(3, 5, &out_size) && out_size == 15);
    assert_true(min_u64(1, 2) == 1 && max_u64(1, 2) == 2 && min_u32(2, 1) == 1 && max_u32(2, 1) == 2);
    assert_true(min_size(5, 5) == 5 && max_size(3, 4) == 4);
}

static void test_range_relations(void **state)
{
    (void)state;
    assert_true(range_is_valid(0, 0));
    assert_true(range_is_valid(UINT64_MAX, 0));
    assert_true(range_is_valid(UINT64_MAX, 1));
    assert_false(range_is_valid(UINT64_MAX, 2));
    assert_true(range_is_valid(1, UINT64_MAX));
    assert_false(range_is_valid(2, UINT64_MAX));

    assert_true(range_contains(0x1000, 0x1000, 0x1000, 0x1000));
    assert_true(range_contains(0x1000, 0x1000, 0x1FFF, 1));
    assert_false(range_contains(0x1000, 0x1000, 0x1FFF, 2));
    assert_false(range_contains(0x1000, 0x1000, 0xFFF, 2));
    assert_true(range_contains(0x1000, 0x1000, 0x2000, 0));
    assert_false(range_contains(0x1000, 0x1000, 0x2001, 0));
    assert_false(range_contains(0x1000, 0x1000, 0x1800, UINT64_MAX));
    assert_true(range_contains(UINT64_MAX - 0xFFF, 0x1000, UINT64_MAX, 1));
    assert_false(range_contains(UINT64_MAX - 0xFFF, 0x1000, UINT64_MAX, 2));
    assert_true(range_contains_address(5, 1, 5));
    assert_false(range_contains_address(5, 1, 6));
    assert_false(range_contains_address(5, 0, 5));
    assert_true(range_contains_address(UINT64_MAX, 1, UINT64_MAX));

    assert_true(range_overlaps(0, 10, 9, 1));
    assert_false(range_overlaps(0, 10, 10, 1));
    assert_true(range_overlaps(9, 1, 0, 10));
    assert_false(range_overlaps(10, 1, 0, 10));
    assert_true(range_overlaps(3, 1, 0, 10));
    assert_false(range_overlaps(5, 0, 0, 10));
    assert_false(range_overlaps(0, 10, 5, 0));
    assert_true(range_overlaps(UINT64_MAX, 1, 0, UINT64_MAX) == false);
    assert_true(range_overlaps(UINT64_MAX - 1, 2, 1, UINT64_MAX));
}

static void test_addresses(void **state)
{
    (void)state;
    assert_int_equal(gpa_page(gpa(0x12345678)), 0x12345);
    assert_int_equal(gpa_offset(gpa(0x12345678)), 0x678);
    assert_int_equal(gpa_page_base(gpa(0x12345678)).value, 0x12345000);
    assert_true(gpa_equal(gpa_add(gpa_from_page(2), 5), gpa(0x2005)));
    assert_int_equal(spa_page(spa_add(spa_from_page(7), PAGE_SIZE)), 8);
    assert_int_equal(spa_offset(spa_page_base(spa(0x1FFF))), 0);
    assert_false(spa_equal(spa(1), spa(2)));
    assert_true(gva_equal(gva_add(gva(UINT64_MAX), 1), gva(0)));
    assert_int_equal(gva_page(gva(0xFFFF800000001FFF)), 0xFFFF800000001);
    assert_int_equal(gva_offset(gva(0x1FFF)), 0xFFF);
    assert_int_equal(align_down_u64(0x1FFF, PAGE_SIZE), 0x1000);
    assert_int_equal(align_up_u64(0x1001, PAGE_SIZE), 0x2000);
    assert_true(is_aligned_u64(LARGE_PAGE_SIZE, LARGE_PAGE_SIZE) && !is_aligned_u64(PAGE_SIZE, LARGE_PAGE_SIZE));
    assert_true(is_power_of_two_u64(1) && is_power_of_two_u64(UINT64_C(1) << 63));
    assert_false(is_power_of_two_u64(0) || is_power_of_two_u64(6));
    assert_int_equal(pages_from_bytes(0), 0);
    assert_int_equal(pages_from_bytes(1), 1);
    assert_int_equal(pages_from_bytes(PAGE_SIZE), 1);
    assert_int_equal(pages_from_bytes(UINT64_MAX), UINT64_C(1) << 52);
}

/* An object that sits in a list. */
struct item {
    int value;
    struct list_node node;
};

/* The list's values as decimal digits, read forwards, and checks the links backwards. */
static unsigned int list_digits(struct list *list)
{
    unsigned int digits = 0;
    const struct list_node *before = &list->head;

    LIST_FOR_EACH(node, list)
    {
        assert_ptr_equal(node->prev, before);
        before = node;
        digits = digits * 10 + (unsigned int)CONTAINER_OF(node, struct item, node)->value;
    }
    assert_ptr_equal(list->head.prev, before);
    return digits;
}

static void test_list(void **state)
{
    struct item items[4];
    struct list list;
    static struct list static_list = LIST_INITIALISER(static_list);

    (void)state;
    assert_true(list_is_empty(&static_list));
    list_init(&list);
    for (int i = 0; i < 4; i++) {
        items[i].value = i + 1;
        list_node_init(&items[i].node);
        assert_false(list_node_is_linked(&items[i].node));
    }
    assert_true(list_is_empty(&list) && list_first(&list) == NULL && list_last(&list) == NULL);
    assert_null(list_pop_head(&list));
    assert_int_equal(list_digits(&list), 0);
    list_add_tail(&list, &items[1].node);
    list_add_head(&list, &items[0].node);
    list_add_tail(&list, &items[3].node);
    list_add_before(&items[3].node, &items[2].node);
    assert_int_equal(list_digits(&list), 1234);
    assert_int_equal(list_count(&list), 4);
    assert_ptr_equal(list_first(&list), &items[0].node);
    assert_ptr_equal(list_last(&list), &items[3].node);
    assert_ptr_equal(list_next(&list, &items[0].node), &items[1].node);
    assert_null(list_next(&list, &items[3].node));
    list_remove(&items[1].node);
    assert_false(list_node_is_linked(&items[1].node));
    assert_true(list_node_is_linked(&items[2].node));
    assert_int_equal(list_digits(&list), 134);
    assert_ptr_equal(list_pop_head(&list), &items[0].node);
    list_add_tail(&list, &items[0].node);
    assert_int_equal(list_digits(&list), 341);
    LIST_FOR_EACH_SAFE(node, following, &list)
    {
        if (CONTAINER_OF(node, struct item, node)->value != 4) {
            list_remove(node);
        }
    }
    assert_int_equal(list_digits(&list), 4);
    list_remove(&items[3].node);
    assert_true(list_is_empty(&list));
}

static void test_bitmap(void **state)
{
    enum { SIZE = 130 };
    uint64_t words[BITMAP_WORDS(SIZE)] = {0};

    (void)state;
    assert_int_equal(BITMAP_WORDS(0), 0);
    assert_int_equal(BITMAP_WORDS(64), 1);
    assert_int_equal(BITMAP_WORDS(65), 2);
    assert_true(bitmap_is_empty(words, SIZE));
    assert_int_equal(bitmap_find_last(words, SIZE), BITMAP_NONE);
    for (size_t bit = 0; bit < SIZE; bit++) {
        bitmap_set(words, bit);
        assert_true(bitmap_test(words, bit));
        assert_int_equal(bitmap_find_first(words, SIZE), bit);
        assert_int_equal(bitmap_find_last(words, SIZE), bit);
        assert_int_equal(bitmap_find_next(words, SIZE, bit + 1), BITMAP_NONE);
        assert_int_equal(bitmap_find_first_clear(words, SIZE), bit == 0 ? 1 : 0);
        assert_int_equal(bitmap_count(words, SIZE), 1);
        bitmap_clear(words, bit);
        assert_true(bitmap_is_empty(words, SIZE));
    }
    /* What lies behind the size does not count. */
    words[2] = ~UINT64_C(3);
    assert_true(bitmap_is_empty(words, SIZE));
    assert_int_equal(bitmap_find_last(words, SIZE), BITMAP_NONE);
    assert_int_equal(bitmap_count(words, SIZE), 0);
    bitmap_set_range(words, 0, SIZE);
    assert_int_equal(bitmap_find_first_clear(words, SIZE), BITMAP_NONE);
    assert_int_equal(bitmap_count(words, SIZE), SIZE);
    bitmap_clear_range(words, 60, 10);
    assert_int_equal(bitmap_find_first_clear(words, SIZE), 60);
    assert_int_equal(bitmap_find_next(words, SIZE, 60), 70);
    assert_int_equal(bitmap_find_next(words, SIZE, 59), 59);
    bitmap_assign(words, 60, true);
    bitmap_assign(words, 0, false);
    assert_true(bitmap_test(words, 60) && !bitmap_test(words, 0));
    bitmap_zero(words, SIZE);
    assert_int_equal(words[2], 0);
}

static void test_bitmap_atomic(void **state)
{
    uint64_t words[2] = {0, 0};

    (void)state;
    assert_false(bitmap_atomic_test_and_set(words, 65));
    assert_true(bitmap_atomic_test_and_set(words, 65));
    assert_true(bitmap_atomic_test(words, 65) && !bitmap_atomic_test(words, 64));
    assert_int_equal(words[1], 2);
    assert_true(bitmap_atomic_test_and_clear(words, 65));
    assert_false(bitmap_atomic_test_and_clear(words, 65));
    bitmap_atomic_set(words, 3);
    bitmap_atomic_set(words, 63);
    bitmap_atomic_clear(words, 3);
    assert_int_equal(bitmap_atomic_take_word(words, 0), UINT64_C(1) << 63);
    assert_int_equal(words[0], 0);
}

static void test_guid(void **state)
{
    static const uint8_t wire[16] = {0x63, 0x51, 0x61, 0xF8, 0x3E, 0xDF, 0xC5, 0x46,
                                     0x91, 0x3F, 0xF2, 0xD2, 0xF9, 0x65, 0xED, 0x0E};
    static const char *const bad[] = {
        "",
        "f8615163",
        "f8615163-df3e-46c5-913f-f2d2f965ed0",
        "f8615163-df3e-46c5-913f-f2d2f965ed0e0",
        "f8615163-df3e-46c5-913f-f2d2f965ed0g",
        "f8615163df3e-46c5-913f-f2d2f965ed0e",
        "f8615163-df3e-46c5-913ff-2d2f965ed0e",
        "{f8615163-df3e-46c5-913f-f2d2f965ed0e",
        "f8615163-df3e-46c5-913f-f2d2f965ed0e}",
        "{f8615163-df3e-46c5-913f-f2d2f965ed0e}x",
        " f8615163-df3e-46c5-913f-f2d2f965ed0e",
    };
    struct guid guid;
    struct guid other;
    char text[GUID_STRING_SIZE];

    (void)state;
    assert_true(guid_parse("f8615163-df3e-46c5-913f-f2d2f965ed0e", &guid));
    assert_memory_equal(&guid, wire, sizeof(wire));
    assert_true(guid_parse("{F8615163-DF3E-46C5-913F-F2D2F965ED0E}", &other));
    assert_true(guid_equal(&guid, &other));
    guid_format(&guid, text);
    assert_string_equal(text, "f8615163-df3e-46c5-913f-f2d2f965ed0e");
    other.data4[7] ^= 1;
    assert_false(guid_equal(&guid, &other));
    assert_false(guid_is_zero(&guid));
    memset(&guid, 0, sizeof(guid));
    assert_true(guid_is_zero(&guid));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        /* On the heap, so that a read behind the end is seen. */
        char *copy = strdup(bad[i]);

        memset(&other, 0x5A, sizeof(other));
        assert_false(guid_parse(copy, &other));
        assert_int_equal(other.data1, 0x5A5A5A5A);
        free(copy);
    }
}

static void test_nospec(void **state)
{
    (void)state;
    assert_int_equal(array_index_nospec(0, 1), 0);
    assert_int_equal(array_index_nospec(9, 10), 9);
    assert_int_equal(array_index_nospec(10, 10), 0);
    assert_int_equal(array_index_nospec(SIZE_MAX, 10), 0);
    assert_int_equal(array_index_nospec(5, 0), 0);
    assert_int_equal(array_index_nospec(SIZE_MAX - 1, SIZE_MAX), SIZE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_int),
        cmocka_unit_test(test_format_long),
        cmocka_unit_test(test_format_text),
        cmocka_unit_test(test_format_unknown),
        cmocka_unit_test(test_mem_functions),
        cmocka_unit_test(test_mem_overlap),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_str_copy),
        cmocka_unit_test(test_str_parse),
        cmocka_unit_test(test_range_arithmetic),
        cmocka_unit_test(test_range_relations),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_bitmap),
        cmocka_unit_test(test_bitmap_atomic),
        cmocka_unit_test(test_guid),
        cmocka_unit_test(test_nospec),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Texts of guests in both directions, whole and broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmbus/utf16.h"

/* A text, and its UTF-16 with terminator. */
static const struct pair {
    const char *text;
    uint8_t units[16];
    size_t bytes;
} pairs[] = {
    {"", {0, 0}, 2},
    {"a", {'a', 0, 0, 0}, 4},
    {"\xC3\xA9", {0xE9, 0, 0, 0}, 4},
    {"\xE2\x82\xAC.", {0xAC, 0x20, '.', 0, 0, 0}, 6},
    {"\xF0\x9F\x8E\xB5", {0x3C, 0xD8, 0xB5, 0xDF, 0, 0}, 6},
};

static void test_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        uint8_t units[16];
        char text[16];

        assert_int_equal(utf16_from_utf8(units, sizeof(units), pairs[i].text), pairs[i].bytes);
        assert_memory_equal(units, pairs[i].units, pairs[i].bytes);
        utf16_to_utf8(text, sizeof(text), units, sizeof(units));
        assert_string_equal(text, pairs[i].text);
        /* One byte less is too little, and nothing is written behind it. */
        memset(units, 0x55, sizeof(units));
        assert_int_equal(utf16_from_utf8(units, pairs[i].bytes - 1, pairs[i].text), 0);
        assert_int_equal(units[pairs[i].bytes - 1], 0x55);
    }
}

static void test_broken_utf8(void **state)
{
    static const char *const broken[] = {"\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                         "\xFF", "\xC3",     "\xE2\x82",     "\xF0\x9F\x8E"};

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        uint8_t units[32];

        assert_in_range(utf16_from_utf8(units, sizeof(units), broken[i]), 4, 10);
        assert_memory_equal(units, "\xFD\xFF", 2);
    }
}

static void test_broken_utf16(void **state)
{
    char text[16];

    (void)state;
    /* The halves in the wrong order, one alone at the end, and one before something else. */
    utf16_to_utf8(text, sizeof(text), (const uint8_t *)"\xB5\xDF\x3C\xD8", 4);
    assert_string_equal(text, "\xEF\xBF\xBD\xEF\xBF\xBD");
    utf16_to_utf8(text, sizeof(text), (const uint8_t *)"\x3C\xD8\x61\x00\x00\x00", 6);
    assert_string_equal(text, "\xEF\xBF\xBD"
                              "a");
    /* An odd byte is none. */
    utf16_to_utf8(text, sizeof(text), (const uint8_t *)"a\0b", 3);
    assert_string_equal(text, "a");
}

static void test_cut(void **state)
{
    char text[5];

    (void)state;
    for (size_t size = 1; size <= sizeof(text); size++) {
        memset(text, 0x55, sizeof(text));
        utf16_to_utf8(text, size, (const uint8_t *)"\xAC\x20\x61\x00\x00\x00", 6);
        assert_string_equal(text, size < 4    ? ""
                                  : size == 4 ? "\xE2\x82\xAC"
                                              : "\xE2\x82\xAC"
                                                "a");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_broken_utf8),
        cmocka_unit_test(test_broken_utf16),
        cmocka_unit_test(test_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The US layout: which key of scan code set 1 a character is on. */
#include <stddef.h>

#include "hv/lib/str.h"
#include "vmbus/keyboard/keyboard.h"

#define CODE_LEFT_SHIFT 0x2Au
#define KEYS_MAX        4u /* of one character: Shift down, down, up, Shift up */

/* A row of keys, whose codes follow one another, without and with Shift. */
static const struct {
    uint8_t first_code;
    const char *plain;
    const char *shifted;
} rows[] = {
    {0x02, "1234567890-=", "!@#$%^&*()_+"},
    {0x0F, "\tqwertyuiop[]\n", "\tQWERTYUIOP{}"},
    {0x1E, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
    {0x39, " ", ""},
};

/* The keystrokes of a character; how many, 0 if it is on no key. */
static uint32_t keys_of(char character, struct key keys[KEYS_MAX])
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *plain = str_find_char(rows[i].plain, character);
        const char *shifted = str_find_char(rows[i].shifted, character);

        if (plain != NULL) {
            uint8_t code = (uint8_t)(rows[i].first_code + (plain - rows[i].plain));

            keys[0] = (struct key){code, 0};
            keys[1] = (struct key){code, KEYBOARD_INFO_BREAK};
            return 2;
        }
        if (shifted != NULL) {
            uint8_t code = (uint8_t)(rows[i].first_code + (shifted - rows[i].shifted));

            keys[0] = (struct key){CODE_LEFT_SHIFT, 0};
            keys[1] = (struct key){code, 0};
            keys[2] = (struct key){code, KEYBOARD_INFO_BREAK};
            keys[3] = (struct key){CODE_LEFT_SHIFT, KEYBOARD_INFO_BREAK};
            return KEYS_MAX;
        }
    }
    return 0;
}

enum keyboard_result keyboard_type(struct keyboard *keyboard, const char *text)
{
    struct key keys[KEYBOARD_QUEUE_MAX];
    uint32_t count = 0;

    for (; *text != '\0'; text++) {
        struct key own[KEYS_MAX];
        uint32_t own_count = keys_of(*text, own);

        if (own_count == 0) {
            return KEYBOARD_NO_KEY;
        }
        if (own_count > KEYBOARD_QUEUE_MAX - count) {
            return KEYBOARD_FULL;
        }
        memcpy(keys + count, own, own_count * sizeof(own[0]));
        count += own_count;
    }
    return keyboard_send(keyboard, keys, count);
}

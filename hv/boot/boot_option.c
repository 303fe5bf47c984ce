/* SPDX-License-Identifier: MIT */
/* Finds "name=value" words on a command line. What a value means is the asker's business. */
#include "hv/boot/boot_option.h"

#include "hv/lib/str.h"

bool boot_option_find(const char *command_line, const char *name, char *value, size_t size)
{
    size_t name_length = str_length(name);
    bool is_found = false;
    const char *word = command_line;

    while (*word != '\0') {
        size_t length = 0;
        while (word[length] != '\0' && word[length] != ' ') {
            length++;
        }
        bool matches =
            length > name_length && str_compare_max(word, name, name_length) == 0 && word[name_length] == '=';
        size_t value_length = matches ? length - name_length - 1 : 0;
        if (matches && value_length < size) {
            memcpy(value, word + name_length + 1, value_length);
            value[value_length] = '\0';
            is_found = true;
        }
        word += length;
        word += *word == ' ';
    }
    return is_found;
}

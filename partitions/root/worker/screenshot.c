/* SPDX-License-Identifier: MIT */
/*
 * A picture as text: a line with width and height, and one for each row of pixels, which is empty if the row is as the
 * one above. A row is runs of one colour: six digits for red, green and blue, left out when it is that of the run
 * before the last one; and the number of pixels in base 16, in letters from g to v, the last of them a capital.
 * A guest that changes the picture meanwhile gets one of both.
 */
#include "partitions/root/worker/screenshot.h"

#include "hv/lib/fmt.h"
#include "hv/lib/str.h"

#define TURN_100NS      UINT64_C(10000)
#define TURN_ROWS       64u
#define TURN_TEXT_BYTES 8192u
#define TEXT_BYTES      256u
#define RUN_BYTES_MAX   16u
#define NO_COLOUR       UINT32_MAX
#define COLOUR_MASK     0xFFFFFFu
#define DIGIT_BITS      4u
#define DIGIT_MASK      0xFu
#define DIGITS_MAX      3u
_Static_assert(VIDEO_WIDTH_MAX < 1u << DIGITS_MAX * DIGIT_BITS, "a run has at most so many digits");

/* Text that is collected before it is sent. */
struct text {
    struct host_vm *host;
    uint32_t count;
    uint32_t sent_bytes;
    char bytes[TEXT_BYTES];
};

static void send_text(struct text *text)
{
    text->bytes[text->count] = '\0';
    host_command_write(text->host, text->bytes);
    text->sent_bytes += text->count;
    text->count = 0;
}

static uint32_t colour_at(const uint8_t *pixels, uint32_t column)
{
    uint32_t colour;

    memcpy(&colour, pixels + column * VIDEO_PIXEL_BYTES, sizeof(colour));
    return colour & COLOUR_MASK;
}

/* A colour that `is_known` goes without saying. */
static void put_run(struct text *text, uint32_t colour, bool is_known, uint32_t length)
{
    bool has_digit = false;

    if (text->count > TEXT_BYTES - RUN_BYTES_MAX) {
        send_text(text);
    }
    if (!is_known) {
        text->count += (uint32_t)fmt_snprintf(text->bytes + text->count, RUN_BYTES_MAX, "%06x", colour);
    }
    for (uint32_t place = DIGITS_MAX; place-- != 0;) {
        uint32_t digit = length >> place * DIGIT_BITS & DIGIT_MASK;

        if (has_digit || digit != 0 || place == 0) {
            text->bytes[text->count++] = (char)((place == 0 ? 'G' : 'g') + (int)digit);
            has_digit = true;
        }
    }
}

static void put_row(struct text *text, const uint8_t *pixels, uint32_t width)
{
    uint32_t before = NO_COLOUR, last = NO_COLOUR;

    for (uint32_t column = 0; column < width;) {
        uint32_t colour = colour_at(pixels, column);
        uint32_t length = 1;

        while (column + length < width && colour_at(pixels, column + length) == colour) {
            length++;
        }
        put_run(text, colour, colour == before, length);
        before = last;
        last = colour;
        column += length;
    }
}

static void send_row(struct screenshot *screenshot, struct text *text)
{
    uint32_t width = screenshot->size.width;
    uint8_t *pixels = screenshot->pixels[screenshot->row % 2];
    const uint8_t *above = screenshot->pixels[(screenshot->row + 1) % 2];

    video_read_row(screenshot->video, screenshot->row, pixels);
    if (screenshot->row == 0 || memcmp(pixels, above, (size_t)width * VIDEO_PIXEL_BYTES) != 0) {
        put_row(text, pixels, width);
    }
    text->bytes[text->count++] = '\n';
    send_text(text);
    screenshot->row++;
}

/* A turn; the next one comes by itself. */
static void send_rows(struct screenshot *screenshot)
{
    struct text text = {.host = screenshot->timer.host};
    struct video_resolution size;
    uint32_t rows = 0;

    if (!video_get_size(screenshot->video, &size) || size.width != screenshot->size.width ||
        size.height != screenshot->size.height) {
        screenshot->size.height = 0;
        screenshot->ended(screenshot, "the picture became another one while it was sent");
        return;
    }
    while (screenshot->row < size.height && rows++ < TURN_ROWS && text.sent_bytes < TURN_TEXT_BYTES) {
        send_row(screenshot, &text);
    }
    if (screenshot->row < size.height) {
        host_timer_arm(&screenshot->timer, host_monotonic_100ns() + TURN_100NS);
    } else {
        screenshot->ended(screenshot, NULL);
    }
}

static void expired(struct host_timer *timer)
{
    struct screenshot *screenshot = CONTAINER_OF(timer, struct screenshot, timer);

    host_vm_lock(timer->host);
    /* It may have been stopped while it came here. */
    if (screenshot->row < screenshot->size.height) {
        send_rows(screenshot);
    }
    host_vm_unlock(timer->host);
}

void screenshot_init(struct screenshot *screenshot, struct host_vm *host, const struct video *video,
                     void (*ended)(struct screenshot *screenshot, const char *error))
{
    memset(screenshot, 0, sizeof(*screenshot));
    screenshot->video = video;
    screenshot->ended = ended;
    host_timer_init(&screenshot->timer, host, expired);
}

void screenshot_send(struct screenshot *screenshot, const struct video_resolution *size)
{
    char line[RUN_BYTES_MAX];

    (void)fmt_snprintf(line, sizeof(line), "%u %u\n", size->width, size->height);
    host_command_write(screenshot->timer.host, line);
    screenshot->size = *size;
    screenshot->row = 0;
    send_rows(screenshot);
}

void screenshot_stop(struct screenshot *screenshot)
{
    host_timer_cancel(&screenshot->timer);
    screenshot->size.height = 0;
}

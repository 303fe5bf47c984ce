# SPDX-License-Identifier: MIT
"""The picture of a child: from the text that the root sends (docs/root-commands.md) to a PNG file."""

import re
import struct
import zlib

from common import Failure

SIZE = re.compile(r"(\d{1,4}) (\d{1,4})\n")
RUN = re.compile(r"([0-9a-f]{6})?([g-v]*[G-V])")
SIDE_MAX = 4096
PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
# Of a picture with 8 bits for each of three colours.
PNG_FORM = bytes((8, 2, 0, 0, 0))


class Broken(Exception):
    """The text is no picture."""


def decode_row(line, width):
    """Pixels of one row, three bytes each."""
    row = bytearray()
    colours = [b"\0\0\0", b"\0\0\0"]  # of the run before the last one, and of the last
    position = 0
    while position < len(line):
        run = RUN.match(line, position)
        if run is None:
            raise Broken
        position = run.end()
        colours = [colours[1], bytes.fromhex(run.group(1)) if run.group(1) else colours[0]]
        count = 0
        for digit in run.group(2):
            count = 16 * count + ord(digit.lower()) - ord("g")
        if count > width:
            raise Broken
        row += count * colours[1]
    if len(row) != 3 * width:
        raise Broken
    return bytes(row)


def decode(text):
    """(width, height, rows of three bytes for each pixel: red, green, blue)."""
    begin = SIZE.match(text)
    if begin is None:
        raise Broken
    width, height = int(begin.group(1)), int(begin.group(2))
    lines = text[begin.end():].split("\n")
    if not 0 < width <= SIDE_MAX or not 0 < height <= SIDE_MAX or len(lines) != height + 1 or lines.pop():
        raise Broken
    rows = []
    for line in lines:
        if not line and not rows:
            raise Broken
        rows.append(decode_row(line, width) if line else rows[-1])
    return width, height, rows


def chunk(kind, data):
    """A piece of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, rows):
    """The bytes of a PNG file, each row without a filter."""
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (PNG_BEGIN + chunk(b"IHDR", struct.pack(">II", width, height) + PNG_FORM) + chunk(b"IDAT", data) +
            chunk(b"IEND", b""))


def read_png(path):
    """The rows of a file that png() has made."""
    data = path.read_bytes()
    rows, width, at = b"", 0, len(PNG_BEGIN)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width = struct.unpack_from(">I", body)[0]
        if kind == b"IDAT":
            rows = zlib.decompress(body)
        at += length + 12
    return [rows[start + 1:start + 1 + 3 * width] for start in range(0, len(rows), 3 * width + 1)]


def part(rows, left, top, width, height):
    """A rectangle of a picture, as rows of colours in six digits each."""
    return [[row[3 * column:3 * column + 3].hex() for column in range(left, left + width)]
            for row in rows[top:top + height]]


def write_png(path, text):
    """Writes what a child shows into a file. Failure: it cannot be written, or the text is no picture."""
    try:
        path.write_bytes(png(*decode(text)))
    except Broken as error:
        raise Failure("what came is no picture", 1) from error
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", 1) from error

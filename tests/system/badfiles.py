# SPDX-License-Identifier: MIT
"""Damaged guest files for the bad-input tests, made from the good ones."""

import functools
import gzip
import struct
import threading

import bzimage
import guestfiles
from common import write_if_changed

ELF_PHOFF = 0x20
ELF_MACHINE = 0x12
PHDR_FILESZ = 0x20
PHDR_PADDR = 0x18
PHDR_BYTES = 0x38
MAKING = threading.Lock()
NOISE = bytes((i * 197 + (i >> 8) * 31) & 255 for i in range(65536))


def patched(data, offset, form, value):
    """The data with one field replaced."""
    copy = bytearray(data)
    struct.pack_into(form, copy, offset, value)
    return bytes(copy)


def noisy(data, offset):
    """The data with 1 KiB of noise at an offset."""
    return data[:offset] + NOISE[:1024] + data[offset + 1024:]


def middle_of_payload(image):
    """The offset of the middle of a bzImage's compressed kernel."""
    payload, length = struct.unpack_from("<II", image, bzimage.PAYLOAD_OFFSET)
    return bzimage.setup_bytes(image) + payload + length // 2


def first_segment(elf):
    """Where the first program header of a 64-bit ELF lies."""
    return struct.unpack_from("<Q", elf, ELF_PHOFF)[0]


def lz4(data):
    """The form in which Linux takes LZ4 (lib/decompress_unlz4.c: blocks of up to 8 MiB), with literals alone."""
    block = b"\xf0" + b"\xff" * ((len(data) - 15) // 255) + bytes([(len(data) - 15) % 255]) + data
    return struct.pack("<II", 0x184C2102, len(block)) + block


def make(folder):
    """Writes every damaged file into the folder, once for all tests that run now; returns it."""
    with MAKING:
        return make_once(folder)


@functools.cache
def make_once(folder):
    """The same for one caller at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    image = guestfiles.KERNEL.read_bytes()
    elf = guestfiles.VMLINUX.read_bytes()
    initrd = guestfiles.INITRD.read_bytes()
    head = first_segment(elf)
    files = {
        "one-byte": b"\x7f",
        "zeros": bytes(65536),
        "bzimage-header-only": image[:0x260],
        "bzimage-half": image[:len(image) // 2],
        "bzimage-old-protocol": patched(image, bzimage.VERSION_OFFSET, "<H", 0x0200),
        "bzimage-noise": noisy(image, middle_of_payload(image)),
        "bzimage-many-setup-sectors": patched(image[:16384], bzimage.SETUP_SECTS_OFFSET, "<B", 255),
        "elf-header-only": elf[:64],
        # Behind the notes in the first segment, so that there is an entry point.
        "elf-cut": elf[:len(elf) * 3 // 4],
        "elf-other-machine": patched(elf[:1 << 20], ELF_MACHINE, "<H", 183),
        "elf-far-headers": patched(elf[:1 << 20], ELF_PHOFF, "<Q", (1 << 64) - 32),
        "elf-huge-segment": patched(elf, head + PHDR_FILESZ, "<Q", (1 << 64) - 4096),
        # The second one, since the first has the entry point.
        "elf-far-segment": patched(elf, head + PHDR_BYTES + PHDR_PADDR, "<Q", 1 << 50),
        "initrd-corrupt": noisy(initrd, len(initrd) // 2),
        "initrd-half": initrd[:len(initrd) // 2],
        "initrd-lz4": lz4(gzip.decompress(initrd)),
        "initrd-lz4-cut": lz4(gzip.decompress(initrd))[:-100],
        # Whole for LZ4, but not what is in it.
        "initrd-lz4-no-trailer": lz4(gzip.decompress(initrd).rstrip(b"\0")[:-100]),
        "initrd-noise": NOISE,
    }
    for name, data in files.items():
        write_if_changed(folder / name, data)
    return folder

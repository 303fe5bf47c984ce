# SPDX-License-Identifier: MIT
"""Linux kernels as files: the ELF inside a bzImage, the same without its gaps, and a bzImage that is not compressed."""

import lzma
import struct
import zlib

from common import Failure

SETUP_MAGIC_OFFSET = 0x202
SETUP_SECTS_OFFSET = 0x1F1
SYSSIZE_OFFSET = 0x1F4
VERSION_OFFSET = 0x206
PAYLOAD_OFFSET = 0x248
PAYLOAD_LENGTH_OFFSET = 0x24C
PREFERRED_ADDRESS_OFFSET = 0x258
INIT_SIZE_OFFSET = 0x260
SECTOR_BYTES = 512
PARAGRAPH_BYTES = 16
PAYLOAD_PROTOCOL = 0x0208
# Fields of a 64-bit ELF file's header and of its program headers.
ELF_PHOFF, ELF_SHOFF, ELF_PHNUM, ELF_SHNUM = 0x20, 0x28, 0x38, 0x3C
PROGRAM_HEADER_BYTES, PROGRAM_OFFSET, PROGRAM_FILE_SIZE = 56, 0x08, 0x20
PT_LOAD = 1
PAGE_BYTES = 4096


def setup_bytes(image):
    """The length of the part of a bzImage that is not the kernel; Failure when the file is none."""
    if len(image) < PAYLOAD_LENGTH_OFFSET + 4 or image[SETUP_MAGIC_OFFSET:SETUP_MAGIC_OFFSET + 4] != b"HdrS":
        raise Failure("not a bzImage: no setup header")
    if struct.unpack_from("<H", image, VERSION_OFFSET)[0] < PAYLOAD_PROTOCOL:
        raise Failure("bzImage with a boot protocol before 2.08: it does not say where its payload is")
    return ((image[SETUP_SECTS_OFFSET] or 4) + 1) * SECTOR_BYTES


def extract_vmlinux(image):
    """The ELF inside a bzImage; Failure when the file is none or is cut off."""
    start = setup_bytes(image)
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    start += offset
    payload = image[start:start + length]
    if length < 8 or len(payload) != length:
        raise Failure("bzImage is cut off: its payload goes past the end of the file")
    size = struct.unpack_from("<I", payload, length - 4)[0]
    try:
        if payload.startswith(b"\xfd7zXZ\x00"):
            data = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
        elif payload.startswith(b"\x1f\x8b"):
            data = zlib.decompressobj(wbits=31).decompress(payload)
        else:
            raise Failure(f"bzImage payload is compressed in a way not known here (starts with {payload[:4].hex()})")
    except (lzma.LZMAError, zlib.error) as error:
        raise Failure(f"bzImage payload does not decompress: {error}") from error
    if len(data) != size or not data.startswith(b"\x7fELF"):
        raise Failure("bzImage payload is not the ELF file it claims to be")
    return data


def compact(elf):
    """The same ELF without section table, gaps and the zeros at the end of its segments, which are half of a vmlinux:
    boot loaders in slow emulators read all that is there."""
    headers = struct.unpack_from("<Q", elf, ELF_PHOFF)[0]
    count = struct.unpack_from("<H", elf, ELF_PHNUM)[0]
    segments = [(headers + index * PROGRAM_HEADER_BYTES,
                 *struct.unpack_from("<I4xQ16xQ", elf, headers + index * PROGRAM_HEADER_BYTES))
                for index in range(count)]
    out = bytearray(elf[:headers + count * PROGRAM_HEADER_BYTES])
    struct.pack_into("<Q", out, ELF_SHOFF, 0)
    struct.pack_into("<HH", out, ELF_SHNUM, 0, 0)
    for at, kind, offset, size in segments:
        if kind != PT_LOAD:
            continue
        data = elf[offset:offset + size].rstrip(b"\0")
        out += bytes(-len(out) % PAGE_BYTES)
        struct.pack_into("<Q", out, at + PROGRAM_OFFSET, len(out))
        struct.pack_into("<Q", out, at + PROGRAM_FILE_SIZE, len(data))
        for inner_at, inner_kind, inner, _ in segments:
            # Notes lie inside of a segment that is loaded.
            if inner_kind != PT_LOAD and offset <= inner < offset + size:
                struct.pack_into("<Q", out, inner_at + PROGRAM_OFFSET, len(out) + inner - offset)
        out += data
    return bytes(out)


def load_segments(elf):
    """What an ELF has to be loaded: (physical address, content, bytes in memory)."""
    headers = struct.unpack_from("<Q", elf, ELF_PHOFF)[0]
    count = struct.unpack_from("<H", elf, ELF_PHNUM)[0]
    for index in range(count):
        kind, _, offset, _, address, file_bytes, memory_bytes, _ = struct.unpack_from(
            "<IIQQQQQQ", elf, headers + index * PROGRAM_HEADER_BYTES)
        if kind == PT_LOAD:
            yield address, elf[offset:offset + file_bytes], memory_bytes


def uncompressed(image, vmlinux, entry):
    """A bzImage with the setup code of `image`, whose kernel `vmlinux` lies there ready to run: slow emulators take
    minutes to decompress one. `entry` is an ELF that lies in memory in front of the kernel, is entered at its first
    byte, and enters the kernel."""
    segments = [*load_segments(entry), *load_segments(vmlinux)]
    base = segments[0][0]
    end = max(address + memory_bytes for address, _, memory_bytes in segments)
    kernel = bytearray(max(address + len(content) for address, content, _ in segments) - base)
    for address, content, _ in segments:
        kernel[address - base:address - base + len(content)] = content
    kernel += bytes(-len(kernel) % PARAGRAPH_BYTES)
    setup = bytearray(image[:setup_bytes(image)])
    struct.pack_into("<I", setup, SYSSIZE_OFFSET, len(kernel) // PARAGRAPH_BYTES)
    struct.pack_into("<Q", setup, PREFERRED_ADDRESS_OFFSET, base)
    struct.pack_into("<I", setup, INIT_SIZE_OFFSET, end - base)
    return bytes(setup + kernel)

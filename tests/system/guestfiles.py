# SPDX-License-Identifier: MIT
"""The default guest: Debian's stock kernel, as bzImage and as vmlinux, and a BusyBox to build its initramfs from."""

import json
import lzma
import shutil
import struct
import subprocess
import zlib

import initramfs
from common import GUEST, Failure, say
from packages import fetch

SETUP_MAGIC_OFFSET = 0x202
SETUP_SECTS_OFFSET = 0x1F1
VERSION_OFFSET = 0x206
PAYLOAD_OFFSET = 0x248
PAYLOAD_LENGTH_OFFSET = 0x24C
SECTOR_BYTES = 512
PAYLOAD_PROTOCOL = 0x0208
# Fields of a 64-bit ELF file's header and of its program headers.
ELF_PHOFF, ELF_SHOFF, ELF_PHNUM, ELF_SHNUM = 0x20, 0x28, 0x38, 0x3C
PROGRAM_HEADER_BYTES, PROGRAM_OFFSET, PROGRAM_FILE_SIZE = 56, 0x08, 0x20
PT_LOAD = 1
PAGE_BYTES = 4096

KERNEL = GUEST / "vmlinuz"
VMLINUX = GUEST / "vmlinux"
BUSYBOX = GUEST / "busybox"
INITRD = GUEST / "initrd.img"
STAMP = GUEST / "versions.json"
MODULES = GUEST / "modules"
# What tests that nest hypervisors load in an outer Linux; the rest of the package is not kept.
MODULE_NAMES = ("irqbypass", "ccp", "kvm", "kvm-amd", "netfs", "fscache", "9pnet", "9p", "9pnet_virtio", "virtio",
                "virtio_ring", "virtio_pci", "virtio_pci_modern_dev", "virtio_pci_legacy_dev")


def extract_vmlinux(image):
    """The ELF inside a bzImage; Failure when the file is none or is cut off."""
    if len(image) < PAYLOAD_LENGTH_OFFSET + 4 or image[SETUP_MAGIC_OFFSET:SETUP_MAGIC_OFFSET + 4] != b"HdrS":
        raise Failure("not a bzImage: no setup header")
    if struct.unpack_from("<H", image, VERSION_OFFSET)[0] < PAYLOAD_PROTOCOL:
        raise Failure("bzImage with a boot protocol before 2.08: it does not say where its payload is")
    setup_sects = image[SETUP_SECTS_OFFSET] or 4
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    start = (setup_sects + 1) * SECTOR_BYTES + offset
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


def unpack(name, metapackage=False):
    """Downloads and unpacks a package under build/guest; returns (package name, folder)."""
    package, archive = fetch(name, GUEST / "download", metapackage)
    folder = GUEST / "unpacked" / package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"cannot unpack {archive.name}: {done.stderr.strip()}")
    archive.unlink()
    return package, folder


def fetch_kernel():
    """Puts vmlinuz and vmlinux into build/guest; returns the package they come from."""
    say("fetching Debian's kernel package")
    package, folder = unpack("linux-image-amd64", metapackage=True)
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    if not images:
        raise Failure(f"{package} holds no boot/vmlinuz-*")
    image = images[-1].read_bytes()
    VMLINUX.write_bytes(compact(extract_vmlinux(image)))
    KERNEL.write_bytes(image)
    shutil.rmtree(MODULES, ignore_errors=True)
    MODULES.mkdir()
    for path in folder.rglob("*.ko"):
        if path.stem in MODULE_NAMES:
            shutil.copyfile(path, MODULES / path.name)
    shutil.rmtree(folder)
    return package


def fetch_busybox():
    """Puts the static busybox into build/guest; returns the package it comes from."""
    say("fetching BusyBox")
    package, folder = unpack("busybox-static")
    for place in ("bin/busybox", "usr/bin/busybox"):
        if (folder / place).is_file():
            shutil.copyfile(folder / place, BUSYBOX)
            BUSYBOX.chmod(0o755)
            shutil.rmtree(folder)
            return package
    raise Failure(f"{package} holds no bin/busybox")


def ensure():
    """Fetches what is not there yet and brings the initramfs up to date."""
    GUEST.mkdir(parents=True, exist_ok=True)
    try:
        versions = json.loads(STAMP.read_text(encoding="ascii"))
    except (OSError, ValueError):
        versions = {}
    if "kernel" not in versions or not (KERNEL.is_file() and VMLINUX.is_file() and MODULES.is_dir()):
        versions["kernel"] = fetch_kernel()
    if "busybox" not in versions or not BUSYBOX.is_file():
        versions["busybox"] = fetch_busybox()
    text = json.dumps(versions, sort_keys=True)
    if not STAMP.is_file() or STAMP.read_text(encoding="ascii") != text:
        STAMP.write_text(text, encoding="ascii")
    initramfs.ensure(BUSYBOX, INITRD)


def kernel_release():
    """The release string of the kernel in build/guest, as `uname -r` prints it."""
    return json.loads(STAMP.read_text(encoding="ascii"))["kernel"].removeprefix("linux-image-")

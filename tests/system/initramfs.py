# SPDX-License-Identifier: MIT
"""Writes the guest's initramfs, a newc cpio archive with BusyBox and a second tiny one that carries a command; finds
what is wrong with another."""

import bz2
import gzip
import lzma
import os
import re
import stat
import subprocess
import zlib
from pathlib import Path

import zstd
from common import Failure, write_if_changed

INIT = r"""#!/bin/sh
# First process of the guest: a shell on the console, or one command with its output on the second serial port.
export PATH=/sbin:/bin HOME=/root
echo 'partita-guest: up'

# BusyBox's poweroff, halt and reboot ask the first process by these signals. A trap runs only between two commands,
# so everything that takes long is a background job that this shell waits for.
trap 'busybox poweroff -f' USR2
trap 'busybox halt -f' USR1
trap 'busybox reboot -f' TERM

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
# Without a VMBus, the driver would wait seconds for one.
if [ -e /sys/bus/acpi/devices/VMBUS:00 ]; then
    for module in $(cat /lib/modules/order); do
        insmod /lib/modules/$module
    done
fi
disks=
for disk in /sys/block/sd*; do
    if [ -e $disk ]; then
        disks="$disks ${disk##*/} ($(($(cat $disk/size) / 2)) KiB$(grep -q 1 $disk/ro && echo , read-only))"
    fi
done
[ -z "$disks" ] || echo "partita-guest: disks:$disks"
cd /root

if [ -f /etc/partita-exec ]; then
    stty -F /dev/ttyS1 raw -echo
    # The job closes the port, and closing waits until the last byte has left it.
    sh /etc/partita-exec </dev/null >/dev/ttyS1 2>&1 &
    wait $!
    status=$?
    # The VM's exit device: the byte written to port 0xF4 becomes the status of the child.
    printf "\\$(printf %03o $status)" | dd of=/dev/port bs=1 seek=244 count=1 conv=notrunc 2>/dev/null
elif grep -qw partita.exec /proc/cmdline; then
    # The kernel goes on with what it could unpack, and panics at the end of its first process.
    echo '<2>partita-guest: the kernel did not unpack all of the initramfs: the command is not there' >/dev/kmsg
    exit 1
else
    echo "Linux $(uname -r) on $(nproc) processors; 'poweroff' ends the machine."
    # A background job has Ctrl-C off; login turns it on for the shell.
    setsid cttyhack login -f root &
    wait $!
fi
busybox poweroff -f
"""

FILES = {
    "init": (0o755, INIT),
    "etc/passwd": (0o644, "root::0:0:root:/root:/bin/sh\n"),
    "etc/group": (0o644, "root:x:0:\n"),
}
FOLDERS = ("bin", "dev", "etc", "lib", "lib/modules", "proc", "root", "run", "sbin", "sys", "tmp")


class Archive:
    """A cpio archive in the "newc" form, built in memory."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        """Appends one entry; mode carries the type bits too."""
        self.inode += 1
        raw = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self.inode, mode, 0, 0, links, 0, len(content), 0, 0, device[0], device[1], len(raw), 0)
        self.data += b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        self.pad()
        self.data += content
        self.pad()

    def add_file(self, name, path):
        """Appends an executable file, below folders of its own if they are not there yet."""
        self.add(str(Path(name).parent), stat.S_IFDIR | 0o755)
        self.add(name, stat.S_IFREG | 0o755, path.read_bytes())

    def pad(self):
        """Headers and contents start on four bytes."""
        self.data += b"\0" * (-len(self.data) % 4)

    def finish(self):
        """The bytes of the archive, closed by its trailer."""
        self.inode = -1
        self.add("TRAILER!!!", 0)
        self.data += b"\0" * (-len(self.data) % 512)
        return bytes(self.data)


def applets(busybox):
    """The names that this busybox answers to."""
    try:
        done = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(f"{busybox} does not run: {error}") from error
    return done.stdout.split()


def add_modules(archive, modules, order):
    """Kernel modules, and the names of all that are loaded, in the order of that."""
    archive.add("lib/modules/order", stat.S_IFREG | 0o644, "".join(f"{path.name}\n" for path in order).encode())
    for path in modules:
        archive.add(f"lib/modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes())


def build(busybox, modules):
    """The base archive, compressed; the kernel modules are loaded in the order given."""
    archive = Archive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    for name, (mode, text) in FILES.items():
        archive.add(name, stat.S_IFREG | mode, text.encode())
    add_modules(archive, modules, modules)
    archive.add("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes())
    for name in applets(busybox):
        if name != "busybox":
            archive.add(f"bin/{name}", stat.S_IFLNK | 0o777, b"busybox")
    for name in ("poweroff", "reboot"):  # where the kernel looks for them
        archive.add(f"sbin/{name}", stat.S_IFLNK | 0o777, b"../bin/busybox")
    return gzip.compress(archive.finish(), 1, mtime=0)


def build_more(first, modules):
    """An archive to follow the base one, compressed: these modules are loaded behind the `first`, which are there."""
    archive = Archive()
    add_modules(archive, modules, [*first, *modules])
    return gzip.compress(archive.finish(), 1, mtime=0)


def joined(*archives):
    """Archives one behind the other; the kernel unpacks them in order. Each ends at any length, and the kernel looks
    for the next one on four bytes. LZ4 has no end but a block of length 0, so there are zeros in any case."""
    return b"".join(archive + bytes(4 + -len(archive) % 4) for archive in archives)


def command_archive(command):
    """An archive that carries the command to execute."""
    archive = Archive()
    archive.add("etc/partita-exec", stat.S_IFREG | 0o644, os.fsencode(command) + b"\n")
    return archive.finish()


def with_command(base, command):
    """The base archive followed by the one with the command."""
    return joined(base, command_archive(command))


def ensure(target, sources, make):
    """Has an archive written that is missing or older than what it is made of."""
    newest = max(path.stat().st_mtime for path in (*sources, Path(__file__)))
    if target.is_file() and target.stat().st_mtime >= newest:
        return
    write_if_changed(target, make())
    target.touch()


NOT_ZERO = re.compile(rb"[^\0]")
CPIO_MAGICS = (b"070701", b"070702")
# The magic and thirteen numbers, of which two are used here.
CPIO_HEADER = re.compile(rb"07070[12][0-9A-Fa-f]{48}([0-9A-Fa-f]{8})[0-9A-Fa-f]{32}([0-9A-Fa-f]{8})[0-9A-Fa-f]{8}")
CPIO_HEADER_BYTES = 110
CPIO_ALIGNMENT = 4
DECOMPRESSORS = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
    b"\x5d\x00\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE),
    b"BZh": bz2.BZ2Decompressor,
    b"\x28\xb5\x2f\xfd": zstd.Decompressor,
}
LZ4_MAGIC = b"\x02\x21\x4c\x18"
# What Linux unpacks as well, and nothing here can.
LZO_MAGIC = b"\x89\x4c\x5a\x4f"


def aligned(count):
    """Up to the next place where something of a cpio archive begins."""
    return -(-count // CPIO_ALIGNMENT) * CPIO_ALIGNMENT


def end_of_cpio(data, at):
    """Where the archive that begins at an offset ends, or None when it is cut off or broken."""
    name = b""
    while name != b"TRAILER!!!":
        header = CPIO_HEADER.match(data, at)
        if header is None:
            return None
        size, name_size = (int(field, 16) for field in header.groups())
        name = bytes(data[header.end():header.end() + name_size - 1])
        at += aligned(CPIO_HEADER_BYTES + name_size) + aligned(size)
    return at if at < len(data) + CPIO_ALIGNMENT else None


def end_of_lz4(data, at):
    """Where the blocks of LZ4 that begin at an offset end, by their lengths (Linux, lib/decompress_unlz4.c), or None
    when one is cut off, over whose end the kernel would read. What is in them is not looked at."""
    while at < len(data):
        if data.startswith(LZ4_MAGIC, at):
            at += len(LZ4_MAGIC)
            continue
        size = int.from_bytes(data[at:at + 4], "little")
        if size == 0:
            break
        at += 4 + size
    return at if at <= len(data) else None


def unpacked(data, at, magic, most_bytes):
    """A compressed part: what is in it and where it ends; Failure with what is wrong."""
    stream = DECOMPRESSORS[magic]()
    try:
        inside = stream.decompress(data[at:], most_bytes + 1)
    except (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError) as error:
        raise Failure(f"its compressed part at byte {at} cannot be decompressed ({error})") from error
    if len(inside) > most_bytes:
        raise Failure(f"its compressed part at byte {at} has more than {most_bytes >> 20} MiB in it, which is all that "
                      "the child has")
    if not stream.eof:
        raise Failure(f"its compressed part at byte {at} is cut off")
    return inside, len(data) - len(stream.unused_data)


def check(data, most_bytes, is_inside=False):
    """Raises a Failure that says what is wrong with an initramfs: archives one behind the other, each plain or
    compressed, with zeros in between (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). What begins
    as nothing that is known, or as what only the kernel can unpack, is left to it."""
    at = 0
    while (begin := NOT_ZERO.search(data, at)) is not None:
        is_first, at = at == 0, begin.start()
        magic = next((magic for magic in DECOMPRESSORS if data.startswith(magic, at)), None)
        if data.startswith(CPIO_MAGICS, at):
            if at % CPIO_ALIGNMENT != 0:
                raise Failure(f"its cpio archive at byte {at} does not begin on {CPIO_ALIGNMENT} bytes, where the "
                              "kernel looks for it")
            end = end_of_cpio(data, at)
            if end is None:
                raise Failure(f"its cpio archive at byte {at} is cut off or broken")
            at = end
        elif magic is not None and not is_inside:
            inside, end = unpacked(data, at, magic, most_bytes)
            try:
                check(inside, most_bytes, is_inside=True)
            except Failure as failure:
                raise Failure(f"in its compressed part at byte {at}: {failure}") from failure
            at = end
        elif data.startswith(LZ4_MAGIC, at) and not is_inside:
            end = end_of_lz4(data, at)
            if end is None:
                raise Failure(f"its part at byte {at}, compressed with LZ4, is cut off")
            at = end
        elif (is_first and not is_inside) or data.startswith(LZO_MAGIC, at):
            return
        else:
            raise Failure(f"what it has at byte {at} is no archive")

# SPDX-License-Identifier: MIT
"""Tests of the driver itself: frames, argument checks, the files it makes, whole runs against a stand-in for the
emulators."""

import argparse
import bz2
import configparser
import contextlib
import ctypes
import gzip
import lzma
import os
import pty
import re
import select
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import badfiles
import bzimage
import controlcases
import driver
import frames
import fuzzing
import guestfiles
import initramfs
import iso
import linecoverage
import machine
import nested
import options as machine_options
import packages
import runner
import suite
import systemtests
import zstd
from common import Failure

FAKE = HERE / "fake_emulator.py"
# Stands in for grub-mkrescue: the "ISO" is its grub.cfg.
FAKE_MKRESCUE = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
target=$2
for folder; do :; done
cp "$folder/boot/grub/grub.cfg" "$target"
"""


def frame(stream, child, payload):
    """The bytes of one frame."""
    return b"\x1e" + f"{stream} {child} {len(payload)}\n".encode() + payload


class Frames(unittest.TestCase):
    """The demultiplexer and its companions."""

    STREAM = (b"early\n" + frame("d", 0, b"one\x1etwo\n") + b"\x1e not a frame" + frame("c", 12, b"") +
              frame("x", 0, b"7") + b"\x1ed 0 1234567\n" + b"late")
    PIECES = [("raw", None, b"early\n"), ("d", 0, b"one\x1etwo\n"), ("raw", None, b"\x1e not a frame"), ("c", 12, b""),
              ("x", 0, b"7"), ("raw", None, b"\x1ed 0 1234567\nlate")]

    @staticmethod
    def merge(pieces):
        """Joins neighbouring raw pieces: where they are cut is of no importance."""
        merged = []
        for piece in pieces:
            if merged and piece[0] == "raw" == merged[-1][0]:
                merged[-1] = ("raw", None, merged[-1][2] + piece[2])
            else:
                merged.append(piece)
        return merged

    def test_every_split(self):
        """The result does not depend on how the bytes arrive."""
        for cut in range(len(self.STREAM) + 1):
            demultiplexer = frames.Demultiplexer()
            pieces = demultiplexer.feed(self.STREAM[:cut]) + demultiplexer.feed(self.STREAM[cut:])
            self.assertEqual(self.merge(pieces + demultiplexer.finish()), self.PIECES, f"cut at {cut}")

    def test_byte_by_byte(self):
        """One byte at a time is no different."""
        demultiplexer = frames.Demultiplexer()
        pieces = [piece for byte in self.STREAM for piece in demultiplexer.feed(bytes([byte]))]
        self.assertEqual(self.merge(pieces + demultiplexer.finish()), self.PIECES)

    def test_unfinished_frame_is_raw(self):
        """A frame that the machine could not finish is not delivered as if it were whole."""
        demultiplexer = frames.Demultiplexer()
        cut = frame("x", 0, b"77")[:-1]
        self.assertEqual(demultiplexer.feed(cut), [])
        self.assertEqual(demultiplexer.finish(), [("raw", None, cut)])

    def test_lines(self):
        """Lines get their prefix once, whatever the cuts; the last one is completed."""
        lines = frames.Lines(b"child1: ")
        out = lines.feed(b"a") + lines.feed(b"b\r\nc\n\n") + lines.feed(b"d") + lines.finish() + lines.finish()
        self.assertEqual(out, b"child1: ab\nchild1: c\nchild1: \nchild1: d\n")

    def test_escape(self):
        """Ctrl-A x quits; Ctrl-A twice is one; other keys pass with it."""
        keys = frames.EscapeFilter()
        self.assertEqual(keys.feed(b"a\x01"), b"a")
        self.assertEqual(keys.feed(b"\x01b\x01c"), b"\x01b\x01c")
        self.assertFalse(keys.wants_quit)
        self.assertEqual(keys.feed(b"d\x01xe"), b"d")
        self.assertTrue(keys.wants_quit)


class GuestFiles(unittest.TestCase):
    """bzImage unpacking and the archive writer."""

    ELF = b"\x7fELF" + bytes(range(256)) * 64

    def image(self, compress=None, cut=0, size=None, version=0x20F):
        """A bzImage with just the fields that are read."""
        payload = (compress or lzma.compress)(self.ELF) + struct.pack("<I", len(self.ELF) if size is None else size)
        head = bytearray(1024 + 64)
        head[0x1F1] = 1
        head[0x202:0x206] = b"HdrS"
        struct.pack_into("<H", head, 0x206, version)
        struct.pack_into("<II", head, 0x248, 64, len(payload))
        data = bytes(head) + payload
        return data[:len(data) - cut]

    def test_extract(self):
        """Both compressions give the file back."""
        self.assertEqual(bzimage.extract_vmlinux(self.image()), self.ELF)
        self.assertEqual(bzimage.extract_vmlinux(self.image(gzip.compress)), self.ELF)

    def test_extract_refuses(self):
        """Every way of being broken has its own line."""
        cases = [(b"", "no setup header"), (b"\0" * 4096, "no setup header"), (self.image(cut=100), "cut off"),
                 (self.image(size=5), "not the ELF"), (self.image(version=0x207), "2.08"),
                 (self.image(lambda data: b"\x28\xb5\x2f\xfd" + data), "not known here"),
                 (self.image(lambda data: b"\xfd7zXZ\x00" + data), "does not decompress")]
        for data, text in cases:
            with self.assertRaisesRegex(Failure, text):
                bzimage.extract_vmlinux(data)

    def test_compact(self):
        """Segments keep their bytes, without the zeros at their end; notes move with them."""
        phdr = struct.Struct("<IIQQQQQQ")
        data = b"code" + b"note\0\0" + b"end" + bytes(5000)
        elf = bytearray(64 + 2 * phdr.size) + bytes(9000) + data
        elf[:4] = b"\x7fELF"
        struct.pack_into("<QQ", elf, 0x20, 64, 77)
        struct.pack_into("<H", elf, 0x38, 2)
        offset = len(elf) - len(data)
        phdr.pack_into(elf, 64, 1, 5, offset, 0xA000, 0x1000, len(data), 6000, 1)
        phdr.pack_into(elf, 64 + phdr.size, 4, 4, offset + 4, 0, 0, 6, 6, 1)
        small = bzimage.compact(elf)
        self.assertLess(len(small), len(elf) / 1.5)
        kind, _, at, _, _, size, memory, _ = phdr.unpack_from(small, 64)
        self.assertEqual((kind, small[at:at + size], memory), (1, b"codenote\0\0end", 6000))
        kind, _, at, _, _, size, _, _ = phdr.unpack_from(small, 64 + phdr.size)
        self.assertEqual((kind, small[at:at + size]), (4, b"note\0\0"))

    def test_uncompressed(self):
        """The segments lie behind the setup code, which says where they go and how much memory they need."""
        phdr = struct.Struct("<IIQQQQQQ")

        def elf(segments):
            data = bytearray(64 + len(segments) * phdr.size)
            struct.pack_into("<Q", data, 0x20, 64)
            struct.pack_into("<H", data, 0x38, len(segments))
            for index, (kind, address, content, memory) in enumerate(segments):
                phdr.pack_into(data, 64 + index * phdr.size, kind, 5, len(data), 0, address, len(content), memory, 1)
                data += content
            return bytes(data)

        vmlinux = elf([(1, 0x1000, b"code", 4), (4, 0x1002, b"note", 4), (1, 0x1100, b"data", 0x80)])
        made = bzimage.uncompressed(self.image(), vmlinux, elf([(1, 0xF00, b"entry", 5)]))
        kernel = made[1024:]
        self.assertEqual(kernel.rstrip(b"\0"), b"entry".ljust(0x100, b"\0") + b"code".ljust(0x100, b"\0") + b"data")
        self.assertEqual(made[0x202:0x206], b"HdrS")
        self.assertEqual(struct.unpack_from("<I", made, 0x1F4)[0] * 16, len(kernel))
        self.assertEqual(struct.unpack_from("<QI", made, 0x258), (0xF00, 0x280))

    @staticmethod
    def entries(data):
        """Reads a newc archive back: name -> (mode, content)."""
        found, at = {}, 0
        while True:
            assert data[at:at + 6] == b"070701", f"no entry at {at}"
            fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
            name_start, name_bytes = at + 110, fields[11]
            name = data[name_start:name_start + name_bytes - 1].decode()
            start = (name_start + name_bytes + 3) & ~3
            if name == "TRAILER!!!":
                return found
            found[name] = (fields[1], data[start:start + fields[6]])
            at = (start + fields[6] + 3) & ~3

    def test_archive(self):
        """What is put in comes out, and the second archive starts on four bytes."""
        archive = initramfs.Archive()
        archive.add("a", 0o100644, b"12345")
        archive.add("b/c", 0o40755)
        self.assertEqual(self.entries(archive.finish()), {"a": (0o100644, b"12345"), "b/c": (0o40755, b"")})
        for length in range(4):
            base = b"z" * (4 + length)
            whole = initramfs.with_command(base, "exit 3")
            second = whole.index(b"070701")
            self.assertEqual(second % 4, 0)
            self.assertEqual(whole[len(base):second].strip(b"\0"), b"")
            self.assertEqual(self.entries(whole[second:])["etc/partita-exec"][1], b"exit 3\n")


class Pieces(unittest.TestCase):
    """Smaller parts."""

    def test_package_list(self):
        """The list parses, and a bad line is named."""
        rows = packages.parse_list(packages.LIST.read_text(encoding="utf-8"))
        self.assertIn(("gcc", "run"), rows)
        self.assertEqual(len(rows), len({name for name, _ in rows}))
        with self.assertRaisesRegex(Failure, ":2: expected"):
            packages.parse_list("gcc run # x\nclang sometimes\n")

    def test_install_progress_counts(self):
        """The lines of apt-get become a count."""
        progress = packages.InstallProgress()
        progress.line("0 upgraded, 3 newly installed, 0 to remove and 4 not upgraded.")
        progress.line("Setting up gcc (4:12.2.0-3) ...")
        self.assertEqual((progress.done, progress.total), (1, 3))

    def test_grub_configuration(self):
        """Words are quoted; what GRUB would change is refused."""
        module = machine.Module("minroot.elf", Path("/x"), 'vps=2 append="console=ttyS0 quiet"')
        text = iso.grub_configuration("log=1", [module])
        self.assertIn("multiboot2 /boot/partita.elf 'log=1'\n", text)
        self.assertIn("module2 --nounzip /boot/minroot.elf 'vps=2' 'append=console=ttyS0 quiet'\n", text)
        for bad in ("it's", "a\\b"):
            with self.assertRaisesRegex(Failure, "quotes"):
                iso.grub_configuration(bad, [])
        self.assertIn("    linux /boot/kernel 'quiet' 'panic=-1'\n    initrd /boot/initrd\n",
                      iso.linux_configuration("quiet panic=-1"))

    def test_nested_files(self):
        """Level 1 loads the vendor's modules, says what its KVM can do, and starts QEMU with that virtualisation."""
        for backend, kvm, paging in (("svm", "kvm_amd", "npt"), ("vmx", "kvm_intel", "ept")):
            with tempfile.TemporaryDirectory() as folder, \
                    unittest.mock.patch.object(nested, "add_base") as add_base, \
                    unittest.mock.patch.object(nested, "add_emulator"):
                inner = nested.inner_machine(Path(folder), Path("/dev/null"), ["--initrd", "none"], backend)
                inner.modules = []
                nested.make_tree(Path(folder), inner, backend)
            _, script, modules = add_base.call_args.args
            self.assertEqual(modules[-1], kvm.replace("_", "-"))
            self.assertIn(f"for module in {' '.join(modules)}; do", script)
            self.assertIn(f"{kvm} nested=$(cat $parameters/nested) {paging}=$(cat $parameters/{paging})", script)
            self.assertIn(f"-cpu host,+{backend} ", script)
            self.assertNotIn("@", script)

    def test_qemu_command(self):
        """Commas in module strings are doubled, names are plain, and the log is COM2."""
        with tempfile.TemporaryDirectory() as scratch:
            box = machine.Machine(Path("/a, b/partita.elf"), "x=1",
                                  [machine.Module("minroot.elf", Path("/a, b/minroot.elf"), 'append="tsc=a,b"')], lps=3)
            os.environ["PARTITA_QEMU"] = str(FAKE)
            command = machine.qemu_command(box, Path(scratch))
            self.assertEqual(command[command.index("-initrd") + 1], 'minroot.elf append="tsc=a,,b"')
            self.assertEqual(command[command.index("-smp") + 1], "3")
            self.assertEqual([word for word in command if word.startswith("file:")], ["file:hv.log"])
            self.assertEqual(os.readlink(Path(scratch) / "minroot.elf"), "/a, b/minroot.elf")


def zstd_compressed(data):
    """One frame with its checksum (zstd.h, "Advanced compression API": ZSTD_c_checksumFlag)."""
    library = ctypes.CDLL(zstd.LIBRARY)
    library.ZSTD_createCCtx.restype = ctypes.c_void_p
    library.ZSTD_compress2.restype = ctypes.c_size_t
    context = ctypes.c_void_p(library.ZSTD_createCCtx())
    library.ZSTD_CCtx_setParameter(context, 201, 1)
    frame_bytes = ctypes.create_string_buffer(len(data) + 1024)
    size = library.ZSTD_compress2(context, frame_bytes, ctypes.c_size_t(len(frame_bytes)), data,
                                  ctypes.c_size_t(len(data)))
    library.ZSTD_freeCCtx(context)
    return frame_bytes.raw[:size]


class StandIn(unittest.TestCase):
    """A folder with a script for the stand-in, and the command that runs it."""

    OPTIONS = ()

    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name)
        self.initrd = self.folder / "base.img"
        self.initrd.write_bytes(b"base")
        self.script = self.folder / "script.py"

    def tearDown(self):
        self.scratch.cleanup()

    def environment(self, script):
        """What the driver runs in."""
        self.script.write_text(script, encoding="utf-8")
        return {**os.environ, "PARTITA_BUILD": str(self.folder / "build"), "PARTITA_QEMU": str(FAKE),
                "PARTITA_BOCHS": str(FAKE), "PARTITA_FAKE_SCRIPT": str(self.script), "CI": "true"}

    def command(self, *arguments):
        """The driver's command line for a run that builds nothing."""
        return [sys.executable, str(HERE / "driver.py"), "run", "--no-build", "--initrd", str(self.initrd),
                *self.OPTIONS, *arguments]

    def run_driver(self, script, *arguments, stdin=b""):
        """Runs to the end; (status, stdout, stderr)."""
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, timeout=60, check=False,
                              env=self.environment(script))
        return done.returncode, done.stdout, done.stderr.decode()

    def log(self, name):
        """A log of the run."""
        return (self.folder / "build" / "run" / name).read_bytes()


class Runs(controlcases.ControlCases, StandIn):
    """The whole command against the stand-in for QEMU."""

    def test_exec(self):
        """Only data reaches stdout, the status is the child's, consoles and stray bytes are kept in logs."""
        status, out, _ = self.run_driver("""
raw(b"stray")
frame("c", 0, "Linux version\\n")
frame("p", 0, "starting child 0")
frame("d", 0, "out")
frame("c", 0, "more\\n")
frame("d", 0, "put\\n")
frame("x", 0, "7")
""", "--exec", "uname")
        self.assertEqual((status, out), (7, b"output\n"))
        self.assertEqual(self.log("child0.log"), b"Linux version\nmore\n")
        self.assertIn(b"stray", self.log("root.log"))

    def test_exec_command_reaches_initrd(self):
        """The base archive comes first, the command is in the appended one."""
        status, out, _ = self.run_driver("""
data = open("initrd.img", "rb").read()
frame("d", 0, str(data.startswith(b"base")) + str(b"echo 'a,b'" in data))
frame("x", 0, "0")
""", "--exec", "echo 'a,b'")
        self.assertEqual((status, out), (0, b"TrueTrue"))

    def test_command_lines(self):
        """What minroot is told, and how big the machine is."""
        status, out, _ = self.run_driver("""
for child in range(3):
    frame("d", child, argument("-initrd") + "|" + argument("-m") + "|" + argument("-smp"))
    frame("x", child, "0")
""", "--children", "3", "--vps", "4", "--memory", "128M", "--append", "a,b c", "--lps", "2", "--exec", "true")
        modules = ('minroot.elf vps=4 memory=128M children=3 frames=1 '
                   'append="console=ttyS0 quiet panic=-1 partita.exec a,,b c",vmlinuz kernel,initrd.img initrd')
        self.assertEqual(status, 0)
        self.assertEqual(out.decode().splitlines(), [f"child{n}: {modules}|640M|2" for n in range(3)])

    def assert_damaged(self, data, text):
        """The check finds that."""
        with self.assertRaisesRegex(Failure, text):
            initramfs.check(data, 1 << 20)

    def test_damaged_initrd(self):
        """Whatever is missing of it, and plain or compressed, is said before anything starts; a whole one is taken."""
        archive = initramfs.Archive()
        archive.add("etc", stat.S_IFDIR | 0o755)
        archive.add("etc/text", stat.S_IFREG | 0o644, bytes(range(256)) * 20)
        plain = archive.finish()
        forms = {"plain": plain, "gzip": gzip.compress(plain), "xz": lzma.compress(plain), "bzip2": bz2.compress(plain),
                 "lzma": lzma.compress(plain, lzma.FORMAT_ALONE), "zstd": zstd_compressed(plain)}
        for name, data in forms.items():
            with self.subTest(form=name):
                initramfs.check(data, 1 << 20)
                initramfs.check(plain + data, 1 << 20)
                initramfs.check(initramfs.with_command(data, "true"), 1 << 20)
                # Zeros behind the archive's end are nothing of it.
                whole = data.rstrip(b"\0") if name == "plain" else data
                for cut in (1, 4, 7, len(whole) // 2, len(whole) - 7):
                    self.assert_damaged(whole[:-cut], "cut off")
                    self.assert_damaged(plain + whole[:-cut], f"at byte {len(plain)} is cut off")
                broken = bytearray(data)
                broken[len(data) // 2] ^= 0xff
                if name not in ("plain", "lzma"):  # which have no checksum
                    self.assert_damaged(bytes(broken), "cannot be decompressed|cut off")
                self.assert_damaged(data + b"something else", "is no archive")
        for data, text in (
                (plain.replace(b"00001400", b"-0001400"), "at byte 0 is cut off or broken"),
                (gzip.compress(plain[:-500]), "in its compressed part at byte 0: its cpio archive at byte 0 is cut"),
                (gzip.compress(gzip.compress(plain)), "in its compressed part at byte 0: what it has at byte 0"),
                (gzip.compress(bytes(2 << 20)), "has more than 1 MiB in it"),
                (zstd_compressed(bytes(2 << 20)), "has more than 1 MiB in it"),
                (b"\0" + plain, "at byte 1 does not begin on 4 bytes")):
            self.assert_damaged(data, text)
        lz4 = badfiles.lz4(plain)
        for data in (lz4, lz4 * 2, lz4 + bytes(8) + plain):
            initramfs.check(data, 1 << 20)
            initramfs.check(initramfs.joined(data, plain), 1 << 20)
        for data in (lz4[:-1], lz4[:200], lz4[:7], lz4 + lz4[:-1], plain + lz4[:-1]):
            self.assert_damaged(data, "compressed with LZ4, is cut off")
        initramfs.check(b"something else", 1 << 20)
        self.initrd.write_bytes(forms["gzip"][:-4])
        status, _, err = self.run_driver("", "--exec", "true")
        self.assertEqual((status, err.count("\n")), (2, 1), err)
        self.assertRegex(err, "--initrd: .*base.img is damaged or too big: its compressed part at byte 0 is cut off")

    def test_sizes(self):
        """Files too big for the child or the machine are named with what to do; the machine grows with large ones."""
        kernel = self.folder / "kernel"
        initrd = self.folder / "initrd"
        for kernel_mib, initrd_mib, arguments, text in (
                (300, 1, [], "--kernel: .*kernel has 300 MiB, and kernel and initrd with 301 MiB do not fit into"),
                (200, 100, [], "--kernel: .*kernel has 200 MiB, and kernel and initrd with 300 MiB"),
                (1, 300, [], "--initrd: .*initrd has 300 MiB, and kernel and initrd with 301 MiB"),
                (8192, 1, ["--memory", "64G"], "--kernel: .*kernel has 8192 MiB, and 1024 MiB is the most"),
                (100, 8192, ["--memory", "64G"], "--initrd: .*initrd has 8192 MiB, and 1024 MiB is the most"),
                (400, 300, ["--memory", "1G", "--children", "2", "--kernel", str(kernel)], "--kernel: .* 400 MiB, and"),
                (200, 50, [], None)):
            for path, mib in ((kernel, kernel_mib), (initrd, initrd_mib)):
                path.touch()
                os.truncate(path, mib << 20)
            status, out, err = self.run_driver('frame("d", 0, argument("-m")); frame("x", 0, "0")', "--frames",
                                               "--kernel", str(kernel), "--initrd", str(initrd), *arguments)
            if text is None:
                # 256 MiB for the child, 256 for the root, which has room for 128 of the 250.
                self.assertEqual((status, out), (0, b"634M"), err)
            else:
                self.assertEqual((status, err.count("\n")), (2, 1), err)
                self.assertRegex(err, text)

    def test_without_vmbus(self):
        """minroot is told that the children have no bus."""
        status, out, _ = self.run_driver("""
frame("d", 0, argument("-initrd"))
frame("x", 0, "0")
""", "--no-vmbus", "--exec", "true")
        self.assertEqual(status, 0)
        self.assertIn("frames=1 vmbus=0 append=", out.decode())

    def test_disks(self):
        """Disks are virtio devices in their order, for one child after the other, and take nothing of the machine's
        memory; in Bochs they are modules. Several children do not write to one file."""
        large = self.folder / "large, with a comma"
        small = self.folder / "small.img"
        for path, mib in ((self.folder / "large.img", 200), (large, 1), (small, 20)):
            path.touch()
            os.truncate(path, mib << 20)
        status, out, err = self.run_driver("""
for child in range(2):
    drives = [word for word in sys.argv if word.startswith("if=none,id=drive")]
    frame("d", child, "|".join([argument("-m"), str(argument("-initrd").count(" disks=2 ")),
                                str(sys.argv.count("-device") - 1)]
                               + [word.split("format=")[0] + word.split(",readonly=")[1] for word in drives]))
    frame("x", child, "0")
""", "--children", "2", "--exec", "true", "--disk", f"{self.folder}/large.img,snapshot", "--disk", f"{small},ro")
        self.assertEqual(status, 0, err)
        # 256 MiB for each child and 256 for the root.
        drives = "|".join(f"if=none,id=drive{n},file=drive{n}.img,"
                          f"{'on,snapshot=off' if n % 2 else 'off,snapshot=on'}" for n in range(4))
        self.assertEqual(out.decode(), "".join(f"child{n}: 768M|1|4|{drives}\n" for n in range(2)))
        status, _, err = self.run_driver("", "--children", "2", "--exec", "true", "--disk", str(small))
        self.assertEqual((status, err.count("\n")), (2, 1), err)
        self.assertRegex(err, "--disk: several children would write to one file")
        for arguments, text in (
                ([f"{self.folder}/none.img"], "there is no file .*/none.img"),
                ([str(self.folder)], "is not a file"),
                ([""], "the name is empty"),
                (["/dev/null"], "/dev/null is not a file"),
                ([f"{small},rw"], "only 'ro' or 'snapshot', and then 'spare', may follow a comma, not 'rw'"),
                ([str(large)], "may follow a comma, not ' with a comma'"),
                ([f"{small},"], "may follow a comma, not ''"),
                ([f"{small},spare,ro"], "may follow a comma, not 'spare,ro'"),
                ([f"{small},spare,spare"], "may follow a comma, not 'spare,spare'"),
                ([str(self.initrd)], "base.img has 4 bytes, which is not a multiple of 512"),
                ([str(small)] * 9, "9 are too many, the most is 8")):
            options = [word for argument in arguments for word in ("--disk", argument)]
            status, _, err = self.run_driver("", "--exec", "true", *options)
            self.assertEqual((status, err.count("\n")), (2, 1), err)
            self.assertRegex(err, f"--disk: .*{text}")
        status, _, err = self.run_driver("", "--bochs-cpu", machine.BOCHS_MODEL, "--exec", "true",
                                         *["--disk", f"{self.folder}/large.img"] * 6)
        self.assertEqual(status, 2, err)
        self.assertRegex(err, "--disk: .*large.img has 200 MiB, and 1024 MiB is the most for all files")
        (self.folder / "empty.img").touch()
        for arguments, text in (([f"{self.folder}/empty.img"], "--disk: .*/empty.img is empty"),
                                ([str(small), "--no-vmbus"], "--disk: disks are on VMBus, and --no-vmbus leaves it")):
            status, _, err = self.run_driver("", "--disk", *arguments)
            self.assertEqual((status, err.count("\n")), (2, 1), err)
            self.assertRegex(err, text)

    def test_spare_disks(self):
        """minroot is told which disks are not there at first; what else is said of them holds as well."""
        disk = self.folder / "disk.img"
        disk.write_bytes(bytes(512))
        words = """
drives = [word.split(",readonly=")[1] for word in sys.argv if word.startswith("if=none,id=drive")]
spare = [word for word in argument("-initrd").split() if word.startswith("spare=")]
frame("d", 0, " ".join(spare + drives))
frame("x", 0, "0")
"""
        for flags, wanted in (
                (["", ",spare", ",ro,spare"], "spare=6 off,snapshot=off off,snapshot=off on,snapshot=off"),
                ([",snapshot,spare"], "spare=1 off,snapshot=on"), ([",ro"], "on,snapshot=off")):
            options = [word for flag in flags for word in ("--disk", f"{disk}{flag}")]
            status, out, err = self.run_driver(words, "--exec", "true", *options)
            self.assertEqual((status, out.decode()), (0, wanted), err)

    def test_disk_modules(self):
        """Only the default initramfs gets modules for disks and networks, if there are some; the command comes last."""
        more = self.folder / "more.img"
        more.write_bytes(b"more!")
        for initrd, disks, net, wanted in (
                (self.initrd, [], "none", [b"base"]), (self.initrd, ["x"], "none", [b"base", b"more!"]),
                (self.initrd, [], "private", [b"base", b"more!"]), (more, ["x"], "private", [b"more!"])):
            options = argparse.Namespace(net=net, command="true", initrd=initrd, kernel=[], vps=1, memory=64,
                                         children=1, no_vmbus=False, root_append="", append="",
                                         has_memory_disks=True,
                                         disk=[machine_options.Disk(Path(name), True, False, False) for name in disks])
            with unittest.mock.patch.multiple(guestfiles, INITRD=self.initrd, DEVICES_INITRD=more):
                runner.modules_for(options, self.folder)
            whole = (self.folder / "exec.img").read_bytes()
            self.assertEqual(whole, initramfs.joined(*wanted, initramfs.command_archive("true")))

    def test_much_memory(self):
        """A machine of more than 2 GiB has its memory in two pieces, and a child's fits into one of them."""
        for memory, wanted in (("1792M", "3840M"), ("4G", "6400M")):
            status, out, err = self.run_driver("""
frame("d", 0, argument("-m")); frame("x", 0, "0")
""", "--memory", memory, "--exec", "true")
            self.assertEqual((status, out.decode()), (0, wanted), err)

    def test_network(self):
        """minroot is told that the children have a network; there is no other kind than those that are named."""
        status, out, _ = self.run_driver("""
frame("d", 0, argument("-initrd"))
frame("x", 0, "0")
""", "--net", "private", "--exec", "true")
        self.assertEqual(status, 0)
        self.assertIn("frames=1 net=1 append=", out.decode())
        for arguments in (["--net", "public"], ["--net", "private", "--no-vmbus"]):
            status, _, err = self.run_driver("", *arguments, "--exec", "true")
            self.assertEqual(status, 2)
            self.assertIn("--net", err)

    def test_several_children(self):
        """Lines never mix, unfinished ones are completed, the first nonzero status counts."""
        status, out, _ = self.run_driver("""
frame("d", 0, "a"); frame("d", 1, "b1\\nb"); frame("d", 0, "a\\n"); frame("d", 1, "2")
frame("x", 1, "5"); frame("d", 0, "end"); frame("x", 0, "0")
""", "--children", "2", "--exec", "x")
        self.assertEqual(status, 5)
        self.assertEqual(out, b"child1: b1\nchild0: aa\nchild1: b2\nchild0: end\n")

    def test_interactive(self):
        """What the child says and is told passes unchanged, also what looks like a frame; the root says its end."""
        status, out, err = self.run_driver("""
raw(b"BIOS noise")
frame("c", 0, b"partita-guest: up\\r\\n\\x1ex 0 1\\n9")
frame("c", 0, b"echo " + os.read(0, 100))
frame("x", 0, "7")
""", stdin=b"poweroff\n")
        self.assertEqual((status, out), (7, b"partita-guest: up\r\n\x1ex 0 1\n9echo poweroff\n"), err)
        self.assertEqual(self.log("child0.log"), out)

    def test_input(self):
        """All of a plain file or a pipe reaches the child, command marks twice; the run goes on when it ends."""
        text = bytes(range(256)) * 2000
        path = self.folder / "input"
        path.write_bytes(text)
        script = """
count = 0
while count < 514000:
    count += len(os.read(0, 1000))
time.sleep(1)
frame("c", 0, str(count)); frame("x", 0, "0")
"""
        status, out, err = self.run_driver(script, stdin=text)
        self.assertEqual((status, out), (0, b"514000"), err)
        with open(path, "rb") as file:
            done = subprocess.run(self.command("--timeout", "20"), stdin=file, capture_output=True, timeout=60,
                                  check=False, env=self.environment(script))
        self.assertEqual((done.returncode, done.stdout), (0, b"514000"), done.stderr)

    def test_iso(self):
        """An ISO's console is read by a terminal that knows no frames, unless there are several children."""
        for arguments, words in (([], "'children=1' 'frames=0'"), (["--children", "2"], "'children=2' 'frames=1'")):
            modules = []
            with unittest.mock.patch.multiple(runner.iso, make=lambda *parts: modules.extend(parts[3])):
                driver.main(["iso", "--no-build", "--initrd", str(self.initrd), *arguments])
            self.assertIn(words, iso.grub_words(modules[0].words))

    def test_timeout(self):
        """The emulator is killed, one line says so, the logs' last lines follow."""
        begin = time.monotonic()
        status, _, err = self.run_driver("""
log("partita: waiting for nothing")
open("pid", "w").write(str(os.getpid()))
time.sleep(60)
""", "--exec", "x", "--timeout", "6")
        self.assertEqual(status, 124)
        self.assertLess(time.monotonic() - begin, 40)
        self.assertRegex(err, r"no end after 6 s \(--timeout\)")
        self.assertIn("waiting for nothing", err)
        with self.assertRaises(ProcessLookupError):
            os.kill(int((self.folder / "build/run/pid").read_text()), 0)

    def test_logs_folder(self):
        """A folder with somebody's files is left alone; an own one is used again."""
        theirs = self.folder / "theirs"
        theirs.mkdir()
        (theirs / "disk.img").write_text("x", encoding="utf-8")
        status, _, err = self.run_driver("", "--exec", "x", "--logs", str(theirs))
        self.assertEqual((status, err.count("\n")), (2, 1))
        self.assertIn(f"--logs: {theirs} has files that no run has made", err)
        self.assertEqual([path.name for path in theirs.iterdir()], ["disk.img"])
        for _ in range(2):
            status, out, err = self.run_driver('frame("d", 0, "fine"); frame("x", 0, "0")', "--exec", "x", "--logs",
                                               str(self.folder / "new"))
            self.assertEqual((status, out), (0, b"fine"), err)

    def test_early_end(self):
        """A machine that ends without the child's end is a failure, however it looks."""
        for arguments, script in ((("--exec", "x"), 'raw(b"BIOS noise")'), ((), "")):
            status, _, err = self.run_driver('log("partita: this CPU has no AMD-V");' + script, *arguments)
            self.assertEqual(status, 125)
            self.assertIn("before the end of child 0", err)
            self.assertIn("this CPU has no AMD-V", err)

    def test_does_not_start(self):
        """QEMU's own complaint is the line."""
        status, _, err = self.run_driver("os.write(2, b\"fake_emulator.py: no CPU model 'x'\\n\"); sys.exit(1)",
                                         "--exec", "x", "--children", "16")
        self.assertEqual(status, 125)
        self.assertTrue(err.endswith("\npartita: QEMU did not start: no CPU model 'x'\n"), err)

    def test_error_frame(self):
        """The root's own explanation is the one line."""
        status, _, err = self.run_driver('frame("e", 0, "the kernel is cut off")', "--exec", "x")
        self.assertEqual(status, 125)
        self.assertIn("partita: the kernel is cut off\n", err)
        self.assertNotIn("last lines", err)

    def test_failed_child(self):
        """What the root says about a child is shown, and its status counts like any other."""
        status, _, err = self.run_driver("""
frame("e", 1, "minroot: child 1: triple fault"); frame("x", 1, "201"); frame("d", 0, "fine"); frame("x", 0, "0")
""", "--children", "2", "--exec", "x")
        self.assertEqual(status, 201)
        self.assertIn("partita: minroot: child 1: triple fault\n", err)

    def test_terminal_failures(self):
        """Without a command: the root's error, no end of the child, a stopped or panicked hypervisor."""
        cases = [('frame("c", 0, "Linux"); frame("e", 0, "the kernel is cut off")', "partita: the kernel is cut off"),
                 ('frame("c", 0, "Linux")', "before the end of child 0"),
                 ('raw(b"Linux"); log("partita: cannot run partitions: no AMD-V"); sys.exit(33)',
                  "the hypervisor stopped: cannot run partitions: no AMD-V"),
                 ('raw(b"Linux"); log("partita: panic: x"); sys.exit(35)', "the hypervisor panicked")]
        for script, text in cases:
            status, _, err = self.run_driver(script)
            self.assertEqual(status, 125)
            self.assertIn(text, err)

    def test_protocol_errors(self):
        """A root that breaks the protocol is not believed."""
        for script in ('frame("x", 1, "0"); frame("x", 0, "0")', 'frame("x", 0, "256")', 'frame("x", 0, "zero")',
                       'frame("x", 0, "0"); frame("x", 0, "0")'):
            status, _, _ = self.run_driver(script, "--exec", "x")
            self.assertEqual(status, 125, script)

    def test_terminate(self):
        """SIGTERM to the driver stops the emulator."""
        environment = self.environment("""
open("pid", "w").write(str(os.getpid()))
frame("d", 0, "ready\\n")
time.sleep(60)
""")
        with subprocess.Popen(self.command("--exec", "x"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment) as driver:
            self.assertEqual(driver.stdout.readline(), b"ready\n")
            driver.send_signal(signal.SIGTERM)
            _, err = driver.communicate(timeout=20)
            self.assertEqual(driver.returncode, 130, err)
        with self.assertRaises(ProcessLookupError):
            os.kill(int((self.folder / "build/run/pid").read_text()), 0)

    def test_terminal(self):
        """On a terminal keys arrive unchanged, Ctrl-C too, and Ctrl-A x ends it with the terminal put back."""
        main, other = pty.openpty()
        environment = self.environment("""
frame("c", 0, "ready\\n")
while True:
    frame("c", 0, b"<%s>" % os.read(0, 100).hex().encode())
""")
        with subprocess.Popen(self.command(), stdin=other, stdout=other, stderr=subprocess.PIPE,
                              env=environment) as driver:
            self.expect(main, b"ready")
            os.write(main, b"\x03a\r")
            self.expect(main, rb"<03610d>|<03>.*<61>.*<0d>")
            os.write(main, b"\x01x")
            _, err = driver.communicate(timeout=20)
        self.assertEqual(driver.returncode, 0, err)
        self.assertIn(b"Ctrl-A x", err)
        os.close(main)
        os.close(other)

    def expect(self, descriptor, pattern):
        """Reads until the pattern has come."""
        seen, deadline = b"", time.monotonic() + 20
        while not re.search(pattern, seen, re.DOTALL):
            ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, f"{pattern} did not come, but {seen}")
            seen += os.read(descriptor, 4096)

    def test_arguments(self):
        """Every bad argument gets one line that names it, status 2, and no emulator."""
        empty = self.folder / "empty"
        empty.touch()
        cases = [(["--vps", "0"], "--vps: 0 is too few"), (["--vps", "65"], "--vps: 65 is too many"),
                 (["--vps", "two"], "--vps: 'two' is not"), (["--children", "0"], "--children: 0"),
                 (["--children", "17"], "--children: 17"), (["--lps", "0"], "--lps: 0"), (["--lps", "-1"], "--lps"),
                 (["--memory", "63M"], "--memory: 63M is too little"), (["--memory", "1T"], "--memory: '1T'"),
                 (["--memory", "100G"], "--memory: .* too much"), (["--memory", "65M"], "--memory: 65M is not a mult"),
                 (["--kernel", "/no/such"], "--kernel: there is no file"),
                 (["--kernel", "/"], "--kernel: / is not a file"), (["--kernel", str(empty)], "--kernel: .* is empty"),
                 (["--initrd", "/no/such"], "--initrd: there is no file"), (["--timeout", "0"], "--timeout: 0"),
                 (["--append", "a\nb"], "--append: only printable"), (["--append", "x" * 1025], "--append: 1025"),
                 (["--bochs-cpu", "a b"], "--bochs-cpu: 'a b' is not"), (["--cpu", "arm"], "invalid choice: 'arm'"),
                 (["--firmware", "coreboot"], "invalid choice"), (["--bogus"], "--bogus"), (["extra"], "extra"),
                 (["--qemu-cpu", "a b"], "--qemu-cpu"), (["--exec", "x", "--initrd", "none"], "--exec needs an initrd"),
                 (["--append", 'a="b"'], "--append: double quotes"), (["--logs", ""], "--logs: the name is empty"),
                 (["--kernel", ""], "--kernel: the name is empty"), (["--initrd", ""], "--initrd: the name is empty"),
                 (["--memory", "٢٥٦M"], "--memory: '٢٥٦M' is not a size"),
                 (["--memory", "65536\u212a"], "--memory: .* is not a size"),
                 (["--qemu-cpu", "mäx"], "--qemu-cpu: 'mäx' is not")]
        cases += [([option, text], f"{option}: .* is not a whole number")
                  for option in ("--vps", "--children", "--lps", "--timeout") for text in ("٣", "1_0", "+3", " 3", "")]
        for arguments, pattern in cases:
            status, out, err = self.run_driver('open("started", "w")', *arguments)
            self.assertEqual((status, out), (2, b""), arguments)
            self.assertRegex(err, r"\Apartita: .*" + pattern)
            self.assertEqual(err.count("\n"), 1, err)
        self.assertFalse((self.folder / "build" / "run" / "started").exists())


class BochsRuns(StandIn):
    """The same command against the stand-in for Bochs, where that differs: how it boots, its console, its end."""

    OPTIONS = ("--cpu", "vmx")
    POWER_OFF = "\nlast_words('[ACPI  ] ACPI control: soft power off')\n"
    SHUTDOWN = "\nlast_words('[UNMAP ] Shutdown port: shutdown requested')\n"

    def setUp(self):
        super().setUp()
        programs = self.folder / "programs"
        programs.mkdir()
        mkrescue = programs / "grub-mkrescue"
        mkrescue.write_text(FAKE_MKRESCUE, encoding="ascii")
        mkrescue.chmod(0o755)
        for name in ("out/partita.elf", "out/minroot.elf", "guest/vmlinux", "guest/vmlinuz"):
            path = self.folder / "build" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        self.path = f"{programs}:{os.environ['PATH']}"

    def environment(self, script):
        return {**super().environment(script), "PATH": self.path}

    def test_exec(self):
        """Frames arrive over the socket, and the status is the child's though Bochs' own is always 1."""
        script = 'frame("d", 0, "out\\n"); frame("x", 0, "7")' + self.POWER_OFF
        status, out, err = self.run_driver(script, "--exec", "x")
        self.assertEqual((status, out), (7, b"out\n"), err)
        self.assertRegex(err, r"running on Bochs \(not KVM: ")

    def test_machine(self):
        """The ISO's modules, with the kernel that is not compressed; model, processors and memory."""
        status, out, err = self.run_driver("""
frame("d", 0, open("boot.disk", "rb").read() + open("bochsrc", "rb").read()); frame("x", 0, "0")
""" + self.POWER_OFF, "--memory", "64M", "--append", "a=b c", "--lps", "2", "--exec", "x")
        self.assertEqual(status, 0, err)
        for text in ("multiboot2 /boot/partita.elf 'onstop=poweroff'", "/boot/vmlinuz 'kernel'",
                     "'frames=1' 'append=console=ttyS0 quiet panic=-1 partita.exec a=b c'",
                     "model=corei7_haswell_4770, count=2,", "memory: guest=320, host=320"):
            self.assertIn(text, out.decode())
        self.assertFalse((self.folder / "build/run/boot.iso").exists())

    def test_model(self):
        """A model of Bochs' chooses Bochs, whatever the host could do, and must fit --cpu; one of QEMU's is no use
        there."""
        script = 'frame("d", 0, open("bochsrc", "rb").read()); frame("x", 0, "0")' + self.POWER_OFF
        for cpu, model, other in (("svm", "ryzen", "tigerlake"), ("vmx", "tigerlake", "ryzen")):
            status, out, err = self.run_driver(script, "--exec", "x", "--cpu", cpu, "--bochs-cpu", model)
            self.assertEqual(status, 0, err)
            self.assertIn(f"model={model}, count=1,", out.decode())
            self.assertIn("running on Bochs\n", err)
            status, _, err = self.run_driver("", "--cpu", cpu, "--bochs-cpu", other)
            self.assertEqual(status, 2)
            self.assertRegex(err, f"--bochs-cpu {other}: not with --cpu {cpu};")
        status, _, err = self.run_driver("", "--bochs-cpu", "tigerlake", "--qemu-cpu", "max")
        self.assertEqual(status, 2)
        self.assertRegex(err, "--qemu-cpu: this runs on Bochs")

    def test_interactive(self):
        """Bytes go both ways, and a power-off ends it well; being lost does not."""
        script = 'frame("c", 0, "partita-guest: up\\r\\n"); frame("c", 0, b"echo " + os.read(0, 100))'
        status, out, err = self.run_driver(script + '; frame("x", 0, "0")' + self.POWER_OFF, stdin=b"poweroff\n")
        self.assertEqual((status, out), (0, b"partita-guest: up\r\necho poweroff\n"), err)
        status, _, err = self.run_driver(script + "\nlast_words('[CPU0  ] triple fault')", stdin=b"poweroff\n")
        self.assertEqual(status, 125)
        self.assertIn("the machine stopped ([CPU0  ] triple fault) before the end of child 0", err)

    def test_ends(self):
        """A hypervisor that stopped or panicked is told from its log."""
        for line, text in (("cannot run partitions: x", "the hypervisor stopped: cannot run partitions: x"),
                           ("panic: stopped", "the hypervisor panicked")):
            status, _, err = self.run_driver(f'log("partita: {line}")' + self.SHUTDOWN, "--exec", "x")
            self.assertEqual(status, 125)
            self.assertIn(text, err)

    def test_timeout(self):
        """Bochs is killed like QEMU."""
        status, _, err = self.run_driver('open("pid", "w").write(str(os.getpid())); time.sleep(60)', "--exec", "x",
                                         "--timeout", "6")
        self.assertEqual(status, 124, err)
        with self.assertRaises(ProcessLookupError):
            os.kill(int((self.folder / "build/run/pid").read_text()), 0)

    def test_does_not_start(self):
        """Bochs' own complaint is the line."""
        status, _, err = self.run_driver("# no console\nlast_words('bochsrc:4: cpu directive malformed.')")
        self.assertEqual(status, 2)
        self.assertIn("partita: Bochs did not start: bochsrc:4: cpu directive malformed.\n", err)

    def test_missing(self):
        """What the machine lacks, and what Bochs has not, is one line each."""
        status, _, err = self.run_driver("", "--firmware", "uefi")
        self.assertEqual((status, err.count("\n")), (2, 2))
        self.assertIn("--firmware uefi: this runs on Bochs", err)
        status, _, err = self.run_driver("", "--qemu-cpu", "max")
        self.assertEqual(status, 2)
        self.assertIn("--qemu-cpu: this runs on Bochs", err)
        (self.folder / "programs" / "grub-mkrescue").unlink()
        self.path = str(self.folder / "programs")
        status, _, err = self.run_driver("")
        self.assertEqual(status, 2)
        self.assertIn("grub-mkrescue is missing", err)
        for wrong, text in (({"PARTITA_BOCHS": "/no/bochs"}, "/no/bochs is missing"),):
            with unittest.mock.patch.dict(os.environ, wrong), self.assertRaisesRegex(Failure, text):
                machine.bochs_command(machine.Machine(Path("x")), self.folder, Path("x"))
        with unittest.mock.patch.dict(machine.BOCHS_FILES, {"vgabios": Path("/no/rom")}), \
                unittest.mock.patch.dict(os.environ, {"PARTITA_BOCHS": str(FAKE)}), \
                self.assertRaisesRegex(Failure, r"firmware is missing: /no/rom \(package vgabios\)"):
            machine.bochs_command(machine.Machine(Path("x")), self.folder, Path("x"))


class Suite(unittest.TestCase):
    """Which tests there are and which are chosen; guests in one boot."""

    CFG = """
[run-a]
kind = run
[run-b]
kind = run
backend = svm
slow = yes
[boot-c]
kind = direct
group = boot
[guest-d]
kind = guest
image = hello.elf
stdout = d
[guest-e]
kind = guest
image = hello.elf
args = --children 2
status = 7
expect = ^e0
sibling = ^e1
hv = ^e
[guest-f]
kind = guest
image = hello.elf
lps = 2
"""

    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.folder = Path(self.scratch.name)

    def all_tests(self):
        """The tests of the sections above."""
        path = self.folder / "tests.cfg"
        path.write_text(self.CFG, encoding="utf-8")
        return suite.system_tests(path)

    def test_instances(self):
        """One for each backend, unless the test is about one or chooses its machine itself."""
        self.assertEqual([test.name for test in self.all_tests()],
                         ["run-a", "run-a@vmx", "run-b", "boot-c", "guest-d", "guest-d@vmx", "guest-e", "guest-e@vmx",
                          "guest-f", "guest-f@vmx"])

    def test_select(self):
        """Names and groups mean all instances that --cpu leaves; a full name means just that one."""
        for names, options, wanted in (
                (["run-a"], {}, ["run-a", "run-a@vmx"]), (["run-a"], {"cpus": ("svm",)}, ["run-a"]),
                (["run"], {"cpus": ("vmx",)}, ["run-a@vmx"]), (["run-a@vmx"], {}, ["run-a@vmx"]),
                (["run"], {"slow": True}, ["run-a", "run-a@vmx", "run-b"]), (["run-b"], {}, ["run-b"]),
                (["boot"], {}, ["boot-c"]),
                ([], {"cpus": ("vmx",)}, ["run-a@vmx", "boot-c", "guest-d@vmx", "guest-e@vmx", "guest-f@vmx"]),
                ([], {"guest": "d"}, ["guest-d", "guest-d@vmx"])):
            self.assertEqual([test.name for test in suite.select(self.all_tests(), names, **options)], wanted, names)
        for options, text in (({"names": ["nix"]}, "unknown test group 'nix'"),
                              ({"names": [], "guest": "nix"}, "unknown guest 'nix'")):
            with self.assertRaisesRegex(Failure, text):
                suite.select(self.all_tests(), **options)

    def test_slow(self):
        """All instances of a test can be slow, or that of one backend; anything else is refused."""
        path = self.folder / "slow.cfg"
        for value, wanted in (("yes", [True, True]), ("no", [False, False]), ("vmx", [False, True])):
            path.write_text(f"[a]\nkind = run\nslow = {value}\n", encoding="utf-8")
            self.assertEqual([test.is_slow for test in suite.system_tests(path)], wanted)
        path.write_text("[a]\nkind = run\nslow = maybe\n", encoding="utf-8")
        with self.assertRaisesRegex(Failure, "slow = 'maybe', expected yes, no, svm or vmx"):
            suite.system_tests(path)

    def test_boot_machine(self):
        """A boot has an instance on each emulator, and its patterns know the backend; one that says so is elsewhere."""
        path = self.folder / "boot.cfg"
        path.write_text("[a]\nkind = boot\n", encoding="utf-8")
        self.assertEqual([test.name for test in suite.system_tests(path)], ["a", "a@vmx"])
        sections = configparser.ConfigParser()
        sections.read_dict({"plain": {}, "bochs": {"emulator": "bochs", "cpu": "ryzen"}, "bios": {"firmware": "bios"}})
        for name, cpu, wanted in (("plain", "svm", (False, "kernel", "")), ("plain", "vmx", (True, "bios", "")),
                                  ("bochs", "svm", (True, "bios", "ryzen")), ("bios", "svm", (False, "bios", ""))):
            box = systemtests.boot_machine(sections[name], cpu)
            self.assertEqual((box.accelerator.is_bochs, box.firmware, box.cpu), wanted)
        self.assertEqual([systemtests.fill("{backend}", cpu) for cpu in ("svm", "vmx")], ["AMD-V", "VT-x"])

    def test_long_programs(self):
        """A test program on generated input has a second, slow instance that says how many cases to make."""
        group = self.folder / "tests" / "unit"
        group.mkdir(parents=True)
        (group / "test_a.c").write_text("/* nothing */\n", encoding="utf-8")
        (group / "test_b.c").write_text("/* slow: 12345 */\n", encoding="utf-8")
        tests = suite.program_tests(self.folder)
        self.assertEqual([(test.name, test.is_slow) for test in tests],
                         [("unit/a", False), ("unit/b", False), ("unit/b-long", True)])
        with unittest.mock.patch.object(suite, "run_program") as run:
            for test in tests:
                test.action(group)
        self.assertEqual([call.args[3:] for call in run.call_args_list], [(), (), ([("PARTITA_COUNT", "12345")],)])

    def test_program_settings(self):
        """They are in the program's environment."""
        suite.run_program(["/usr/bin/env"], self.folder, 10, [("PARTITA_COUNT", "9")])
        self.assertIn("\nPARTITA_COUNT=9\n", (self.folder / "output.log").read_text(encoding="utf-8"))

    def test_jobs(self):
        """Guests for the same machine are one job, as long as it does not get too long."""
        names = [[test.name for test in job] for job in suite.jobs(self.all_tests())]
        self.assertEqual(names, [["run-a"], ["run-a@vmx"], ["run-b"], ["boot-c"], ["guest-d", "guest-e"],
                                 ["guest-d@vmx", "guest-e@vmx"], ["guest-f"], ["guest-f@vmx"]])
        with unittest.mock.patch.object(suite, "BATCH_MAX", 1):
            self.assertEqual(len(suite.jobs(self.all_tests())), 10)

    def test_order(self):
        """Children may say their lines in any order, but each its own in order; nothing is missing or too much."""
        sections = configparser.ConfigParser()
        sections.read_dict({"several": {"stdout": "child0: 1\nchild0: 2\nchild1: 1\nchild1: 2"},
                            "one": {"stdout": "child\na"}})
        several, one = sections["several"], sections["one"]
        for section, out, is_good in (
                (several, "child0: 1\nchild1: 1\nchild1: 2\nchild0: 2\n", True),
                (several, "child1: 1\nchild1: 2\nchild0: 1\nchild0: 2\n", True),
                (several, "child0: 2\nchild0: 1\nchild1: 1\nchild1: 2\n", False),
                (several, "child0: 1\nchild0: 2\nchild1: 1\n", False),
                (several, "child0: 1\nchild0: 2\nchild1: 1\nchild1: 2\nextra\n", False),
                (several, "child0: 1\nchild0: 2\nchild1: 1\nchild1: 2", False),
                (one, "child\na\n", True), (one, "a\nchild\n", False)):
            with contextlib.nullcontext() if is_good else self.assertRaisesRegex(systemtests.Broken, "stdout is"):
                systemtests.judge(section, self.folder, 0, out, "")

    def run_guests(self, script):
        """The problems of guest-d and guest-e when each boot plays this script."""
        guests = self.folder / "guests"
        guests.mkdir(exist_ok=True)
        (guests / "hello.elf").write_bytes(b"x")
        (self.folder / "script.py").write_text(script, encoding="utf-8")
        environment = {"PARTITA_QEMU": str(FAKE), "PARTITA_FAKE_SCRIPT": str(self.folder / "script.py")}
        with unittest.mock.patch.dict(os.environ, environment), \
                unittest.mock.patch.multiple(suite, FOLDER=self.folder / "test"), \
                unittest.mock.patch.multiple(systemtests, OUT=self.folder, GUEST_SECONDS=10):
            chosen = suite.select(self.all_tests(), ["guest-d", "guest-e"], ("svm",))
            return [(test.name, test.problem) for test in suite.run_batch(chosen)]

    BEGIN_D = 'log("partita: ready"); frame("b", 0, "0"); frame("d", 0, "d\\n");'
    BEGIN_E = 'frame("b", 0, "1"); time.sleep(0.5); log("e ran"); frame("c", 0, "e0\\n"); frame("c", 1, "e1\\n");'
    END_D = 'frame("x", 0, "0");'
    END_E = 'frame("x", 1, "0"); frame("x", 0, "7");'

    def test_batch(self):
        """Each guest is judged by its own part of consoles, data, statuses and log."""
        self.assertEqual(self.run_guests(self.BEGIN_D + self.END_D + self.BEGIN_E + self.END_E),
                         [("guest-d", None), ("guest-e", None)])
        self.assertEqual((self.folder / "test/guest-d/hv.log").read_text(), "partita: ready\n")
        self.assertEqual((self.folder / "test/guest-e/hv.log").read_text(), "e ran\n")
        self.assertEqual((self.folder / "test/guest-e/child1.log").read_text(), "e1\n")

    def test_batch_failure(self):
        """One guest's failure, or one that cannot be started, is not another one's."""
        problems = dict(self.run_guests(self.BEGIN_D + 'frame("e", 0, "minroot: no");' + self.BEGIN_E +
                                        self.END_E))
        self.assertEqual(problems, {"guest-d": "status 125, expected 0: partita: minroot: no", "guest-e": None})
        problems = dict(self.run_guests(self.BEGIN_D + self.END_D + self.BEGIN_E + 'frame("x", 1, "0");' +
                                        'frame("x", 0, "8")'))
        self.assertEqual(problems, {"guest-d": None, "guest-e": "status 8, expected 7: nothing on stderr"})

    def test_batch_dies(self):
        """The guest at which the machine stops or hangs fails; the rest get a boot of their own."""
        rest = f'frame("b", 0, "0"); {self.BEGIN_E.partition(";")[2]} {self.END_E}'
        for death, text in (("sys.exit(35)", "the hypervisor panicked"), ("time.sleep(60)", "no end after 10 s")):
            problems = self.run_guests(f"""
if "guest1.elf" in argument("-initrd"):
    {self.BEGIN_D} {death}
else:
    {rest}
""")
            self.assertEqual([name for name, _ in problems], ["guest-d", "guest-e"])
            self.assertIn(text, problems[0][1])
            self.assertIsNone(problems[1][1])

    def test_batch_without_boot(self):
        """A machine that never comes to the first guest is not started again for each of them."""
        for script, text in (('log("partita: no AMD-V"); open("../../../count", "a").write("x"); sys.exit(33)',
                              "the hypervisor stopped: no AMD-V before the first guest"),
                             ('open("../../../count", "a").write("x"); frame("e", 0, "minroot: no")', "minroot: no")):
            for _, problem in self.run_guests(script):
                self.assertIn(text, problem)
        self.assertEqual((self.folder / "count").read_text(), "xx")


class Fuzzing(unittest.TestCase):
    """What becomes of a fuzz target that fails; a shell script stands in for its program."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.log = self.folder / "test"
        self.log.mkdir()
        (self.folder / "fuzz").mkdir()
        (self.folder / "corpus" / "one").mkdir(parents=True)
        (self.folder / "fuzz_one.c").touch()

    def run_test(self, script):
        """The test of target "one" with this program."""
        program = self.folder / "fuzz" / "fuzz_one"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)
        with unittest.mock.patch.multiple(fuzzing, SOURCES=self.folder, program=lambda *_: program):
            fuzzing.test("one", self.log)

    def test_passes(self):
        """The inputs are replayed, then the target runs for some seconds from a seed that is always the same."""
        (self.folder / "corpus" / "one" / "a").touch()
        self.run_test('echo "$@"')
        replayed, explored = (self.log / "output.log").read_text().splitlines()
        self.assertEqual(replayed, str(self.folder / "corpus/one/a"))
        self.assertRegex(explored, rf"^-seed={fuzzing.SEED} -max_total_time={fuzzing.SECONDS} ")

    def test_fails(self):
        """A committed input that fails, and a new one: the error says how to repeat it."""
        with self.assertRaisesRegex(fuzzing.Broken, "is empty"):
            self.run_test("true")
        (self.folder / "corpus" / "one" / "a").touch()
        with self.assertRaisesRegex(fuzzing.Broken, r"^status 3; replay: ./partita fuzz one FILE, with the last"):
            self.run_test("exit 3")
        replay = f"replay: ./partita fuzz one {self.log}/crash-x"
        with self.assertRaisesRegex(fuzzing.Broken, rf"^status 77; seed {fuzzing.SEED}; {replay}$"):
            self.run_test('case "$1" in -seed=*) touch crash-x; exit 77;; esac')

    def test_arguments(self):
        """Without a target, or with one that is not there, all are listed."""
        with unittest.mock.patch.object(fuzzing, "SOURCES", self.folder):
            for arguments, text in (([], "^which fuzz target"), (["two"], "^unknown fuzz target 'two'")):
                with self.assertRaisesRegex(Failure, text + ".*; there are one$"):
                    fuzzing.main(arguments)
            self.assertEqual([test.name for test in suite.fuzz_tests()], ["fuzz/one"])


class LineCoverage(unittest.TestCase):
    """What is made of the counts."""

    @staticmethod
    def summary(lines, branches):
        """A file's, with so many of 100 lines and 20 branches that ran."""
        return {"lines": {"count": 100, "covered": lines}, "branches": {"count": 20, "covered": branches}}

    def counts(self, hypercall):
        """All limited folders full, but for hv/hypercall."""
        files = {f"{folder}/a.c": self.summary(100, 20) for folder in linecoverage.LINES_MIN}
        files["hv/hypercall/a.c"] = hypercall
        files["hv/lib/x86/b.c"] = self.summary(50, 0)
        return linecoverage.by_folder(files)

    def test_limits(self):
        """Just enough is enough, a branch less is not; what was never counted is too little."""
        self.assertEqual(linecoverage.shortfalls(self.counts(self.summary(85, 15)))[1:], [])
        self.assertEqual(linecoverage.shortfalls(self.counts(self.summary(85, 14)))[1:],
                         ["hv/hypercall: 70.0 % of branches, at least 75 % are wanted"])
        self.assertEqual(len(linecoverage.shortfalls({})), 5)

    def test_folders(self):
        """A limited folder includes what is below it, which has a line of its own as well."""
        folders = self.counts(self.summary(100, 20))
        self.assertEqual(folders["hv/lib"].percent("lines"), 75.0)
        self.assertEqual(folders["hv/lib/x86"].percent("lines"), 50.0)
        self.assertEqual(linecoverage.shortfalls(folders), ["hv/lib: 75.0 % of lines, at least 85 % are wanted"])
        self.assertEqual(len(list(linecoverage.table(folders))), 1 + len(folders))

    def test_absent(self):
        """A file that is in no program is named."""
        self.assertIn("hv/exit/route.c", linecoverage.absent({}))
        self.assertNotIn("hv/exit/route.c", linecoverage.absent({"hv/exit/route.c": None}))


if __name__ == "__main__":
    unittest.main()

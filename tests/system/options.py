# SPDX-License-Identifier: MIT
"""The options that describe a machine with a root and its children: their parsing, their limits, their errors."""

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path

import guestfiles
import initramfs
from common import Failure
from machine import BOCHS_AMD_MODELS, BOCHS_MODEL, ROOT_MEMORY_MIB, VENDORS, Drive, Module

VPS_MAX = 64
CHILDREN_MAX = 16
LPS_MAX = 64
MEMORY_MIN_MIB = 64
MEMORY_STEP_MIB = 2
MEMORY_MAX_MIB = 64 * 1024
# Of all files together: the boot loader puts them below the machine's hole at 2 GiB. Some fit into the root's memory.
FILES_MAX_MIB = 1024
ROOT_FILES_MIB = 128
FIRST_PIECE_MIB = 2048
DISKS_MAX = 8
DISK_BLOCK_BYTES = 512
APPEND_MAX = 1024
TIMEOUT_DEFAULT_S = 600
NONE = "none"
DEFAULT = "default"

# panic=-1: a guest that panics restarts at once, which ends it here, instead of standing still until the timeout.
CHILD_COMMAND_LINE = "console=ttyS0 quiet panic=-1"


@dataclass
class Disk:
    """A file that becomes a disk of the children."""

    path: Path
    is_read_only: bool
    is_snapshot: bool
    is_spare: bool


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, in the driver's own manner."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message):
        raise Failure(f"{message} (see ./partita {self.prog.split()[-1]} --help)")


def parse_memory(text):
    """A size like 256M or 1G in MiB; a plain number is MiB."""
    found = re.fullmatch(r"([0-9]{1,9})([KMG]?)(?:i?B)?", text, re.IGNORECASE | re.ASCII)
    if not found:
        raise Failure(f"--memory: {text!r} is not a size like 256M or 1G")
    number, unit = int(found.group(1)), found.group(2).upper() or "M"
    return {"K": number // 1024, "M": number, "G": number * 1024}[unit]


def whole(name, text, least, most):
    """A whole number within limits, with an error that names the option."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise Failure(f"{name}: {text!r} is not a whole number")
    value = int(text)
    if value < least:
        raise Failure(f"{name}: {value} is too few, the least is {least}")
    if value > most:
        raise Failure(f"{name}: {value} is too many, the most is {most}")
    return value


def add_machine_options(parser):
    """Options shared by run and iso."""
    group = parser.add_argument_group("the children")
    group.add_argument("--children", default="1", metavar="N",
                       help=f"how many, all alike (default 1, at most {CHILDREN_MAX})")
    group.add_argument("--vps", default="2", metavar="N",
                       help=f"virtual processors of each (default 2, at most {VPS_MAX})")
    group.add_argument("--memory", default="256M", metavar="SIZE",
                       help=f"memory of each, like 256M or 1G (default 256M, at least {MEMORY_MIN_MIB}M)")
    group.add_argument("--kernel", metavar="FILE", action="append",
                       help="what they boot: a bzImage, an ELF with a PVH entry or a Multiboot1 kernel ('default', and "
                            "without this option: Debian's own kernel); given again for child 1, 2 and so on, the last "
                            "one serves all that follow")
    group.add_argument("--initrd", metavar="FILE", help="initial RAM disk (default: one with BusyBox, whose "
                                                                  "/init knows --exec; 'none': without)")
    group.add_argument("--disk", metavar="FILE[,ro|,snapshot][,spare]", action="append", default=[],
                       help="a SCSI disk on VMBus with this content, read-only with ',ro'; given again for others "
                            f"(LUN 0, 1 and so on, at most {DISKS_MAX}; Linux may name them in another order). What is "
                            "written is in FILE; with ',snapshot' it is lost, as it always is in Bochs and from an "
                            "ISO, where the disk lies in memory. Several children each need ',ro' or ',snapshot'. With "
                            "',spare' it is not there before './partita control disk-add LUN'")
    group.add_argument("--append", default="", metavar="STR",
                       help=f"added to their kernel command line, which begins '{CHILD_COMMAND_LINE}' and ends with "
                            "'partita.child=N', where N counts them from 0")
    group.add_argument("--no-vmbus", action="store_true", help="leave VMBus out of them")
    group.add_argument("--net", choices=("none", "private"), default="none",
                       help="network adapter of each: none (default), or one at a switch between the children alone")
    group.add_argument("--exec", dest="command", metavar="COMMAND",
                       help="run this in the shell of each child, print only its output, exit with its status; their "
                            "command line has 'partita.exec', and /etc/partita-exec the command")
    group.add_argument("--hv-append", default="", metavar="STR", help="command line of the hypervisor itself")
    # Frames without a command, for bare guests that report through the exit device.
    group.add_argument("--frames", action="store_true", help=argparse.SUPPRESS)
    # Words for minroot itself, like the name of one of its self-tests.
    group.add_argument("--root-append", default="", help=argparse.SUPPRESS)
    group.add_argument("--no-build", action="store_true", help=argparse.SUPPRESS)


def add_emulator_options(parser):
    """Options of run alone."""
    group = parser.add_argument_group("the machine")
    group.add_argument("--lps", metavar="N",
                       help=f"processors (default: 2, or 1 on a host with one and in Bochs; at most {LPS_MAX})")
    group.add_argument("--cpu", choices=tuple(VENDORS),
                       help="kind of virtualisation: AMD-V (svm) in QEMU, with KVM where that really works; Intel VT-x "
                            "(vmx) in QEMU with KVM where that really works, else in Bochs, which takes about a minute "
                            "to boot (default: what works with KVM here, else svm)")
    group.add_argument("--qemu-cpu", metavar="MODEL", help="CPU model for QEMU (default: max, or host with KVM)")
    group.add_argument("--bochs-cpu", metavar="MODEL",
                       help=f"run in Bochs, on this CPU model of its (default in Bochs: {BOCHS_MODEL})")
    group.add_argument("--firmware", choices=("kernel", "bios", "uefi"),
                       help="start the image directly (kernel, the default in QEMU), or boot the ISO on BIOS (the only "
                            "way in Bochs) or UEFI")
    group.add_argument("--timeout", metavar="S",
                       help=f"give up after S seconds, status 124 (default {TIMEOUT_DEFAULT_S}; none on a terminal "
                            "without --exec)")
    group.add_argument("--logs", metavar="DIR", help="where the logs go (default build/run)")
    group.add_argument("--verbose", action="store_true",
                       help="also show consoles and what the hypervisor logs, on stderr")


def named(option, text):
    """The path that an option gives, or a Failure that names the option: an empty one would be the current folder."""
    if not text:
        raise Failure(f"{option}: the name is empty")
    return Path(text).absolute()


def readable(option, text):
    """The path of a file that can be read, or a Failure that names the option."""
    path = named(option, text)
    if not path.exists():
        raise Failure(f"{option}: there is no file {text}")
    if not path.is_file():
        raise Failure(f"{option}: {text} is not a file")
    if not os.access(path, os.R_OK):
        raise Failure(f"{option}: {text} cannot be read")
    if path.stat().st_size == 0:
        raise Failure(f"{option}: {text} is empty")
    return path


def parse_disk(text):
    """The disk that FILE with or without words behind it names, or a Failure that says what cannot be one."""
    name, comma, words = text.partition(",")
    flags = words.split(",") if comma else []
    if flags not in ([], ["ro"], ["snapshot"], ["spare"], ["ro", "spare"], ["snapshot", "spare"]):
        raise Failure(f"--disk: only 'ro' or 'snapshot', and then 'spare', may follow a comma, not {words!r}; a file "
                      "with a comma in its name needs another one")
    path = readable("--disk", name)
    if path.stat().st_size % DISK_BLOCK_BYTES != 0:
        raise Failure(f"--disk: {path} has {path.stat().st_size} bytes, which is not a multiple of {DISK_BLOCK_BYTES}")
    return Disk(path, "ro" in flags, "snapshot" in flags, "spare" in flags)


def size_mib(path):
    """How many MiB a file fills; none when it is still to be fetched, which the default guest may be."""
    return -(-path.stat().st_size // 2**20) if path.is_file() else 0


def files(options):
    """The files that are loaded for the children, as (MiB, option that names it, path): kernels, the initrd if there is
    one, and disks that lie in memory."""
    named_files = [("--kernel", path) for path in options.kernel]
    if initrd_file(options) is not None:
        named_files.append(("--initrd", initrd_file(options)))
    if options.has_memory_disks:
        named_files += [("--disk", disk.path) for disk in options.disk]
    return [(size_mib(path), option, path) for option, path in named_files]


def check_sizes(options):
    """Files that are too big, for the machine or for the memory of a child, are named before anything starts."""
    found = files(options)
    if sum(mib for mib, _, _ in found) > FILES_MAX_MIB:
        mib, option, path = max(found)
        raise Failure(f"{option}: {path} has {mib} MiB, and {FILES_MAX_MIB} MiB is the most for all files together; "
                      "give smaller ones")
    initrds = [file for file in found if file[1] == "--initrd"]
    for kernel in found[:len(options.kernel)]:
        mib, option, path = max([kernel, *initrds])
        together_mib = sum(file[0] for file in (kernel, *initrds))
        if together_mib > options.memory:
            raise Failure(f"{option}: {path} has {mib} MiB, and kernel and initrd with {together_mib} MiB do not fit "
                          f"into --memory {options.memory}M; give smaller ones, or more memory")


def machine_memory_mib(options):
    """The machine's memory: the children's with their copies of disks, the root's, and what large files need beside
    it. From 2 GiB on it comes in two pieces, and at the end of the first one there may be too little for a child, whose
    memory is in one."""
    files_mib = sum(mib for mib, _, _ in files(options))
    copies_mib = sum(size_mib(disk.path) for disk in options.disk
                     if options.has_memory_disks and not disk.is_read_only)
    total = options.children * (options.memory + copies_mib) + ROOT_MEMORY_MIB + max(0, files_mib - ROOT_FILES_MIB)
    return total if total < FIRST_PIECE_MIB else total + min(options.memory, FIRST_PIECE_MIB)


def printable(option, text, most):
    """A command line that survives its way through boot loaders and minroot's own quoting, or a Failure."""
    if len(text) > most:
        raise Failure(f"{option}: {len(text)} characters are too many, the most is {most}")
    if not all(" " <= character <= "~" for character in text):
        raise Failure(f"{option}: only printable ASCII characters are possible")
    if '"' in text:
        raise Failure(f"{option}: double quotes cannot be passed on")
    return text


def check(options, has_memory_disks=False):
    """Turns the texts of the machine options into checked values, in place; every error is one Failure. Disks in memory
    are for machines without virtio."""
    options.children = whole("--children", options.children, 1, CHILDREN_MAX)
    options.vps = whole("--vps", options.vps, 1, VPS_MAX)
    options.memory = parse_memory(options.memory)
    if options.memory < MEMORY_MIN_MIB:
        raise Failure(f"--memory: {options.memory}M is too little, the least is {MEMORY_MIN_MIB}M")
    if options.memory > MEMORY_MAX_MIB:
        raise Failure(f"--memory: {options.memory}M is too much, the most is {MEMORY_MAX_MIB}M")
    if options.memory % MEMORY_STEP_MIB != 0:
        raise Failure(f"--memory: {options.memory}M is not a multiple of {MEMORY_STEP_MIB}M")
    options.kernel = [guestfiles.KERNEL if file == DEFAULT else readable("--kernel", file)
                      for file in options.kernel or [DEFAULT]]
    if len(options.kernel) > options.children:
        raise Failure(f"--kernel: given {len(options.kernel)} times for --children {options.children}")
    printable("--append", options.append, APPEND_MAX)
    printable("--hv-append", options.hv_append, APPEND_MAX)
    printable("--root-append", options.root_append, APPEND_MAX)
    if options.initrd is not None and options.initrd != NONE:
        options.initrd = readable("--initrd", options.initrd)
    if len(options.disk) > DISKS_MAX:
        raise Failure(f"--disk: {len(options.disk)} are too many, the most is {DISKS_MAX}")
    if options.net != "none" and options.no_vmbus:
        raise Failure("--net: network adapters are on VMBus, and --no-vmbus leaves it out")
    if options.disk and options.no_vmbus:
        raise Failure("--disk: disks are on VMBus, and --no-vmbus leaves it out")
    options.disk = [parse_disk(text) for text in options.disk]
    if options.children > 1 and not all(disk.is_read_only or disk.is_snapshot for disk in options.disk):
        raise Failure("--disk: several children would write to one file; add ',snapshot', or ',ro'")
    options.has_memory_disks = has_memory_disks
    check_sizes(options)
    if options.initrd is not None and options.initrd != NONE:
        try:
            initramfs.check(options.initrd.read_bytes(), options.memory << 20)
        except Failure as failure:
            raise Failure(f"--initrd: {options.initrd} is damaged or too big: {failure}") from failure
    if options.command is not None:
        if options.initrd == NONE:
            raise Failure("--exec needs an initrd, and --initrd none leaves it out")
        if "\0" in options.command:
            raise Failure("--exec: the command contains a NUL character")


def check_emulator(options):
    """The same for the options of run alone."""
    if options.logs is not None:
        options.logs = named("--logs", options.logs)
    if options.lps is not None:
        options.lps = whole("--lps", options.lps, 1, LPS_MAX)
    if options.timeout is not None:
        options.timeout = whole("--timeout", options.timeout, 1, 1_000_000)
    for option, model in (("--qemu-cpu", options.qemu_cpu), ("--bochs-cpu", options.bochs_cpu)):
        if model is not None and not re.fullmatch(r"[\w.,+=-]+", model, re.ASCII):
            raise Failure(f"{option}: {model!r} is not a CPU model")
    if options.cpu and options.bochs_cpu and (options.cpu == "svm") != (options.bochs_cpu in BOCHS_AMD_MODELS):
        raise Failure(f"--bochs-cpu {options.bochs_cpu}: not with --cpu {options.cpu}; the model is of a processor "
                      f"without {VENDORS[options.cpu].name}")


def settle(options, accelerator):
    """Fills in what depends on the machine that was chosen, and refuses what that machine does not have."""
    if accelerator.is_bochs:
        if options.qemu_cpu is not None:
            raise Failure("--qemu-cpu: this runs on Bochs, where --bochs-cpu chooses the model")
        if options.firmware not in (None, "bios"):
            raise Failure(f"--firmware {options.firmware}: this runs on Bochs, which has only a BIOS")
        # It would take Bochs minutes to unpack the kernel.
        options.kernel = [guestfiles.VMLINUX if file == guestfiles.KERNEL else file for file in options.kernel]
        options.model, options.firmware, lps = options.bochs_cpu or "", "bios", 1
        options.has_memory_disks = True
        check_sizes(options)
    else:
        options.model, options.firmware, lps = options.qemu_cpu or "", options.firmware or "kernel", 2
    options.lps = options.lps or min(os.cpu_count() or 1, lps)


def needs_default_guest(options):
    """True if Debian's kernel or our initramfs is wanted."""
    return guestfiles.KERNEL in options.kernel or options.initrd is None


def owns_terminal(options):
    """True if our stdin and stdout are a child's console: one child and no command."""
    return options.command is None and options.children == 1 and not options.frames


def root_command_line(options, is_framed=True):
    """minroot's command line; quotes keep the blanks of a word, and are taken away by minroot. What the children say
    comes in frames, unless whoever reads it does not know them."""
    # The guest's first process then knows that a command has to be there.
    exec_word = "partita.exec" if options.command is not None else ""
    child = " ".join(word for word in (CHILD_COMMAND_LINE, exec_word, options.append) if word)
    spare = sum(1 << lun for lun, disk in enumerate(options.disk) if disk.is_spare)
    words = [f"vps={options.vps}", f"memory={options.memory}M", f"children={options.children}",
             f"frames={int(is_framed)}", "vmbus=0" if options.no_vmbus else "",
             "net=1" if options.net == "private" else "",
             f"disks={len(options.disk)}" if options.disk and not options.has_memory_disks else "",
             f"spare={spare}" if spare else "", options.root_append, f'append="{child}"']
    return " ".join(word for word in words if word)


def kernel_modules(options):
    """The files that the children boot, as minroot looks for them: kernel0, kernel1 ..., and kernel for the rest."""
    names = [f"kernel{index}" for index in range(len(options.kernel) - 1)] + ["kernel"]
    return [Module("vmlinuz" if name == "kernel" else name, file, name) for name, file in zip(names, options.kernel)]


def drives(options):
    """The disks of all children, in their order, as virtio block devices."""
    if options.has_memory_disks:
        return []
    return [Drive(disk.path, disk.is_read_only, disk.is_snapshot) for _ in range(options.children)
            for disk in options.disk]


def disk_modules(options):
    """The disks that lie in memory, in their order."""
    if not options.has_memory_disks:
        return []
    return [Module(f"disk{index}.img", disk.path, "ro disk" if disk.is_read_only else "disk")
            for index, disk in enumerate(options.disk)]


def initrd_file(options):
    """The base initrd, or None."""
    if options.initrd == NONE:
        return None
    return options.initrd or guestfiles.INITRD

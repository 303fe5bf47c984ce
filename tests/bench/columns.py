# SPDX-License-Identifier: MIT
"""The columns of the bench: each boots one hypervisor on the emulated CPU, with the bench guest in it, and returns what
that printed, as operation -> instructions."""

import contextlib
import gzip
import re
import select
import subprocess
import time

import building
import counting
import guestfiles
import iso
import machine
import nested
import options as machine_options
import packages
import runner
from common import OUT, Failure, build_lock
from frames import Demultiplexer

GUEST = OUT / "guests" / "bench.elf"
FLOOR = OUT / "bench" / "floor.elf"
XEN_GUEST = OUT / "bench" / "bench_xen.elf"
XEN_PACKAGE = "xen-hypervisor-4.17-amd64"
# QEMU's software CPU applies SMAP where it should not.
XEN_CPU = "max,-smap"
XEN_LOG = "xen.log"
XEN_COMMAND_LINE = "console=com1 com1=115200,8n1 guest_loglvl=all dom0=pvh " \
    "iommu=no-intremap,no-sharept,no-qinval"
KVM_VMM = OUT / "bench" / "kvm_vmm"
GUEST_MEMORY_MIB = 64
SECONDS = {"svm": 300, "vmx": 600}
KVM_SECONDS = {"svm": 900, "vmx": 1200}
# What 100 NOPs cost where each instruction is one tick.
NOPS = 100
LINE = re.compile(r"^BENCH ([\w-]+) (\d+)\r?$", re.MULTILINE)


KVM_INIT = """#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev 2>/dev/null
for module in @MODULES@; do
    insmod "/modules/$module.ko"
done
@COMMAND@
stty -F /dev/ttyS0 sane
busybox poweroff -f
"""


def kvm_tree(cpu, command):
    """A file system for a Linux that loads KVM, executes this command and ends."""
    tree = nested.Tree()
    script = KVM_INIT.replace("@MODULES@", " ".join(nested.MODULES[cpu])).replace("@COMMAND@", command)
    nested.add_base(tree, script, nested.MODULES[cpu])
    return tree


class Missing(Exception):
    """Why a column is empty."""


def prepare():
    """Packages and build."""
    with build_lock():
        packages.ensure(packages.PURPOSES)
        building.build()


def counted(cpu):
    """The emulated CPU whose time-stamp counter counts instructions."""
    if cpu == "vmx":
        return machine.bochs()
    accelerator = machine.software()
    accelerator.arguments += nested.counted_clock()
    return accelerator


def parse(text):
    """What the guest printed."""
    found = {name: int(value) for name, value in LINE.findall(text)}
    if "nops" in found and found["nops"] != NOPS:
        raise Missing(f"the time-stamp counter does not count instructions: 100 NOPs are {found['nops']}")
    return found


def boot(box, folder, disc, seconds):
    """Runs a machine to its end; all that its first serial port said, frames unpacked."""
    demultiplexer, pieces = Demultiplexer(), []
    deadline = time.monotonic() + seconds
    with machine.running(box, folder, disc) as (process, reader, _):
        while select.select([reader], [], [], max(0, deadline - time.monotonic()))[0]:
            data = machine.read_console(reader)
            pieces += demultiplexer.feed(data) if data else demultiplexer.finish()
            if not data:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(runner.POWER_OFF_SECONDS)
                break
    # Each piece of minroot's progress is a line, the child's console a stream.
    lines = (payload.decode("utf-8", "replace") + ("\n" if stream == "p" else "") for stream, _, payload in pieces)
    text = "".join(lines)
    (folder / "console.log").write_text(text, encoding="utf-8")
    return text


def partita(cpu, folder, root_words, emulator_words=()):
    """The bench guest as the only child; with test=bench in `root_words`, the root's own bench."""
    parser = machine_options.Parser(prog="partita run")
    machine_options.add_machine_options(parser)
    options = parser.parse_args(["--frames", "--initrd", "none", "--vps", "1", "--memory", f"{GUEST_MEMORY_MIB}M",
                                 "--kernel", str(GUEST), "--append", "small=0 pic=0", "--root-append", root_words])
    machine_options.check(options)
    box = machine.Machine(building.IMAGE, f"{machine.STOP_OPTION} trace=0", runner.modules_for(options, folder), 1,
                          GUEST_MEMORY_MIB + machine.ROOT_MEMORY_MIB, accelerator=counted(cpu))
    box.accelerator.arguments += emulator_words
    disc = None
    if box.accelerator.is_bochs:
        disc = folder / "boot.iso"
        iso.make(disc, box.image, box.command_line, box.modules)
    return parse(boot(box, folder, disc, SECONDS[cpu]))


def ours(cpu, folder):
    """This hypervisor: what a child does, and what its root does."""
    found = {**partita(cpu, folder, ""), **partita(cpu, folder, "test=bench")}
    if "nops" not in found:
        raise Missing(f"the bench did not run; logs: {folder}")
    return found


def beside(cpu, folder):
    """What the hypervisor accesses for each operation of the child: {operation: {name of a count: value}}."""
    if cpu == "vmx":
        raise Missing("counted on AMD-V only, since Bochs has no plugins")
    partita(cpu, folder, "", counting.plugin(folder, counting.watch(GUEST, counting.functions())))
    return counting.least(folder)


def floor(cpu, folder):
    """The least hypervisor (floor.c). It has no virtual local APIC."""
    box = machine.Machine(FLOOR, modules=[machine.Module("bench.elf", GUEST, "apic=0")], accelerator=counted(cpu))
    disc = None
    if box.accelerator.is_bochs:
        disc = folder / "boot.iso"
        iso.write(disc, iso.multiboot1_configuration(box.modules), {"partita.elf": FLOOR, "bench.elf": GUEST})
    text = boot(box, folder, disc, SECONDS[cpu])
    if "BENCH-END 0" not in text:
        failure = next((line for line in text.splitlines() if line.startswith("FAIL")), "it printed no end")
        raise Missing(f"the floor did not run: {failure.removeprefix('FAIL ')}; logs: {folder}")
    return parse(text)


def run_machine(command, folder, seconds, console):
    """What a machine has said on this console by its end."""
    with open(folder / "emulator.log", "wb") as errors:
        process = machine.start(command, folder, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Missing(f"no end after {seconds} s; logs: {folder}") from None
        finally:
            machine.stop(process)
    return (folder / console).read_text(encoding="utf-8", errors="replace")


def run_to_end(command, folder, seconds, console):
    """The same of a machine whose bench guest has to have reached its end."""
    text = run_machine(command, folder, seconds, console)
    if "BENCH-END 0" not in text:
        raise Missing(f"the bench did not come to its end; logs: {folder}")
    return text


def kvm_files(cpu, folder, guest, vps):
    """Writes a Linux whose only program is the least VMM (kvm_vmm.c) with this guest."""
    guestfiles.ensure()
    tree = kvm_tree(cpu, f"/bench/vmm /bench/guest.elf {vps} </dev/null")
    tree.add_file("bench/vmm", KVM_VMM.read_bytes(), 0o755)
    tree.add_file("bench/guest.elf", guest.read_bytes())
    (folder / "level1.img").write_bytes(tree.finish())


def kvm(cpu, folder):
    """Debian's kernel with KVM and the least VMM as its only program."""
    kvm_files(cpu, folder, GUEST, 1)
    try:
        return parse(run_to_end(nested.start_command(folder, cpu, "", 1), folder, KVM_SECONDS[cpu], nested.CONSOLE_LOG))
    finally:
        for pattern in nested.LARGE_FILES:
            for image in folder.glob(pattern):
                image.unlink()


def xen_image(folder):
    """Debian's Xen, out of its package, which is not installed."""
    try:
        _, package = packages.fetch(XEN_PACKAGE, folder)
    except Failure as failure:
        raise Missing(str(failure)) from failure
    done = subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "unpacked")], capture_output=True, text=True,
                          check=False)
    images = sorted((folder / "unpacked" / "boot").glob("xen-*.gz"))
    if done.returncode != 0 or not images:
        raise Missing(f"{package.name} holds no boot/xen-*.gz: {done.stderr.strip()}")
    image = folder / "xen.elf"
    image.write_bytes(gzip.decompress(images[0].read_bytes()))
    return image


def xen_command(folder, cpu, memory_mib, modules):
    """The command line of a machine with Xen: its CPU, the memory and the files of its control domain."""
    return [machine.emulator(), "-M", "q35", *counted("svm").arguments, "-cpu", cpu, "-smp", "1", "-m", "768M",
            "-display", "none", "-vga", "none", "-nodefaults", "-no-reboot", "-serial", f"file:{XEN_LOG}",
            "-device", "intel-iommu", "-kernel", str(xen_image(folder)), "-append",
            f"{XEN_COMMAND_LINE} dom0_mem={memory_mib}M", "-initrd", modules]


def xen(cpu, folder):
    """Xen with the guest as its PVH control domain: no other kernel is needed then. Xen wants an IOMMU for that, and
    QEMU's is Intel's."""
    if cpu == "vmx":
        raise Missing("measured on AMD-V only, since Bochs has no IOMMU")
    command = xen_command(folder, XEN_CPU, GUEST_MEMORY_MIB, str(XEN_GUEST))
    lines = run_to_end(command, folder, SECONDS[cpu], XEN_LOG).replace("\r", "").splitlines()
    return parse("\n".join(line.removeprefix("(d0) ") for line in lines))


COLUMNS = {"ours": ours, "floor": floor, "kvm": kvm, "xen": xen}

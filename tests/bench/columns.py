# SPDX-License-Identifier: MIT
"""The columns of the bench: each boots one hypervisor on the emulated CPU, with the bench guest in it, and returns what
that printed, as operation -> instructions."""

import contextlib
import re
import select
import subprocess
import time

import building
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
GUEST_MEMORY_MIB = 64
SECONDS = {"svm": 120, "vmx": 600}
# What 100 NOPs cost where each instruction is one tick.
NOPS = 100
LINE = re.compile(r"^BENCH ([\w-]+) (\d+)\r?$", re.MULTILINE)


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
    accelerator.arguments += nested.CLOCK
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


def partita(cpu, folder, root_words):
    """The bench guest as the only child; with test=bench in `root_words`, the root's own bench."""
    parser = machine_options.Parser(prog="partita run")
    machine_options.add_machine_options(parser)
    options = parser.parse_args(["--frames", "--initrd", "none", "--vps", "1", "--memory", f"{GUEST_MEMORY_MIB}M",
                                 "--kernel", str(GUEST), "--append", "small=0", "--root-append", root_words])
    machine_options.check(options)
    box = machine.Machine(building.IMAGE, f"{machine.STOP_OPTION} trace=0", runner.modules_for(options, folder), 1,
                          GUEST_MEMORY_MIB + machine.ROOT_MEMORY_MIB, accelerator=counted(cpu))
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


def kvm(_cpu, _folder):
    """Debian's kernel with KVM."""
    raise Missing("not measured yet")


def xen(_cpu, _folder):
    """Debian's Xen."""
    raise Missing("not measured yet")


COLUMNS = {"ours": ours, "floor": floor, "kvm": kvm, "xen": xen}

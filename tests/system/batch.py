# SPDX-License-Identifier: MIT
"""Bare guests one after the other in one boot of the machine, since an emulated boot takes longer than most of them:
minroot runs the children of each boot module `batch` in turn. What each guest said and how it ended is kept apart; what
that is worth is the caller's job."""

import contextlib
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import building
import iso
import machine
import options as machine_options
import runner
from checks import Broken
from common import STATUS_BROKEN
from frames import Demultiplexer


@dataclass
class Guest:
    """What to run: a kernel, the options of its children, the seconds that it may take, and the folder of its logs."""

    folder: Path
    kernel: Path
    arguments: list
    seconds: int

    def options(self):
        """The checked options."""
        parser = machine_options.Parser(prog="partita test")
        machine_options.add_machine_options(parser)
        options = parser.parse_args(["--initrd", "none", "--frames", "--kernel", str(self.kernel), *self.arguments])
        machine_options.check(options)
        return options


@dataclass
class Result:
    """What `./partita run` would have given back."""

    status: int
    stdout: str
    stderr: str


class Part:
    """The part of the boot that belongs to one guest; the hypervisor's start belongs to the first one."""

    def __init__(self, guest, log, is_first):
        self.guest = guest
        self.log = log
        self.log_begin = 0 if is_first or not log.is_file() else log.stat().st_size
        self.deadline = time.monotonic() + guest.seconds
        self.stdout = open(guest.folder / "stdout.log", "w+b", buffering=0)
        self.output = runner.Output(guest.folder, guest.options().children, stdout=self.stdout.fileno())

    def finish(self):
        """Closes the logs, the hypervisor's too: what it logged since this guest began. Lines that it wrote before we
        saw the next guest begin may belong to that one."""
        self.output.close()
        log = self.log.read_bytes() if self.log.is_file() else b""
        (self.guest.folder / "hv.log").write_bytes(log[self.log_begin:])
        self.stdout.seek(0)
        stdout = self.stdout.read().decode("utf-8", "replace")
        self.stdout.close()
        is_good = self.output.is_complete() and not self.output.faults
        stderr = "".join(f"partita: {text}\n" for text in self.output.errors + self.output.faults)
        return Result(self.output.status() if is_good else STATUS_BROKEN, stdout, stderr)


def machine_for(guests, folder, cpu, lps):
    """The machine that boots them all, and its ISO if it boots from one."""
    accelerator = machine.choose_accelerator(cpu, building.IMAGE, folder)
    modules = [machine.Module("minroot.elf", building.MINROOT, "frames=1")]
    memory_mib = 0
    for number, guest in enumerate(guests):
        options = guest.options()
        words = f"{machine_options.root_command_line(options)} batch"
        modules.append(machine.Module(f"guest{number}.elf", guest.kernel, words))
        memory_mib = max(memory_mib, options.children * options.memory)
    box = machine.Machine(building.IMAGE, machine.STOP_OPTION, modules, lps, memory_mib + machine.ROOT_MEMORY_MIB, "",
                          "bios" if accelerator.is_bochs else "kernel", accelerator)
    if not accelerator.is_bochs:
        return box, None
    disc = folder / "boot.iso"
    iso.make(disc, box.image, box.command_line, box.modules)
    return box, disc


def run(guests, folder, cpu, lps):
    """Boots once and yields the result of one guest after the other. A guest at which the machine stops or hangs is the
    last one, with the reason as a Broken instead of a Result. Broken is raised if not even the first one began."""
    box, disc = machine_for(guests, folder, cpu, lps)
    demultiplexer, coming, part, errors = Demultiplexer(), iter(guests), None, []
    deadline = time.monotonic() + guests[0].seconds
    with machine.running(box, folder, disc) as (process, reader, _):
        while True:
            wait = (part.deadline if part else deadline) - time.monotonic()
            if not select.select([reader], [], [], max(0, wait))[0]:
                break
            data = machine.read_console(reader)
            for stream, child, payload in demultiplexer.feed(data) if data else demultiplexer.finish():
                if stream == "b":
                    if part:
                        yield part.finish()
                    part = Part(next(coming), folder / "hv.log", part is None)
                elif part:
                    part.output.take(stream, child, payload)
                elif stream == "e":
                    errors.append(payload.decode("utf-8", "replace"))
            if not data:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(runner.POWER_OFF_SECONDS)
                break
        has_ended = process.poll() is not None
    if disc:
        disc.unlink()
    status = machine.ending(box, folder, process)
    seconds = (part.guest if part else guests[0]).seconds
    why = runner.how_it_ended(folder, status) if has_ended else f"no end after {seconds} s"
    if part is None:
        raise Broken(f"{(errors or [why])[0]} before the first guest began; logs: {folder}")
    result = part.finish()
    yield result if has_ended and status == 0 else Broken(f"{why}; logs: {folder}")

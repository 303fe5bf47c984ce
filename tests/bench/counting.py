# SPDX-License-Identifier: MIT
"""What is counted beside the guest's own time-stamp counter: with a plugin of QEMU's software CPU (qemu_count.c)."""

import re
import subprocess

import machine
from common import OUT, TOP, Failure

PLUGIN = OUT / "bench" / "qemu_count.so"
SOURCE = TOP / "partitions/child/bench.c"
# QEMU runs in the folder, whose own path may have commas.
LINK = "qemu_count.so"
COUNTS = "counts"
# What a line COUNT has after name and rounds, two numbers each: the least, and the sum of all rounds.
NAMES = ("exits", "vmcb", "msr", "vmload_vmsave", "ipis")
# Two VPs run: the root's and the child's.
VMCBS = 2
# The functions of the guest that are no operation of Hyper-V's, and the one that runs by another way than a table.
LEFT_OUT = re.compile("do_(xen|nops|nothing)")
TOUCH = ("touch-2m", "do_touch")


def plugin(folder, arguments=""):
    """QEMU's arguments that have the machine counted in this folder."""
    machine.link(PLUGIN, folder / LINK)
    return ["-plugin", f"./{LINK},out={COUNTS}{arguments}"]


def read(folder):
    """The lines that the plugin has left, as words."""
    try:
        return [line.split() for line in (folder / COUNTS).read_text(encoding="ascii").splitlines()]
    except OSError as error:
        raise Failure(f"nothing was counted in {folder}: {error.strerror}") from error


def instructions(folder):
    """All that the machine has executed."""
    return next(int(words[1]) for words in read(folder) if words[0] == "INSTRUCTIONS")


def functions():
    """{operation: the guest's function that is it}, from the tables of its source."""
    pairs = re.findall(r'\{"([\w-]+)", (do_\w+)\}', SOURCE.read_text(encoding="utf-8"))
    return dict((*(pair for pair in pairs if not LEFT_OUT.match(pair[1])), TOUCH))


def addresses(program):
    """{function: address} of a program with symbols."""
    done = subprocess.run(["nm", str(program)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"nm {program}: {done.stderr.strip()}")
    return {words[2]: words[0] for words in map(str.split, done.stdout.splitlines()) if len(words) == 3}


def watch(program, operations_of):
    """The plugin's arguments for operations of a guest, {name: function}."""
    known = addresses(program)
    return "".join(f",{name}={known[function]}" for name, function in operations_of.items())


def counts(folder):
    """{operation: (rounds, {name of a count: (the least of a round, the sum of all)})} of a machine that has run."""
    return {words[1]: (int(words[2]), dict(zip(NAMES, zip(map(int, words[3::2]), map(int, words[4::2])))))
            for words in read(folder) if words[0] == "COUNT"}


def least(folder):
    """{operation: {name of a count: the least of all rounds}} of this hypervisor with one child of one VP."""
    found = next(int(words[1]) for words in read(folder) if words[0] == "VMCBS")
    if found != VMCBS:
        raise Failure(f"{found} VMCBs were recognised instead of {VMCBS}; counts: {folder}")
    return {operation: {name: values[name][0] for name in NAMES} for operation, (_, values) in counts(folder).items()}

# SPDX-License-Identifier: MIT
"""The rows of the bench across processors, on AMD-V: two VPs on two processors (partitions/child/bench_smp.c). Counted
from outside are entries of a guest, which are exits, and IPIs; the time is compared with a loop of the same run."""

import re

import building
import columns
import counting
import machine
import nested
import options as machine_options
import runner
from columns import Missing
from common import OUT, TOP

GUEST = OUT / "guests" / "bench_smp.elf"
SOURCE = TOP / "partitions/child/bench_smp.c"
VPS = 2
OPERATIONS = {
    "ipi-msr": "IPI there and back, APIC by MSR",
    "ipi-call": "IPI there and back, hypercall",
    "ipi-halted": "IPI to a VP in HLT and back, APIC by MSR",
    "flush-space": "remote flush of an address space",
    "flush-list": "remote flush of one page",
}
NAMES = ("ours", "kvm")
# Counted and on a busy host, Linux is too slow to see its timer's interrupts in time, and panics.
KVM_COMMAND_LINE = f"{nested.COMMAND_LINE} no_timer_check"
LOOP = "loop"
# Its beginning ends the operation before.
END = "do_nothing"


def functions():
    """{operation: the guest's function that is it}."""
    found = re.findall(r'price\("([\w-]+)", (do_\w+)\)', SOURCE.read_text(encoding="utf-8"))
    return {**dict(found), "end": END}


def ours(folder, emulator_words):
    """This hypervisor: what its child printed."""
    parser = machine_options.Parser(prog="partita run")
    machine_options.add_machine_options(parser)
    options = parser.parse_args(["--frames", "--initrd", "none", "--vps", str(VPS), "--memory",
                                 f"{columns.GUEST_MEMORY_MIB}M", "--kernel", str(GUEST)])
    machine_options.check(options)
    box = machine.Machine(building.IMAGE, f"{machine.STOP_OPTION} trace=0", runner.modules_for(options, folder), VPS,
                          columns.GUEST_MEMORY_MIB + machine.ROOT_MEMORY_MIB, accelerator=machine.software())
    box.accelerator.arguments += emulator_words
    text = columns.boot(box, folder, None, columns.SECONDS["svm"])
    if "BENCH-END 0" not in text:
        raise Missing(f"the bench did not come to its end; logs: {folder}")
    return columns.parse(text)


def kvm(folder, emulator_words):
    """KVM: what its guest printed."""
    columns.kvm_files("svm", folder, GUEST, VPS)
    command = nested.start_command(folder, "svm", "", VPS, emulator_words, KVM_COMMAND_LINE)
    text = columns.run_to_end(command, folder, columns.KVM_SECONDS["svm"], nested.CONSOLE_LOG)
    (folder / "level1.img").unlink()
    return columns.parse(text)


COLUMNS = {"ours": ours, "kvm": kvm}


def measure(column, cpu, folder):
    """{operation: exits, IPIs and time of a round}: means of one run that is counted, and of another one the least
    time, in loops of its own."""
    if cpu == "vmx":
        raise Missing("measured on AMD-V only, since Bochs has no plugins")
    times = COLUMNS[column](folder, [])
    COLUMNS[column](folder, counting.plugin(folder, counting.watch(GUEST, functions())))
    counted = counting.counts(folder)
    found = {}
    for operation in OPERATIONS:
        rounds, values = counted[operation]
        exits, ipis = (values[name][1] / rounds for name in ("exits", "ipis"))
        found[operation] = {"exits": round(exits, 1), "ipis": round(ipis, 1),
                            "time": round(times[operation] / times[LOOP], 1)}
    return found


def rows(found):
    """One row for each operation; None where nobody measured."""
    return [{"operation": operation, "meaning": meaning, "ours": None, "floor": None, "kvm": None, "xen": None,
             **{name: column[operation] for name, column in found.items() if not isinstance(column, str)}}
            for operation, meaning in OPERATIONS.items()]


def table(found):
    """The rows as text."""
    width = max(map(len, OPERATIONS.values()))
    titles = [f"{name} {kind}" for name in NAMES for kind in ("exits", "IPIs", "time")]
    lines = [f"{'across processors':<{width}}" + "".join(f"{title:>12}" for title in titles)]
    is_measured = any(not isinstance(column, str) for column in found.values())
    for row in rows(found) if is_measured else ():
        cells = [row[name][kind] if row[name] else "-" for name in NAMES for kind in ("exits", "ipis", "time")]
        lines.append(f"{row['meaning']:<{width}}" + "".join(f"{cell:>12}" for cell in cells))
    lines += [f"{name}: {column}" for name, column in found.items() if isinstance(column, str)]
    return "\n".join(lines)

# SPDX-License-Identifier: MIT
"""./partita bench: what operations cost, in instructions, under this hypervisor, under the least possible one (the
floor), under KVM and under Xen, all with the same guest program on the same emulated CPU, whose time-stamp counter
counts instructions. docs/performance.md says what each row means."""

import json
import re
import shutil
from functools import partial

import across
import booting
import columns
import options as machine_options
from columns import Missing
from common import BUILD, Failure, say
from machine import VENDORS

FOLDER = BUILD / "bench"
NAMES = ("ours", "floor", "kvm", "xen")
# What is counted beside instructions, and its title.
BESIDE = {"exits": "exits", "vmcb": "VMCB accesses", "msr": "MSR accesses", "vmload_vmsave": "VMLOAD, VMSAVE"}
# Operation, and what it is.
OPERATIONS = {
    "nops": "100 NOPs (no exit)",
    "cpuid": "CPUID",
    "hypercall-fast": "hypercall that does nothing, input in registers",
    "hypercall-memory": "hypercall that does nothing, input in memory",
    "hypercall-unknown": "hypercall with an unknown code",
    "rdmsr": "RDMSR of a synthetic MSR (VP index)",
    "rdmsr-counter": "RDMSR of the reference counter",
    "wrmsr": "WRMSR of a synthetic MSR (SINT5)",
    "port-inside": "port write, handled in the hypervisor (PIC)",
    "port": "port write, handled in the root or the VMM",
    "apic-page-read": "local APIC read, page (TPR)",
    "apic-page-write": "local APIC write, page (TPR)",
    "apic-msr-read": "local APIC read, MSR (TPR)",
    "apic-msr-write": "local APIC write, MSR (TPR)",
    "self-ipi-page": "self-IPI with its EOI, page",
    "self-ipi-msr": "self-IPI with its EOI, MSR",
    "apic-timer": "APIC timer armed and fired, with its EOI",
    "stimer": "synthetic timer armed and fired, with its EOI",
    "touch-4k": "first touch of a page of 4 KiB",
    "touch-2m": "first touch of a page of 2 MiB",
    "message": "message posted and received",
    "event": "event signalled and received",
    "dispatch": "dispatch (KVM_RUN) round trip",
    "lifecycle": "partition (VM) created, started, destroyed",
}


def attempt(name, measurement, cpu):
    """What a measurement returns, or the reason why there is nothing."""
    say(f"measuring: {name}")
    folder = FOLDER / cpu / name
    # What an earlier run has left there must not pass for this one's.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return measurement(cpu, folder)
    except (Missing, Failure) as reason:
        return str(reason)


def measure(cpu):
    """Each column: a dictionary of operations, or the reason why there is none."""
    return {name: attempt(name, columns.COLUMNS[name], cpu) for name in NAMES}


def rows(found):
    """One row for each operation that anybody has; a cell without a figure is None."""
    result = []
    for operation, meaning in OPERATIONS.items():
        cells = {name: found[name].get(operation) if isinstance(found[name], dict) else None for name in NAMES}
        if any(value is not None for value in cells.values()):
            result.append({"operation": operation, "meaning": meaning, **cells})
    return result


def number(value):
    """A cell of the table."""
    return "-" if value is None else f"{value:,}".replace(",", " ")


def table(found):
    """The table as text."""
    width = max(len(meaning) for meaning in OPERATIONS.values())
    lines = [f"{'instructions':<{width}}" + "".join(f"{name:>12}" for name in NAMES)]
    lines += [f"{row['meaning']:<{width}}" + "".join(f"{number(row[name]):>12}" for name in NAMES)
              for row in rows(found)]
    lines += [f"{name}: {column}" for name, column in found.items() if isinstance(column, str)]
    return "\n".join(lines)


def beside_table(found):
    """What is counted beside instructions, as text."""
    if isinstance(found, str):
        return f"beside instructions: {found}"
    width = max(len(meaning) for meaning in OPERATIONS.values())
    lines = [f"{'beside instructions, ours':<{width}}" + "".join(f"{title:>15}" for title in BESIDE.values())]
    lines += [f"{meaning:<{width}}" + "".join(f"{number(found[operation][name]):>15}" for name in BESIDE)
              for operation, meaning in OPERATIONS.items() if operation in found]
    return "\n".join(lines)


def sizes(folder):
    """What the hypervisor's log says about its own memory, in KiB, as it started for the column of ours."""
    text = (folder / "hv.log").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"hypervisor at 0x([0-9a-f]+)-0x([0-9a-f]+) \((\d+) KiB image", text)
    if found is None:
        return {}
    first, last, image = int(found.group(1), 16), int(found.group(2), 16), int(found.group(3))
    return {"image_kib": image, "reserved_kib": (last + 1 - first) // 1024}


def present(measured):
    """What was measured, None if there is only a reason why not."""
    return None if isinstance(measured, str) else measured


def write_json(options, sections, measured):
    """The file for programs: the sections, and in `missing` the reasons among all that was measured."""
    missing = {name: reason for name, reason in measured.items() if isinstance(reason, str)}
    with open(options.json, "w", encoding="ascii") as file:
        json.dump({"cpu": options.cpu, "unit": "instructions", "missing": missing, **sections}, file, indent=1)
        file.write("\n")


def main(arguments):
    """The command; returns the exit status."""
    parser = machine_options.Parser(prog="partita bench", description="Measure what operations cost in instructions, "
                                    "beside the floor, KVM and Xen on the same emulated CPU.")
    parser.add_argument("--cpu", choices=tuple(VENDORS), default="svm",
                        help="AMD-V in QEMU (svm, the default) or VT-x in Bochs (vmx)")
    parser.add_argument("--boot", action="store_true", help="also what booting Debian costs; takes minutes")
    parser.add_argument("--json", metavar="FILE", help="write the table there too")
    options = parser.parse_args(arguments)
    columns.prepare()
    found = measure(options.cpu)
    print(table(found), flush=True)
    beside = attempt("beside", columns.beside, options.cpu)
    print("\n" + beside_table(beside), flush=True)
    shared = {name: attempt(f"across-{name}", partial(across.measure, name), options.cpu) for name in across.NAMES}
    print("\n" + across.table(shared), flush=True)
    boots = {}
    if options.boot:
        boots = {name: attempt(f"boot-{name}", partial(booting.measure, name), options.cpu) for name in booting.COLUMNS}
        print("\n" + booting.table(boots), flush=True)
    memory = sizes(FOLDER / options.cpu / "ours") if isinstance(found["ours"], dict) else {}
    print("".join(f"{name.replace('_kib', '')}: {value} KiB\n" for name, value in memory.items()), end="")
    if options.json:
        write_json(options, {"sizes": memory, "rows": rows(found), "beside": present(beside),
                             "across": across.rows(shared), "boot": {name: present(boots[name]) for name in boots}},
                   {**found, "beside": beside, **{f"across-{name}": column for name, column in shared.items()},
                    **{f"boot-{name}": figure for name, figure in boots.items()}})
    return 0 if isinstance(found["ours"], dict) else 1

# SPDX-License-Identifier: MIT
"""./partita trace: prints the hypervisor's trace, or exports it."""

import argparse
import mmap
import re
import sys
from pathlib import Path

import ctf
import disassembly
import monitor
import options as machine_options
from common import STATUS_BROKEN, Failure, say
from tracing import Trace

DESCRIPTION = """\
Print what the hypervisor has traced: one line for each event, the oldest first, with the time in seconds since it came
up, the processor, the VP (partition:index, in hexadecimal) and the event with its values. Each processor keeps its
last events, some 500.

SOURCE is the folder of a `./partita run` that goes on in QEMU (build/run, or its --logs), which stands still while it
is read, or a file: a raw dump of the machine's physical memory from address 0 (QEMU's monitor: `pmemsave`), or of one
processor's ring (struct trace_ring in hv/debug/trace_read.h). A machine in Bochs cannot be read while it runs.
"""


def load(source):
    """The trace of a folder or file."""
    if source.is_dir():
        base, data = monitor.read_hypervisor(source)
        return Trace(data, base)
    path = machine_options.readable("SOURCE", source)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        return Trace(memory)


def parser():
    """The command line."""
    made = machine_options.Parser(prog="partita trace", description=DESCRIPTION,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("source", metavar="SOURCE", help="a run's folder or a dump")
    made.add_argument("--vp", metavar="P:I", help="only of this VP, like 2:0")
    made.add_argument("--event", metavar="NAME", action="append", help="only events of this name, like exit; several "
                      "when given again")
    made.add_argument("--last", metavar="N", help="only the last N of them")
    made.add_argument("--ctf", metavar="FOLDER", help="write them into this folder as a CTF 1.8 trace, which "
                      "babeltrace2 reads, instead of printing them")
    return made


def chosen(trace, options):
    """The records that the filters let through."""
    unknown = set(options.event or ()) - set(trace.names.values())
    if unknown:
        raise Failure(f"--event: there is no event {unknown.pop()!r}; there are {', '.join(trace.names.values())}")
    if options.vp is not None and not re.fullmatch(r"[0-9a-f]{1,4}:[0-9a-f]{1,4}", options.vp):
        raise Failure(f"--vp: {options.vp!r} is not a partition and an index like 2:0")
    records = [record for record in trace.records if options.vp in (None, record.vp_name()) and
               (not options.event or trace.names[record.event] in options.event)]
    return records if options.last is None else records[-machine_options.whole("--last", options.last, 1, 10 ** 9 - 1):]


def main(arguments):
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    trace = load(Path(options.source))
    records = chosen(trace, options)
    if options.ctf:
        ctf.write(trace, records, Path(options.ctf))
        say(f"wrote {len(records)} events to {options.ctf}")
    else:
        if any(trace.names[record.event] == "instruction" for record in records):
            disassembly.explain_absence()
        for record in records:
            sys.stdout.write(trace.line(record) + "\n")
    for text in trace.damaged:
        say(f"left out: {text}")
    return STATUS_BROKEN if trace.damaged else 0

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of ./partita trace: rings of a hosted program, sound and damaged, and the trace of a machine that runs."""

import re
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import abinames
import tracing
from common import OUT, Failure

PROGRAM = OUT / "tests/unit/test_machine_trace"
# Where struct trace_ring has tsc_hz.
HZ_AT = 40
RECORDS = 510
# Where it has its backend's name.
BACKEND_AT = 48
# Kinds of events, each once in a ring of the hosted program.
EVENTS = len(abinames.events())
INSTRUCTION = next(value for value, name in abinames.events().items() if name == "instruction")
LIMIT_S = 120


def partita(*arguments):
    """Runs ./partita; returns (status, stdout, stderr)."""
    done = subprocess.run([sys.executable, str(HERE / "driver.py"), *map(str, arguments)], capture_output=True,
                          text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout, done.stderr


def babeltrace(folder):
    """What babeltrace2 makes of a folder."""
    return subprocess.run(["babeltrace2", str(folder)], capture_output=True, text=True, timeout=LIMIT_S, check=False)


class Case(unittest.TestCase):
    """A test with a folder."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="partita-trace-")
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)

    def ring(self, count):
        """A ring with one event of each kind, then so many hypercalls."""
        file = self.folder / "ring"
        subprocess.run([str(PROGRAM), str(file), str(count)], check=True, timeout=LIMIT_S)
        return bytearray(file.read_bytes())


class Names(unittest.TestCase):
    """What is read from the headers."""

    def test_names(self):
        """One of each header, and those that the headers only imply."""
        self.assertEqual(abinames.hypercalls()[0x5C], "HvCallPostMessage")
        self.assertEqual(abinames.hypercalls()[0x8001], "HvExtCallQueryCapabilities")
        self.assertEqual(abinames.statuses()[0x12], "HV_STATUS_INVALID_CONNECTION_ID")
        self.assertEqual(abinames.msrs()[0x40000083], "HV_X64_MSR_SIMP")
        self.assertEqual(abinames.msrs()[0x1B], "MSR_APIC_BASE")
        self.assertEqual(abinames.messages()[0x80010002], "HvMessageTypeX64CpuidIntercept")
        svm, vmx = abinames.exits("AMD-V"), abinames.exits("VT-x")
        self.assertEqual((svm[0x72], svm[0x14], svm[0x4E]), ("VMEXIT_CPUID", "VMEXIT_CR4_WRITE", "VMEXIT_EXCP14"))
        self.assertEqual((vmx[10], vmx[18], vmx[48]), ("CPUID", "VMCALL", "EPT_VIOLATION"))
        self.assertEqual(abinames.exits("sim"), {})

    def test_every_event_has_fields(self):
        """The decoder knows the events of the header and no other."""
        self.assertEqual(set(abinames.events().values()), set(tracing.fields("AMD-V")))


class Rings(Case):
    """The decoder."""

    def broken(self, data, text):
        """Decoding fails with a message like this."""
        with self.assertRaisesRegex(Failure, text):
            tracing.Trace(bytes(data))

    def test_one_of_each(self):
        """Lines of a ring that is not full."""
        trace = tracing.Trace(bytes(self.ring(2)))
        lines = [trace.line(record) for record in trace.records]
        self.assertEqual(len(lines), EVENTS + 2)
        self.assertEqual(trace.damaged, [])
        self.assertRegex(lines[0], r"^0\.\d{9} cpu0 2:1 exit code=VMEXIT_CR1_READ accesses=0 rip=0x2$")
        self.assertIn("call=HvCallSwitchVirtualAddressSpace control=0x1 status=HV_STATUS_INVALID_HYPERCALL_CODE",
                      lines[1])
        self.assertRegex(lines[-1], r"^0\.000000200 cpu0 2:1 hypercall call=HvCallPostMessage control=0x5c status=0x1 ")

    def test_exits_of_both_backends(self):
        """The ring says whose exit codes it has."""
        data = self.ring(0)
        struct.pack_into("8s", data, BACKEND_AT, b"VT-x")
        trace = tracing.Trace(bytes(data))
        self.assertRegex(trace.line(trace.records[0]), r"^0\.\d{9} cpu0 2:1 exit code=INTERRUPT accesses=0 rip=0x2$")

    def test_instruction(self):
        """Bytes of an instruction, by the default size of their code; more bytes than its own; none at all; no size."""
        data = self.ring(4)
        cases = ((b"\x8b\x03", 2, "bytes=8b03 code64 mov eax, dword ptr [rbx]"),
                 (b"\x8b\x03\x90\x90", 0, "bytes=8b03 code16 mov ax, word ptr [bp + di]"),
                 (b"\xf3\x66\x6d", 1, "bytes=f3666d code32 rep insw word ptr es:[edi], dx"),
                 (b"\x0f\x04", 2, "bytes=0f04 code64 (bad)"), (b"\x90", 3, "bytes=90 code0 (bad)"))
        for number, (code, size, _) in enumerate(cases):
            values = code.ljust(15, b"\0") + bytes([size << 4 | len(code)])
            struct.pack_into("<I4x16s", data, 64 + 32 * (EVENTS - 1 + number) + 8, INSTRUCTION, values)
        trace = tracing.Trace(bytes(data))
        for (_, _, text), record in zip(cases, trace.records[EVENTS - 1:]):
            self.assertRegex(trace.line(record), f" instruction {re.escape(text)}$")

    def test_wrapped(self):
        """A full ring has its last records in order, without the slot that is written next."""
        for count in (RECORDS - EVENTS - 1, RECORDS - EVENTS, RECORDS - EVENTS + 1, 3 * RECORDS + 7):
            trace = tracing.Trace(bytes(self.ring(count)))
            kept = RECORDS - 1 if count >= RECORDS - EVENTS else EVENTS + count
            self.assertEqual(len(trace.records), kept)
            last = [record.b for record in trace.records[-(kept - EVENTS):]]
            self.assertEqual(last, list(range(count - len(last), count)))

    def test_half_written(self):
        """What lies in the slot after the last record is of no importance."""
        data = self.ring(2 * RECORDS - EVENTS)
        sound = tracing.Trace(bytes(data)).records
        data[64:64 + 32] = b"\xee" * 32
        trace = tracing.Trace(bytes(data))
        self.assertEqual((trace.records, trace.damaged), (sound, []))

    def test_damaged_records(self):
        """A record that cannot be is left out and named, and the status says so."""
        data = self.ring(3)
        struct.pack_into("<I", data, 64 + 32 * EVENTS + 8, 99)
        struct.pack_into("<Q", data, 64 + 32 * (EVENTS + 2), 5)
        file = self.folder / "damaged"
        file.write_bytes(data)
        status, out, err = partita("trace", file)
        self.assertEqual((status, out.count("\n")), (125, EVENTS + 1))
        self.assertIn(f"CPU 0, record {EVENTS}: there is no event 99", err)
        self.assertIn(f"CPU 0, record {EVENTS + 2}: its time is before that of an earlier one", err)

    def test_bad_rings(self):
        """A ring that cannot be decoded at all."""
        data = self.ring(1)
        self.broken(b"\0" * 8192, "no trace ring found")
        self.broken(data[:40], "the dump ends in its first")
        self.broken(data[:-1], "the dump ends before its 510 records do")
        self.broken(data[:16] + struct.pack("<I", 64) + data[20:], "processor 64 with 510 records is not possible")
        self.broken(data[:20] + struct.pack("<I", 0) + data[24:], "processor 0 with 0 records is not possible")
        self.broken(data[:HZ_AT] + bytes(8) + data[HZ_AT + 8:], "not yet found its backend and clock")

    def test_memory(self):
        """In a dump of memory, rings are told from copies; two of one processor are refused."""
        data, page = self.ring(1), bytes(tracing.PAGE_BYTES)
        for address in (1, 3):
            struct.pack_into("<Q", data, 8, address * len(page))
            memory = page * address + data + page
            self.assertEqual(len(tracing.Trace(memory).records), EVENTS + 1)
            self.broken(page + memory, "no trace ring found")
        other = bytearray(data)
        struct.pack_into("<QI", other, 8, 7 * len(page), 1)
        self.assertEqual(len(tracing.Trace(page * 3 + data + other).records), 2 * (EVENTS + 1))
        struct.pack_into("<I", other, 16, 0)
        self.broken(page * 3 + data + other, "two trace rings claim to be the same processor's: 0x3000, 0x7000")

    def test_filters(self):
        """--vp, --event and --last, sound and not."""
        file = self.folder / "ring"
        self.ring(5)
        self.assertEqual(partita("trace", file, "--event", "hypercall", "--last", 3)[1].count("HvCallPostMessage"), 3)
        self.assertEqual(partita("trace", file, "--event", "exit", "--event", "msr")[1].count("\n"), 2)
        self.assertEqual(partita("trace", file, "--vp", "1:0"), (0, "", ""))
        for words, text in ((["--event", "x"], "there is no event 'x'"), (["--last", "0"], "too few"),
                            (["--vp", "x"], "not a partition and an index")):
            status, out, err = partita("trace", file, *words)
            self.assertEqual((status, out), (2, ""))
            self.assertIn(text, err)
        self.assertIn("there is no file", partita("trace", self.folder / "none")[2])
        self.assertIn("cannot read hv.log", partita("trace", self.folder)[2])


class Exports(Case):
    """CTF, as babeltrace2 reads it."""

    def test_ctf(self):
        """The same events with the same values; a folder that is in use is refused."""
        self.ring(1000)
        target = self.folder / "ctf"
        self.assertEqual(partita("trace", self.folder / "ring", "--ctf", target)[:2], (0, ""))
        done = babeltrace(target)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("\n"), RECORDS - 1)
        self.assertEqual(len(re.findall(r'"HvCallPostMessage"', done.stdout)), RECORDS - 1)
        self.assertIn("is not empty", partita("trace", self.folder / "ring", "--ctf", target)[2])

    def test_each_event(self):
        """Every kind of event is declared as it is written."""
        self.ring(0)
        target = self.folder / "ctf"
        partita("trace", self.folder / "ring", "--ctf", target)
        done = babeltrace(target)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        names = re.findall(r"\) ([\w-]+): \{ cpu_id = 0 \}, \{ partition = 2, vp = 1 \}", done.stdout)
        self.assertEqual(names, list(abinames.events().values()))


class Machine(Case):
    """The trace of a machine that runs: of QEMU, since Bochs gives nobody its memory meanwhile."""

    def test_running(self):
        """A bare guest's exits and the instruction of an intercept are found while it runs, and it goes on."""
        command = [sys.executable, str(HERE / "driver.py"), "run", "--no-build", "--cpu", "svm", "--lps", "1",
                   "--vps", "1", "--memory", "64M", "--append", "ms=0", "--initrd", "none", "--logs", str(self.folder),
                   "--timeout", str(LIMIT_S), "--kernel", str(OUT / "guests/traced.elf")]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as run:
            try:
                lines = self.wait_for(run, r" 2:0 exit code=VMEXIT_VMMCALL ")
                later = self.wait_for(run, r" 2:0 exit code=VMEXIT_VMMCALL ")
            finally:
                run.kill()
        self.assertRegex(lines, r" 2:0 exit code=VMEXIT_CPUID ")
        self.assertRegex(lines, r" 2:0 hypercall call=HvCallNotifyLongSpinWait .* status=HV_STATUS_SUCCESS ")
        self.assertRegex(lines, r" 2:0 instruction bytes=8b03 code64 mov eax, dword ptr \[rbx\]\n")
        self.assertGreater(float(later.split()[0]), float(lines.split()[0]))

    def wait_for(self, run, pattern):
        """The trace once a line of it matches."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and run.poll() is None:
            status, out, _ = partita("trace", self.folder)
            if status == 0 and re.search(pattern, out):
                return out
            time.sleep(0.5)
        raise AssertionError(f"no line of the trace matches {pattern!r}; the run: {run.poll()}")


if __name__ == "__main__":
    unittest.main()

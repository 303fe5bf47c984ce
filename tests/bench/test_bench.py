# SPDX-License-Identifier: MIT
"""The bench gives the same counts each time: two runs of this hypervisor and of the floor, in QEMU on AMD-V (class Svm)
and in Bochs on VT-x (Vmx); of KVM in QEMU (Kvm). The suite names the class."""

import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/system"), str(TOP / "tests/bench")]

import across  # noqa: E402
import bench  # noqa: E402
import columns  # noqa: E402
import counting  # noqa: E402


class Case:
    """A test of columns on one backend."""

    cpu = "svm"

    def twice(self, name):
        """Two runs of a column, which must agree; returns what they measured."""
        with tempfile.TemporaryDirectory(prefix="partita-bench-") as scratch:
            first, second = (columns.COLUMNS[name](self.cpu, Path(scratch)) for _ in range(2))
        self.assertEqual(first, second)
        return first


class Counts(Case):
    """Columns that need no peer's packages."""

    def test_ours(self):
        """Every operation of the table has a figure but one, and an exit costs more than none: no port of a child is
        handled in this hypervisor."""
        found = self.twice("ours")
        self.assertEqual(set(bench.OPERATIONS) - {"port-inside"}, set(found))
        self.assertGreater(found["cpuid"], found["nops"])

    def test_floor(self):
        """The floor does less than we do."""
        found = self.twice("floor")
        self.assertLess(found["cpuid"], found["nops"])


class Vmx(Counts, unittest.TestCase):
    """In Bochs. What is counted beside instructions and across processors takes QEMU."""

    cpu = "vmx"


class Svm(Counts, unittest.TestCase):
    """In QEMU."""

    def test_beside(self):
        """What is counted beside instructions is there for every operation that exits, and agrees with what it does."""
        with tempfile.TemporaryDirectory(prefix="partita-bench-") as scratch:
            found = columns.beside("svm", Path(scratch))
        self.assertEqual(set(found), set(counting.functions()) - {"port-inside"})
        for operation, counts in found.items():
            self.assertGreaterEqual(counts["exits"], 1, operation)
            self.assertEqual(counts["vmload_vmsave"], 3 * counts["exits"], operation)
            self.assertGreater(counts["vmcb"], 10 * counts["exits"], operation)
        self.assertEqual((found["cpuid"]["exits"], found["cpuid"]["msr"], found["port"]["exits"]), (1, 0, 2))

    def test_across(self):
        """Two VPs reach each other: what they do exits and sends IPIs, and takes longer than a loop that does not."""
        with tempfile.TemporaryDirectory(prefix="partita-bench-") as scratch:
            found = across.measure("ours", "svm", Path(scratch))
        self.assertEqual(set(found), set(across.OPERATIONS))
        for operation, counts in found.items():
            self.assertGreaterEqual(counts["exits"], 4 if operation.startswith("ipi") else 1, operation)
            self.assertGreater(counts["ipis"], 0, operation)
            self.assertGreater(counts["time"], 0, operation)


class Kvm(Case, unittest.TestCase):
    """A column that takes a Linux with random numbers."""

    def test_kvm(self):
        """Every row of both runs, from the first to the last."""
        found = self.twice("kvm")
        self.assertGreater(found["cpuid"], found["nops"])
        self.assertIn("touch-2m", found)


if __name__ == "__main__":
    unittest.main()

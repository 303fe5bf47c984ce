#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the choice between KVM and emulated CPUs."""

import unittest
import unittest.mock
from pathlib import Path

import machine


class Accelerators(unittest.TestCase):
    """What a host gets for which wish."""

    def choose(self, cpu, flags, works):
        """The choice on a host with these flags, where nested virtualisation works or does not."""
        with unittest.mock.patch.multiple(machine, cpu_flags=lambda: flags,
                                          kvm_obstacle=lambda *_: None if works else "no reason"):
            chosen = machine.choose_accelerator(cpu, Path("x"), Path("x"))
        return chosen.arguments[1:2] == ["kvm"], chosen.is_bochs, chosen.reason

    def test_choice(self):
        """KVM where it works, else the emulated CPU that has what was asked for."""
        for cpu, flags, reason in ((None, ["svm"], "KVM with nested AMD-V"), (None, ["vmx"], "KVM with nested VT-x"),
                                   ("svm", ["svm"], "KVM with nested AMD-V"), ("vmx", ["vmx"], "KVM with nested VT-x")):
            self.assertEqual(self.choose(cpu, flags, True), (True, False, reason))
        for cpu, is_bochs, reason in ((None, False, "QEMU's software CPU"), ("svm", False, "QEMU's software CPU"),
                                      ("vmx", True, "Bochs")):
            self.assertEqual(self.choose(cpu, ["vmx"], False), (False, is_bochs, reason + " (not KVM: no reason)"))


if __name__ == "__main__":
    unittest.main()

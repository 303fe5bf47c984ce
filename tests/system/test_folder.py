#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests that the tree builds and runs in a folder whose name is dangerous: CMake, the linker, QEMU and the shell each
give commas, blanks or percent signs a meaning of their own."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import BUILD, GUEST, OUT, TOP

NAME = "a, b%c"
LIMIT_S = 600
# Debian answers in QEMU; in Bochs, where that would take minutes, a bare guest does.
ARGUMENTS = {"svm": ["--vps", "1", "--exec", "echo fine"],
             "vmx": ["--frames", "--vps", "1", "--memory", "64M", "--initrd", "none", "--kernel",
                     str(OUT / "guests/hello.elf")]}
OUTPUT = {"svm": "fine\n", "vmx": "data of hello\nline 2\n"}


class Folder(unittest.TestCase):
    """A copy of the tree in such a folder."""

    def test_run(self):
        """It builds what a run needs, with the guest that is there already, and a child answers in each emulator."""
        with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
            top = Path(scratch) / NAME
            shutil.copytree(TOP, top, ignore=lambda folder, names: {".git", BUILD.name} & set(names)
                            if Path(folder) == TOP else set())
            (top / "build").mkdir()
            (top / "build" / "guest").symlink_to(GUEST)
            environment = {name: value for name, value in os.environ.items() if name != "PARTITA_BUILD"}
            for cpu, arguments in ARGUMENTS.items():
                done = subprocess.run([str(top / "partita"), "run", "--cpu", cpu, *arguments],
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
                                      check=False, env={**environment, "CI": "true"})
                self.assertEqual((done.returncode, done.stdout), (0, OUTPUT[cpu]), done.stderr)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: MIT
"""Configures and builds with CMake and Ninja."""

import os
import re
import subprocess

from common import LOGS, OUT, TOP, Failure, is_interactive, say

IMAGE = OUT / "partita.elf"
MINROOT = OUT / "minroot.elf"
LINUX_ENTRY = OUT / "tests" / "linux_entry.elf"
JOBS = max(1, min(os.cpu_count() or 1, 8))


def run_tool(command, log, what):
    """Runs a build tool; on failure shows the end of its output and stops."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as sink:
        done = subprocess.run(command, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in relevant(lines):
            say(f"  {line}")
        raise Failure(f"{what} failed (log: {log})")


def relevant(lines, count=20):
    """The part of a build log that tells what went wrong."""
    first = next((i for i, line in enumerate(lines) if re.search(r"error|FAILED|undefined reference", line)), None)
    return lines[-count:] if first is None else lines[first:first + count]


def configure(force=False, folder=OUT, options=()):
    """Runs CMake if there is no build folder yet, or if asked to look again (new packages)."""
    if force or not (folder / "build.ninja").is_file():
        run_tool(["cmake", "-S", str(TOP), "-B", str(folder), "-G", "Ninja", *options], LOGS / "configure.log",
                 "configuring")


def is_up_to_date(targets, folder=OUT):
    """True if Ninja has nothing to do for these targets."""
    done = subprocess.run(["ninja", "-C", str(folder), "-n", *targets], capture_output=True, text=True, check=False)
    return done.returncode == 0 and "no work to do" in done.stdout


def build(targets=(), force_configure=False):
    """Brings the targets up to date; none means all."""
    configure(force_configure)
    if is_up_to_date(targets):
        return
    if is_interactive() or not IMAGE.is_file():
        say("building")
    run_tool(["ninja", "-C", str(OUT), "-j", str(JOBS), *targets], LOGS / "build.log", "building")


def build_instrumented(instrument, folder, targets):
    """Brings host programs up to date in a build folder of their own, compiled by clang with what INSTRUMENT says in
    tests/tests.cmake."""
    configure(True, folder, ["-DCMAKE_C_COMPILER=clang", f"-DINSTRUMENT={instrument}"])
    if is_up_to_date(targets, folder):
        return
    say(f"building for {instrument}")
    run_tool(["ninja", "-C", str(folder), "-j", str(JOBS), *targets], LOGS / f"build-{instrument}.log", "building")


def build_images():
    """The hypervisor and the built-in root."""
    build(("image", "minroot"))
    for path in (IMAGE, MINROOT):
        if not path.is_file():
            raise Failure(f"the build did not produce {path}")

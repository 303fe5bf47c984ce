# SPDX-License-Identifier: MIT
"""The rules that ask a compiler: headers stand alone, everything is clean under clang too, formatting."""

import json
import os
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WARNINGS = ["-std=gnu17", "-Wall", "-Wextra", "-Wshadow", "-Wcast-qual", "-Wstrict-prototypes", "-Wmissing-prototypes",
            "-Wimplicit-fallthrough", "-Wvla", "-Werror"]
FREESTANDING = ["-ffreestanding", "-fno-pic", "-mno-red-zone", "-mgeneral-regs-only", "-Wconversion"]
HOSTED_FOLDERS = ("tests/", "partitions/root/linux/", "partitions/root/manager/")
COMPILERS = ("gcc", "clang")
JOBS = min(2, os.cpu_count() or 1)


def first_error(text):
    """The line of a compiler's output that says what is wrong."""
    return next((line for line in text.splitlines() if re.search(r"\b(error|warning):", line)), text.strip()[:200])


def run_all(commands, top):
    """Runs (label, command, input) in parallel; returns a complaint for each that fails."""
    def one(job):
        label, command, text = job
        done = subprocess.run(command, cwd=top, input=text, capture_output=True, text=True, errors="replace",
                              check=False)
        return None if done.returncode == 0 else f"{label}: {first_error(done.stderr)}"
    with ThreadPoolExecutor(JOBS) as pool:
        return [complaint for complaint in pool.map(one, commands) if complaint]


def headers_alone(tree):
    """Each header compiles by itself, and twice in a row, with both compilers."""
    jobs = []
    for file in tree.matching(".h"):
        flags = [] if file.path.startswith(HOSTED_FOLDERS) else FREESTANDING
        text = f'#include "{file.path}"\n#include "{file.path}"\n'
        for compiler in COMPILERS:
            command = [compiler, *WARNINGS, *flags, "-Wno-unused-function", "-I.", "-fsyntax-only", "-x", "c", "-"]
            jobs.append((f"{file.path}:1: {compiler}", command, text))
    return run_all(jobs, tree.top)


def clang_flags(command):
    """A gcc command line without what only gcc knows, and without output files."""
    kept, skip = [], False
    for word in command[1:]:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MT"):
            skip = True
        elif word not in ("-c", "-MD") and not word.startswith("-fno-sanitize-recover"):
            kept.append(word)
    return kept


def clang_clean(tree, database):
    """Every C file that is built is free of warnings with clang under the flags of the build."""
    if not database.is_file():
        return [f"{database}:1: missing; build first"]
    jobs, seen = [], set()
    for entry in json.loads(database.read_text(encoding="utf-8")):
        name = entry["file"]
        if not name.endswith(".c") or not Path(name).is_relative_to(tree.top):
            continue
        flags = clang_flags(shlex.split(entry["command"]))
        key = (name, "-ffreestanding" in flags)
        if key not in seen and Path(name).is_file():
            seen.add(key)
            jobs.append((f"{Path(name).relative_to(tree.top)}:1: clang",
                         ["clang", "-fsyntax-only", "-Wno-unknown-warning-option", *flags], None))
    if not jobs:
        return [f"{database}:1: names no C file of this tree"]
    return run_all(jobs, tree.top)


def formatting(tree):
    """Each C file is as clang-format leaves it."""
    jobs = [(f"{file.path}:1: clang-format", ["clang-format", "--dry-run", "-Werror", "--style=file", file.path], None)
            for file in tree.matching(".c", ".h")]
    return run_all(jobs, tree.top)


def missing_tools():
    """The programs these rules need and cannot find."""
    return [name for name in (*COMPILERS, "clang-format") if shutil.which(name) is None]

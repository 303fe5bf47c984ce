# SPDX-License-Identifier: MIT
"""./partita test --coverage: which lines and branches the host tests run, by clang's source-based coverage, and whether
that is enough."""

import json
import subprocess

import building
from checks import Broken
from common import BUILD, TOP, Failure

FOLDER = BUILD / "coverage"
COUNTED = ("hv", "vmbus", "partitions", "svm", "vmx")
# Least share in percent; each folder with all below it.
LINES_MIN = {"hv/partition": 85.0, "hv/hypercall": 85.0, "hv/exit": 85.0, "hv/lib": 85.0}
BRANCHES_MIN = {"hv/hypercall": 75.0}


def build():
    """Brings the counting programs up to date."""
    building.build_instrumented("coverage", FOLDER, ("host_tests", "fuzz_targets"))


def counting(command, folder):
    """The command with its counts going to a test's folder."""
    return ["env", f"LLVM_PROFILE_FILE={folder}/%p.profraw", *command]


def tool(command):
    """The output of one of LLVM's tools."""
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{command[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()[:500]}")
    return done.stdout


class Count:
    """Lines and branches of a folder: how many there are, and how many ran."""

    def __init__(self):
        self.count = {"lines": 0, "branches": 0}
        self.covered = {"lines": 0, "branches": 0}

    def add(self, summary):
        """Adds those of one file, as llvm-cov has them."""
        for kind in self.count:
            self.count[kind] += summary[kind]["count"]
            self.covered[kind] += summary[kind]["covered"]

    def percent(self, kind):
        """Share that ran."""
        return 100.0 * self.covered[kind] / self.count[kind] if self.count[kind] else 100.0


def measure(programs, profiles):
    """llvm-cov's summary of each file of ours, by its path."""
    merged = FOLDER / "all.profdata"
    tool(["llvm-profdata", "merge", "-sparse", "-o", str(merged), *map(str, profiles)])
    objects = [word for program in programs[1:] for word in ("-object", str(program))]
    text = tool(["llvm-cov", "export", "-summary-only", f"-instr-profile={merged}", str(programs[0]), *objects])
    files = json.loads(text)["data"][0]["files"]
    found = {file["filename"].removeprefix(f"{TOP}/"): file["summary"] for file in files}
    return {path: summary for path, summary in found.items() if path.startswith(tuple(f"{top}/" for top in COUNTED))}


def by_folder(files):
    """Counts of each folder that has files of its own, and of those with a limit, which include what is below."""
    folders = {}
    for path, summary in files.items():
        own = path.rpartition("/")[0]
        for folder in {own} | {limited for limited in LINES_MIN if own.startswith(f"{limited}/")}:
            folders.setdefault(folder, Count()).add(summary)
    return folders


def shortfalls(folders):
    """What is below its limit, a sentence each. A folder without any count was not tested at all."""
    found = []
    for kind, limits in (("lines", LINES_MIN), ("branches", BRANCHES_MIN)):
        for folder, least in limits.items():
            share = folders[folder].percent(kind) if folder in folders else 0.0
            if share < least:
                found.append(f"{folder}: {share:.1f} % of {kind}, at least {least:.0f} % are wanted")
    return found


def absent(files):
    """Files of the folders with a limit that no program contains, and which are counted nowhere."""
    sources = {str(path.relative_to(TOP)) for folder in LINES_MIN for path in (TOP / folder).rglob("*.c")}
    return sorted(sources - set(files))


def table(folders):
    """Lines for people."""
    yield f"{'folder':<34} {'lines':>15} {'':>7} {'branches':>15}"
    for folder in sorted(folders):
        count = folders[folder]
        cells = [f"{count.covered[kind]:>7} /{count.count[kind]:>6} {count.percent(kind):>6.1f} %"
                 for kind in ("lines", "branches")]
        yield f"{folder:<34} {'  '.join(cells)}"


def report(programs, folders):
    """Prints the table for the programs whose counts lie in the folders; returns what is not enough."""
    profiles = [path for folder in folders for path in folder.glob("*.profraw")]
    if not profiles:
        raise Broken("no program has counted anything")
    files = measure(programs, profiles)
    found = by_folder(files)
    for line in table(found):
        print(line)
    print(f"in no host program: {', '.join(absent(files)) or 'nothing'}")
    return shortfalls(found)

# SPDX-License-Identifier: MIT
"""./partita fuzz, and the tests of the group fuzz: builds fuzz targets with clang, replays their corpora, runs them."""

import os
import subprocess

import building
import packages
from checks import Broken
from common import BUILD, TOP, Failure, build_lock, say

SOURCES = TOP / "tests" / "fuzz"
FOLDER = BUILD / "fuzz"
# What `./partita fuzz` finds stays here, and what made a target fail.
FOUND = BUILD / "fuzz-found"
SECONDS = 5
# The same in each run of the tests: what fails there is a change's fault. ./partita fuzz looks for new inputs.
SEED = 1
REPLAY_TIMEOUT_S = 120
STOP_TIMEOUT_S = 120
# What libFuzzer calls an input that failed.
ARTIFACTS = ("crash-", "leak-", "oom-", "timeout-")
# Most inputs are sequences that boot a machine first: long ones from the start are worth more than many short ones.
DEFAULTS = ("-len_control=0", "-max_len=4096", "-timeout=60")
USAGE = """\
usage: ./partita fuzz TARGET [ARGUMENT...]

Runs a fuzz target until it fails or you stop it. Arguments go to libFuzzer: -max_total_time=60, -seed=1, or a file to
replay. New inputs are kept in build/fuzz-found/TARGET.

targets: {}
"""


def targets():
    """The names of all targets."""
    return sorted(path.stem.removeprefix("fuzz_") for path in SOURCES.glob("fuzz_*.c"))


def program(name, tree=FOLDER):
    """A target's program in a build folder."""
    return tree / "fuzz" / f"fuzz_{name}"


def corpus(name):
    """The folder of its committed inputs."""
    return SOURCES / "corpus" / name


def build():
    """Brings all targets up to date."""
    building.build_instrumented("fuzz", FOLDER, ("fuzz_targets",))


def run_logged(command, log, seconds, hint):
    """Runs a target with its output at the end of a log; what failed, and how to repeat it, goes into the error."""
    with open(log, "ab") as sink:
        try:
            done = subprocess.run(command, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=sink,
                                  stderr=subprocess.STDOUT, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise Broken(f"no end after {seconds} s; {hint}") from None
    if done.returncode != 0:
        raise Broken(f"status {done.returncode}; {hint}")


def replay_command(name, tree=FOLDER):
    """Runs the committed inputs of a target, one after the other."""
    inputs = sorted(str(path) for path in corpus(name).iterdir())
    if not inputs:
        raise Broken(f"{corpus(name)} is empty")
    return [str(program(name, tree)), *inputs]


def explore(name, folder):
    """Runs a target for some seconds, from its corpus on."""
    found = folder / "found"
    found.mkdir()
    try:
        run_logged([str(program(name)), f"-seed={SEED}", f"-max_total_time={SECONDS}", f"-artifact_prefix={folder}/",
                    *DEFAULTS, str(found), str(corpus(name))], folder / "output.log", SECONDS + STOP_TIMEOUT_S,
                   f"seed {SEED}")
    except Broken as problem:
        files = [path for path in sorted(folder.iterdir()) if path.name.startswith(ARTIFACTS)]
        hint = "".join(f"; replay: ./partita fuzz {name} {path}" for path in files)
        raise Broken(f"{problem}{hint}") from None


def test(name, folder):
    """One test of the group fuzz."""
    run_logged(replay_command(name), folder / "output.log", REPLAY_TIMEOUT_S,
               f"replay: ./partita fuzz {name} FILE, with the last file that is named below")
    explore(name, folder)


def main(arguments):
    """./partita fuzz"""
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE.format(", ".join(targets())), end="")
        return 0
    if not arguments or arguments[0] not in targets():
        what = f"unknown fuzz target {arguments[0]!r}" if arguments else "which fuzz target?"
        raise Failure(f"{what}; there are {', '.join(targets())}")
    name, rest = arguments[0], arguments[1:]
    with build_lock():
        packages.ensure(packages.PURPOSES)
        build()
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    command = [str(program(name)), f"-artifact_prefix={FOUND}/{name}-", *DEFAULTS, *rest]
    if all(argument.startswith("-") for argument in rest):
        command += [str(found), str(corpus(name))]
        say(f"fuzzing {name}; new inputs: {found}; stop it with Ctrl-C")
    with subprocess.Popen(command, env=os.environ) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # libFuzzer has had the signal too: it prints its last figures and ends.
            process.wait()
            raise

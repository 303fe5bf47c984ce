# SPDX-License-Identifier: MIT
"""./partita test: collects the tests, runs them, prints one line for each and the count."""

import collections
import configparser
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import building
import fuzzing
import guestfiles
import linecoverage
import machine
import options as machine_options
import packages
import systemtests
from checks import Broken
from common import BUILD, OUT, TOP, Failure, build_lock, say, tail

CONFIGURATIONS = ([Path(os.environ["PARTITA_TESTS"])] if os.environ.get("PARTITA_TESTS") else
                  [Path(__file__).with_name(name) for name in ("tests.cfg", "vmbus.cfg", "hostile.cfg")])
# Bare guests in one boot; the boot loader's and minroot's tables take 32 modules.
BATCH_MAX = 24
# What runs without --cpu.
DEFAULT_CPUS = ("svm", "vmx")
PROGRAM_TIMEOUT_S = 300
LONG_PROGRAM_TIMEOUT_S = 3600
LINT_TIMEOUT_S = 600
FOLDER = BUILD / "test"
SCRIPTS = {"driver/driver": "tests/system/test_driver.py", "trace/trace": "tests/system/test_trace.py",
           "driver/accelerators": "tests/system/test_accelerators.py",
           "folder/folder": "tests/system/test_folder.py", "lint/selftest": "tests/lint/test_lint.py"}
# The bench's: the class of test_bench.py and its backend, and whether it is slow.
BENCH = {"bench/counts": ("Svm", "svm", False), "bench/counts@vmx": ("Vmx", "vmx", False),
         "bench/counts-kvm": ("Kvm", "svm", True)}


def explain(problem):
    """An exception as a test's problem: its text, with its kind if it is a fault of the suite itself."""
    return str(problem) if isinstance(problem, (Broken, Failure)) else f"{type(problem).__name__}: {problem}"


class Test:
    """One test: name, group, and what it does with a folder of its own. A bare guest has its section instead: it runs
    in a boot with others. One that counts lines says of which program."""

    def __init__(self, name, group, action, is_slow=False, backend="any", repeat=1, guest=None,
                 program=None):
        self.name = name
        self.group = group
        self.action = action
        self.is_slow = is_slow
        self.backend = backend
        self.repeat = repeat
        self.guest = guest
        self.program = program
        self.seconds = 0.0
        self.problem = None

    def plain_name(self):
        """Its section's name, which its instances for several backends share."""
        return self.name.partition("@")[0]

    def names(self):
        """What selects it."""
        return {self.name, self.plain_name()}

    def folder(self):
        """Where its files go."""
        return FOLDER / self.name.replace("/", "-")

    def make_folder(self):
        """Its folder, empty."""
        shutil.rmtree(self.folder(), ignore_errors=True)
        self.folder().mkdir(parents=True)
        return self.folder()

    def run(self):
        """Does it, as often as it says; fills in seconds and problem."""
        begin = time.monotonic()
        for number in range(1, self.repeat + 1):
            try:
                self.action(self.make_folder())
            except Exception as problem:  # pylint: disable=broad-except
                # A fault of the suite itself fails this test, not the whole run.
                self.problem = explain(problem)
            if self.problem:
                if self.repeat > 1:
                    self.problem = f"round {number} of {self.repeat}: {self.problem}"
                break
        self.seconds = time.monotonic() - begin


def run_program(command, folder, seconds, settings=()):
    """Runs a test program to its end, output in its folder; `settings`: more environment, (name, value) each."""
    log = folder / "output.log"
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1", "PYTHONDONTWRITEBYTECODE": "1",
                   **dict(settings)}
    with open(log, "wb") as sink:
        try:
            done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
                                  timeout=seconds, env=environment, check=False)
        except subprocess.TimeoutExpired:
            raise Broken(f"no end after {seconds} s") from None
    if done.returncode != 0:
        raise Broken(f"status {done.returncode}")


def host_programs(tree, top=TOP):
    """(name, group, source, program) of each tests/<group>/test_<name>.c, built in this build folder."""
    for source in sorted(top.glob("tests/*/test_*.c")):
        group, name = source.parent.name, source.stem
        yield f"{group}/{name.removeprefix('test_')}", group, source, tree / "tests" / group / name


def program_tests(top=TOP):
    """One test for each of them; one that says `slow: N` has a second, slow one with N generated cases."""
    found = []
    for title, group, source, program in host_programs(OUT, top):
        command = [str(program)]
        found.append(Test(title, group,
                          lambda folder, command=command: run_program(command, folder, PROGRAM_TIMEOUT_S)))
        count = re.search(r"^/\* slow: (\d+) \*/$", source.read_text(encoding="utf-8"), re.MULTILINE)
        if count:
            settings = [("PARTITA_COUNT", count.group(1))]
            found.append(Test(f"{title}-long", group, lambda folder, command=command, settings=settings:
                              run_program(command, folder, LONG_PROGRAM_TIMEOUT_S, settings), is_slow=True))
    return found


def fuzz_tests():
    """One test for each fuzz target."""
    return [Test(f"fuzz/{name}", "fuzz", lambda folder, name=name: fuzzing.test(name, folder))
            for name in fuzzing.targets()]


def counting_tests():
    """The host tests as programs that count lines and branches; of the fuzz targets only their corpora."""
    tree = linecoverage.FOLDER
    commands = [(name, group, [str(program)]) for name, group, _, program in host_programs(tree)]
    commands += [(f"fuzz/{name}", "fuzz", fuzzing.replay_command(name, tree)) for name in fuzzing.targets()]
    return [Test(name, group, lambda folder, command=command: run_program(linecoverage.counting(command, folder),
                                                                          folder, PROGRAM_TIMEOUT_S),
                 program=command[0])
            for name, group, command in commands]


def script_tests():
    """The driver's, the lint's and the bench's own tests, and one test for each lint rule."""
    found = [Test(name, name.split("/")[0],
                  lambda folder, path=path: run_program([sys.executable, str(TOP / path)], folder, LINT_TIMEOUT_S))
             for name, path in SCRIPTS.items()]
    for name, (case, cpu, is_slow) in BENCH.items():
        command = [sys.executable, str(TOP / "tests/bench/test_bench.py"), case]
        found.append(Test(name, "bench", lambda folder, command=command: run_program(command, folder,
                                                                                     LONG_PROGRAM_TIMEOUT_S),
                          is_slow, cpu))
    lint = [sys.executable, str(TOP / "tests/lint/lint.py"), "--database", str(OUT / "compile_commands.json")]
    listing = subprocess.run([*lint, "--list"], capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        raise Failure(f"the lint does not start: {listing.stderr.strip()}")
    for rule in listing.stdout.split():
        found.append(Test(f"lint/{rule}", "lint",
                          lambda folder, rule=rule: run_program([*lint, rule], folder, LINT_TIMEOUT_S)))
    return found


def system_tests(path=None):
    """The sections of a file, or of all that there are: what is in [DEFAULT] holds for each."""
    parser = configparser.ConfigParser(interpolation=None, empty_lines_in_values=False)
    found = []
    try:
        for path in CONFIGURATIONS if path is None else [path]:
            parser.read_string(path.read_text(encoding="utf-8"))
        for name in parser.sections():
            section = parser[name]
            systemtests.check_section(section)
            for cpu in systemtests.backends(section):
                found.append(Test(name if cpu != "vmx" else f"{name}@vmx", section.get("group", section["kind"]),
                                  lambda folder, section=section, cpu=cpu: systemtests.run(section, folder, cpu),
                                  section.get("slow", "no") in ("yes", cpu), cpu, section.getint("repeat", 1),
                                  section if section["kind"] == "guest" else None))
    except (configparser.Error, ValueError) as error:
        raise Failure(f"{path.name}: {' '.join(str(error).split())}") from error
    return found


def select(tests, names, cpus=DEFAULT_CPUS, guest=None, slow=False):
    """The tests that the command line asks for. A name without its backend means all instances of the test. One that
    is named itself runs even if it is slow."""
    groups = sorted({test.group for test in tests})
    known = set(groups) | {name for test in tests for name in test.names()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Failure(f"unknown test group {unknown[0]!r}; there are {', '.join(groups)} "
                      "(and single tests, see --list)")
    chosen = tests
    if names or guest:
        chosen = [test for test in tests if test.group in names or test.names() & set(names)]
    if guest:
        guests = {test.plain_name().removeprefix("guest-") for test in tests if test.group == "guest"}
        name = guest.removeprefix("guest-")
        if name not in guests:
            raise Failure(f"unknown guest {guest!r}; there are {', '.join(sorted(guests)) or 'none yet'}")
        names = [*names, f"guest-{name}"]
        chosen += [test for test in tests if test.plain_name() == names[-1] and test not in chosen]
    return [test for test in chosen if (slow or not test.is_slow or test.names() & set(names)) and
            (test.backend in ("any", *cpus) or ("@" in test.name and test.name in names))]


def jobs(tests):
    """Lists of tests that are done in one go: bare guests for the same machine together, every other test alone."""
    found, batches = [], {}
    for test in tests:
        batch = batches.get((test.backend, test.guest.get("lps"))) if test.guest else None
        if batch is None or len(batch) == BATCH_MAX:
            batch = []
            found.append(batch)
            if test.guest:
                batches[test.backend, test.guest.get("lps")] = batch
        batch.append(test)
    return found


def run_batch(tests):
    """Runs bare guests in one boot, in more if one of them takes the machine down. Yields them as they end."""
    while tests:
        begin, done = time.monotonic(), 0
        try:
            for problem in systemtests.run_guests([test.guest for test in tests],
                                                  [test.make_folder() for test in tests], tests[0].backend):
                test, now = tests[done], time.monotonic()
                test.problem, test.seconds, begin, done = problem, now - begin, now, done + 1
                yield test
        except Exception as problem:  # pylint: disable=broad-except
            # Nothing can be booted, or a fault of the suite itself: it is no better for those that follow.
            for test in tests[done:]:
                test.problem = explain(problem)
                yield test
            return
        tests = tests[done:]


def run_job(tests):
    """Runs the tests of one job and yields them as they end."""
    if tests[0].guest:
        yield from run_batch(tests)
    else:
        tests[0].run()
        yield tests[0]


class Runner:
    """Runs tests side by side; the lines come as tests finish."""

    def __init__(self, tests):
        self.tests = tests
        self.finished = []
        self.printing = threading.Lock()

    def report(self, test):
        """One line for a test, and what helps when it failed."""
        print(f"{'FAIL' if test.problem else 'pass'}  {test.name:<40} {test.seconds:6.1f} s", flush=True)
        if test.name == "lint/budgets":
            for line in tail(test.folder() / "output.log"):
                if line.startswith("  "):
                    print(f"      {line.strip()}")
        if not test.problem:
            return
        print(f"      {test.problem}")
        for name in ("output.log", "emulator.log", "root.log", "child0.log", "hv.log", "level1.log"):
            lines = tail(test.folder() / name, 25)
            if lines:
                print(f"      last lines of {test.folder() / name}:")
                for line in lines:
                    print(f"          {line}")
        sys.stdout.flush()

    def work(self, take):
        """A thread's life: one job after the other."""
        while True:
            try:
                job = take()
            except IndexError:
                return
            for test in run_job(job):
                with self.printing:
                    self.finished.append(test)
                    self.report(test)

    def run(self):
        """Until all are done. One thread takes from the front and one from the back, where those for VT-x are, so that
        QEMU and Bochs run side by side."""
        waiting = collections.deque(sorted(jobs(self.tests), key=lambda job: job[0].backend == "vmx"))
        threads = [threading.Thread(target=self.work, args=(take,), daemon=True)
                   for take in (waiting.popleft, waiting.pop)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.finished


def prepare(tests):
    """Packages, guest files, build: what the chosen tests need."""
    with build_lock():
        packages.ensure(packages.PURPOSES)
        guestfiles.ensure()
        building.build(force_configure=True)
        if any(test.group == "fuzz" for test in tests):
            fuzzing.build()
    missing = [test.name for test in tests if test.group not in ("lint", "driver") and not test.name.count("/") and
               not building.IMAGE.is_file()]
    if missing:
        raise Failure(f"the build did not produce {building.IMAGE}")


def run_all(tests, ready):
    """Runs the tests and prints how they ended; `ready` builds what they need. Returns the exit status."""
    if not tests:
        raise Failure("no test fits; nothing was run")
    begin = time.monotonic()
    ready()
    FOLDER.mkdir(parents=True, exist_ok=True)
    say(f"running {len(tests)} tests; logs: {FOLDER}")
    finished = Runner(tests).run()
    failed = [test for test in finished if test.problem]
    print(f"{time.monotonic() - begin:.0f} s in all")
    for test in failed:
        print(f"failed: {test.name}: {test.problem}")
    print(f"{len(finished) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed or len(finished) != len(tests) else 0


def run_counting(tests):
    """Runs host tests that count, and prints and judges what they have counted. Returns the exit status."""
    def ready():
        with build_lock():
            packages.ensure(packages.PURPOSES)
            linecoverage.build()

    status = run_all(tests, ready)
    short = linecoverage.report([test.program for test in tests], [test.folder() for test in tests])
    for complaint in short:
        print(f"too little: {complaint}")
    return 1 if short else status


def main(arguments):
    """The command; returns the exit status."""
    parser = machine_options.Parser(prog="partita test", description="Build, and run the tests: all that are not slow, "
                                    "or the named groups or single tests.")
    parser.add_argument("names", nargs="*", metavar="GROUP", help="group or name of a test (see --list)")
    parser.add_argument("--cpu", choices=tuple(machine.VENDORS),
                        help=f"only what runs on this backend, or on none (default: {' and '.join(DEFAULT_CPUS)})")
    parser.add_argument("--guest", metavar="NAME", help="one bare guest")
    parser.add_argument("--slow", action="store_true", help="also the slow tests")
    parser.add_argument("--coverage", action="store_true", help="only host tests and corpora of fuzz targets, built to "
                        "count: prints the lines and branches that ran, and fails when they are too few")
    parser.add_argument("--list", action="store_true", help="print the tests and stop")
    options = parser.parse_args(arguments)
    if options.coverage:
        return run_counting(select(counting_tests(), options.names))
    tests = select(program_tests() + fuzz_tests() + script_tests() + system_tests(), options.names,
                   (options.cpu,) if options.cpu else DEFAULT_CPUS, options.guest,
                   options.slow or options.list)
    if options.list:
        for test in tests:
            print(f"{test.group:<10} {test.name}{'  (slow)' if test.is_slow else ''}")
        return 0
    return run_all(tests, lambda: prepare(tests))

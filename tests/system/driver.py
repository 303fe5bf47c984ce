# SPDX-License-Identifier: MIT
"""The commands of ./partita."""

import os
import signal
import sys

import building
import guestfiles
import options as machine_options
import packages
from common import STATUS_INTERRUPTED, STATUS_USAGE, TOP, Failure, build_lock, say

USAGE = """\
usage: ./partita COMMAND [OPTION...]

A type-1 hypervisor that speaks the Hyper-V ABI, with a built-in root partition. The first command that you give
installs the Debian packages it needs and builds; nothing has to be prepared.

commands:
  run      boot it in QEMU or Bochs with children that run Linux; the terminal is the child's console
  test     build and run the tests
  control  give a command to the root of a running machine: ask a child to power off, for one
  trace    show what a running hypervisor has traced
  bench    measure what operations cost, beside KVM and Xen
  fuzz     run a fuzz target until it fails
  iso      write an ISO that boots on BIOS and UEFI machines
  setup    install every package, fetch the guest kernel, build everything

./partita COMMAND --help explains each.
"""


def command_run(arguments):
    """./partita run"""
    import runner
    parser = machine_options.Parser(prog="partita run", description="Boot the hypervisor in QEMU or Bochs, with "
                                    "the built-in root partition and children that run Linux.")
    machine_options.add_machine_options(parser)
    machine_options.add_emulator_options(parser)
    return runner.run(parser.parse_args(arguments))


def command_iso(arguments):
    """./partita iso"""
    import runner
    parser = machine_options.Parser(prog="partita iso", description="Write an ISO with GRUB, the hypervisor, the "
                                    "built-in root and the files of its children. It boots on BIOS and on UEFI.")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to (default build/partita.iso)")
    machine_options.add_machine_options(parser)
    return runner.write_iso(parser.parse_args(arguments))


def command_setup(arguments):
    """./partita setup"""
    parser = machine_options.Parser(prog="partita setup", description="Install every package that any command needs, "
                                    "fetch the guest kernel and build everything.")
    parser.parse_args(arguments)
    with build_lock():
        packages.ensure(packages.PURPOSES)
        guestfiles.ensure()
        building.build(force_configure=True)
    say("everything is set up")
    return 0


def command_test(arguments):
    """./partita test"""
    import suite
    return suite.main(arguments)


def command_control(arguments):
    """./partita control"""
    import control
    return control.main(arguments)


def command_trace(arguments):
    """./partita trace"""
    import showtrace
    return showtrace.main(arguments)


def command_bench(arguments):
    """./partita bench"""
    sys.path.append(str(TOP / "tests/bench"))
    import bench
    return bench.main(arguments)


def command_fuzz(arguments):
    """./partita fuzz"""
    import fuzzing
    return fuzzing.main(arguments)


COMMANDS = {"run": command_run, "test": command_test, "control": command_control,
            "trace": command_trace, "bench": command_bench,
            "fuzz": command_fuzz, "iso": command_iso, "setup": command_setup}


def main(arguments):
    """Picks the command; returns the exit status."""
    if not arguments:
        sys.stderr.write(USAGE)
        return 2
    if arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0
    if arguments[0] not in COMMANDS:
        raise Failure(f"unknown command {arguments[0]!r}; there are {', '.join(COMMANDS)}")
    return COMMANDS[arguments[0]](arguments[1:])


def interrupt(_number, _frame):
    """SIGTERM ends a run as Ctrl-C does, so that the emulator is stopped and the terminal is put back."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupt)
    try:
        STATUS = main(sys.argv[1:])
    except Failure as failure:
        say(str(failure))
        STATUS = failure.status
    except KeyboardInterrupt:
        say("interrupted")
        STATUS = STATUS_INTERRUPTED
    except BrokenPipeError:
        # Keep the interpreter from complaining when it flushes a closed stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        STATUS = 128 + signal.SIGPIPE
    except OSError as error:
        say(f"{error.filename or 'a file'}: {error.strerror}")
        STATUS = STATUS_USAGE
    sys.exit(STATUS)

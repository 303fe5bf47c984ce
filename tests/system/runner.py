# SPDX-License-Identifier: MIT
"""./partita run: starts the machine, sorts what comes out of it, ends with the children's status."""

import contextlib
import errno
import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import building
import guestfiles
import initramfs
import iso
import machine
import options as machine_options
from common import (BUILD, STATUS_BROKEN, STATUS_INTERRUPTED, STATUS_TIMEOUT, Failure, build_lock, is_interactive, say,
                    tail)
from control import CommandServer
from frames import Demultiplexer, EscapeFilter, Lines, console_input
from packages import ensure as ensure_packages

POWER_OFF_SECONDS = 20
TICK_SECONDS = 0.2
READ_BYTES = 65536
LOG_LINES = 12
CONSOLE_LINES = 40  # a kernel's panic with its call trace


@contextlib.contextmanager
def run_folder(wanted):
    """The folder for this run's files, held by a lock: build/run, or build/run-2 and so on while that is in use."""
    for number in range(1, 100):
        folder = wanted or BUILD / ("run" if number == 1 else f"run-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if wanted and any(folder.iterdir()) and not (folder / ".lock").exists():
                raise Failure(f"--logs: {wanted} has files that no run has made; give a new or empty folder")
            lock = open(folder / ".lock", "w", encoding="ascii")  # noqa: SIM115
        except OSError as error:
            raise Failure(f"cannot write to the folder {folder}: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if wanted:
                    raise Failure(f"--logs: {wanted} is in use by another run") from error
                continue
            for pattern in ("*.log", "*.img", "*.fd"):
                for old in folder.glob(pattern):
                    old.unlink()
            yield folder
            return
    raise Failure("too many runs at once")


@contextlib.contextmanager
def raw_terminal(descriptor):
    """Every key goes to the child at once; put back at the end. Output stays cooked, for our own lines."""
    saved = termios.tcgetattr(descriptor)
    mode = termios.tcgetattr(descriptor)
    mode[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    mode[6][termios.VMIN] = 1
    mode[6][termios.VTIME] = 0
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, mode)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, saved)


def write_all(descriptor, data):
    """Writes everything, also to a descriptor that takes only part at a time."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view):]
        except BlockingIOError:
            time.sleep(0.01)


class Output:
    """Where the pieces of COM1 go: stdout, stderr, logs. Knows nothing about processes."""

    def __init__(self, folder, children, shows_consoles=False, progress=False, owns_terminal=False, stdout=1, stderr=2):
        self.folder = folder
        self.children = children
        self.progress = progress
        self.owns_terminal = owns_terminal
        self.stdout = stdout
        self.stderr = stderr
        self.statuses = {}
        self.errors = []
        self.faults = []
        self.logs = {}
        self.commands = None
        self.data_lines = [Lines(b"child%d: " % child if children > 1 else b"") for child in range(children)]
        self.console_lines = [Lines(b"child%d: " % child) for child in range(children)]
        self.shows_consoles = shows_consoles

    def log(self, name, data):
        """Appends to a log of this run."""
        if name not in self.logs:
            self.logs[name] = open(self.folder / name, "ab", buffering=0)
        self.logs[name].write(data)

    def take(self, stream, child, payload):
        """One piece from the demultiplexer."""
        if self.commands is not None and stream != "raw":
            self.commands.root_is_up = True
        if stream == "raw":
            # Outside of frames: a firmware's.
            self.log("root.log", payload)
        elif child >= self.children:
            self.faults.append(f"the root spoke of child {child}, and there are {self.children}")
        elif stream == "c":
            self.take_console(child, payload)
        elif stream == "d":
            if self.children > 1:
                payload = self.data_lines[child].feed(payload)
            write_all(self.stdout, payload)
        elif stream == "x":
            self.take_end(child, payload)
        elif stream in "rz":
            if self.commands is not None:
                self.commands.take(stream, child, payload)
        else:
            text = payload.decode("utf-8", "replace").strip()
            self.log("root.log", f"{'error' if stream == 'e' else 'progress'}: {text}\n".encode())
            if stream == "e":
                self.errors.append(text)
            elif self.progress:
                write_all(self.stderr, f"partita: {text}\n".encode())

    def take_console(self, child, data):
        """A child's console: as it is when it owns the terminal, else by lines."""
        self.log(f"child{child}.log", data)
        if self.owns_terminal:
            write_all(self.stdout, data)
        elif self.shows_consoles:
            write_all(self.stderr, self.console_lines[child].feed(data))

    def take_end(self, child, payload):
        """A child is over; a second end of the same child is the root's fault."""
        try:
            status = int(payload)
        except ValueError:
            status = -1
        if not 0 <= status <= 255 or child in self.statuses:
            self.faults.append(f"the root reported a strange end of child {child}: {payload[:32]!r}")
            return
        self.statuses[child] = status
        if self.commands is not None:
            self.commands.forget(child)
        self.flush(child)

    def flush(self, child):
        """Completes unfinished lines."""
        write_all(self.stdout, self.data_lines[child].finish())
        if self.shows_consoles:
            write_all(self.stderr, self.console_lines[child].finish())

    def close(self):
        """Completes everything and closes the logs."""
        for child in range(self.children):
            self.flush(child)
        for log in self.logs.values():
            log.close()

    def is_complete(self):
        """True once every child has ended."""
        return len(self.statuses) == self.children

    def logs_to_show(self):
        """Logs of consoles that nobody has seen, of children about whose end the root had to say something."""
        if self.owns_terminal or self.shows_consoles:
            return []
        return [f"child{child}.log" for child in sorted(self.statuses)
                if any(text.startswith(f"minroot: child {child}: ") for text in self.errors)]

    def status(self):
        """The first nonzero status in the order of the children, else 0."""
        return next((status for _, status in sorted(self.statuses.items()) if status), 0)


class LogFollower:
    """Passes on the new lines of a growing log."""

    def __init__(self, path, descriptor):
        self.path = path
        self.descriptor = descriptor
        self.position = 0

    def poll(self):
        """Writes what is new."""
        try:
            with open(self.path, "rb") as log:
                log.seek(self.position)
                data = log.read()
        except OSError:
            return
        self.position += len(data)
        write_all(self.descriptor, data)


class Session:
    """One emulator with its console."""

    def __init__(self, reader, writer, output, folder, options, takes_input):
        self.commands = output.commands = CommandServer(folder, options.children, self.send)
        self.reader = reader
        self.writer = writer
        self.output = output
        self.folder = folder
        self.options = options
        self.takes_input = takes_input
        self.demultiplexer = Demultiplexer()
        self.escape = EscapeFilter()
        self.is_terminal = takes_input and os.isatty(0)
        self.follower = LogFollower(folder / "hv.log", 2) if options.verbose else None
        self.to_guest = b""

    def loop(self, timeout):
        """Moves bytes until the emulator ends; returns None, or "timeout", "stuck", "quit"."""
        deadline = None if timeout is None else time.monotonic() + timeout
        power_off = None
        os.set_blocking(self.writer, False)
        while True:
            # What is typed is read at once, for the sake of Ctrl-A x; anything else when the guest has room for it.
            sources = [0] if self.takes_input and (self.is_terminal or not self.to_guest) else []
            readable, writable, _ = select.select([self.reader, *self.commands.sources(), *sources],
                                                  [*([self.writer] if self.to_guest else []), *self.commands.sinks()],
                                                  [], TICK_SECONDS)
            if 0 in readable:
                self.read_stdin()
            self.commands.serve(readable, writable)
            if self.reader in readable and not self.read_console():
                return None
            if self.writer in writable:
                self.write_guest()
            if self.follower is not None:
                self.follower.poll()
            if self.escape.wants_quit:
                return "quit"
            now = time.monotonic()
            if self.output.is_complete() and power_off is None:
                power_off = now + POWER_OFF_SECONDS
            if power_off is not None and now >= power_off:
                return "stuck"
            if deadline is not None and now >= deadline:
                return "timeout"

    def read_stdin(self):
        """What is typed goes to the child. The end of input is not the end of the run."""
        try:
            data = os.read(0, READ_BYTES)
        except OSError:
            # A terminal that has gone, a folder.
            data = b""
        self.takes_input = bool(data)
        self.send(console_input(self.escape.feed(data) if self.is_terminal else data))

    def send(self, data):
        """Bytes for the root, when the emulator takes them."""
        self.to_guest += data

    def write_guest(self):
        """As much as the emulator takes now; the rest waits."""
        try:
            self.to_guest = self.to_guest[os.write(self.writer, self.to_guest):]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self.to_guest = b""

    def read_console(self):
        """False once the emulator has closed its console, which it does by ending."""
        data = machine.read_console(self.reader)
        pieces = self.demultiplexer.feed(data) if data else self.demultiplexer.finish()
        for stream, child, payload in pieces:
            self.output.take(stream, child, payload)
        return bool(data)


def show_logs(folder, names=("hv.log", "root.log", "emulator.log"), count=LOG_LINES):
    """The last lines of the logs that have any."""
    for name in names:
        lines = tail(folder / name, count)
        if lines:
            say(f"last lines of {folder / name}:")
            for line in lines:
                print(f"    {line}", file=sys.stderr)


def names_of(children):
    """For people."""
    return ", ".join(f"child {child}" for child in children)


def how_it_ended(folder, emulator_status):
    """In words, for an end that should not have come. A hypervisor that stopped has said why it cannot go on."""
    if emulator_status == machine.STATUS_STOPPED:
        lines = tail(folder / "hv.log") or ["no reason given"]
        return f"the hypervisor stopped: {lines[-1].removeprefix('partita: ')}"
    what = "the hypervisor panicked" if emulator_status == machine.STATUS_PANIC else "the machine stopped"
    return f"{what} ({machine.bochs_last_words(folder) or f'emulator status {emulator_status}'})"


def verdict(reason, output, folder, options, emulator_status):
    """The exit status, with the lines that explain it when it is ours and not the child's."""
    if reason == "quit":
        return 0
    if reason == "timeout":
        running = [child for child in range(output.children) if child not in output.statuses]
        say(f"no end after {options.timeout} s (--timeout) of {names_of(running)}, the machine was stopped; "
            f"logs: {folder}")
        show_logs(folder)
        if not output.owns_terminal and not output.shows_consoles:
            show_logs(folder, [f"child{child}.log" for child in running], CONSOLE_LINES)
        return STATUS_TIMEOUT
    for text in output.errors + output.faults:
        say(text)
    if reason == "stuck":
        say(f"all children ended, but the machine did not power off within {POWER_OFF_SECONDS} s; logs: {folder}")
        show_logs(folder)
        return STATUS_BROKEN
    if output.is_complete() and not output.faults:
        show_logs(folder, output.logs_to_show(), CONSOLE_LINES)
        return output.status()
    if emulator_status == 0 and (output.errors or output.faults):
        return STATUS_BROKEN
    refusal = machine.qemu_refusal(folder, emulator_status)
    if refusal is not None:
        say(f"QEMU did not start: {refusal}")
        return STATUS_BROKEN
    missing = names_of(child for child in range(output.children) if child not in output.statuses)
    what = how_it_ended(folder, emulator_status)
    if emulator_status == machine.STATUS_STOPPED:
        say(what)
        return STATUS_BROKEN
    say(f"{what} before the end of {missing}; logs: {folder}")
    show_logs(folder)
    return STATUS_BROKEN


def modules_for(options, folder, is_framed=True):
    """The boot modules: minroot, the kernel, the initrd with what is added to it, the disks."""
    modules = [machine.Module("minroot.elf", building.MINROOT, machine_options.root_command_line(options, is_framed)),
               *machine_options.kernel_modules(options)]
    base = machine_options.initrd_file(options)
    if base is not None:
        added = []
        if (options.disk or options.net != "none") and base == guestfiles.INITRD:
            added.append(guestfiles.DEVICES_INITRD.read_bytes())
        if options.command is not None:
            added.append(initramfs.command_archive(options.command))
        if added:
            whole = folder / "exec.img"
            whole.write_bytes(initramfs.joined(base.read_bytes(), *added))
            base = whole
        modules.append(machine.Module("initrd.img", base, "initrd"))
    return modules + machine_options.disk_modules(options)


def prepare(options, purposes):
    """Packages, the default guest, the build; quick when all is there."""
    if options.no_build:
        return
    with build_lock():
        ensure_packages(purposes)
        if machine_options.needs_default_guest(options):
            guestfiles.ensure()
        building.build_images()


def watch(box, folder, disc, options):
    """Starts the machine, moves bytes until it ends, and returns the exit status."""
    owns_terminal = machine_options.owns_terminal(options)
    is_terminal = owns_terminal and os.isatty(0)
    if options.timeout is None and not is_terminal:
        options.timeout = machine_options.TIMEOUT_DEFAULT_S
    # With several children and no command to wait for, the consoles are all there is to see.
    shows_consoles = options.verbose or (options.children > 1 and options.command is None and not options.frames)
    output = Output(folder, options.children, shows_consoles, options.verbose or is_interactive(), owns_terminal)
    if is_terminal:
        say("the terminal is the child's console; Ctrl-A x stops the machine")
    elif output.progress:
        say("booting")
    with contextlib.ExitStack() as stack:
        process, reader, writer = stack.enter_context(machine.running(box, folder, disc))
        if is_terminal:
            stack.enter_context(raw_terminal(0))
        session = Session(reader, writer, output, folder, options, owns_terminal)
        stack.callback(session.commands.close)
        try:
            reason = session.loop(options.timeout)
            if reason is None:
                process.wait(POWER_OFF_SECONDS)
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            # Whoever reads our output has gone; that is their way to say enough.
            return 128 + signal.SIGPIPE
        except subprocess.TimeoutExpired:
            reason = "stuck"
    output.close()
    return verdict(reason, output, folder, options, machine.ending(box, folder, process))


def run(options):
    """The command: returns the exit status."""
    machine_options.check(options)
    machine_options.check_emulator(options)
    prepare(options, ("run",))
    with run_folder(options.logs) as folder:
        image = building.IMAGE
        if options.bochs_cpu is None:
            accelerator = machine.choose_accelerator(options.cpu, image, folder)
        else:
            accelerator = machine.bochs()
        say(f"running on {accelerator.reason}")
        machine_options.settle(options, accelerator)
        command_line = f"{machine.STOP_OPTION} {options.hv_append}".strip()
        box = machine.Machine(image, command_line, modules_for(options, folder), options.lps,
                              machine_options.machine_memory_mib(options), options.model, options.firmware,
                              accelerator, machine_options.drives(options))
        disc = None
        if options.firmware != "kernel":
            if not options.no_build:
                with build_lock():
                    ensure_packages(("iso", "bochs") if accelerator.is_bochs else ("iso",))
            disc = folder / "boot.iso"
            iso.make(disc, image, box.command_line, box.modules)
        try:
            return watch(box, folder, disc, options)
        except KeyboardInterrupt:
            say("interrupted, the machine was stopped")
            return STATUS_INTERRUPTED
        finally:
            if disc is not None:
                disc.unlink(missing_ok=True)


def write_iso(options):
    """./partita iso."""
    machine_options.check(options, has_memory_disks=True)
    target = BUILD / "partita.iso" if options.output is None else machine_options.named("--output", options.output)
    prepare(options, ("run", "iso"))
    # On a machine with a plain terminal one child's console is just that.
    is_framed = not machine_options.owns_terminal(options)
    with tempfile.TemporaryDirectory(prefix="partita-iso-") as scratch:
        iso.make(target, building.IMAGE, options.hv_append, modules_for(options, Path(scratch), is_framed))
    say(f"wrote {target}")
    return 0

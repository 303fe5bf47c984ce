# SPDX-License-Identifier: MIT
"""./partita control: gives a command to the root of a machine that runs, through a socket in its run's folder."""

import argparse
import contextlib
import json
import os
import socket
import sys
from pathlib import Path

import options as machine_options
import pictures
from common import BUILD, STATUS_TIMEOUT, Failure
from frames import command_input

SOCKET = "control"
COMMAND_BYTES_MAX = 4000
# Each of them may be an escape of JSON; and what is around.
REQUEST_BYTES_MAX = 6 * COMMAND_BYTES_MAX + 1000
CLIENTS_MAX = 64
# The longest picture is shorter.
UNSENT_BYTES_MAX = 2 ** 25
LAST_SECONDS = 5
TIMEOUT_DEFAULT_S = 120

DESCRIPTION = """\
Give a command to the root of a machine that `./partita run` has started, for one of its children: `./partita control
help` lists them. The answer is printed; the status is 0 when the command was done, and 1 when it was not.
"""


@contextlib.contextmanager
def socket_path(folder):
    """The socket's path by way of a descriptor: those of sockets are short, that of the folder may be long."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


class Client:
    """One connection: a request of one line, then answers, each an object of JSON in a line of its own."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.setblocking(False)
        self.request = b""
        self.unsent = bytearray()
        self.is_answered = False

    def read(self):
        """The request once it is whole: (child, command); None before. ValueError: it is none, or the client left."""
        data = self.socket.recv(REQUEST_BYTES_MAX)
        self.request += data
        if not data or len(self.request) > REQUEST_BYTES_MAX:
            raise ValueError("no request")
        if not self.request.endswith(b"\n"):
            return None
        request = json.loads(self.request)
        return int(request["child"]), str(request["command"])

    def send(self, **answer):
        """Sends an answer as soon as the client takes it. One that takes nothing for long goes without."""
        if self.is_answered:
            return
        self.unsent += json.dumps(answer).encode() + b"\n"
        if len(self.unsent) > UNSENT_BYTES_MAX:
            self.unsent.clear()
            self.is_answered = True
        self.flush()

    def flush(self):
        """Sends what can be sent now."""
        try:
            while self.unsent:
                del self.unsent[:self.socket.send(self.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.unsent.clear()
            self.is_answered = True

    def flush_all(self):
        """Sends the rest, or what the client takes of it in a while."""
        self.socket.settimeout(LAST_SECONDS)
        with contextlib.suppress(OSError):
            self.socket.sendall(self.unsent)

    def is_done(self):
        """Nothing comes any more."""
        return self.is_answered and not self.unsent


class CommandServer:
    """Takes commands for the children from clients and brings them the replies; one at a time for each child."""

    def __init__(self, folder, children, send):
        self.folder = folder
        self.running = set(range(children))
        self.root_is_up = False  # before that, what goes in is lost
        self.send = send
        self.clients = {}
        self.waiting = {}  # of a child: the client that waits for the end of its command, or None if that has left
        self.listener = socket.socket(socket.AF_UNIX)
        (folder / SOCKET).unlink(missing_ok=True)
        with socket_path(folder) as path:
            self.listener.bind(path)
        self.listener.listen()

    def sources(self):
        """What may become readable."""
        return [self.listener, *self.clients]

    def sinks(self):
        """What answers wait for."""
        return [client.socket for client in self.clients.values() if client.unsent]

    def serve(self, readable, writable):
        """Takes what came, and sends what can be sent."""
        for client in [self.clients[sink] for sink in writable if sink in self.clients]:
            client.flush()
            if client.is_done():
                self.drop(client)
        for source in readable:
            if source is self.listener:
                connection, _ = self.listener.accept()
                if len(self.clients) < CLIENTS_MAX:
                    self.clients[connection] = Client(connection)
                else:
                    connection.close()
            elif source in self.clients:
                self.serve_client(self.clients[source])

    def serve_client(self, client):
        """A request, or the end of a client."""
        try:
            request = client.read()
        except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
            self.drop(client)
            return
        if request is not None:
            self.start(client, *request)

    def start(self, client, child, command):
        """Sends a command on its way, if it can be."""
        if not self.root_is_up:
            self.end(client, "the root has not come up yet")
        elif child not in self.running:
            self.end(client, f"there is no child {child}, or it has ended")
        elif child in self.waiting:
            self.end(client, f"child {child} still owes the answer to an earlier command")
        elif not command.isprintable() or len(command.encode(errors="replace")) > COMMAND_BYTES_MAX:
            self.end(client, f"a command has printable characters, and at most {COMMAND_BYTES_MAX} bytes")
        else:
            self.waiting[child] = client
            self.send(command_input(child, command))

    def take(self, stream, child, payload):
        """A part of a reply, or its end."""
        client = self.waiting.get(child)
        text = payload.decode("utf-8", "replace")
        if stream == "z":
            self.waiting.pop(child, None)
        if client is None:
            return
        if stream == "z":
            self.end(client, text)
        else:
            client.send(text=text)

    def forget(self, child):
        """The child has ended, and answers no more."""
        self.running.discard(child)
        client = self.waiting.pop(child, None)
        if client is not None:
            self.end(client, f"child {child} has ended")

    def end(self, client, error):
        """The last answer: what went wrong, or nothing."""
        client.send(error=error)
        client.is_answered = True
        self.waiting = {child: None if waiting is client else waiting for child, waiting in self.waiting.items()}
        if client.is_done():
            self.drop(client)

    def drop(self, client):
        """Forgets a client; the child whose answer it awaited is busy until that has come."""
        self.clients.pop(client.socket, None)
        self.waiting = {child: None if waiting is client else waiting for child, waiting in self.waiting.items()}
        client.socket.close()

    def close(self):
        """The machine is gone."""
        for client in list(self.clients.values()):
            self.end(client, "the machine has stopped")
        for client in list(self.clients.values()):
            client.flush_all()
            self.drop(client)
        self.listener.close()
        (self.folder / SOCKET).unlink(missing_ok=True)


def visible(text):
    """Without what a terminal would obey: guests have a hand in it."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def ask(folder, child, command, timeout, take):
    """Gives a command; calls `take` with each part of the reply. Failure when it was not done."""
    if len(command.encode(errors="replace")) > COMMAND_BYTES_MAX:
        raise Failure(f"a command has at most {COMMAND_BYTES_MAX} bytes")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            with socket_path(folder) as path:
                connection.connect(path)
            connection.sendall(json.dumps({"child": child, "command": command}).encode() + b"\n")
            for line in connection.makefile("r", encoding="utf-8"):
                answer = json.loads(line)
                take(answer.get("text", ""))
                if "error" in answer:
                    if answer["error"]:
                        raise Failure(visible(answer["error"]), 1)
                    return
        except TimeoutError as error:
            raise Failure(f"child {child} has not answered for {timeout} s", STATUS_TIMEOUT) from error
        except OSError as error:
            raise Failure(f"no machine of ./partita run takes commands in {folder}: {error.strerror}") from error
    raise Failure("the machine has stopped", 1)


def take_picture(options, child, timeout):
    """The command `screenshot FILE`: the reply goes into a file; returns the exit status."""
    if len(options.command) != 2:
        raise Failure("screenshot takes the name of a file")
    parts = []
    ask(options.logs, child, "screenshot", timeout, parts.append)
    pictures.write_png(Path(options.command[1]), "".join(parts))
    return 0


def parser():
    """The command line."""
    made = machine_options.Parser(prog="partita control", description=DESCRIPTION)
    made.add_argument("--child", metavar="N", default="0", help="which of them (default: 0)")
    made.add_argument("--logs", metavar="DIR", default=BUILD / "run", type=Path,
                      help="the folder of the run (default: build/run)")
    made.add_argument("--timeout", metavar="S", default=str(TIMEOUT_DEFAULT_S),
                      help=f"give up when nothing comes for S seconds (default: {TIMEOUT_DEFAULT_S})")
    made.add_argument("command", metavar="WORD", nargs="+", help=argparse.SUPPRESS)
    return made


def main(arguments):
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    child = machine_options.whole("--child", options.child, 0, machine_options.CHILDREN_MAX - 1)
    timeout = machine_options.whole("--timeout", options.timeout, 1, 10 ** 6)
    if options.command[0] == "screenshot":
        return take_picture(options, child, timeout)
    ask(options.logs, child, " ".join(options.command), timeout, lambda text: sys.stdout.write(visible(text)))
    return 0

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
from common import BUILD, STATUS_TIMEOUT, Failure
from frames import command_input

SOCKET = "control"
COMMAND_BYTES_MAX = 4000
# Each of them may be an escape of JSON; and what is around.
REQUEST_BYTES_MAX = 6 * COMMAND_BYTES_MAX + 1000
CLIENTS_MAX = 64
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
        """One who does not read what it asked for goes without."""
        with contextlib.suppress(OSError):
            self.socket.sendall(json.dumps(answer).encode() + b"\n")


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

    def serve(self, readable):
        """Takes what came on them."""
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
        self.listener.close()
        (self.folder / SOCKET).unlink(missing_ok=True)


def visible(text):
    """Without what a terminal would obey: guests have a hand in it."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def ask(folder, child, command, timeout):
    """Gives a command; prints the reply. Failure when it was not done."""
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
                sys.stdout.write(visible(answer.get("text", "")))
                if "error" in answer:
                    if answer["error"]:
                        raise Failure(visible(answer["error"]), 1)
                    return
        except TimeoutError as error:
            raise Failure(f"child {child} has not answered for {timeout} s", STATUS_TIMEOUT) from error
        except OSError as error:
            raise Failure(f"no machine of ./partita run takes commands in {folder}: {error.strerror}") from error
    raise Failure("the machine has stopped", 1)


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
    ask(options.logs, child, " ".join(options.command), timeout)
    return 0

# SPDX-License-Identifier: MIT
"""What test_driver.py states of ./partita control, for a class with a folder and an emulator that follows a script."""

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

import pictures

HERE = Path(__file__).resolve().parent


class ControlCases:
    """Tests of a run that takes commands."""

    def control(self, *arguments):
        """./partita control for the run that goes on: (status, stdout, stderr)."""
        done = subprocess.run([sys.executable, str(HERE / "driver.py"), "control", *arguments], capture_output=True,
                              text=True, timeout=60, check=False, env=self.environment(self.script.read_text()))
        return done.returncode, done.stdout, done.stderr

    def disturb_control(self):
        """Requests that are none, and clients that ask nothing: they are dropped."""
        path = str(self.folder / "build/run/control")
        for request in (b"\n", b"[" * 8000 + b"\n", b'{"child": 1e999, "command": "x"}\n', b"{}\n", b"x" * 30000):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                with contextlib.suppress(OSError):
                    client.sendall(request)
                    self.assertEqual(client.recv(1), b"")
        with contextlib.ExitStack() as stack:
            for _ in range(80):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(path)
            self.assertEqual(client.recv(1), b"")

    def test_control(self):
        """A command reaches the root, in a form that no typed byte can have; its reply and its end come back."""
        environment = self.environment("""
def command():
    data = b""
    while not data.endswith(b"\\n"):
        data += os.read(0, 1)
    return data
raw(b"early\\n")
while not os.path.exists("go"):
    time.sleep(0.05)
frame("d", 0, "ready\\n")
frame("d", 0, command().hex() + "\\n")
frame("r", 1, "a lis"); frame("c", 1, "console"); frame("r", 1, "t\\x1b[2J\\n"); frame("z", 1, "")
command(); frame("z", 0, "cannot")
command(); frame("d", 1, "waiting\\n")
frame("d", 0, command().hex() + "\\n"); frame("z", 0, "")
time.sleep(2); frame("x", 1, "0")
frame("d", 0, command().hex() + "\\n"); frame("z", 0, "")
frame("x", 0, "0")
""")
        with subprocess.Popen(self.command("--exec", "x", "--children", "2"), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment) as driver:
            deadline = time.monotonic() + 20
            while self.control("early")[2] != "partita: the root has not come up yet\n":
                self.assertLess(time.monotonic(), deadline)
            (self.folder / "build/run/go").touch()
            self.assertEqual(driver.stdout.readline(), b"child0: ready\n")
            self.assertEqual(self.control("--child", "1", "kvp-list", "auto"), (0, "a list?[2J\n", ""))
            self.assertEqual(driver.stdout.readline(), b"child0: %s\n" % b"\x1e1 kvp-list auto\n".hex().encode())
            self.assertEqual(self.control("x"), (1, "", "partita: cannot\n"))
            self.assertEqual(self.control("--child", "2", "x"),
                             (1, "", "partita: there is no child 2, or it has ended\n"))
            self.assertEqual(self.control("a\nb")[0], 1)
            self.assertEqual(self.control("x" * 4001)[0], 2)
            self.disturb_control()
            with subprocess.Popen([sys.executable, str(HERE / "driver.py"), "control", "--child", "1", "freeze"],
                                  stderr=subprocess.PIPE, env=environment) as waiting:
                self.assertEqual(driver.stdout.readline(), b"child1: waiting\n")
                self.assertEqual(self.control("--child", "1", "x"),
                                 (1, "", "partita: child 1 still owes the answer to an earlier command\n"))
                self.assertEqual(self.control("other"), (0, "", ""))
                _, err = waiting.communicate(timeout=30)
                self.assertEqual((waiting.returncode, err), (1, b"partita: child 1 has ended\n"))
            self.assertEqual(self.control("last"), (0, "", ""))
            _, err = driver.communicate(timeout=30)
            self.assertEqual(driver.returncode, 0, err)
        self.assertEqual(self.control("x")[0], 2)
        self.assertFalse((self.folder / "build/run/control").exists())

    def test_screenshot(self):
        """A picture that is longer than what a socket takes at once becomes a file, whole; what is none does not."""
        environment = self.environment("""
def command():
    while os.read(0, 1) != b"\\n":
        pass
frame("d", 0, "ready\\n")
command(); frame("r", 0, "500 400\\n")
for row in range(399):
    frame("r", 0, "".join("%06xH" % (row << 12 | column) for column in range(500)) + "\\n")
frame("r", 0, "\\n"); frame("z", 0, "")
for text in "2 2\\nffffffI\\n", "2 1\\nffffffJ\\n", "2 1\\nfffI\\n", "2 1\\n\\n", "x":
    command(); frame("r", 0, text); frame("z", 0, "")
command(); frame("r", 0, "3 2\\n0a0b0cH00ff00HH\\n\\n"); frame("z", 0, "")
command(); frame("z", 0, "the guest shows no picture")
frame("x", 0, "0")
""")
        path = self.folder / "a.png"
        with subprocess.Popen(self.command("--exec", "x"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment) as driver:
            self.assertEqual(driver.stdout.readline(), b"ready\n")
            self.assertEqual(self.control("screenshot", str(path)), (0, "", ""))
            rows = pictures.read_png(path)
            for row in range(400):
                self.assertEqual(rows[row], b"".join((min(row, 398) << 12 | column).to_bytes(3, "big")
                                                     for column in range(500)))
            for _ in range(5):
                self.assertEqual(self.control("screenshot", str(path)), (1, "", "partita: what came is no picture\n"))
            self.assertEqual(self.control("screenshot", str(self.folder / "b.png")), (0, "", ""))
            self.assertEqual(pictures.part(pictures.read_png(self.folder / "b.png"), 0, 0, 3, 2),
                             2 * [["0a0b0c", "00ff00", "0a0b0c"]])
            self.assertEqual(self.control("screenshot"), (2, "", "partita: screenshot takes the name of a file\n"))
            self.assertEqual(self.control("screenshot", str(path)), (1, "", "partita: the guest shows no picture\n"))
            _, err = driver.communicate(timeout=30)
            self.assertEqual(driver.returncode, 0, err)

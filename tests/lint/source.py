# SPDX-License-Identifier: MIT
"""The source tree as the lint sees it: which files there are, their text, and the functions in them."""

import re
import subprocess
from pathlib import Path

SKIPPED = {".git", "__pycache__", "build", "corpus"}
TEXT_SUFFIXES = {".c", ".h", ".S", ".ld", ".py", ".cmake", ".cfg", ".txt", ".md", ".sh", ""}


class File:
    """One file: its path from the top, its lines, and for C also its code without comments and strings."""

    def __init__(self, top, path):
        self.path = path
        self.text = (top / path).read_bytes().decode("utf-8", "replace")
        self.lines = self.text.splitlines()
        self._code = None

    @property
    def code(self):
        """The text with comments and the contents of strings blanked out; lines and columns stay."""
        if self._code is None:
            self._code = blank(self.text)
        return self._code

    def line_of(self, position):
        """The line number of a position in the text."""
        return self.text.count("\n", 0, position) + 1


class Tree:
    """All files below a folder that belong to the project."""

    def __init__(self, top):
        self.top = Path(top)
        self.files = [File(self.top, path) for path in sorted(self.paths())]

    def paths(self):
        """Relative paths: what git tracks or would track, or everything when there is no git."""
        listing = None
        if (self.top / ".git").exists():
            done = subprocess.run(["git", "-C", str(self.top), "ls-files", "-co", "--exclude-standard", "-z"],
                                  capture_output=True, text=True, check=False)
            listing = done.stdout.split("\0") if done.returncode == 0 else None
        if listing is None:
            listing = [str(path.relative_to(self.top)) for path in self.top.rglob("*")]
        for name in listing:
            path = Path(name)
            if (name and not SKIPPED & set(path.parts) and not path.parts[0].startswith("build") and
                    path.suffix in TEXT_SUFFIXES and (self.top / path).is_file()):
                yield name

    def matching(self, *suffixes, below=()):
        """The files with one of these suffixes, below one of these folders if any are given."""
        return [file for file in self.files if file.path.endswith(suffixes) and
                (not below or file.path.startswith(tuple(folder.rstrip("/") + "/" for folder in below)))]

    def get(self, path):
        """A file by its path, or None."""
        return next((file for file in self.files if file.path == path), None)


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blank(text):
    """C text with every comment and the inside of every string replaced by blanks."""
    def cover(match):
        word = match.group(0)
        if word[0] in "\"'":
            return word[0] + " " * (len(word) - 2) + word[-1]
        return re.sub(r"[^\n]", " ", word)
    return TOKEN.sub(cover, text)


DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE)


def without_directives(code):
    """Code with preprocessor lines blanked out, continued ones too."""
    return DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), code)


class Function:
    """The body of one function: where it begins and ends, how long and how deep it is."""

    def __init__(self, name, first_line, last_line, depth, length):
        self.name = name
        self.first_line = first_line
        self.last_line = last_line
        self.depth = depth
        self.length = length


def opens_block(code, brace):
    """True if the brace begins a statement block of a branch or loop, not an initialiser and not a bare block."""
    before = code[:brace].rstrip()
    if before.endswith(("else", "do")) and not before[:-4].endswith("_"):
        return True
    if not before.endswith(")"):
        return False
    depth, at = 0, len(before) - 1
    while at >= 0:
        depth += {")": 1, "(": -1}.get(before[at], 0)
        if depth == 0:
            break
        at -= 1
    word = re.search(r"(\w+)\s*$", before[max(0, at - 80):at])
    return word is not None and word.group(1) not in ("return", "sizeof", "__typeof__")


def functions(file):
    """Every function defined in a C file."""
    code = without_directives(file.code)
    found, stack, start, name, deepest = [], [], None, None, 0
    for match in re.finditer(r"[{}]", code):
        at = match.start()
        if match.group(0) == "{":
            if not stack:
                head = code[:at].rstrip()
                is_function = head.endswith(")")
                # The name comes from the last parameter list that starts a line's declarator.
                names = re.findall(r"(\w+)\s*\((?:[^(){};]|\([^(){};]*\))*\)\s*$", head[-2000:]) if is_function else []
                start, name, deepest = (at, names[-1] if names else "?", 0) if is_function else (None, None, 0)
                stack.append(False)
            else:
                stack.append(start is not None and opens_block(code, at))
                deepest = max(deepest, sum(stack))
        elif stack:
            stack.pop()
            if not stack and start is not None:
                first, last = file.line_of(start), file.line_of(at)
                found.append(Function(name, first, last, deepest, weight(code.splitlines()[first - 1:last])))
                start = None
    return found


def weight(lines):
    """Lines of a function body, flat one-line cases of a switch left out: they are a table in another form."""
    count, in_case = 0, False
    for line in lines:
        text = line.strip()
        if re.match(r"(case\b.*|default\s*):$", text):
            in_case = True
            continue
        if re.match(r"(case\b|default\s*:).*;$", text):
            continue
        if in_case and re.match(r"(return\b.*|break|\w[\w.>\-\[\]]* = .*);$", text):
            continue
        in_case = False
        count += 1
    return count

# SPDX-License-Identifier: MIT
"""What a system test expects of a text: lines of regular expressions, and how they fail."""

import re


class Broken(Exception):
    """A test failed; the text says why."""


def patterns(text):
    """The non-empty lines of a setting, each a regular expression."""
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def by_child(text):
    """The lines of each child, in order, by the prefix `childN: `; empty for lines without one."""
    found = {}
    for line in text.splitlines():
        child = re.match(r"(child\d+: )?", line).group()
        found.setdefault(child, []).append(line)
    return found


def compiled(name, text):
    """The patterns, compiled; a bad one is the test's own fault and is named."""
    found = []
    for pattern in patterns(text):
        try:
            found.append(re.compile(pattern, re.MULTILINE))
        except re.error as error:
            raise Broken(f"{name}: {pattern!r} is no regular expression: {error}") from error
    return found


def unmet(expect, text):
    """The patterns that match nowhere."""
    return [pattern.pattern for pattern in expect if not pattern.search(text)]


def verify(what, text, expect=(), forbid=(), only=()):
    """Raises Broken unless everything expected is there, nothing forbidden, and (if given) no other line."""
    missing = unmet(expect, text)
    if missing:
        raise Broken(f"{what}: no match for {missing[0]!r}" + (f" and {len(missing) - 1} more" if missing[1:] else ""))
    for pattern in forbid:
        found = pattern.search(text)
        if found:
            raise Broken(f"{what}: {pattern.pattern!r} must not match, and did: {found.group(0)!r}")
    if only:
        for line in text.splitlines():
            if line.strip() and not any(pattern.search(line) for pattern in only):
                raise Broken(f"{what}: unexplained line {line!r}")

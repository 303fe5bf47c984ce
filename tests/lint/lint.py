#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the source tree against the project's style rules. Each rule prints its complaints; one is a failure.

usage: lint.py [--list] [--database FILE] [RULE...]
"""

import argparse
import sys
import time
from pathlib import Path

import compilers
import rules
from source import Tree

TOP = Path(__file__).resolve().parents[2]
COMPLAINTS_MAX = 40


def all_rules(database):
    """Every rule by name."""
    return {**rules.RULES, "headers-alone": compilers.headers_alone,
            "clang-clean": lambda tree: compilers.clang_clean(tree, database),
            "formatting": compilers.formatting}


def main():
    """Command line; the status is 1 when any rule complains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the rules' names")
    parser.add_argument("--database", type=Path, default=TOP / "build/out/compile_commands.json",
                        help="compile_commands.json of the build")
    parser.add_argument("rules", nargs="*")
    options = parser.parse_args()
    table = all_rules(options.database.absolute())
    if options.list:
        print("\n".join(table))
        return 0
    unknown = set(options.rules) - set(table)
    if unknown:
        sys.exit(f"lint: unknown rule {', '.join(sorted(unknown))}; there are {', '.join(table)}")
    missing = compilers.missing_tools()
    if missing:
        sys.exit(f"lint: missing programs: {', '.join(missing)}")
    tree = Tree(TOP)
    if not tree.matching(".c"):
        sys.exit("lint: found no C file to look at")
    failed = False
    for name in options.rules or table:
        begin = time.monotonic()
        complaints = table[name](tree)
        print(f"lint {name}: {len(complaints)} complaints, {time.monotonic() - begin:.1f} s")
        for complaint in complaints[:COMPLAINTS_MAX]:
            print(f"  {complaint}")
        if len(complaints) > COMPLAINTS_MAX:
            print(f"  and {len(complaints) - COMPLAINTS_MAX} more")
        failed = failed or bool(complaints)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

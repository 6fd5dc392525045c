#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Proves what the compiler does not: includes go downwards only, and every file says its licence.

A folder may include itself and what stands to the right of it; lib/mime/ alone knows GMime, C++
lives in one file, and only tests/ may include tests/.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAY_INCLUDE = {
    "cmd": {"cmd", "middleware", "storage", "lib"},
    "middleware": {"middleware", "lib"},
    "storage": {"storage", "lib"},
    "lib": {"lib"},
    "tests": {"tests", "cmd", "middleware", "storage", "lib"},
}
# A library that one place, or a few, was given to hide from the others.
KEPT_TO = {
    "gmime/": "lib/mime/",
    "uchardet": "lib/mime/",
    "libpq-fe.h": "storage/postgres/",
    "sqlite3.h": ("storage/sqlite/", "cmd/mailserver/ledger.c"),
    "cyaml/": "lib/config/",
    "hiredis/": "lib/redis/",
    "yaml.h": "lib/config/",
    "valijson/": "lib/config/",
}
LONGEST_FILE = 600  # lines; one thing each


def findings():
    for folder, allowed in MAY_INCLUDE.items():
        for path in sorted((ROOT / folder).rglob("*.[ch]*")):
            if path.suffix not in {".c", ".h", ".cc"}:
                continue
            name = path.relative_to(ROOT).as_posix()
            lines = path.read_text().splitlines()
            if "SPDX-License-Identifier: MIT" not in lines[0]:
                yield f"{name}:1: the first line must name the licence (SPDX)"
            if path.suffix == ".cc" and folder != "lib":
                yield f"{name}: C++ has no place here"
            if len(lines) > LONGEST_FILE and folder != "tests":
                yield f"{name}: {len(lines)} lines: is it one thing? (at most {LONGEST_FILE})"
            for number, line in enumerate(lines, 1):
                yield from include_findings(name, folder, allowed, number, line)


def include_findings(name, folder, allowed, number, line):
    quoted = re.match(r'#\s*include\s+"([^"]+)"', line)
    angled = re.match(r"#\s*include\s+<([^>]+)>", line)
    if quoted:
        top = quoted[1].split("/")[0]
        if not (ROOT / quoted[1]).is_file():
            yield f"{name}:{number}: {quoted[1]} is not a path from the root"
        elif top not in allowed:
            yield f"{name}:{number}: {folder}/ may not include {top}/"
    if angled and folder != "tests":
        for library, home in KEPT_TO.items():
            if angled[1].startswith(library) and not name.startswith(home):
                yield f"{name}:{number}: only {home} may know <{angled[1]}>"


if __name__ == "__main__":
    found = list(findings())
    for finding in found:
        print(finding, file=sys.stderr)
    print(f"layering: {len(found)} findings")
    sys.exit(1 if found else 0)

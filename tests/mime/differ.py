#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Where lib/mime and Python's `email` differ over the samples, and why: differences.txt.

Run by hand it prints each difference that the table does not explain, with both values, and each
entry of the table that does not differ any more."""
import pathlib
import re
import sys

import corpus
import python_email

TABLE = pathlib.Path(__file__).with_name("differences.txt")
SHOWN = 300


def load():
    """{(message, field): reason}, and {reason: explanation}."""
    entries, reasons, reason = {}, {}, None
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        heading = re.fullmatch(r"\[(\w+)\]", line)
        if heading:
            reason = heading[1]
            assert reason not in reasons, f"{TABLE.name}:{number}: [{reason}] again"
            reasons[reason] = ""
        elif line.startswith("  "):
            name, *keys = line.split()
            for key in keys:
                assert key in python_email.FIELDS, f"{TABLE.name}:{number}: no field {key}"
                assert (name, key) not in entries, f"{TABLE.name}:{number}: {name} {key} again"
                entries[name, key] = reason
        elif line and not line.startswith("#"):
            reasons[reason] += " " + line
    return entries, reasons


def differences():
    """{(message, field): (ours, theirs)}"""
    found = {}
    paths = corpus.messages()
    for path, parse in zip(paths, corpus.parse(paths)):
        ours, theirs = python_email.ours(parse), python_email.theirs(path.read_bytes())
        for key in python_email.FIELDS:
            if ours[key] != theirs[key]:
                found[corpus.name_of(path), key] = ours[key], theirs[key]
    return found


def main():
    entries, _ = load()
    found = differences()
    new = [key for key in found if key not in entries]
    for key in new:
        ours, theirs = (repr(value)[:SHOWN] for value in found[key])
        print(f"  {key[0]} {key[1]}\n#   ours   {ours}\n#   Python {theirs}")
    gone = [key for key in entries if key not in found]
    for key in gone:
        print(f"# no difference any more: {' '.join(key)} [{entries[key]}]")
    print(f"# {len(found)} differences, {len(new)} not explained, {len(gone)} entries too many")
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What lib/mime made of every field of every sample when somebody last looked: golden.jsonl.

A message's text is not ours to keep, so each field is a digest; empty ones are left out.
`make golden` writes the file anew and prints each field that changed, with its new value and, given
BEFORE=an older build's mime_json, its old one: read them before you commit.
"""
import argparse
import hashlib
import json
import pathlib
import sys

import corpus

GOLDEN = pathlib.Path(__file__).with_name("golden.jsonl")
SHOWN = 300


def fields(parse):
    """The addresses are a field each; what is empty is none."""
    flat = {**parse, **parse["addresses"]}
    del flat["addresses"]
    return {key: value for key, value in flat.items() if value not in (None, [], "", False)}


def digest(value):
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def digests(parse):
    return {key: digest(value) for key, value in sorted(fields(parse).items())}


def load():
    lines = GOLDEN.read_text().splitlines() if GOLDEN.exists() else []
    found = {}
    for line in lines:
        entry = json.loads(line)
        found[entry.pop("message")] = entry
    return found


def changes(golden, parses):
    """(message, field) of what is not as it was."""
    for name, parse in parses.items():
        new, old = digests(parse), golden.get(name, {})
        for key in sorted(new.keys() | old.keys()):
            if new.get(key) != old.get(key):
                yield name, key


def show(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[:SHOWN] + f"… ({len(text)})"


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--before", help="an older build's mime_json, to show the old values")
    before = options.parse_args().before
    paths = corpus.messages()
    if not paths:
        sys.exit(f"no samples at {corpus.CORPUS}: MAIL_CORPUS names another folder")
    names = [corpus.name_of(path) for path in paths]
    parses = dict(zip(names, corpus.parse(paths)))
    former = dict(zip(names, corpus.parse(paths, before))) if before else {}
    golden = load()
    count = 0
    for name, key in changes(golden, parses):
        count += 1
        if not golden:
            continue
        print(f"{name} {key}")
        if before:
            print(f"  - {show(fields(former[name]).get(key))}")
        print(f"  + {show(fields(parses[name]).get(key))}")
    with GOLDEN.open("w") as out:
        for name, parse in parses.items():
            out.write(json.dumps({"message": name, **digests(parse)}) + "\n")
    print(f"{count} fields changed; {len(parses)} messages in {GOLDEN.name}")


if __name__ == "__main__":
    main()

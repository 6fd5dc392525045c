# SPDX-License-Identifier: MIT
"""What a server's metrics say at this moment, read as Prometheus would."""
import re


def samples(server):
    """{(name, frozenset of label pairs): value}"""
    text = server.scrape().text
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, number = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
        pairs = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
        assert (name, pairs) not in found, line
        found[name, pairs] = float(number)
    return found


def value(server, name, **labels):
    return samples(server).get((name, frozenset(labels.items())))

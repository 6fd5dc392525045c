# SPDX-License-Identifier: MIT
"""How often faults are injected: seldom in `make test`, often in `make torture`; and the count."""
import collections
import os

TORTURE = bool(os.environ.get("TORTURE"))


COUNTS = {
    "messages": "{} messages kept once each",
    "refused": '{} answers "later"',
    "unanswered": "{} attempts without an answer",
    "duplicates": "{} found there when sent again",
}
reports = collections.defaultdict(collections.Counter)


def times(short, long):
    return long if TORTURE else short


def injected(name, count=1):
    reports[name]["times"] += count


def survived(name, **counts):
    """What came of it, once all was found to be right; see COUNTS."""
    assert counts.keys() <= COUNTS.keys()
    reports[name].update(counts)


def summary():
    """As lines, one for each kind of fault."""
    for name, report in reports.items():
        what = ", ".join(text.format(report[count]) for count, text in COUNTS.items()
                         if report[count])
        yield f"{report['times']:5} x {name}: {what or 'NOT SURVIVED'}"


def endure(name, load, fault, felt, healed):
    """Once, or in the torture five times: `fault()`, a context, until every client was refused more
    than once (those too, then, that had to wait behind others first) and `felt()` has found what it
    waits for; after it `healed()`, and mail is taken again."""
    load.wait_for_more()
    for _ in range(times(1, 5)):
        with fault():
            injected(name)
            load.wait_for_refused(2 * len(load.clients))
            felt()
        healed()
        load.wait_for_more()

# SPDX-License-Identifier: MIT
"""From rounds to figures: medians with their spread, ratios, targets, and the tables of them."""
import dataclasses
import statistics
import typing


class Spread(typing.NamedTuple):
    """A median says what is usual, the least and the most how far to trust it."""
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values):
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits):
        return (f"{self.median:10,.{digits}f}  "
                f"({self.low:,.{digits}f}–{self.high:,.{digits}f})")


@dataclasses.dataclass
class Target:
    name: str
    value: typing.Optional[Spread]  # None: not measured, `note` says why
    limit: float
    at_least: bool  # else: less than the limit
    unit: str = ""
    note: str = ""

    def met(self):
        """By the median; None when it was not measured."""
        if self.value is None:
            return None
        if self.at_least:
            return self.value.median >= self.limit
        return self.value.median < self.limit

    def wanted(self):
        return f"{'≥' if self.at_least else '<'} {self.limit:.3g}{self.unit}"

    def line(self):
        if self.value is None:
            return f"{self.name:52} {'':>10}  not measured: {self.note}"
        said = self.value.text(2 if self.limit < 10 else 1)
        return f"{self.name:52} {said:30} {self.wanted():9} {'met' if self.met() else 'MISSED'}"

    def as_json(self):
        return {"name": self.name, "value": self.value and self.value._asdict(),
                "wanted": self.wanted(), "met": self.met(), "note": self.note}


def pairwise(function, *columns):
    """Of each round's own values, so that what slowed the machine for a while cancels out."""
    return Spread.of(function(*values) for values in zip(*columns))


def limit(bare, null):
    """The rate when the two costs, the rows' and the server's, are paid one after the other."""
    return 1 / (1 / bare + 1 / null)


@dataclasses.dataclass
class Measured:
    """All rounds of one contender at one size."""
    name: str
    label: str
    rounds: list
    peak_megabytes: typing.Optional[float]

    def rates(self):
        return [each.rate for each in self.rounds]

    def spread(self, field):
        values = [getattr(each, field) for each in self.rounds]
        return None if None in values else Spread.of(values)

    def cpu_us(self):
        return {who: statistics.median(each.cpu_us[who] for each in self.rounds)
                for who in self.rounds[0].cpu_us}

    def line(self):
        p50, p99 = self.spread("p50_ms"), self.spread("p99_ms")
        cpu = ", ".join(f"{who} {us:.0f}" for who, us in self.cpu_us().items())
        latency = f"{p50.median:6.1f} {p99.median:7.1f}" if p50 else f"{'':14}"
        peak = f"{self.peak_megabytes:5.0f}" if self.peak_megabytes else f"{'':5}"
        return (f"{self.label:18} {self.spread('rate').text(0):29} {latency} {peak}  "
                f"{100 * self.spread('generator_busy').median:4.0f}%  {cpu}")

    def as_json(self):
        p50, p99 = self.spread("p50_ms"), self.spread("p99_ms")
        return {"label": self.label, "rate": self.spread("rate")._asdict(),
                "p50_ms": p50 and p50._asdict(), "p99_ms": p99 and p99._asdict(),
                "peak_megabytes": self.peak_megabytes, "cpu_us": self.cpu_us(),
                "rounds": [each._asdict() for each in self.rounds]}


HEADING = (f"{'':18} {'messages/s':>10}  {'(min–max)':16}  p50 ms  p99 ms  peak MB  gen.  "
           "processor µs a message")


def print_size(size, measured):
    print(f"\n{size:,} B\n{HEADING}")
    for each in measured.values():
        print(each.line())
    if "bare" in measured and "null" in measured:
        value = pairwise(limit, measured["bare"].rates(), measured["null"].rates())
        print(f"{'L = 1/(1/a + 1/b)':18} {value.text(0)}", flush=True)


def print_targets(targets):
    print(f"\n{'target':52} {'median':>10}  {'(min–max)':16}  wanted")
    for target in targets:
        print(target.line())
    missed = sum(target.met() is False for target in targets)
    unknown = sum(target.met() is None for target in targets)
    print(f"{len(targets) - missed - unknown} met, {missed} missed, {unknown} not measured")

# SPDX-License-Identifier: MIT
"""The figures as a picture: rates side by side, and how far each target was met."""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

from report import limit, pairwise  # noqa: E402

COLOURS = {"bare": "#9aa5b1", "null": "#9aa5b1", "server": "#1f6feb", "sqlite": "#7aa7f0",
           "peer": "#d9822b"}
MET, MISSED = "#2da44e", "#cf222e"


def draw(results, targets, about, path):
    plt.rcParams.update({"font.size": 9, "svg.fonttype": "none"})
    sizes = [size for size in results if isinstance(size, int)]
    figure, axes = plt.subplots(1, len(sizes) + 1, figsize=(5 * len(sizes) + 7, 4.5),
                                squeeze=False, layout="constrained")
    for axis, size in zip(axes[0], sizes):
        draw_rates(axis, size, results[size])
    draw_targets(axes[0][-1], [target for target in targets if target.value])
    figure.suptitle(f"{about['connections']} connections, {about['machine']['cores']} cores, "
                    f"fsync on; medians of {about['rounds']} rounds, lines from least to most")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_rates(axis, size, measured):
    names = list(measured)
    spreads = [each.spread("rate") for each in measured.values()]
    bars = axis.bar([measured[name].label for name in names], [s.median for s in spreads],
                    color=[COLOURS[name] for name in names],
                    yerr=[[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]],
                    error_kw={"ecolor": "#57606a", "capsize": 3, "lw": 1})
    axis.bar_label(bars, [f"{s.median:,.0f}" for s in spreads], padding=2)
    line = pairwise(limit, measured["bare"].rates(), measured["null"].rates()).median
    axis.axhline(line, color="#57606a", ls="--", lw=1)
    axis.text(len(names) - 0.5, line, f"L {line:,.0f}", ha="right", va="bottom", color="#57606a")
    axis.set_title(f"messages a second, {size:,} B")
    axis.tick_params(axis="x", rotation=20)
    axis.spines[["top", "right"]].set_visible(False)


def draw_targets(axis, targets):
    """Each as a share of its limit: to be right of the line for "at least", left for "less than"."""
    targets = targets[::-1]
    shares = [[part / target.limit for part in target.value] for target in targets]
    axis.barh(range(len(targets)), [share[0] for share in shares],
              color=[MET if target.met() else MISSED for target in targets],
              xerr=[[max(s[0] - s[1], 0) for s in shares], [max(s[2] - s[0], 0) for s in shares]],
              error_kw={"ecolor": "#57606a", "capsize": 2, "lw": 1})
    axis.axvline(1, color="#24292f", lw=1)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.set_yticks(range(len(targets)), [
        f"{target.name}  {target.wanted()}" for target in targets])
    axis.set_xlabel("measured / wanted (green: met)")
    axis.spines[["top", "right"]].set_visible(False)

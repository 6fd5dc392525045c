# SPDX-License-Identifier: MIT
"""What /proc tells of processes: processor time, and peak memory."""
import os
import pathlib

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def tree(pid):
    """The process and all that descend from it, in the numbers of this moment."""
    yield pid
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in children.split():
        yield from tree(int(child))


def cpu_seconds(pid):
    """Of the process, and of its children, those that ended and were waited for included."""
    ticks = 0
    for each in tree(pid):
        try:
            stat = pathlib.Path(f"/proc/{each}/stat").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(map(int, stat.rsplit(")", 1)[1].split()[11:15]))
    return ticks / TICKS_A_SECOND


def peak_megabytes(pid):
    """VmHWM, summed over the process and its children: the most that each ever had in memory."""
    kilobytes = 0
    for each in tree(pid):
        status = pathlib.Path(f"/proc/{each}/status").read_text(encoding="utf-8", errors="replace")
        kilobytes += sum(int(line.split()[1]) for line in status.splitlines()
                         if line.startswith("VmHWM"))
    return kilobytes / 1024

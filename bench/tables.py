"""A million announcements through the window tracker, and planning and commits on a table of
100,000 files: medians of what window_bench and table_bench say."""

import re
import subprocess

from measure import ROOT, RUNS, WORK, medians, save

PROGRAMS = ROOT / "build/release/bench"


def lines(command, pattern):
    """What was measured, and its figures."""
    printed = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    found = re.finditer(pattern, printed.stdout, re.MULTILINE)
    return {m["what"].strip(): {k: float(v) for k, v in m.groupdict().items() if k != "what"}
            for m in found}


def windows():
    database = WORK / "windows.db"
    WORK.mkdir(parents=True, exist_ok=True)
    measured = lines([PROGRAMS / "window_bench", database],
                     r"^(?P<what>.+?) +\d+ in +[\d.]+ s .*? (?P<per_s>\d+) /s +max rss (?P<peak_mb>\d+)")
    for file in WORK.glob("windows.db*"):
        file.unlink()
    return measured


def table():
    return lines([PROGRAMS / "table_bench"],
                 r"^(?P<what>.+?) +(?P<ms>[\d.]+) ms +max rss (?P<peak_mb>\d+)")


def median_of(runs):
    return {what: medians([run[what] for run in runs]) for what in runs[0]}


save("tables", {"windows": median_of([windows() for _ in range(RUNS)]),
                "table": median_of([table() for _ in range(RUNS)])})

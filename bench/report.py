"""The table: results in, Markdown out. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .figures import Results, outcomes
from .notes import NOTES
from .peers import GO, OURS

COLUMNS = (
    ("get", "cpu_us", "get, CPU"),
    ("set", "cpu_us", "set, CPU"),
    ("async-1", "cpu_us", "async get, CPU"),
    ("async-32", "rate", "32 tasks, get/s"),
    ("tls", "cpu_us", "TLS get, CPU"),
    ("tree", "cpu_us", "tree, CPU"),
    ("delay", "delay_us", "event after"),
)
"""Of the first table: case, figure, heading."""

DELAYS = {"delay_us": "event after", "delay_us_99": "99 % within"}
WATCHED = {
    "loaded": {**DELAYS, "cpu_us": "CPU per event", "others": "other writes per second"},
    "complete": {
        "got": "events",
        "missing": "missing",
        "doubled": "doubled",
        "disorder": "out of order",
        "cpu_us": "CPU per event",
        "written": "written per second",
        "said": "said",
    },
    "many": {"bytes": "memory per watcher", **DELAYS, "cpu_us": "CPU per event", "missing": "missing"},
    "quiet": {"delay_us": "event after", "cpu_us": "CPU in all", "others": "other writes per second", "said": "said"},
}
"""What the tables of the watches show, by kind of case: figures and headings."""
COUNTS = {"syscalls": ("system calls", "{:.2f}"), "frames": ("Python frames", "{:,.0f}")}
"""The tables of what is counted: headings, and how many digits."""
LONG = 140
"""Characters of an error that are shown."""


def render(results: Results) -> str:
    """The whole page."""
    parts = ["# Benchmark", _about(results), "## All at a glance", _glance(results), "## Goals", _goals(results)]
    for name, case in results["cases"].items():
        parts += [f"## {case['title'][0].upper()}{case['title'][1:]}", _case(results, name, case)]
    if results["left_out"]:
        parts += ["## Left out", _left_out(results)]
    parts += ["## What is not like for like", "\n".join(f"- {note}" for note in NOTES)]
    parts += ["## Versions", _versions(results)]
    return "\n\n".join(parts) + "\n"


def _about(results: Results) -> str:
    machine = results["machine"]
    pythons = " and ".join(f"{one['version']} ({one['probe_ms']:.0f} ms)" for one in results["pythons"])
    pinned = (
        "The client has one core for itself, etcd and the comparing program have the others"
        if results["pinned"]
        else "Nothing is pinned: clients and etcd compete for the cores"
    )
    text = (
        f"Made by `make bench` on {results['date']}: etcd {results['etcd']}, {machine['processor']}, "
        f"{machine['cores']} cores, Linux {machine['kernel']}; medians of {results['rounds']} rounds in one run of "
        f"{results['seconds']} s. {pinned}. Python {pythons}; in brackets a loop that is always the same, to tell "
        "builds apart. Ratios hold within this run; figures of other machines differ."
    )
    return f"**A quick run, with sizes too small for figures.** {text}" if results["quick"] else text


def _table(head: list[str], rows: list[list[str]]) -> str:
    align = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, align, *rows])


def _glance(results: Results) -> str:
    columns = [column for column in COLUMNS if column[0] in results["cases"]]
    names = dict.fromkeys(name for case, _, _ in columns for name in results["cases"][case]["entries"])
    rows = [
        [
            _bold(name),
            *(_shown(results["cases"][case]["entries"].get(name, {}), measure) for case, measure, _ in columns),
        ]
        for name in names
    ]
    return _table(["client", *(heading for _, _, heading in columns)], rows)


def _goals(results: Results) -> str:
    rows = [
        [
            results["cases"][one.case]["title"],
            one.python,
            one.measure,
            one.goal,
            _measured(one.measured, in_ms=one.case == "import"),
            {True: "reached", False: "**not reached**", None: "not measured"}[one.reached],
        ]
        for one in outcomes(results)
    ]
    return _table(["case", "Python", "figure", "goal", "measured", ""], rows)


def _measured(value: float | None, *, in_ms: bool) -> str:
    if value is None:
        return ""
    return f"{value:+.1f} ms" if in_ms else f"{value:.2f} x"


def _case(results: Results, name: str, case: dict[str, Any]) -> str:
    # 1. Cases with a table of their own.
    entries: dict[str, dict[str, Any]] = case["entries"]
    rows: list[list[str]] = []
    if not entries:
        return "Nothing was measured."
    if name == "import":
        head = ["import of", "time", "memory afterwards", "spread"]
        rows = [
            [_bold(key), f"{one['ms']:.1f} ms", f"{one['mib']:.1f} MiB", f"{one['spread']:.0%}"]
            for key, one in entries.items()
        ]
        return _table(head, rows)
    if case["kind"] == "counts":
        return _counted(entries)
    if case["kind"] == "moves":
        return _moved(entries)
    if case["kind"] in WATCHED:
        return _watched(entries, WATCHED[case["kind"]])

    # 2. What the columns are called, and whom they are compared with.
    first = next((key for key in entries if key.startswith(f"{OURS}, ")), "")
    delays = any("delay_us" in one for one in entries.values())
    what = {"tree": "read", "delay": "event", "burst": "event"}.get(case["kind"], "call")
    head = [
        "client",
        f"CPU per {what}",
        f"to {OURS}",
        f"to the {GO}",
        f"{what}s per second",
        f"to the {GO}",
        "spread",
    ]
    if delays:
        head = ["client", "event after", "95 % within", f"to the {GO}", f"CPU per {what}", "spread of CPU"]

    # 3. The rows.
    for key, one in entries.items():
        cpu, go = _shown(one, "cpu_us"), entries.get(GO, {})
        if delays:
            late = _ratio(one, go, "delay_us")
            shown = [_shown(one, "delay_us"), _shown(one, "delay_us_95"), late, cpu]
        else:
            own = _ratio(one, entries.get(first, {}), "cpu_us")
            shown = [cpu, own, _ratio(one, go, "cpu_us"), _shown(one, "rate"), _ratio(one, go, "rate")]
        rows.append([_bold(key), *shown, f"{one['spread']:.0%}"])
    return _table(head, rows)


def _counted(entries: dict[str, dict[str, Any]]) -> str:
    """A table of each of the counts. Columns are the cases that any client has."""
    parts: list[str] = []
    for count, (heading, form) in COUNTS.items():
        titles = list(dict.fromkeys(title for one in entries.values() for title in one[count]))
        if not titles:
            parts.append(f"{heading}: no strace here.")
            continue
        rows = [
            [_bold(key), *(form.format(one[count][title]) if title in one[count] else "" for title in titles)]
            for key, one in entries.items()
        ]
        parts.append(_table([heading, *titles], rows))
    return "\n\n".join(parts)


def _moved(entries: dict[str, dict[str, Any]]) -> str:
    head = ["step", "time", "CPU", "keys per second", "most memory so far"]
    parts: list[str] = []
    for key, one in entries.items():
        rows = [
            [
                name,
                f"{found['seconds']:.2f} s",
                f"{found['cpu']:.2f} s",
                f"{one['keys'] / found['seconds']:,.0f}",
                f"{found['memory'] / 2**20:,.0f} MiB",
            ]
            for name, found in one["steps"].items()
        ]
        parts += [f"{_bold(key)}, {one['keys']:,} keys with values of 64 bytes:", _table(head, rows)]
    return "\n\n".join(parts)


def _watched(entries: dict[str, dict[str, Any]], columns: dict[str, str]) -> str:
    rows = [[_bold(key), *(_shown(one, measure) for measure in columns)] for key, one in entries.items()]
    return _table(["client", *columns.values()], rows)


def _bold(name: str) -> str:
    return f"**{name}**" if name.startswith(f"{OURS}, ") else name


def _shown(entry: dict[str, Any], measure: str) -> str:
    value = entry.get(measure)
    if isinstance(value, str):
        return (value if len(value) <= LONG else f"{value[:LONG]} …").replace("|", "\\|")
    return "" if value is None else amount(float(value), measure)


def _ratio(entry: dict[str, Any], other: dict[str, Any], measure: str) -> str:
    return f"{entry[measure] / other[measure]:.2f}" if other.get(measure) and measure in entry else ""


def amount(value: float, measure: str) -> str:
    """A figure with its unit, in about three digits."""
    if measure == "bytes":
        return f"{value / 1024:,.1f} KiB"
    if measure in ("got", "missing", "doubled", "disorder"):
        return f"{value:,.0f}"
    if measure in ("rate", "others", "written"):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    if value >= 10_000:
        return f"{value / 1000:,.0f} ms" if value >= 100_000 else f"{value / 1000:.1f} ms"
    return f"{value:,.0f} µs" if value >= 100 else f"{value:.3g} µs"


def _left_out(results: Results) -> str:
    return "\n".join(f"- {one['name']}{_of(one['case'])}: {one['reason']}" for one in results["left_out"])


def _of(case: str) -> str:
    return f" ({case})" if case else ""


def _versions(results: Results) -> str:
    return "\n".join(f"- {line}" for line in _version_lines(results))


def _version_lines(results: Results) -> Iterator[str]:
    for name, versions in results["versions"].items():
        yield f"{name}: {', '.join(f'{package} {version}' for package, version in versions.items())}"

"""The picture: results in, SVG out. Written by hand, without a background, readable in light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from .figures import Results
from .peers import LOADS, OURS, SOCKET, WRK
from .report import amount

WIDTH = 760
LABELS = 225
"""Width of the names, before the bars."""
VALUES = 90
"""Width of the figures, behind the bars."""
ROW, BAR, HEAD, GAP = 22, 14, 30, 18

PANELS = (
    ("get", "cpu_us", "CPU of one get: shorter is better"),
    ("async-32", "rate", "gets per second, 32 at once: longer is better"),
    ("tree", "cpu_us", "CPU of a recursive read of 50,000 keys: shorter is better"),
)

# Pictures in a page get the system's scheme, not the page's: one grey that is readable on white and on black.
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#6e7781}.head,.strong{font-weight:600}"
    ".ours{fill:#2f81f7}.also{fill:#2f81f7;opacity:.45}.peer{fill:#8b949e}.limit{fill:#8b949e;opacity:.45}"
)
FOOT = "faint: limits, which are no clients of etcd, and other ways to use etcdv2"


@dataclass(frozen=True)
class Bar:
    name: str
    value: float

    @property
    def look(self) -> str:
        if self.name.startswith(OURS):
            return "ours" if self.name.split(",")[0] == OURS else "also"
        return "limit" if self.name.split(",")[0] in (WRK, SOCKET, LOADS) else "peer"


def bars(results: Results, case: str, measure: str) -> list[Bar]:
    """The best first."""
    entries = results["cases"].get(case, {}).get("entries", {})
    found = [Bar(name, float(one[measure])) for name, one in entries.items() if measure in one]
    return sorted(found, key=lambda bar: bar.value, reverse=measure == "rate")


def draw(results: Results) -> str:
    """The whole file. Cases that were not measured are left out."""
    parts: list[str] = []
    top = 0
    for case, measure, title in PANELS:
        found = bars(results, case, measure)
        if found:
            parts.append(_panel(found, measure, title, top))
            top += HEAD + len(found) * ROW + GAP

    # The height is known last: a chart of no figures has no foot, but is still a picture.
    if parts:
        parts.append(f'<text x="{LABELS}" y="{top}">{FOOT}</text>')
        top += GAP

    label = escape("etcdv2 and other clients of the etcd v2 API: bars as in the table of the benchmark")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{max(top, 1)}" '
        f'viewBox="0 0 {WIDTH} {max(top, 1)}" role="img" aria-label="{label}">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(found: list[Bar], measure: str, title: str, top: int) -> str:
    longest = max(bar.value for bar in found) or 1.0
    room = WIDTH - LABELS - VALUES
    lines = [f'<text class="head" x="0" y="{top + 18}">{escape(title)}</text>']
    for number, bar in enumerate(found):
        y = top + HEAD + number * ROW
        long = max(bar.value / longest * room, 1.0)
        strong = ' class="strong"' if bar.look == "ours" else ""
        middle = y + BAR - 2
        lines.append(f'<text{strong} x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(bar.name)}</text>')
        lines.append(f'<rect class="{bar.look}" x="{LABELS}" y="{y}" width="{long:.1f}" height="{BAR}" rx="2"/>')
        lines.append(f'<text{strong} x="{LABELS + long + 6:.1f}" y="{middle}">{amount(bar.value, measure)}</text>')
    return "\n".join(lines)

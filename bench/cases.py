"""What is measured: the cases with their sizes. Knows no client."""

from __future__ import annotations

from dataclasses import dataclass, replace

TREE_KEYS = 50_000
LOAD_KEYS = 20_000
MOVED_KEYS = 100_000
HISTORY = 900
"""Events in a burst: etcd keeps the last 1,000 of the whole store."""
VALUE = "0123456789abcdef"
QUIET = "one write to a quiet key"
CUT = "its connections broken after"
ASYNC = frozenset({"async", "async-set", "load"})
"""The kinds in which this client is the async one."""


@dataclass(frozen=True)
class Case:
    name: str
    """In the results."""
    kind: str
    """What the drivers know it as."""
    title: str
    seconds: float
    """Of one measurement."""
    warm: float = 0.2
    workers: int = 1
    keys: int = 0
    events: int = 0
    tls: bool = False
    rate: int = 0
    """Writes per second: of the other keys, or in "complete" of the watched ones; 0: as quickly as they go."""
    cut: bool = False
    """All connections of the clients break before the one write that is watched."""
    rounds: int = 0
    """At most, where a round takes long; 0: as many as asked for."""


def _watch(
    name: str,
    kind: str,
    title: str,
    events: int,
    rounds: int,
    rate: int = 0,
    seconds: float = 0.0,
    *,
    workers: int = 1,
    cut: bool = False,
) -> Case:
    return Case(name, kind, title, seconds, 0.0, workers, events=events, rate=rate, cut=cut, rounds=rounds)


CASES = (
    Case("counts", "counts", "counts per call, which hang on no machine", 0.0),
    Case("get", "get", "get, one after the other", 0.5),
    Case("set", "set", "set, one after the other", 0.5),
    Case("past", "past", "a watch of a past index, one after the other", 0.5),
    Case("threads-8", "threads", "get, 8 threads on one client", 0.5, workers=8),
    Case("async-1", "async", "get, async, 1 task", 0.5),
    Case("async-32", "async", "get, async, 32 tasks", 0.5, workers=32),
    Case("async-256", "async", "get, async, 256 tasks", 0.5, workers=256),
    Case("tls", "tls", "get over TLS, one after the other", 0.5, tls=True),
    Case("tree", "tree", f"recursive read of {TREE_KEYS:,} keys, all leaves walked", 0.4, 0.05, keys=TREE_KEYS),
    Case("load", "load", f"loading {LOAD_KEYS:,} keys, 32 at once", 2.0, workers=32, keys=LOAD_KEYS),
    Case("delay", "delay", "from a write to its event in a watch", 0.0, 0.0, events=60),
    Case("burst", "burst", f"a watch catching up on a burst of {HISTORY} events", 0.0, 0.0, events=HISTORY),
    _watch(
        "watch-load", "loaded", "from a write to its event, while 500 other keys per second are written", 300, 2, 500
    ),
    _watch("watch-paced", "complete", "a watch of 3,000 changes, 1,000 per second", 3_000, 1, 1_000),
    _watch("watch-burst", "complete", "a watch of 2,000 changes, as quickly as they are written", 2_000, 2),
    _watch("watch-1", "many", "one watcher", 600, 1, 500),
    _watch("watch-100", "many", "100 watchers of one client", 600, 1, 500, workers=100),
    _watch("watch-1000", "many", "1,000 watchers of one client", 600, 1, 500, workers=1_000),
    _watch("watch-quiet", "quiet", f"{QUIET}, after 5,000 other writes per second", 1, 1, 5_000, seconds=10.0),
    *(
        _watch(
            f"watch-cut-{rate}", "quiet", f"{QUIET}, {CUT} {rate:,} other writes per second", 1, 1, rate, 2.5, cut=True
        )
        for rate in (1_000, 5_000)
    ),
    Case("moves", "moves", f"the way of {MOVED_KEYS:,} keys from one cluster to another", 0.0, 0.0, keys=MOVED_KEYS),
    Case("import", "import", "import of the library", 0.0, 0.0),
    Case("command", "command", "the command line: `get` of a key, a process for each", 0.0, 0.0),
)


COUNTED = (
    Case("get", "get", "get", 0.0, 0.05),
    Case("set", "set", "set", 0.0, 0.05),
    Case("async-get-1", "async", "async get", 0.0, 0.05),
    Case("async-set-1", "async-set", "async set", 0.0, 0.05),
    Case("async-get-32", "async", "async get, 32 tasks", 0.0, 0.05, workers=32),
)
"""Of which calls system calls and Python frames are counted. They take no time: they make so many calls."""


def chosen(only: list[str], *, quick: bool) -> list[Case]:
    """All cases or those named (`async` means all that begin so), in quick runs with small sizes. Raises ValueError."""
    for name in only:
        if not any(case.name == name or case.name.startswith(f"{name}-") for case in CASES):
            raise ValueError(f"no case {name!r}; there are {', '.join(case.name for case in CASES)}")
    cases = [
        case
        for case in CASES
        if not only or any(case.name == name or case.name.startswith(f"{name}-") for name in only)
    ]
    return [_small(case) for case in cases] if quick else cases


def _small(case: Case) -> Case:
    return replace(
        case,
        seconds=min(case.seconds, 0.05),
        warm=min(case.warm, 0.02),
        keys=min(case.keys, 2_000),
        events=min(case.events, 20),
    )

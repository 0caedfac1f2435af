"""Network namespaces with veth lines between them that drop packets, in one direction or both (Linux, root).

Owns that nothing of them stays. A direction is shut by a wrong hardware address in its sender's neighbour table: frames
leave and nobody takes them, and nobody is notified, neither by RST nor by ICMP. What is open stays open; TCP sends
again when the way is mended.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import random
import re
import shutil
import socket
import subprocess
from typing import NamedTuple, Self

PREFIX = "etcdv2-net"
ROOT = ""
"""The namespace that the clients are in."""
NUMBERS = range(100, 250)
"""Of networks on one machine at a time; network N has the upper half of 10.N.0.0/16."""
FIRST_HOST = 0x8001
GROUPS = 1_888_119_000
"""A network's devices in the root namespace are the group of this plus its number: one command removes them all."""
NOBODY = "02:ff:ff:ff:ff:ff"
SMALL = 2000
"""Bytes that pass a slow line within its delay: about a request and its answer."""
CLIENT_PORT = 2379
# Ends with its standard input, at the latest when the process that holds the pipe dies.
GUARD = 'read -r word; ip link del group "$1"; shift; for space; do ip netns del "$space"; done'


class NotAllowed(RuntimeError):
    """What the kernel or iproute2 refused, or what is missing."""


def ip(space: str, *commands: str, tool: str = "ip") -> None:
    """Carry these out with iproute2, in one process. Raises `NotAllowed` with what it says."""
    where = ["-n", space] if space else []
    batch = "\n".join(commands)
    done = subprocess.run([tool, *where, "-batch", "-"], input=batch, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotAllowed(f"{tool} {' '.join(where)}: {done.stderr.strip()}")


class End(NamedTuple):
    """One end of a line, in one namespace."""

    space: str
    address: str
    mac: str


class Line:
    """A veth pair between two namespaces with one address at each end. `near` is the clients' end, `far` the member's.

    `close_door` drops what goes to the member, `lose_answers` what comes from it, `stall` both. Nothing is reset.
    """

    def __init__(self, device: str, group: int, near: End, far: End) -> None:
        self._device, self.ends = device, (near, far)
        self._shut: set[End] = set()
        self._delay = 0.0
        one, two = (
            f"{device} address {end.mac}" + (f" netns {end.space}" if end.space else f" group {group}")
            for end in self.ends
        )
        ip(ROOT, f"link add {one} type veth peer name {two}")
        for end, other in ((near, far), (far, near)):
            ip(
                end.space,
                f"address add {end.address} peer {other.address}/32 dev {device}",
                f"link set {device} up",
                self._neighbour(other, other.mac),
            )

    def _neighbour(self, end: End, mac: str) -> str:
        return f"neighbour replace {end.address} lladdr {mac} dev {self._device} nud permanent"

    @property
    def url(self) -> str:
        return f"http://{self.ends[1].address}:{CLIENT_PORT}"

    def silence(self, end: End, on: bool = True) -> None:
        """Whether what this end sends is lost."""
        if on != (end in self._shut):
            other = self.ends[end is self.ends[0]]
            ip(end.space, self._neighbour(other, NOBODY if on else other.mac))
            (self._shut.add if on else self._shut.remove)(end)

    def end(self, space: str) -> End:
        return next(end for end in self.ends if end.space == space)

    @property
    def lose_requests(self) -> bool:
        return self.ends[0] in self._shut

    @lose_requests.setter
    def lose_requests(self, on: bool) -> None:
        self.silence(self.ends[0], on)

    @property
    def lose_answers(self) -> bool:
        return self.ends[1] in self._shut

    @lose_answers.setter
    def lose_answers(self, on: bool) -> None:
        self.silence(self.ends[1], on)

    @property
    def delay(self) -> float:
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        """By a low rate in both directions; what waits too long in the queue is dropped."""
        if seconds == self._delay:
            return
        rate = f"tbf rate {int(SMALL / (seconds or 1) * 8)}bit burst {SMALL} latency 1s"
        for end in self.ends:
            what = f"replace dev {self._device} root {rate}" if seconds else f"del dev {self._device} root"
            ip(end.space, f"qdisc {what}", tool="tc")
        self._delay = seconds

    def close_door(self) -> None:
        self.lose_requests = True

    def stall(self) -> None:
        self.lose_requests = self.lose_answers = True

    def go(self) -> None:
        self.lose_requests = self.lose_answers = False

    def cut(self) -> None:
        """A network cannot reset connections."""

    def mend(self) -> None:
        self.go()
        self.delay = 0.0


class Network:
    """Namespaces and lines, made with `space` and `line`, removed by `with`, and when this process dies without it.

    An abstract socket says that a number is in use: the kernel gives it back with the process. So what is left of
    another process, should its guard have died as well, is distinguished from what is in use, and removed.
    """

    def __init__(self) -> None:
        self._lock, self.number = _claim_any()
        self.group = GROUPS + self.number
        self._hosts = iter(range(FIRST_HOST, 0xFFFF))
        self._lines = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._lock.close)
            for number in _left():
                if (lock := _claim(number)) is not None:
                    with lock:
                        _guard(number).communicate()
            stack.callback(_guard(self.number).communicate)
            for space in _spaces(self.number):
                ip(ROOT, f"netns add {space}")
                ip(space, "link set lo up")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def spaces(self) -> list[str]:
        return _spaces(self.number)

    def address(self) -> str:
        host = next(self._hosts)
        return f"10.{self.number}.{host >> 8}.{host & 0xFF}"

    def line(self, near: str, near_address: str, far: str, far_address: str) -> Line:
        self._lines += 1
        ends = (
            End(space, address, f"02:{side:02x}:" + ":".join(f"{int(part):02x}" for part in address.split(".")))
            for side, (space, address) in enumerate([(near, near_address), (far, far_address)])
        )
        return Line(f"ev2-{self.number}-{self._lines}", self.group, *ends)


def _spaces(number: int) -> list[str]:
    return [f"{PREFIX}{number}-m{member}" for member in (1, 2, 3)]


def _guard(number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "guard", str(GROUPS + number), *_spaces(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _left() -> set[int]:
    """Numbers of the networks that have namespaces, in use or not."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {int(number) for number in re.findall(rf"^{PREFIX}(\d+)-", listed, re.MULTILINE)}


def _claim(number: int) -> socket.socket | None:
    """What says that this number is in use, until it is closed; None when somebody else has it."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0{PREFIX}{number}")
    except OSError:
        lock.close()
        return None
    return lock


def _claim_any() -> tuple[socket.socket, int]:
    """A number that nobody uses and whose addresses this machine has no route to. Raises `NotAllowed`."""
    table = ["ip", "-4", "-o", "route", "show", "table", "all"]
    routes = subprocess.run(table, capture_output=True, text=True, check=True).stdout
    known = [ipaddress.ip_network(found) for found in re.findall(r"^(?:[a-z]+ )?(\d[\d.]+(?:/\d+)?)", routes, re.M)]
    for number in random.sample(NUMBERS, len(NUMBERS)):
        own = ipaddress.ip_network(f"10.{number}.0.0/16")
        if not any(own.overlaps(one) for one in known) and (lock := _claim(number)) is not None:
            return lock, number
    raise NotAllowed("no free network between 10.100.0.0 and 10.249.0.0")


@functools.cache
def why_not() -> str | None:
    """What keeps this process from making such a network; None when nothing does. Finds out by making one."""
    if missing := [tool for tool in ("ip", "tc") if shutil.which(tool) is None]:
        return f"{' and '.join(missing)} not found"
    if os.geteuid():
        return "it takes root"
    try:
        with Network() as network:
            line = network.line(ROOT, network.address(), network.spaces[0], network.address())
            line.stall()
            line.delay = 0.1
            line.mend()
            subprocess.run(["ip", "netns", "exec", network.spaces[0], "true"], check=True, capture_output=True)
    except (NotAllowed, OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None

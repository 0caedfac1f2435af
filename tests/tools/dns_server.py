"""A small authoritative DNS server on loopback, over UDP, and a resolver that asks it.

Owns its records and counts its questions; knows nothing of etcd.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset


class DnsServer:
    """`zone[name]` are the SRV records of a name, "priority weight port target"; other names do not exist.

    `silent`: names that are not answered. `failing`: names that are answered with SERVFAIL.
    """

    def __init__(self) -> None:
        self.zone: dict[str, list[str]] = {}
        self.silent: set[str] = set()
        self.failing: set[str] = set()
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    @property
    def resolver(self) -> dns.resolver.Resolver:
        made = dns.resolver.Resolver(configure=False)
        made.nameservers = ["127.0.0.1"]
        made.port = self._socket.getsockname()[1]
        return made

    def _serve(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(65535)
            if not data:
                return
            question = dns.message.from_wire(data)
            name = question.question[0].name.to_text().lower()
            self.asked.append(name)
            if name in self.silent:
                continue

            reply = dns.message.make_response(question)
            reply.flags |= dns.flags.AA
            if name in self.failing:
                reply.set_rcode(dns.rcode.SERVFAIL)
            elif name not in self.zone:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            elif self.zone[name]:
                reply.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *self.zone[name]))
            self._socket.sendto(reply.to_wire(), sender)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.closing(self._socket):
            self._socket.sendto(b"", self._socket.getsockname())
            self._thread.join()

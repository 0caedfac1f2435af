"""Where endpoints come from when they are in DNS.

Owns the settings of that and their refusal; looks nothing up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,200}}$){_LABEL}(?:\.{_LABEL})*\.?")


class SrvResolver(Protocol):
    """What of `dns.resolver.Resolver` (dnspython) is used."""

    def resolve(self, qname: str, rdtype: str, *, search: bool | None = ..., lifetime: float | None = ...) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Srv:
    """The SRV records of a domain, as etcd's own clients look for them.

    Raises ValueError and TypeError.
    """

    domain: str
    service: str = ""
    """Appended to the service's name: `_etcd-client-NAME`."""
    insecure_discovery: bool = True
    """Whether records of endpoints without TLS count."""
    verify_domain: bool = False
    """Whether certificates have to be for the domain (as etcdctl asks), not for the targets."""
    resolver: SrvResolver | None = None
    """None for the system's nameservers."""

    def __post_init__(self) -> None:
        if not isinstance(self.domain, str) or not isinstance(self.service, str):
            raise TypeError("the domain and the service of SRV records must be str")
        if not _DOMAIN.fullmatch(self.domain):
            raise ValueError(f"domain {self.domain!r}: is no domain name like 'example.org'")
        if self.service and not re.fullmatch(_LABEL, self.service):
            raise ValueError(f"service {self.service!r}: must be letters, digits and dashes")
        for name in ("insecure_discovery", "verify_domain"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} {getattr(self, name)!r}: must be True or False")

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Scheme and name of what is asked for, https first."""
        suffix, domain = (f"-{self.service}" if self.service else ""), self.domain.removesuffix(".")
        secured = ("https", f"_etcd-client-ssl{suffix}._tcp.{domain}.")
        return (secured, ("http", f"_etcd-client{suffix}._tcp.{domain}.")) if self.insecure_discovery else (secured,)

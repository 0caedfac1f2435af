"""What needs packages that are not always there: urllib3's PoolManager, and DNS.

Imports each of them only where a program asks for it.
"""

from __future__ import annotations

from typing import Any


def pool_manager(cert: Any, ca_cert: str | None, connections: int, seconds: float) -> Any:
    """A urllib3.PoolManager as python-etcd makes it. Raises ImportError that says what to install."""
    try:
        import urllib3
    except ImportError as error:
        raise ImportError("Client.http needs urllib3: pip install 'etcdv2[python-etcd]'") from error

    settings: dict[str, Any] = {"maxsize": connections}
    if seconds > 0:
        settings["timeout"] = seconds
    if isinstance(cert, tuple):
        settings["cert_file"], settings["key_file"] = cert
    elif cert:
        settings["cert_file"] = cert
    if ca_cert:
        settings |= {"ca_certs": ca_cert, "cert_reqs": "CERT_REQUIRED"}
    return urllib3.PoolManager(num_pools=10, **settings)


def hosts_in_dns(domain: str, protocol: str) -> tuple[tuple[str, int], ...]:
    """The hosts of `_etcd._tcp.DOMAIN`, else of the name that etcd's own clients ask for.

    Raises ImportError without dnspython, LookupError when there are none.
    """
    try:
        import dns.exception
        import dns.resolver
    except ImportError as error:
        raise ImportError("srv_domain= needs dnspython: pip install 'etcdv2[srv]'") from error

    for service in ("_etcd", "_etcd-client-ssl" if protocol == "https" else "_etcd-client"):
        try:
            answers: Any = dns.resolver.resolve(f"{service}._tcp.{domain}", "SRV")
        except dns.exception.DNSException:
            continue
        found = sorted(answers, key=lambda answer: (answer.priority, -answer.weight))
        hosts = [(answer.target.to_text(omit_final_dot=True), answer.port) for answer in found]

        # RFC 2782: a target "." says that there is no such service.
        if usable := tuple((host, port) for host, port in hosts if host not in ("", ".") and port):
            return usable
    raise LookupError(f"no SRV record of etcd for {domain}")

"""Checks one answer, of whatever server and by whatever client it was received."""

from __future__ import annotations

from collections.abc import Mapping


def check_answer(
    method: str,
    target: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    prefix: str = "",
    whole: bool = True,
) -> None:
    """Raise `NotAsDescribed` if the description of the v2 API does not have this answer.

    Looks at the status, the content type, the headers (each `X-Etcd-` and `X-Raft-` one, and those that
    are required) and the body, whose schemas are closed: a member that they do not name is an error.
    Of a body over 256 KiB the middle of its long lists is not looked at.

    method, target: of the request; `target` is its path and query, as they were sent.
    headers: of the answer, in upper or lower case.
    body: without its transfer and content coding.
    prefix: what stands before `/v2/`, `/version` and `/health` in `target`, such as a proxy's path.
    whole: False where `body` is only what had come; then the rest is checked, and whole events of a
        stream.

    Raises `ModuleNotFoundError` without jsonschema and PyYAML (`pip install 'etcdv2[testing]'`).
    """
    from etcdv2.testing._description import description

    described = target.removeprefix(prefix) if prefix else target
    small = {name.lower(): value for name, value in headers.items()}
    description().check(method, described, status, small, body, whole=whole)

"""What `transport=` refuses, before anything is sent."""

from __future__ import annotations

import httpx
import httpx2
import pytest

from etcdv2 import AsyncClient, Client


def test_what_is_no_transport_is_refused_at_once() -> None:
    for kind, wrong in (
        (AsyncClient, httpx.HTTPTransport()),
        (AsyncClient, httpx2.HTTPTransport()),
        (AsyncClient, httpx.AsyncClient()),
        (Client, httpx2.AsyncHTTPTransport()),
        (Client, 7),
    ):
        with pytest.raises(TypeError, match="transport: a"):
            kind(transport=wrong)  # type: ignore[arg-type] # pyright: ignore

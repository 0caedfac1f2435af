"""A v2 request as a raft log carries it, and what it does to a store.

Owns which operation of the store a request means (`applyV2Request` in `etcdserver/apply_v2.go`; 2.3 to
3.5 agree) and the two requests by which members say who they are. Reads no bytes: `_raftlog` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from etcdv2.transfer._members import VERSION_PATH, attributes_of, set_attributes, set_version
from etcdv2.transfer._store import StoreEvent, V2Store


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """One request to the v2 store."""

    method: str
    """`PUT`, `POST`, `DELETE`; `QGET` is a read with quorum, and `SYNC` the leader's clock."""
    path: str = ""
    """From the root of the whole store: keys are below `/1`."""
    value: str = ""
    """What a PUT or POST writes. A byte that is no UTF-8 is a surrogate escape."""
    dir: bool = False
    """Of PUT and POST: make a directory. Of DELETE: an empty one may go."""
    prev_value: str = ""
    """The value that the key must have; "" for no condition."""
    prev_index: int = 0
    """The modified index that the key must have; 0 for no condition."""
    prev_exist: bool | None = None
    """Of PUT: True updates, False creates and passes over the other conditions; None for neither."""
    expiration: int = 0
    """Nanoseconds since 1970; 0 for none."""
    recursive: bool = False
    """Of DELETE: a directory may go with all below it."""
    time: int = 0
    """The leader's clock of a SYNC, nanoseconds since 1970."""
    refresh: bool = False
    """Of PUT: the key keeps its value and gets another expiry. A creation passes it over."""


def apply(store: V2Store, request: StoreRequest) -> tuple[StoreEvent, ...]:
    """Do to the store what the request says, and return the changes that it made.

    Raises what the store's operations raise, and ValueError for a method that is not known.
    """
    match request.method:
        case "PUT":
            event = _put(store, request)
            return () if event is None else (event,)
        case "POST":
            expires_at = request.expiration or None
            return (store.create(request.path, request.value, dir=request.dir, expires_at=expires_at, in_order=True),)
        case "DELETE":
            return (_delete(store, request),)
        case "QGET":
            store.get(request.path)
            return ()
        case "SYNC":
            return store.expire(request.time)
        case _:
            raise ValueError(f"no v2 request is called {request.method!r}")


def _put(store: V2Store, request: StoreRequest) -> StoreEvent | None:
    path, value, expires_at = request.path, request.value, request.expiration or None
    compared = bool(request.prev_index or request.prev_value)

    # 1. It must not be there: other conditions are passed over.
    if request.prev_exist is False:
        return store.create(path, value, dir=request.dir, expires_at=expires_at)

    # 2. It must be as it was.
    if compared:
        return store.compare_and_swap(
            path,
            value,
            prev_value=request.prev_value,
            prev_index=request.prev_index,
            expires_at=expires_at,
            refresh=request.refresh,
        )

    # 3. It must be there.
    if request.prev_exist:
        return store.update(path, value, expires_at=expires_at, refresh=request.refresh)

    # 4. What members write of themselves.
    member = attributes_of(path)
    if member is not None:
        return set_attributes(store, member, value)
    if path == VERSION_PATH:
        return set_version(store, value)

    # 5. Whatever is there.
    return store.set(path, value, dir=request.dir, expires_at=expires_at, refresh=request.refresh)


def _delete(store: V2Store, request: StoreRequest) -> StoreEvent:
    if request.prev_index or request.prev_value:
        return store.compare_and_delete(request.path, prev_value=request.prev_value, prev_index=request.prev_index)
    return store.delete(request.path, dir=request.dir, recursive=request.recursive)

"""Arguments of the keys API into generated calls: keys below a view, TTLs, conditions.

Owns what is refused before anything is sent, each refusal with what to do instead: a key that the
server would store under another name, a condition that it would drop silently, a TTL that it would
misread, a request that it would cut. Sends nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, TypeAlias

from etcdv2._core.etcd_headers import MAX_INDEX
from etcdv2_api import Call, KeysError, KeysEvent, Message, operations
from etcdv2_api.call import key_path, quoted, shortened

KeysCall: TypeAlias = Call[KeysEvent, KeysError | Message]
TTL: TypeAlias = int | timedelta

MAX_TTL_SECONDS = 7_000_000_000
"""An expiry beyond 2262-04-11 overflows: 7,500,000,000 made a key permanent (3.5.1, 3.4.23)."""
MAX_BODY_BYTES = 10 * 1024 * 1024
"""The longest encoded form that the server accepts (2.3 to 3.5)."""

_MOST_BYTES_OF_A_CHARACTER = 12
"""In a form: four bytes of UTF-8, each written as %XX."""
_FIELD_NAME_BYTES = 100
"""More than the names of all fields of a form have together."""


# --- keys ------------------------------------------------------------------------------------------------------------


def absolute(key: str, prefix: str) -> str:
    """The key as the server has it. `prefix` is a view's directory, or "" for the whole store.

    Raises TypeError, or ValueError for an absolute key in a view. `key_path` refuses what would
    leave it (`..`).
    """
    if not isinstance(key, str):
        raise TypeError(f"key: must be a str, not {type(key).__name__}")
    if not prefix:
        return key if key.startswith("/") else f"/{key}"
    if key.startswith("/"):
        raise ValueError(
            f"key {quoted(key)}: keys in a view of {quoted(prefix)} are relative; leave the leading slash out"
        )
    return f"{prefix}/{key}" if key else prefix


def view_prefix(prefix: str, outer: str) -> str:
    """The directory of a view, absolute and without trailing slash. Raises ValueError for the root."""
    full = absolute(prefix, outer).rstrip("/")
    if not full or full == outer:
        raise ValueError(f"prefix {quoted(prefix)}: a view needs a directory below {shortened(outer) or '/'}")
    key_path(full)
    return full


def as_directory(key: str) -> str:
    """The same key with a slash behind it, which no part of the server but role patterns sees."""
    return key if key.endswith("/") else f"{key}/"


Caller: TypeAlias = Literal["user", "certificate", "guest"]
"""Whom the server may take a client for: by credentials, or by a certificate's name where there is such a user."""


def spellings_of_directory(key: str, caller: Caller, *, slash: bool, recursive: bool) -> tuple[str, ...]:
    """How the key of a directory may be sent, the best first.

    `slash`: whether it was given with one.

    For a user who goes recursively only with the slash: that needs a pattern which ends in "*", and
    one that permits the key permits it with a slash, too. What is not recursive an exact pattern
    may permit without it only; and for guests recursive calls are no different (spec/protocol.md
    section 12). Who shows a certificate may be either.
    """
    slashed = as_directory(key)
    if key == slashed or (caller == "user" and recursive):
        return (slashed,)
    return (key, slashed) if caller == "guest" and not slash else (slashed, key)


# --- calls -----------------------------------------------------------------------------------------------------------


def get(key: str, *, recursive: bool, sort: bool, quorum: bool) -> KeysCall:
    """A read of a key, or of a directory's children."""
    return operations.get_key(key, recursive=recursive or None, sorted=sort or None, quorum=quorum or None)


def put(
    key: str,
    value: str | None,
    *,
    ttl: TTL | None,
    prev_value: str | None = None,
    prev_index: int | None = None,
    prev_exist: bool | None = None,
    refresh: bool = False,
    no_value_on_success: bool = False,
) -> KeysCall:
    """A write of a file; `value` None only for a refresh."""
    # 1. The value.
    if value is not None or not refresh:
        _check_text("value", value)

    # 2. Conditions, alone and together.
    _check_conditions(prev_value, prev_index)
    if prev_exist is not None and not isinstance(prev_exist, bool):
        raise TypeError(f"prev_exist: must be True, False or None, not {type(prev_exist).__name__}")
    if prev_exist is False and (prev_value is not None or prev_index is not None):
        raise ValueError(
            "prev_exist=False: the server would drop prev_value and prev_index silently; use create() alone"
        )

    # 3. The call: what was not asked for is left out, not sent as `false`.
    call = operations.put_key(
        key,
        value=value,
        ttl=ttl_seconds(ttl),
        refresh=refresh or None,
        prev_value=prev_value,
        prev_index=prev_index,
        prev_exist=prev_exist,
        no_value_on_success=no_value_on_success or None,
    )
    return _within_size(call)


def check_unique(call: KeysCall) -> None:
    """Raises ValueError unless the write has a condition that holds at most once, or for its value only."""
    fields = dict(call.form or ())
    if not ("prevIndex" in fields or "prevValue" in fields or fields.get("prevExist") == "false"):
        raise ValueError(
            "unique=True: needs prev_index=, prev_value= or prev_exist=False (create);"
            " else a lost write may come late and undo what was written after it"
        )
    if fields.get("prevValue") is not None and fields.get("prevValue") == fields.get("value"):
        raise ValueError("unique=True: the value is that of prev_value; nobody may have written it before")


def reading_of(call: KeysCall) -> KeysCall:
    """A read of the key that the call writes."""
    plain: KeysCall = operations.get_key("/")
    return plain._replace(path=call.path)


def with_nodes(call: KeysCall) -> KeysCall:
    """The same write, answered with its nodes."""
    return call._replace(form=tuple((name, value) for name, value in call.form or () if name != "noValueOnSuccess"))


def make_dir(key: str, ttl: TTL | None) -> KeysCall:
    """prevExist=false, as a plain PUT with dir=true turns a file into a directory (2.3 to 3.5)."""
    return operations.put_key(key, dir=True, ttl=ttl_seconds(ttl), prev_exist=False)


def create_in_order(key: str, value: str, *, ttl: TTL | None, no_value_on_success: bool) -> KeysCall:
    """A file below a directory, which the server names."""
    _check_text("value", value)
    call = operations.post_key(key, value=value, ttl=ttl_seconds(ttl), no_value_on_success=no_value_on_success or None)
    return _within_size(call)


def delete(key: str, *, prev_value: str | None, prev_index: int | None, recursive: bool, directory: bool) -> KeysCall:
    """A deletion of a file, of an empty directory, or of a tree."""
    _check_conditions(prev_value, prev_index)
    if (prev_value is not None or prev_index is not None) and (recursive or directory):
        raise ValueError(
            "delete: conditions hold for files only; leave prev_value and prev_index out, or recursive and dir"
        )
    return operations.delete_key(
        key, dir=directory or None, recursive=recursive or None, prev_value=prev_value, prev_index=prev_index
    )


# --- single arguments ------------------------------------------------------------------------------------------------


def ttl_seconds(ttl: TTL | None) -> int | None:
    """Whole seconds, a timedelta rounded up. Raises TypeError or ValueError for any other."""
    if ttl is None:
        return None

    if isinstance(ttl, timedelta):
        whole, rest = divmod(ttl, timedelta(seconds=1))
        seconds = whole + (1 if rest else 0)
    elif isinstance(ttl, int) and not isinstance(ttl, bool):
        seconds = ttl
    else:
        raise TypeError(
            f"ttl: must be whole seconds as int, a timedelta, or None for no expiry, not {type(ttl).__name__}"
        )

    # With 0 the key would expire at once (spec/protocol.md section 7).
    if seconds <= 0:
        raise ValueError(
            f"ttl {ttl!r}: must be at least 1 s; use delete() to remove a key now, persist() to drop its TTL"
        )
    if seconds > MAX_TTL_SECONDS:
        raise ValueError(
            f"ttl {ttl!r}: beyond {MAX_TTL_SECONDS} s the server's clock overflows; use None for no expiry"
        )
    return seconds


def wait_index_after(index: int | None) -> int | None:
    """The waitIndex after `after_index`; None for "from now". Raises TypeError or ValueError."""
    if index is None:
        return None
    if isinstance(index, bool) or not isinstance(index, int):
        raise TypeError(f"after_index: must be an int or None, not {type(index).__name__}")
    if not 0 <= index < MAX_INDEX:
        raise ValueError(f"after_index {index!r}: must be 0 (the oldest event the server has) or a modified index")
    return index + 1


def check_index(index: int) -> None:
    """Raises TypeError or ValueError unless it is an index of the store."""
    if isinstance(index, bool) or not isinstance(index, int):
        raise TypeError(f"index: must be an int, not {type(index).__name__}")
    if not 0 <= index <= MAX_INDEX:
        raise ValueError(f"index {index!r}: must be an index of the store, such as that of a Response")


def check_buffer(size: int) -> None:
    """Raises TypeError or ValueError unless it is a number of events."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"buffer: must be a number of events, not {type(size).__name__}")
    if size < 1:
        raise ValueError(f"buffer {size!r}: must be at least 1 event")


def _check_conditions(prev_value: str | None, prev_index: int | None) -> None:
    if prev_value is not None:
        _check_text("prev_value", prev_value)
        if prev_value == "":
            raise ValueError("prev_value '': etcd cannot compare with an empty value; use prev_index=")

    if prev_index is not None:
        if isinstance(prev_index, bool) or not isinstance(prev_index, int):
            raise TypeError(f"prev_index: must be an int, not {type(prev_index).__name__}")
        if prev_index == 0:
            raise ValueError(
                "prev_index 0: the server takes it for no condition; use prev_exist= or the modified index"
            )
        if not 0 < prev_index <= MAX_INDEX:
            raise ValueError(f"prev_index {prev_index!r}: must be a modified index, 1 to 2**64 - 1")


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        kind = type(value).__name__  # not the value: it may be long, or secret
        raise TypeError(f"{what}: must be a str, not {kind}; encode other types yourself, for instance as JSON")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{what}: contains a lone surrogate at position {error.start}, which UTF-8 cannot have"
            ) from error


def _within_size(call: KeysCall) -> KeysCall:
    # Values that are short enough in any encoding need not be encoded here: nearly all.
    characters = sum(len(value) for _, value in call.form or ())
    if characters * _MOST_BYTES_OF_A_CHARACTER + _FIELD_NAME_BYTES <= MAX_BODY_BYTES:
        return call

    size = len(call.body or b"")
    if size > MAX_BODY_BYTES:
        raise ValueError(
            f"value: the encoded form has {size} bytes, the server takes {MAX_BODY_BYTES};"
            " split the value, or compress it"
        )
    return call

"""Arguments of the members and auth API into request bodies. Sends nothing.

Owns what is refused before anything is sent: names that could never log in, passwords that the
server would cut, names of roles and patterns that would crash it.
"""

from __future__ import annotations

from collections.abc import Iterable

from etcdv2_api import KeyPatterns, MemberPeers, Permissions, RoleChange, UserChange
from etcdv2_api.call import path_segment, quoted

MAX_PASSWORD_BYTES = 72
"""bcrypt drops the rest, so a longer one would be accepted with any ending (seen on 3.5.1, 3.4.23)."""


def several(what: str, given: str | Iterable[str]) -> tuple[str, ...]:
    """One text or several. Raises TypeError for anything else."""
    texts = (given,) if isinstance(given, str) else tuple(given)
    for text in texts:
        _checked_text(what, text)
    return texts


# --- members ---------------------------------------------------------------------------------------------------------


def peers(urls: str | Iterable[str]) -> MemberPeers:
    """At least one peer URL."""
    texts = several("peer_urls", urls)
    if not texts:
        raise ValueError("peer_urls: give at least one, like 'http://10.0.0.4:2380'")
    return MemberPeers(peer_urls=texts)


# --- users -----------------------------------------------------------------------------------------------------------


def new_user(name: str, password: str, roles: Iterable[str]) -> UserChange:
    return UserChange(user=_user_name(name), password=_password(password), roles=_role_names(roles) or None)


def new_password(name: str, password: str) -> UserChange:
    return UserChange(user=_user_name(name), password=_password(password))


def grant_user(name: str, roles: Iterable[str]) -> UserChange:
    return UserChange(user=_checked_text("user name", name), grant=_at_least_one(_role_names(roles)))


def revoke_user(name: str, roles: Iterable[str]) -> UserChange:
    """Any name may be taken away: of one that no role can have that is the only cure."""
    return UserChange(user=_checked_text("user name", name), revoke=_at_least_one(several("roles", roles)))


# --- roles -----------------------------------------------------------------------------------------------------------


def new_role(name: str, read: str | Iterable[str], write: str | Iterable[str]) -> RoleChange:
    return RoleChange(role=_checked_text("role name", name), permissions=_patterns(read, write))


def grant_role(name: str, read: str | Iterable[str], write: str | Iterable[str]) -> RoleChange:
    return RoleChange(role=_checked_text("role name", name), grant=_at_least_one_pattern(read, write))


def revoke_role(name: str, read: str | Iterable[str], write: str | Iterable[str]) -> RoleChange:
    return RoleChange(role=_checked_text("role name", name), revoke=_at_least_one_pattern(read, write))


# --- single arguments ------------------------------------------------------------------------------------------------


def _checked_text(what: str, text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what}: must be a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what}: {quoted(text)} contains a lone surrogate, which UTF-8 cannot have") from None
    return text


def _user_name(name: str) -> str:
    path_segment(_checked_text("user name", name))
    # Basic authentication ends the name at the first colon.
    if ":" in name:
        raise ValueError(f"user name {quoted(name)}: with a colon it could never log in")
    return name


def _password(password: str) -> str:
    # No text here shows the password.
    if not isinstance(password, str):
        raise TypeError("password: must be a str")
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        raise ValueError("password: contains a lone surrogate, which UTF-8 cannot have") from None

    if not 0 < size <= MAX_PASSWORD_BYTES:
        raise ValueError(
            f"password: has {size} bytes; the server takes 1 to {MAX_PASSWORD_BYTES} and would cut a longer one"
        )
    return password


def _role_names(roles: Iterable[str]) -> tuple[str, ...]:
    """Names that a role can have.

    A user with an empty role, ".", ".." or "/" can no longer be read, and no user listed: the
    server ends the connection (spec/protocol.md section 12).
    """
    texts = several("roles", roles)
    for text in texts:
        try:
            path_segment(text)
        except ValueError as error:
            raise ValueError(f"roles: {error}") from None
    return texts


def _at_least_one(roles: tuple[str, ...]) -> tuple[str, ...]:
    if not roles:
        raise ValueError("roles: name at least one")
    return roles


def _patterns(read: str | Iterable[str], write: str | Iterable[str]) -> Permissions:
    reads, writes = several("read", read), several("write", write)
    for pattern in (*reads, *writes):
        if not (pattern.startswith("/") or pattern == "*"):
            raise ValueError(f"pattern {quoted(pattern)}: must begin with '/' or be '*'")
    return Permissions(kv=KeyPatterns(read=reads, write=writes))


def _at_least_one_pattern(read: str | Iterable[str], write: str | Iterable[str]) -> Permissions:
    permissions = _patterns(read, write)
    if not permissions.kv.read and not permissions.kv.write:
        raise ValueError("name at least one pattern to read or to write")
    return permissions

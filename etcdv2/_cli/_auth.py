"""`role add|get|list|remove|grant|revoke` and `auth status|enable|disable`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import NO, OK, OTHER, Failed, UsageError

if TYPE_CHECKING:
    from etcdv2 import Role

LISTS = ("human", "json", "jsonl")


def _path_options(parser: ArgumentParser) -> None:
    parser.add_argument("--path", metavar="P", help="a key, or a prefix with * at its end (/app/*)")
    parser.add_argument("--read", action="store_true", help="to read it")
    parser.add_argument("--write", action="store_true", help="to write it")
    parser.add_argument("--readwrite", "--rw", action="store_true", help="both")


def role_add(context: Context) -> int:
    context.client.auth.roles.create(context.words[0], timeout=context.timeout)
    return _done(context, "role", context.words[0], "added")


def role_get(context: Context) -> int:
    _print(context, context.client.auth.roles.get(context.words[0], timeout=context.timeout))
    return OK


def role_list(context: Context) -> int:
    roles = context.client.auth.roles.list(timeout=context.timeout)
    if context.output.form == "json":
        context.output.document({"roles": [_document(role) for role in roles]})
        return OK
    for role in roles:
        if context.output.form in ("key", "name"):
            context.output.line(role.role)
        else:
            _print(context, role)
    return OK


def role_remove(context: Context) -> int:
    """Users who have it are named: they keep its name, and can no longer be read alone."""
    name = context.words[0]
    users = context.client.auth.users.list(timeout=context.timeout)
    using = [user.user for user in users if name in [role.role for role in user.roles]]
    if using and not context.options.force:
        raise Failed(NO, f"users have the role {name}: {', '.join(using)}; revoke it first, or --force")
    context.client.auth.roles.delete(name, timeout=context.timeout)
    return _done(context, "role", name, "removed")


def _remove_options(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="even where users have it")


def role_grant(context: Context) -> int:
    """What the role may do already is left as it is."""
    name, path, read, write = _asked(context)
    roles = context.client.auth.roles
    has = _document(roles.get(name, timeout=context.timeout))
    read, write = read and path not in has["read"], write and path not in has["write"]
    if read or write:
        roles.grant(name, read=[path] * read, write=[path] * write, timeout=context.timeout)
    return _done(context, "role", name, f"may {_words(context)} {path}")


def role_revoke(context: Context) -> int:
    name, path, read, write = _asked(context)
    roles = context.client.auth.roles
    has = _document(roles.get(name, timeout=context.timeout))
    read, write = read and path in has["read"], write and path in has["write"]
    if read or write:
        roles.revoke(name, read=[path] * read, write=[path] * write, timeout=context.timeout)
    return _done(context, "role", name, f"may not {_words(context)} {path}")


def _asked(context: Context) -> tuple[str, str, bool, bool]:
    """Raises UsageError."""
    options = context.options
    if options.path is None:
        raise UsageError("--path P is missing")
    if options.read + options.write + options.readwrite != 1:
        raise UsageError("one of --read, --write and --readwrite is needed")
    if not options.path.startswith("/"):
        raise UsageError(f"--path {options.path}: a path begins with /, as /{options.path}")
    return context.words[0], options.path, options.read or options.readwrite, options.write or options.readwrite


def _words(context: Context) -> str:
    options = context.options
    return "read" if options.read else "write" if options.write else "read and write"


def _document(role: Role) -> dict[str, Any]:
    kv = role.permissions.kv
    return {"role": role.role, "read": list(kv.read or ()), "write": list(kv.write or ())}


def _print(context: Context, role: Role) -> None:
    found = _document(role)
    if context.output.for_programs:
        context.output.document(found)
    else:
        rights = (f"{what} {' '.join(found[what]) or '-'}" for what in ("read", "write"))
        context.output.line("  ".join([role.role, *rights]))


def auth_status(context: Context) -> int:
    on = context.client.auth.enabled(timeout=context.timeout)
    if context.output.for_programs:
        context.output.document({"enabled": on})
    else:
        context.output.line(f"auth: {'enabled' if on else 'disabled'}")
    return OK


def auth_enable(context: Context) -> int:
    from etcdv2 import Conflict

    try:
        context.client.auth.enable(timeout=context.timeout)
    except Conflict as error:
        if context.client.auth.enabled(timeout=context.timeout):
            raise
        raise Failed(OTHER, f"{error.message}: etcdv2 user add root") from None
    return _done(context, "auth", "", "enabled")


def auth_disable(context: Context) -> int:
    context.client.auth.disable(timeout=context.timeout)
    return _done(context, "auth", "", "disabled")


def _done(context: Context, kind: str, name: str, what: str) -> int:
    if context.output.for_programs:
        context.output.document({kind: name or what, "done": what})
    else:
        context.output.line(f"{kind} {name} {what}" if name else f"{kind}: {what}")
    return OK


ROLE_ADD = Command(role_add, "NAME", words=(1, 1), formats=LISTS, about="Add a role.")
ROLE_GET = Command(role_get, "NAME", words=(1, 1), formats=LISTS, about="A role and what it may do.")
ROLE_LIST = Command(role_list, formats=(*LISTS, "key", "name"), about="All roles and what they may do.")
ROLE_REMOVE = Command(
    role_remove, "NAME", _remove_options, words=(1, 1), formats=LISTS, about="Remove a role that no user has."
)
ROLE_GRANT = Command(
    role_grant,
    "NAME --path P --read|--write|--rw",
    _path_options,
    words=(1, 1),
    formats=LISTS,
    about="Permit keys. A path that ends in * is a prefix; /app/* does not permit /app itself.",
)
ROLE_REVOKE = Command(
    role_revoke,
    "NAME --path P --read|--write|--rw",
    _path_options,
    words=(1, 1),
    formats=LISTS,
    about="No longer permit keys.",
)
AUTH_STATUS = Command(auth_status, formats=LISTS, about="Whether authentication is on.")
AUTH_ENABLE = Command(auth_enable, formats=LISTS, about="Turn authentication on: there has to be a user root.")
AUTH_DISABLE = Command(auth_disable, formats=LISTS, about="Turn authentication off.")

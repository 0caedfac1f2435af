"""`user add|get|list|remove|grant|revoke|passwd`.

Owns what etcd's API does not refuse: a new user that is there already, roles that are not.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import NOT_FOUND, OK, Failed, UsageError
from etcdv2._cli._settings import ask_password, read_password, warn

if TYPE_CHECKING:
    from etcdv2 import User

LISTS = ("human", "json", "jsonl")


def _password_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--new-password-file", metavar="F", help="a file with the user's password, - for stdin; else it is asked for"
    )


def _add_options(parser: ArgumentParser) -> None:
    _password_option(parser)
    _roles_option(parser)
    parser.add_argument("--replace", action="store_true", help="give a user that is there the new password")


def _roles_option(parser: ArgumentParser) -> None:
    parser.add_argument("--roles", metavar="R,R", default="", help="names of roles, commas between")
    parser.add_argument("-f", "--force", action="store_true", help="roles that are not there, too")


def user_add(context: Context) -> int:
    from etcdv2 import Conflict

    name, password = _name_and_password(context)
    roles, users = _roles(context, needed=False), context.client.auth.users
    try:
        users.create(name, password, roles, timeout=context.timeout)
    except Conflict:
        if not context.options.replace:
            raise Conflict(f"user {name} exists already (--replace gives it the new password)", status=409) from None
        users.change_password(name, password, timeout=context.timeout)
        return _done(context, name, "has another password")
    return _done(context, name, "added")


def user_passwd(context: Context) -> int:
    from etcdv2 import NotFound

    name, password = _name_and_password(context)
    try:
        context.client.auth.users.change_password(name, password, timeout=context.timeout)
    except NotFound:
        raise NotFound(f"user {name} does not exist (etcdv2 user add {name})", status=404) from None
    return _done(context, name, "has another password")


def _name_and_password(context: Context) -> tuple[str, str]:
    """`name:password` works, and is warned of. Raises UsageError."""
    name, colon, password = context.words[0].partition(":")
    if not name:
        raise UsageError("the name of the user is empty")
    if context.options.new_password_file is not None:
        return name, read_password(context.options.new_password_file)
    if colon:
        warn("a password on the command line can be seen by everybody (ps); use --new-password-file")
        return name, password
    with context.uncounted():
        typed = ask_password(f"New password of {name}: ", "--new-password-file")
        again = ask_password("Again: ", "--new-password-file")
    if again != typed:
        raise UsageError("the two passwords differ: nothing was changed")
    return name, typed


def user_get(context: Context) -> int:
    """From the list: a user whose role was deleted cannot be read alone."""
    name = context.words[0]
    for user in context.client.auth.users.list(timeout=context.timeout):
        if user.user == name:
            _print(context, user)
            return OK
    _print(context, context.client.auth.users.get(name, timeout=context.timeout))
    return OK


def _print(context: Context, user: User) -> None:
    roles = [role.role for role in user.roles]
    if context.output.for_programs:
        context.output.document({"user": user.user, "roles": roles})
    else:
        context.output.line(f"{user.user}  {' '.join(roles) or '-'}")


def user_list(context: Context) -> int:
    users = context.client.auth.users.list(timeout=context.timeout)
    if context.output.form == "json":
        found = [{"user": one.user, "roles": [role.role for role in one.roles]} for one in users]
        context.output.document({"users": found})
        return OK
    for user in users:
        if context.output.form in ("key", "name"):
            context.output.line(user.user)
        else:
            _print(context, user)
    return OK


def user_remove(context: Context) -> int:
    from etcdv2 import NotFound

    name = context.words[0]
    try:
        context.client.auth.users.delete(name, timeout=context.timeout)
    except NotFound:
        if not context.options.force:
            raise
        return OK
    return _done(context, name, "removed")


def _force_option(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="no error where there is none")


def user_grant(context: Context) -> int:
    """Roles that the user has already are left as they are."""
    name, roles = context.words[0], _roles(context)
    has = _roles_of(context, name)
    wanted = [role for role in roles if role not in has]
    if wanted:
        context.client.auth.users.grant(name, *wanted, timeout=context.timeout)
    return _done(context, name, f"has {' '.join(sorted({*has, *roles}))}")


def user_revoke(context: Context) -> int:
    name = context.words[0]
    roles = _split(context.options.roles)
    if not roles:
        raise UsageError("--roles R,R is missing")
    context.client.auth.users.revoke(name, *roles, timeout=context.timeout)
    return _done(context, name, f"lost {' '.join(roles)}")


def _roles_of(context: Context, name: str) -> list[str]:
    """Raises NotFound where there is no such user."""
    for user in context.client.auth.users.list(timeout=context.timeout):
        if user.user == name:
            return [role.role for role in user.roles]
    return [role.role for role in context.client.auth.users.get(name, timeout=context.timeout).roles]


def _roles(context: Context, *, needed: bool = True) -> list[str]:
    """The names that were given, each of which is a role unless --force. Raises UsageError, Failed."""
    roles = _split(context.options.roles)
    if needed and not roles:
        raise UsageError("--roles R,R is missing")
    if roles and not context.options.force:
        known = [role.role for role in context.client.auth.roles.list(timeout=context.timeout)]
        for role in roles:
            if role not in known:
                raise Failed(NOT_FOUND, f"there is no role {role} (--force grants it all the same)")
    return roles


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _done(context: Context, name: str, what: str) -> int:
    if context.output.for_programs:
        context.output.document({"user": name, "done": what})
    else:
        context.output.line(f"user {name} {what}")
    return OK


USER_ADD = Command(
    user_add,
    "NAME",
    _add_options,
    words=(1, 1),
    formats=LISTS,
    about="Add a user. One who is there is left alone (exit 5); etcd itself would change the password.",
)
USER_PASSWD = Command(user_passwd, "NAME", _password_option, words=(1, 1), formats=LISTS, about="Change a password.")
USER_GET = Command(user_get, "NAME", words=(1, 1), formats=LISTS, about="A user and its roles.")
USER_LIST = Command(user_list, formats=(*LISTS, "key", "name"), about="All users and their roles.")
USER_REMOVE = Command(user_remove, "NAME", _force_option, words=(1, 1), formats=LISTS, about="Remove a user.")
USER_GRANT = Command(
    user_grant,
    "NAME --roles R,R",
    _roles_option,
    words=(1, 1),
    formats=LISTS,
    about="Give a user roles.",
)
USER_REVOKE = Command(
    user_revoke, "NAME --roles R,R", _roles_option, words=(1, 1), formats=LISTS, about="Take roles from a user."
)

"""`member list|add|remove|update`: by id, or by name where that is one member's."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from etcdv2._cli._command import Command
from etcdv2._cli._context import Context
from etcdv2._cli._failures import EXISTS, NOT_FOUND, OK, Failed, UsageError
from etcdv2._cli._output import table

if TYPE_CHECKING:
    from etcdv2 import Member

LISTS = ("human", "json", "jsonl")


def _dry_run_option(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def member_list(context: Context) -> int:
    from etcdv2 import EtcdError

    members = context.client.members.list(timeout=context.timeout)
    try:
        leader = context.client.members.leader(timeout=context.timeout).id
    except EtcdError as error:  # the list is what was asked for, and it is there
        leader = ""
        context.output.say(f"the leader is not known: {error}")
    documents = [
        {
            "id": one.id,
            "name": one.name,
            "peerURLs": list(one.peer_urls),
            "clientURLs": list(one.client_urls),
            "leader": one.id == leader,
        }
        for one in members
    ]
    if context.output.form == "json":
        context.output.document({"members": documents})
    elif context.output.form == "jsonl":
        for document in documents:
            context.output.document(document)
    else:
        for line in table([_row(one, leader) for one in members]):
            context.output.line(line)
    return OK


def _row(member: Member, leader: str) -> list[str]:
    started = "started" if member.client_urls else "unstarted"
    role = "leader" if member.id == leader else "follower" if member.client_urls else "-"
    return [member.id, member.name or "-", started, role, ",".join(member.client_urls or member.peer_urls)]


def member_add(context: Context) -> int:
    """Prints what the new member is to be started with."""
    name, urls = context.words[0], _urls(context.words[1])
    members = context.client.members.list(timeout=context.timeout)
    for one in members:
        # etcd says 500 to that where the member has not started.
        if known := set(urls) & set(one.peer_urls):
            raise Failed(EXISTS, f"{', '.join(sorted(known))} is a peer URL of {one.id} {one.name or '(unstarted)'}")
    if context.options.dry_run:
        context.output.line(f"would add {name} at {','.join(urls)} to {len(members)} members")
        return OK

    added = context.client.members.add(urls, timeout=context.timeout)
    everybody = [f"{name}={url}" for url in added.peer_urls]
    everybody += [f"{one.name}={url}" for one in members for url in one.peer_urls if one.name]
    if context.output.for_programs:
        document = {"id": added.id, "name": name, "peerURLs": list(added.peer_urls)}
        context.output.document(document | {"initialCluster": ",".join(everybody)})
    else:
        context.output.say(f"added {added.id}; start it with")
        context.output.line(f'ETCD_NAME="{name}"')
        context.output.line(f'ETCD_INITIAL_CLUSTER="{",".join(everybody)}"')
        context.output.line('ETCD_INITIAL_CLUSTER_STATE="existing"')
    return OK


def member_remove(context: Context) -> int:
    return _change(context, "remove", ())


def member_update(context: Context) -> int:
    return _change(context, "update", _urls(context.words[1]))


def _change(context: Context, what: str, urls: tuple[str, ...]) -> int:
    member = _found(context, context.words[0])
    told = f"{member.id} ({member.name or 'unstarted'})" + (f" to {','.join(urls)}" if urls else "")
    if context.options.dry_run:
        context.output.line(f"would {what} {told}")
        return OK
    if what == "remove":
        context.client.members.remove(member.id, timeout=context.timeout)
    else:
        context.client.members.update(member.id, urls, timeout=context.timeout)
    if context.output.for_programs:
        context.output.document({"id": member.id, "name": member.name, "action": what})
    else:
        context.output.line(f"{what}d {told}")
    return OK


def _found(context: Context, wanted: str) -> Member:
    """Looked up first: an id that is none would go through raft before it is refused. Raises Failed."""
    members = context.client.members.list(timeout=context.timeout)
    found = [one for one in members if wanted.lower().lstrip("0") == one.id] or [
        one for one in members if one.name == wanted
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{one.id} {one.name}".rstrip() for one in members)
    if found:
        raise UsageError(f"{len(found)} members are called {wanted}: give the id of {known}")
    raise Failed(NOT_FOUND, f"no member has the id or name {wanted}; there are {known}")


def _urls(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


MEMBER_LIST = Command(
    member_list,
    formats=LISTS,
    about="The members: id, name, whether it was started, its part in raft, client URLs (peer URLs before the start).",
)
MEMBER_ADD = Command(
    member_add,
    "NAME PEER-URLS",
    _dry_run_option,
    words=(2, 2),
    formats=LISTS,
    about="Announce a member. Stdout has the variables that it is to be started with.",
)
MEMBER_REMOVE = Command(
    member_remove,
    "MEMBER",
    _dry_run_option,
    words=(1, 1),
    formats=LISTS,
    about="Remove a member, named by its id or its name, for good.",
)
MEMBER_UPDATE = Command(
    member_update,
    "MEMBER PEER-URLS",
    _dry_run_option,
    words=(2, 2),
    formats=LISTS,
    about="Give a member, named by its id or its name, other peer URLs.",
)

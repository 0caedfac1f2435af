"""Which commands there are, in the order of the help; and where each one is.

Imports none of them: a program that starts for each key has no time for that.
"""

from __future__ import annotations

from importlib import import_module

from etcdv2._cli._command import Command

# The text is `module:attribute`, and what `etcdv2 --help` says.
COMMANDS: dict[str, tuple[str, str]] = {
    "get": ("_reading:GET", "print the value of one key, or of several"),
    "exists": ("_reading:EXISTS", "exit 0 where the key is there, 1 where it is not"),
    "ls": ("_listing:LS", "list a directory"),
    "tree": ("_tree:TREE", "draw a directory and all below it"),
    "set": ("_writing:SET", "write a key"),
    "mk": ("_writing:MK", "create a key that must not be there"),
    "update": ("_writing:UPDATE", "write a key that must be there"),
    "refresh": ("_expiry:REFRESH", "give a key another TTL, and notify no watcher"),
    "persist": ("_expiry:PERSIST", "take the TTL of a key away"),
    "rm": ("_removing:RM", "delete keys"),
    "mkdir": ("_directories:MKDIR", "create a directory"),
    "setdir": ("_directories:SETDIR", "create a directory, or give one another TTL"),
    "updatedir": ("_directories:UPDATEDIR", "give a directory another TTL"),
    "rmdir": ("_removing:RMDIR", "delete an empty directory"),
    "edit": ("_edit:EDIT", "change a key, or a directory, in an editor"),
    "watch": ("_watch:WATCH", "print each change of a key"),
    "exec-watch": ("_exec_watch:EXEC_WATCH", "run a command for each change of a key"),
    "lock": ("_recipes:LOCK", "hold a lock, while a command runs"),
    "elect": ("_recipes:ELECT", "stand for election, or see who leads"),
    "member list": ("_members:MEMBER_LIST", "the members of the cluster"),
    "member add": ("_members:MEMBER_ADD", "announce a member"),
    "member remove": ("_members:MEMBER_REMOVE", "remove a member for good"),
    "member update": ("_members:MEMBER_UPDATE", "give a member other peer URLs"),
    "health": ("_health:HEALTH", "whether the members are healthy"),
    "status": ("_health:STATUS", "version, part in raft, index and lag of each endpoint"),
    "stats self": ("_stats:STATS_SELF", "what a member says of itself"),
    "stats leader": ("_stats:STATS_LEADER", "how the leader sees its followers"),
    "stats store": ("_stats:STATS_STORE", "operations on a member's store"),
    "user list": ("_users:USER_LIST", "all users"),
    "user get": ("_users:USER_GET", "a user and its roles"),
    "user add": ("_users:USER_ADD", "add a user"),
    "user passwd": ("_users:USER_PASSWD", "change a password"),
    "user grant": ("_users:USER_GRANT", "give a user roles"),
    "user revoke": ("_users:USER_REVOKE", "take roles from a user"),
    "user remove": ("_users:USER_REMOVE", "remove a user"),
    "role list": ("_auth:ROLE_LIST", "all roles"),
    "role get": ("_auth:ROLE_GET", "a role and what it may do"),
    "role add": ("_auth:ROLE_ADD", "add a role"),
    "role grant": ("_auth:ROLE_GRANT", "permit a role keys"),
    "role revoke": ("_auth:ROLE_REVOKE", "no longer permit a role keys"),
    "role remove": ("_auth:ROLE_REMOVE", "remove a role"),
    "auth status": ("_auth:AUTH_STATUS", "whether authentication is on"),
    "auth enable": ("_auth:AUTH_ENABLE", "turn authentication on"),
    "auth disable": ("_auth:AUTH_DISABLE", "turn authentication off"),
    "dump": ("_dump:DUMP", "keep a directory in a file, also from a member's data directory"),
    "load": ("_load:LOAD", "write a dump into the cluster"),
    "diff": ("_load:DIFF", "how two dumps, clusters or data directories differ"),
    "check": ("_way_out:CHECK", "whether etcd 3.6, which has no v2, would start"),
    "purge": ("_way_out:PURGE", "delete everything from the v2 store"),
    "backup": ("_way_out:BACKUP", "says what to use instead"),
    "completion": ("_completion:COMPLETION", "the completion for bash, zsh or tcsh"),
    "version": ("_version:VERSION", "the versions of this program and of the server"),
}
"""By the words that name it."""


def command_named(name: str) -> Command:
    """Imports its module."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found: Command = getattr(import_module(f"etcdv2._cli.{module}"), attribute)
    return found


def subcommands(group: str) -> list[str]:
    """The second words of a group such as `member`; empty where it is none."""
    return [name.partition(" ")[2] for name in COMMANDS if name.startswith(f"{group} ")]

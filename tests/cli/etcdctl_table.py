"""The table of what etcdctl 3.5.1 did in its v2 mode, and what this command line does with the same words.

    $ rm /r1
    etcdctl 0 "PrevNode.Value: v\n"
    etcdv2 0 "/r1\n"
    because rm-prints-the-key

A row has the exit code and stdout of both, as Python writes a text. Where one of them differs there is a reason, one of
`REASONS`. The words are etcdctl's own, but for times to live, which are a hundred times longer so that no row hangs on
the clock, and for addresses. `N` stands for an index, `M` for a moment, `ID` for the id of a member.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.cli.running import CommandLine
from tests.cli.transcripts import words_of

REASONS = {
    "code": "a code for each reason, where etcdctl has 4 for every answer that says no",
    "usage": "a wrong line is code 2, with two lines on stderr and nothing on stdout",
    "one-newline": "one newline at the end of stdin is taken off: `echo v | etcdctl set` stores two lines",
    "no-extended": "there is no form `extended`: `-o json` has all of it",
    "json": "JSON is the server's own, with X-Etcd-Index as `index`",
    "condition": "a flag that is given is a condition: etcdctl drops an empty value and the index 0",
    "ttl-0": "a TTL is 1 or more: etcdctl drops 0",
    "too-many": "a word too many is refused: etcdctl ignores it (and so /a has another value here)",
    "dash": "what begins with a dash and is no number is a flag; a value stands behind --",
    "other-name": "a key that the server would keep under another name is refused",
    "in-order-key": "`mk --in-order` prints the key that it made",
    "says-what": "directories say what was made, and rm what was deleted",
    "several": "several keys or directories can be named at once",
    "setdir": "a directory that is there is left as it is, and a key in its place is refused: etcdctl deletes the key",
    "updatedir": "a key is refused: etcdctl empties it (so it had no value there); without --ttl nothing is to change",
    "rmdir": "a key is refused: etcdctl deletes it",
    "sorted": "listings are sorted",
    "short-flags": "short flags may stand together",
    "endpoints": "an endpoint needs no scheme, and spaces behind commas do not matter",
    "format-first": "an unknown format is refused before anything is sent",
    "anywhere": "global flags may stand behind the command",
    "seconds": "a number without a unit is seconds",
    "unavailable": "nobody answers is code 8, a time that is over 10",
    "no-command": "an unknown command is code 2; without one the help is shown",
    "password": "a password is typed on the terminal only; else ETCDCTL_PASSWORD has it, or a flag (added here)",
    "there-already": "what is there already, or is not, is an error of its own, and a role in use is kept",
    "members": "members as columns, by id or by name; a missing one is code 3",
    "health": "health as columns, 1 where something is not healthy",
    "users": "users, roles and rights on one line each, and as JSON",
    "idempotent": "what is so already is no error",
    "roles-are-checked": "names of roles are split at commas, and have to be those of roles",
    "unauthorized": "unauthorized is code 7",
    "recursive": "what goes recursively is asked for with a slash behind it, which a pattern like /app/* permits",
    "for-ever": "a watch goes on for ever; -n 1 ends it after one event",
    "watch-lines": "a line says action, key, value, what it was, and the index; JSON is one document a line",
    "cut-off": "what a signal ended says so by its code",
    "directories": "changes of directories are shown, too, and those of the parent",
    "time": "--timeout is the time of the whole command",
    "exec-more": "three more variables: _PREV_VALUE, _DIR and _COUNT",
    "exec-dashes": "CMD stands behind --: etcdctl takes the last word for the key, and waits for ever",
    "exec-missing": "the codes of a shell: 127 for what is not there",
    "help": "the help reads otherwise",
}


@dataclass(frozen=True)
class Row:
    """One command, and what came of it: exit codes and stdout."""

    command: str
    theirs: tuple[int, str]
    ours: tuple[int, str]
    reason: str
    around: tuple[str, ...] = ()
    """Of one that waits for events: `< words` are done before, `> words` meanwhile, `! TERM` ends it."""

    @property
    def before(self) -> list[str]:
        return [line[2:] for line in self.around if line[0] == "<"]

    @property
    def live(self) -> list[str]:
        return [line[2:] for line in self.around if line[0] == ">"]

    @property
    def end(self) -> str:
        """The signal that ends it."""
        return "".join(line[2:] for line in self.around if line[0] == "!") or "INT"

    def __str__(self) -> str:
        lines = [f"$ {self.command}", *self.around, f"etcdctl {self.theirs[0]} {self.theirs[1]!r}"]
        lines.append(f"etcdv2 {self.ours[0]} {self.ours[1]!r}")
        return "\n".join([*lines, *([f"because {self.reason}"] if self.reason else [])])


def rows(text: str) -> Iterator[Row]:
    """Of a file of the table."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if not lines:
            continue
        around = tuple(line for line in lines if line[0] in "<>!")
        found = dict(line.split(" ", 1) for line in lines if line not in around)
        codes = [found[name].split(" ", 1) for name in ("etcdctl", "etcdv2")]
        theirs, ours = ((int(code), ast.literal_eval(out)) for code, out in codes)
        yield Row(found["$"], theirs, ours, found.get("because", ""), around)


def carry_out(cli: CommandLine, command: str) -> tuple[int, str]:
    """What our own command line does with these words."""
    words, stdin, environ = words_of(f"$ {command}" if " etcdv2 " in f" {command} " else f"$ etcdv2 {command}")
    words = [word.replace("http://URL", cli.url).replace("URL", cli.url.removeprefix("http://")) for word in words]
    environ = {name: value.replace("http://URL", cli.url) for name, value in environ.items()}
    if any(name.endswith(("ENDPOINTS", "ENDPOINT", "PEERS")) for name in environ):
        environ.setdefault("ETCDV2_ENDPOINTS", "")
    ran = cli(*words, stdin=stdin, **environ)
    return ran.code, same(ran.out, cli)


def same(text: str, cli: CommandLine) -> str:
    """Without what differs from run to run."""
    text = text.replace(cli.url, "http://URL")
    for pattern, by in (
        (r'"(index|modifiedIndex|createdIndex)":\d+', r'"\1":N'),
        (r'"expiration":"[^"]*"', '"expiration":"M"'),
        (r'"ttl":\d+', '"ttl":N'),
        (r"in \d+ s\b", "in N s"),
        (r"\b(index) \d+\)", r"\1 N)"),
        (r"(MODIFIED_INDEX=)\d+", r"\1N"),
        (r"http://127\.0\.0\.1:\d{3,}", "http://OTHER"),
        (r"/0{8}\d+", "/N"),
        (r"\b[0-9a-f]{15,16}\b", "ID"),
        (r"  3\.\d+\.\d+ *  ", "  V  "),
    ):
        text = re.sub(pattern, by, text)
    return text

# Derived from etcdv2/_async/keys.py by scripts/unasync.py: change that file, make generate.
"""The keys API, for all of the store or below a prefix.

Owns views, directories and what takes several requests. Single writes are in `writes`; reads, watches and mirrors in
`view`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, cast, overload

from etcdv2._core import keys as key_calls
from etcdv2._core.call.policy import READS
from etcdv2._core.call.steps import response_of
from etcdv2._core.deadline import Deadline
from etcdv2._core.keys import TTL
from etcdv2._core.modify import Change, NewTTL, check_new_ttl, with_node
from etcdv2._runtime.primitives import gives_way
from etcdv2._sync.directory import as_permitted
from etcdv2._sync.make_dir import make_dir
from etcdv2._sync.many import write_many
from etcdv2._sync.modify import modify
from etcdv2._sync.resolve import resolve
from etcdv2._sync.writes import Writes
from etcdv2._types.api_errors import KeyNotFound, NotDir
from etcdv2._types.call_errors import OutcomeUnknown
from etcdv2._types.results import Outcome, Response
from etcdv2._types.settings import KEEP, UNSET, TimeoutLike, Unset


@gives_way
class KeysAPI(Writes):
    """`client.keys`, or a view below a prefix made by `at`.

    Every call takes `timeout=` (seconds in total, a `Timeout`, or None) and raises the errors of
    `etcdv2.EtcdError`; ValueError and TypeError are raised before anything is sent. Keys: a leading
    slash is optional, in a view forbidden.

    `repeat_writes=`: False sends a write at most once, and raises OutcomeUnknown when its answer
    was lost; True sends it again then, so that it may be applied twice; None is what the client was
    made with.

    `unique=True`: nobody else writes this value (it has a UUID in it, say), so that a lost answer can be
    settled: it is read what became of the write, and it is sent again where it was not applied, within the total
    time. So the Response is true, also where the first answer was lost, and KeyExists, CompareFailed and
    KeyNotFound are somebody else's doing. OutcomeUnknown comes only when the time is over, or the server
    has forgotten what happened (it keeps 1,000 events of the whole store). Not together with
    repeat_writes=True. A member that was paused or cut off with the write may still carry it out later, where the
    condition holds again by then: never with `prev_index`; for a `create` after the key was deleted, so give it a TTL
    where that would harm; for `prev_value` when the old value comes back.

    Of a user (a client with credentials, or with `TLS(cert_file=)`) what goes recursively, makes or lists a directory
    as such is asked with a slash behind the key, as roles with a pattern like `/app/*` permit it, and again without one
    where that is refused and can matter. A guest whose role has such a pattern writes the slash, in `at("/app/")` too,
    and so does a user whose certificate is in an SSLContext.
    """

    def at(self, prefix: str) -> KeysAPI:
        """A view below `prefix`. Its keys are relative, "" is the directory itself.

        Nodes carry absolute keys. Raises ValueError for the root and for what would leave this
        view.
        """
        full = key_calls.view_prefix(prefix, self._prefix)
        return KeysAPI(self._dispatcher, self._monitor, full, slash=prefix.endswith("/"))

    def persist(self, key: str, *, timeout: TimeoutLike | Unset = UNSET) -> Response:
        """Take a file's TTL away and keep its value, by a read and a compare-and-swap.

        Again when that lost a race. A key without TTL is left as it is; then the response is that
        of the read. Raises KeyNotFound, NotFile, and DeadlineExceeded when every race was lost
        until the total time was over.
        """
        return modify(
            self._dispatcher,
            self._absolute(key),
            lambda value, node: value if node and node.expiration else None,
            timeout,
        )

    def modify(
        self,
        key: str,
        change: Change,
        *,
        default: str | None = None,
        ttl: NewTTL = KEEP,
        unique: bool = False,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Read the value, change it, and write it if nobody else did meanwhile; else read again.

        `change` gets the value (`default` where the key is not there, if given), and the Node (None
        for the default) when it takes two arguments. It returns the new value, or value and TTL as
        a tuple, or None to leave the key alone; it may be called several times.

        `ttl` of the new value, where `change` names none: seconds or timedelta, None for no expiry,
        or KEEP: what is left of the old one. etcd takes whole seconds and rounds up, so that each
        change moves the end by less than a second; a key that is changed more often than that
        lives on. For a window of time that must end, keep its end in the value.

        `unique`: nobody else writes what `change` returns (it has a UUID in it, say), so that a
        lost answer is settled and nothing is done twice (see the class):

            def count(value: str) -> str:
                return f"{int(value.split()[0]) + 1} {uuid4()}"

            client.keys.modify("/counter", count, default="0", unique=True)

        Goes on until it succeeds or the total time is over. Raises KeyNotFound without a `default`,
        NotFile, and DeadlineExceeded, which says how often the compare-and-swap race was lost.
        """
        check_new_ttl(ttl)
        if default is not None and not isinstance(default, str):
            raise TypeError(
                f"default: a {type(default).__name__}; must be a str, the value to change where there is none"
            )
        return modify(
            self._dispatcher, self._absolute(key), with_node(change), timeout, ttl=ttl, default=default, unique=unique
        )

    def make_dir(
        self,
        key: str,
        *,
        ttl: TTL | None = None,
        exist_ok: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response:
        """Create a directory and its parents. Raises KeyExists when something is there.

        `ttl` (seconds or timedelta) holds for the whole tree below. With `exist_ok` an existing
        directory is returned as it is, with its TTL; a file still raises. Then a lost answer does no
        harm: what is there is read, and where nothing is, the directory is created again, within
        the total time.
        """
        policy = self._write_policy(repeat_writes)

        def send(spelled: str, by: Deadline) -> Response:
            if exist_ok:
                return make_dir(self._dispatcher, spelled, ttl, policy, timeout, by)
            return response_of(self._dispatcher.perform(key_calls.make_dir(spelled, ttl), policy, timeout, by))

        return as_permitted(self._dispatcher, self._spellings(key), timeout, send)

    @overload
    def remove_dir(
        self,
        key: str,
        *,
        missing_ok: Literal[False] = ...,
        recursive: bool = ...,
        repeat_writes: bool | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Response: ...
    @overload
    def remove_dir(
        self,
        key: str,
        *,
        missing_ok: bool,
        recursive: bool = ...,
        repeat_writes: bool | None = ...,
        timeout: TimeoutLike | Unset = ...,
    ) -> Response | None: ...
    def remove_dir(
        self,
        key: str,
        *,
        missing_ok: bool = False,
        recursive: bool = False,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> Response | None:
        """Delete an empty directory, or a whole tree with `recursive`. Raises NotDir, DirNotEmpty.

        Two requests, a read first: the server itself would delete a file too. `missing_ok`: None
        instead of KeyNotFound, as in `delete`.
        """

        def read(spelled: str, by: Deadline) -> Response:
            call = key_calls.get(spelled, recursive=False, sort=False, quorum=True)
            return response_of(self._dispatcher.perform(call, READS["quorum"], timeout, by))

        try:
            found = as_permitted(self._dispatcher, self._spellings(key), timeout, read)
        except KeyNotFound:
            if missing_ok:
                return None
            raise
        if not found.node.dir:
            raise NotDir("Not a directory", code=104, cause=found.node.key, index=found.index)

        return self.delete(
            key,
            missing_ok=missing_ok,
            recursive=recursive,
            dir=not recursive,
            repeat_writes=repeat_writes,
            timeout=timeout,
        )

    def set_many(
        self,
        items: Mapping[str, str] | Iterable[tuple[str, str]],
        *,
        ttl: TTL | None = None,
        concurrency: int = 16,
        repeat_writes: bool | None = None,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> tuple[Response, ...]:
        """Write many files, `concurrency` of them at a time (1 or more); their responses, in order.

        Each is a `set` of its own: nothing holds them together, and `timeout` is that of each, from
        its beginning on. So any number of them may wait, here and not for one of the client's
        connections. `ttl` is the same for all. What cannot be sent is refused before anything is.

        Raises ManyFailed as soon as one has failed, and those that were under way have ended: it
        has what was done, what failed, and what was not begun.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int):
            raise TypeError(f"concurrency: must be a number of writes at a time, not {type(concurrency).__name__}")
        if concurrency < 1:
            raise ValueError(f"concurrency {concurrency}: must be at least 1")
        pairs = cast("Mapping[str, str]", items).items() if isinstance(items, Mapping) else items
        calls = [(key, key_calls.put(self._absolute(key), value, ttl=ttl)) for key, value in pairs]
        return write_many(self._dispatcher, calls, concurrency, self._write_policy(repeat_writes), timeout)

    def resolve(self, error: OutcomeUnknown, *, timeout: TimeoutLike | Unset = UNSET) -> Outcome:
        """Find out whether a write whose answer was lost has been applied; never guesses.

        Reads only, up to 3 s. For writes with a value that nobody else writes, nor this client with
        another write (a UUID, say): create, compare-and-swap, in order, set. Then "applied" is
        certain: the key had that value since the write was sent.

        "not applied" is certain as of `Outcome.index`: it is not among the key's changes since the
        client's last index before the write. It is `final` only for a write with `prev_index=`,
        once the key has gone on; else the lost write may still be applied, after a member that was
        paused or cut off comes back, or when it still lies with a proxy (this machine's kernel keeps
        nothing of it, unless `transport=` is one of your own).

        "unknown" is a deletion that was applied (it does not show whose it was), a refresh (it
        leaves no trace), what the server has forgotten (it keeps 1,000 events of the whole store),
        and the first call that a client ever made, as it knew no index. A value that others write
        too (a counter's) is theirs as well: then "applied" may be somebody else's write.

        Raises TypeError, ValueError (not a write of a key), Unauthorized, and ClusterUnavailable:
        then ask again later.
        """
        return resolve(self._dispatcher, error, timeout)

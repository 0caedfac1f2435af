"""python-etcd's exceptions, and `EtcdError`, which chooses among them by etcd's error code.

    EtcdException(Exception)              .payload: etcd's JSON with the HTTP `status`, or None
    |- EtcdValueError (also ValueError)
    |  |- EtcdCompareFailed      101      '- EtcdDirNotEmpty    108
    |- EtcdKeyError (no KeyError)
    |  |- EtcdKeyNotFound        100      |- EtcdNotFile        102    |- EtcdNotDir    104
    |  |- EtcdAlreadyExist       105      '- EtcdRootReadOnly   107
    |- EtcdConnectionFailed      .cause; of a write whose answer was lost it is an OutcomeUnknown
    |  '- EtcdWatchTimedOut
    |- EtcdInsufficientPermissions 110    |- EtcdLeaderElectionInProgress 301
    |- EtcdWatcherCleared          400    |- EtcdEventIndexCleared        401
    '- EtcdClusterIdChanged, EtcdLockExpired

Imports nothing: any module of this room may import it.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn


class EtcdException(Exception):
    """Every error of this room."""

    def __init__(self, message: object = None, payload: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.payload = payload


class EtcdValueError(EtcdException, ValueError):
    """A value is not what it should be."""


class EtcdCompareFailed(EtcdValueError):
    """prevValue or prevIndex is not what the server has."""


class EtcdDirNotEmpty(EtcdValueError):
    """The directory has children."""


class EtcdKeyError(EtcdException):
    """The key is not of the wanted kind, or not there."""


class EtcdKeyNotFound(EtcdKeyError):
    """There is no such key, or an HTTP status 404 says so of something else."""


class EtcdNotFile(EtcdKeyError):
    """A directory where a file is needed."""


class EtcdNotDir(EtcdKeyError):
    """A file where a directory is needed."""


class EtcdAlreadyExist(EtcdKeyError):
    """The key to be created is there already."""


class EtcdRootReadOnly(EtcdKeyError):
    """The root cannot be written."""


class EtcdConnectionFailed(EtcdException):
    """No usable answer came. `cause` says why; of a write that may be applied it is an OutcomeUnknown."""

    def __init__(
        self, message: object = None, payload: dict[str, Any] | None = None, cause: BaseException | None = None
    ) -> None:
        super().__init__(message, payload)
        self.cause = cause


class EtcdWatchTimedOut(EtcdConnectionFailed):
    """Nothing happened in time."""


class EtcdInsufficientPermissions(EtcdException):
    """The server refuses it to this user, or does not know the user."""


class EtcdWatcherCleared(EtcdException):
    """The server has given up the watch to recover."""


class EtcdEventIndexCleared(EtcdException):
    """The server no longer has the events asked for: read the state, and watch from its `etcd_index` + 1 on."""


class EtcdLeaderElectionInProgress(EtcdException):
    """There is no leader just now."""


class EtcdClusterIdChanged(EtcdException):
    """Another cluster answers than before, or than `expected_cluster_id` says: raised once."""


class EtcdLockExpired(EtcdException):
    """The lock's entry is gone: its TTL is over, or somebody has deleted it."""


class EtcdError:
    """Raises the exception for etcd's error. `error_exceptions` may be changed; it holds for all clients."""

    error_exceptions: ClassVar[dict[int, type[Exception]]] = {
        100: EtcdKeyNotFound,
        101: EtcdCompareFailed,
        102: EtcdNotFile,
        104: EtcdNotDir,
        105: EtcdAlreadyExist,
        107: EtcdRootReadOnly,
        108: EtcdDirNotEmpty,
        110: EtcdInsufficientPermissions,
        **dict.fromkeys(range(200, 211), EtcdValueError),
        301: EtcdLeaderElectionInProgress,
        400: EtcdWatcherCleared,
        401: EtcdEventIndexCleared,
    }

    @classmethod
    def handle(cls, payload: dict[str, Any]) -> NoReturn:
        """Raise what the payload says: etcd's JSON, with the HTTP `status` in it.

        A status of 404 or 401 goes before the code: not every refusal of etcd has one.
        """
        code = {404: 100, 401: 110}.get(payload.get("status", 0), payload.get("errorCode"))
        kind: Any = cls.error_exceptions.get(code, EtcdException) if isinstance(code, int) else EtcdException
        text = f"{payload.get('message')} : {payload.get('cause')}"
        raise kind(text, payload) if issubclass(kind, EtcdException) else kind(text)

"""What went wrong, as an exit code and as one line on stderr, or one of JSON.

Owns the exit codes. Knows the errors of the library by their public names, which are imported when one has come.
"""

from __future__ import annotations

from typing import Any

OK, NO, USAGE, NOT_FOUND, COMPARE_FAILED, EXISTS, WRONG_KIND, UNAUTHORIZED = range(8)
UNAVAILABLE, OUTCOME_UNKNOWN, TIMED_OUT, HISTORY_CLEARED, OTHER = range(8, 13)
LOCK_LOST = 20
HANGUP, INTERRUPTED, BROKEN_PIPE, TERMINATED = 129, 130, 141, 143

EXIT_CODES = """\
exit codes: 0 ok; 1 the answer is no (exists, diff, health, check); 2 usage; 3 not found; 4 compare failed; 5 exists
already; 6 a directory where a key is needed, or the reverse, or not empty, or the root; 7 unauthorized; 8 unavailable;
9 outcome unknown: the write may have been made; 10 timeout; 11 history cleared; 12 another error; 20 lock not got, or
lost; 130, 141, 143 ended by Ctrl-C, a closed pipe, SIGTERM."""


class UsageError(Exception):
    """The command line cannot be followed: nothing was sent."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint
        """The second line."""


class Failed(Exception):
    """A command could not do what it was asked to, for a reason that no request had."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class TimeOver(BaseException):
    """The time of --timeout is over, while something was waited for that has no limit of its own."""


class Shown(BaseException):
    """`--curl` has printed the request, which ends the command; no handler of errors takes it for a failure."""


def exit_code(error: Exception) -> int:
    """Which of the codes an error ends in."""
    import etcdv2

    if isinstance(error, Failed):
        return error.code
    if isinstance(error, (UsageError, ValueError, TypeError)):
        return USAGE
    if isinstance(error, etcdv2.ApiError):
        return _of_answer(error)

    # Subclasses before what they are.
    for kind, code in (
        (etcdv2.OutcomeUnknown, OUTCOME_UNKNOWN),
        (etcdv2.DeadlineExceeded, TIMED_OUT),
        (etcdv2.ClusterUnavailable, UNAVAILABLE),
        (etcdv2.V2ApiDisabled, UNAVAILABLE),
        (etcdv2.StaleRead, UNAVAILABLE),
    ):
        if isinstance(error, kind):
            return code
    if type(error).__name__ in ("AcquireTimeout", "AcquireCancelled", "LeaseLost"):
        return LOCK_LOST
    return OTHER


def _of_answer(error: Any) -> int:
    import etcdv2

    codes: dict[type[Exception], int] = {
        etcdv2.KeyNotFound: NOT_FOUND,
        etcdv2.NotFound: NOT_FOUND,
        etcdv2.Gone: NOT_FOUND,
        etcdv2.CompareFailed: COMPARE_FAILED,
        etcdv2.KeyExists: EXISTS,
        etcdv2.Conflict: EXISTS,
        etcdv2.NotFile: WRONG_KIND,
        etcdv2.NotDir: WRONG_KIND,
        etcdv2.RootReadOnly: WRONG_KIND,
        etcdv2.DirNotEmpty: WRONG_KIND,
        etcdv2.Unauthorized: UNAUTHORIZED,
        etcdv2.LeaderElection: UNAVAILABLE,
        etcdv2.HistoryCleared: HISTORY_CLEARED,
    }
    found = codes.get(error.__class__, OTHER)
    return UNAUTHORIZED if found == OTHER and error.status in (401, 403) else found


def text_of(error: Exception, user: str | None = None) -> str:
    """One line; `user` is who was sent."""
    import etcdv2

    if isinstance(error, etcdv2.Unauthorized):
        cause = f": {error.cause}" if error.cause.startswith("/") else ""
        return f"unauthorized{cause}: {_who(user)}"
    if isinstance(error, etcdv2.ApiError) and type(error) is not etcdv2.DirectoryTTL:
        message = error.message.removeprefix("auth: ").rstrip(".")
        message = message[:1].lower() + message[1:]
        return _one_line(
            message + (f": {error.cause}" if error.cause else "") + (f" (index {error.index})" if error.index else "")
        )
    return _one_line(str(error) or type(error).__name__)


def _who(user: str | None) -> str:
    if user is None:
        return "no user was sent (--user NAME), and guests are not permitted to do this"
    return (
        f"as user {user}: the password is wrong, or no role of the user permits this "
        "(a pattern like /app/* permits what is below /app, and not /app itself)"
    )


def json_of(error: Exception) -> str:
    """The same for programs, on one line."""
    import json

    import etcdv2

    found: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, etcdv2.ApiError):
        found |= {"code": error.code, "message": error.message, "cause": error.cause, "index": error.index}
        found |= {"status": error.status, "endpoint": error.endpoint}
    else:
        found["message"] = str(error)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _one_line(text: str) -> str:
    return " ".join(text.split())

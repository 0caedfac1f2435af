"""The error tree: classes by code and status, texts that name causes, pickles, no passwords."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re
import types

import pytest

import etcdv2
from etcdv2._core.answers import response_from
from etcdv2._core.etcd_headers import Meta
from etcdv2._types import api_errors, call_errors
from etcdv2._types.api_errors import (
    ApiError,
    BadRequest,
    CompareFailed,
    Conflict,
    DirectoryTTL,
    DirNotEmpty,
    EtcdError,
    Gone,
    HistoryCleared,
    InvalidRequest,
    KeyExists,
    KeyNotFound,
    LeaderElection,
    NotDir,
    NotFile,
    NotFound,
    RaftInternal,
    RootReadOnly,
    Unauthorized,
    WatcherCleared,
    class_of,
)
from etcdv2._types.call_errors import (
    Attempt,
    ClusterChanged,
    ClusterUnavailable,
    DeadlineExceeded,
    ManyFailed,
    OutcomeUnknown,
    OutcomeUnknownTimeout,
    StaleRead,
    UnexpectedAnswer,
    V2ApiDisabled,
)
from etcdv2_api import KeysEvent, Node, UserChange, operations

ATTEMPTS = (
    Attempt("http://a:2379", "connect", "connection refused", 0.01),
    Attempt("http://b:2379", "answer", "Raft Internal Error: no leader", 7.0, 500),
    Attempt("http://a:2379", "connect", "connection refused", 0.02),
)
RESPONSE = response_from(
    KeysEvent(action="set", node=Node(key="/a", value="1", modified_index=7)), Meta(7, 8, 2, "beef")
)
PASSWORD = "correct horse"
WITH_PASSWORD = operations.put_user("root", UserChange(user="root", password=PASSWORD))

API_ERRORS: list[type[ApiError]] = [
    ApiError,
    KeyNotFound,
    CompareFailed,
    NotFile,
    NotDir,
    KeyExists,
    RootReadOnly,
    DirNotEmpty,
    Unauthorized,
    InvalidRequest,
    RaftInternal,
    DirectoryTTL,
    LeaderElection,
    WatcherCleared,
    HistoryCleared,
    NotFound,
    Conflict,
    Gone,
    BadRequest,
]
LOST = ClusterUnavailable("nobody")
ERRORS: list[EtcdError] = [
    EtcdError("plain"),
    ClusterUnavailable("nobody", ATTEMPTS),
    ClusterUnavailable("nobody"),
    DeadlineExceeded("no usable answer within 5 s", ATTEMPTS),
    OutcomeUnknown(WITH_PASSWORD, "http://a:2379", "connection reset", ATTEMPTS),
    OutcomeUnknownTimeout(operations.put_key("/a", value="1"), "http://a:2379", "timed out", ATTEMPTS),
    UnexpectedAnswer("a page", status=502, content_type="text/html", body=b"<html>" * 200, endpoint="http://a:2379"),
    V2ApiDisabled(["http://a:2379", "http://b:2379"], "3.5.1"),
    V2ApiDisabled(["http://a:2379"]),
    ClusterChanged("cafe", "beef", "http://a:2379"),
    ClusterChanged("cafe", "beef", "http://a:2379", RESPONSE),
    ClusterChanged("cafe", "cafe", "http://a:2379", put_back="index 9 was seen before, and now it is 7"),
    ManyFailed({"/a": RESPONSE}, {"/b": LOST}, ["/c"]),
    StaleRead(10, 9, ATTEMPTS),
    *(
        kind("text", code=1, cause="/a", index=5, status=404, endpoint="http://a:2379")  # every class of an answer
        for kind in API_ERRORS
    ),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_pickles_with_all_it_knows(error: EtcdError, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert again.args == error.args
    assert repr(again.__dict__) == repr(error.__dict__)  # an error in it equals no other
    assert str(again) == str(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_can_be_copied(error: EtcdError) -> None:
    assert copy.copy(error).__dict__ == error.__dict__
    assert repr(copy.deepcopy(error).__dict__) == repr(error.__dict__)


def test_notes_survive_pickling() -> None:
    error = ClusterUnavailable("nobody", ATTEMPTS)
    error.add_note("while the roof was mended")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while the roof was mended"]


def test_every_public_error_is_tested_here() -> None:
    public = {
        name
        for name in etcdv2.__all__
        if isinstance(getattr(etcdv2, name), type) and issubclass(getattr(etcdv2, name), Exception)
    }
    assert public == {type(error).__name__ for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_no_foreign_exception_is_a_base(error: EtcdError) -> None:
    for base in type(error).__mro__:
        assert base.__module__ in ("etcdv2._types.api_errors", "etcdv2._types.call_errors", "builtins")
    if isinstance(error, ValueError | TypeError):
        pytest.fail("an error of the cluster must not look like a mistake of the caller")


def test_families_are_builtins_where_programs_expect_them() -> None:
    assert issubclass(KeyNotFound, LookupError)
    assert issubclass(DeadlineExceeded, builtins.TimeoutError)
    assert issubclass(OutcomeUnknownTimeout, builtins.TimeoutError)
    assert not issubclass(ClusterUnavailable, builtins.TimeoutError)
    assert not issubclass(OutcomeUnknown, ClusterUnavailable)
    assert not issubclass(OutcomeUnknown, ApiError)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (100, KeyNotFound),
        (101, CompareFailed),
        (102, NotFile),
        (103, ApiError),
        (104, NotDir),
        (105, KeyExists),
        (107, RootReadOnly),
        (108, DirNotEmpty),
        (110, Unauthorized),
        (199, ApiError),
        (200, InvalidRequest),
        (211, InvalidRequest),
        (299, InvalidRequest),
        (300, RaftInternal),
        (301, LeaderElection),
        (400, WatcherCleared),
        (401, HistoryCleared),
        (500, ApiError),
    ],
)
def test_class_follows_the_code_whatever_the_status(code: int, kind: type[ApiError]) -> None:
    for status in (400, 401, 404, 500):
        assert class_of(code, status) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequest), (401, Unauthorized), (403, ApiError), (404, NotFound), (409, Conflict), (410, Gone)],
)
def test_class_follows_the_status_where_there_is_no_code(status: int, kind: type[ApiError]) -> None:
    assert class_of(0, status) is kind


@pytest.mark.parametrize("kind", [ClusterUnavailable, DeadlineExceeded])
def test_text_names_every_endpoint_with_its_cause_once(kind: type[ClusterUnavailable]) -> None:
    text = str(kind("nobody", ATTEMPTS))
    assert text.startswith("nobody [3 attempts: ")
    assert text.count("http://a:2379: connection refused") == 1
    assert "(connect, 0.01 s) x2" in text
    assert "http://b:2379: Raft Internal Error: no leader (7.00 s)" in text


def test_stale_read_names_what_was_found_and_where() -> None:
    text = str(StaleRead(10, 9, ATTEMPTS))
    assert "10" in text
    assert "further than 9" in text
    assert "http://b:2379" in text


def test_unknown_outcome_says_what_to_do() -> None:
    text = str(OutcomeUnknown(operations.put_key("/a b", value="1"), "http://a:2379", "connection reset"))
    assert "PUT /v2/keys/a%20b was sent to http://a:2379" in text
    assert "connection reset" in text
    assert "keys.resolve(error)" in text
    assert "repeat_writes=True" in text


def test_unexpected_answer_shows_the_first_bytes_only() -> None:
    error = UnexpectedAnswer("a page", status=502, content_type="", body=b"x" * 9999, endpoint="http://a:2379")
    assert len(error.body) == 512
    assert len(str(error)) < 300
    for part in ("http://a:2379", "502", "no content type", "a page", "xxx"):
        assert part in str(error)


def test_disabled_api_names_endpoints_version_and_remedy() -> None:
    text = str(V2ApiDisabled(["http://a:2379", "http://b:2379"], "3.5.1"))
    for part in ("http://a:2379", "http://b:2379", "etcd 3.5.1", "--enable-v2=true", "3.6"):
        assert part in text
    assert "not known" in str(V2ApiDisabled(["http://a:2379"]))


def test_changed_cluster_says_whether_the_write_was_applied() -> None:
    assert "applied" not in str(ClusterChanged("cafe", "beef", "http://a:2379"))
    text = str(ClusterChanged("cafe", "beef", "http://a:2379", RESPONSE))
    for part in ("cafe", "beef", "http://a:2379", "applied there"):
        assert part in text


def test_api_error_says_what_it_knows_and_no_more() -> None:
    full = ApiError("Compare failed", code=101, cause="[a != b]", index=9, status=412, endpoint="http://a:2379")
    assert str(full) == "Compare failed: [a != b] (code 101, status 412, index 9, at http://a:2379)"
    assert str(ApiError("Not a file")) == "Not a file (found locally)"


def test_password_is_in_no_text_repr_or_pickle_of_an_error() -> None:
    error = OutcomeUnknown(WITH_PASSWORD, "http://a:2379", "connection reset", ATTEMPTS)
    for shown in (str(error), repr(error), repr(error.call), str(error.call.json), repr(error.__dict__)):
        assert PASSWORD not in shown
    assert PASSWORD.encode() not in pickle.dumps(error)
    assert error.call.operation == "put_user"
    assert "root" in str(error.call.json)


@pytest.mark.parametrize("module", [api_errors, call_errors], ids=["api_errors", "call_errors"])
def test_the_tree_in_a_modules_docstring_has_all_its_classes_and_codes(module: types.ModuleType) -> None:
    drawing = module.__doc__ or ""
    own = {
        name for name, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__
    }
    errors = {name for name in own if issubclass(getattr(module, name), EtcdError)}
    assert errors <= set(re.findall(r"[A-Z]\w+", drawing))
    for name, code in re.findall(r"([A-Z][a-z]\w+) +(\d\d\d)\b", drawing):
        assert name in {class_of(0, int(code)).__name__, class_of(int(code), 0).__name__}

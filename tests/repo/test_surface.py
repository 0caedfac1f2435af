"""The public face: both clients have the same surface, `__all__` is what the package exports, and all is documented."""

from __future__ import annotations

import dataclasses
import inspect
import os
import pydoc
import subprocess
import sys
import types
import typing
from typing import Any

import pytest

import etcdv2
import etcdv2_api

PAIRS = sorted(name for name in etcdv2.__all__ if name.startswith("Async"))
ASYNC_ONLY = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__", "__anext__": "__next__"}
CLASSES = sorted(name for name in etcdv2.__all__ if inspect.isclass(getattr(etcdv2, name)))


def public(cls: type[Any]) -> dict[str, Any]:
    """Public members by name, the protocols of `with` and `for` by their sync names."""
    found: dict[str, Any] = {}
    for name in dir(cls):
        protocol = name in ASYNC_ONLY or name in ASYNC_ONLY.values() or name == "__init__"
        if protocol or not name.startswith("_"):
            found[ASYNC_ONLY.get(name, name)] = inspect.getattr_static(cls, name)
    return found


def parameters(function: Any) -> list[tuple[str, Any, str, str]]:
    """Names, kinds, defaults and annotations, those of the async side written as the sync ones."""
    function = function.__func__ if isinstance(function, classmethod) else function
    return [
        (name, one.kind, repr(one.default), str(one.annotation).replace("Async", ""))
        for name, one in inspect.signature(function).parameters.items()
    ]


def returned(function: Any) -> str:
    function = function.__func__ if isinstance(function, classmethod) else function
    return str(inspect.signature(function).return_annotation).replace("Async", "")


def is_callable(member: Any) -> bool:
    return isinstance(member, types.FunctionType | classmethod)


def test_there_is_a_pair_for_every_async_class() -> None:
    assert PAIRS == [
        "AsyncAuthAPI",
        "AsyncClient",
        "AsyncKeysAPI",
        "AsyncMembersAPI",
        "AsyncMirror",
        "AsyncMirrorChanges",
        "AsyncRawAPI",
        "AsyncRolesAPI",
        "AsyncStatsAPI",
        "AsyncUsersAPI",
        "AsyncWatcher",
    ]


@pytest.mark.parametrize("name", PAIRS)
def test_both_sides_have_the_same_names_and_parameters(name: str) -> None:
    one, other = getattr(etcdv2, name), getattr(etcdv2, name.removeprefix("Async"))
    asynchronous, blocking = public(one), public(other)
    assert asynchronous.keys() == blocking.keys()
    for member, value in asynchronous.items():
        assert type(value) is type(blocking[member]), member
        if is_callable(value):
            assert parameters(value) == parameters(blocking[member]), member
            assert returned(value) == returned(blocking[member]), member
        if isinstance(value, property):
            assert returned(value.fget) == returned(blocking[member].fget), member


@pytest.mark.parametrize("name", PAIRS)
def test_overloads_are_the_same_on_both_sides(name: str) -> None:
    one, other = getattr(etcdv2, name), getattr(etcdv2, name.removeprefix("Async"))
    for member, value in public(one).items():
        if isinstance(value, types.FunctionType):
            mine = [parameters(overload) for overload in typing.get_overloads(value)]
            assert mine == [parameters(overload) for overload in typing.get_overloads(public(other)[member])]


@pytest.mark.parametrize("name", PAIRS)
def test_what_waits_is_async_on_the_async_side_only(name: str) -> None:
    blocking = getattr(etcdv2, name.removeprefix("Async"))
    assert not [member for member, value in public(blocking).items() if inspect.iscoroutinefunction(value)]
    at_once = {
        "AsyncClient": {"attach", "set_credentials", "set_endpoints", "as_curl"},
        "AsyncKeysAPI": {"at", "watch", "mirror"},
        "AsyncMirror": {"keys", "values", "items", "get", "node", "children", "changes"},
        "AsyncMirrorChanges": {"close"},
        "AsyncRawAPI": {"prefer", "expect_cluster"},
    }
    functions = {
        member: value
        for member, value in public(getattr(etcdv2, name)).items()
        if isinstance(value, types.FunctionType) and member not in ("__init__", "__iter__")
    }
    waiting = {member for member, value in functions.items() if inspect.iscoroutinefunction(value)}
    assert functions.keys() - waiting == at_once.get(name, set())


SECTIONS = {
    "Client": {"keys": "KeysAPI", "members": "MembersAPI", "stats": "StatsAPI", "auth": "AuthAPI", "raw": "RawAPI"},
    "AuthAPI": {"users": "UsersAPI", "roles": "RolesAPI"},
}


@pytest.mark.parametrize("prefix", ["", "Async"])
@pytest.mark.parametrize("name", SECTIONS)
def test_sections_show_in_help_and_dir_of_the_class_and_are_what_they_say(prefix: str, name: str) -> None:
    cls = getattr(etcdv2, prefix + name)
    client = getattr(etcdv2, f"{prefix}Client")()
    instance = client if name == "Client" else client.auth
    assert {section for section in vars(instance) if not section.startswith("_")} == set()

    text = pydoc.render_doc(cls, renderer=pydoc.plaintext)
    for section, kind in SECTIONS[name].items():
        assert section in dir(cls)
        assert f" {section}\n" in text
        assert inspect.getdoc(getattr(cls, section))
        assert type(getattr(instance, section)).__name__ == prefix + kind
        assert getattr(instance, section) is getattr(instance, section)
    if not prefix:
        client.close()


def test_all_is_what_the_package_exports() -> None:
    assert all(hasattr(etcdv2, name) for name in etcdv2.__all__)  # the two clients are imported when asked for
    exported = {
        name for name, value in vars(etcdv2).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(etcdv2.__all__) == (exported | {"__version__"}) - {"annotations", "TYPE_CHECKING"}
    assert len(set(etcdv2.__all__)) == len(etcdv2.__all__)


def test_there_is_one_node_class() -> None:
    assert etcdv2.Node is etcdv2_api.Node
    assert typing.get_type_hints(etcdv2.Event)["node"] is etcdv2_api.Node
    assert typing.get_type_hints(etcdv2.Response, vars(etcdv2_api))["node"] is etcdv2_api.Node


@pytest.mark.parametrize("name", CLASSES)
def test_everything_public_is_documented(name: str) -> None:
    cls = getattr(etcdv2, name)
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{name}(")  # what dataclasses write themselves
    silent = [
        member
        for member, value in vars(cls).items()
        if not member.startswith("_")
        and (is_callable(value) or isinstance(value, property))
        and not inspect.getdoc(value)
    ]
    assert silent == []


def test_every_error_is_in_the_tree_and_no_foreign_one_is_a_base() -> None:
    errors = [getattr(etcdv2, name) for name in CLASSES if issubclass(getattr(etcdv2, name), BaseException)]
    assert len(errors) > 25
    for error in errors:
        assert issubclass(error, etcdv2.EtcdError)
        outside = [base for base in error.__mro__ if not base.__module__.startswith("etcdv2")]
        assert set(outside) <= {Exception, BaseException, object, LookupError, TimeoutError, OSError}


def test_results_cannot_be_changed() -> None:
    for cls in (
        etcdv2.Response,
        etcdv2.Ack,
        etcdv2.Event,
        etcdv2.EndpointHealth,
        etcdv2.ClusterHealth,
        etcdv2.Readiness,
        etcdv2.TLS,
    ):
        assert dataclasses.is_dataclass(cls)
        assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined] # pyright: ignore
    with pytest.raises(ValueError, match="frozen"):
        etcdv2.Node().key = "/a"  # type: ignore[misc] # pyright: ignore


def test_httpx_and_other_heavy_modules_are_imported_only_when_used() -> None:
    code = "import sys, etcdv2; etcdv2.Client('10.0.0.1:2379').close(); print(*sys.modules)"
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean)
    assert not {"httpx", "httpcore", "anyio", "urllib.request", "etcdv2._async.client"} & set(done.stdout.split())

"""The models: what they read, how a tree is walked, what large and deep bodies do."""

from __future__ import annotations

import gc
import json
import typing
from datetime import UTC, datetime

import pydantic
import pytest

import etcdv2_api
from etcdv2.testing._description import description
from etcdv2_api import KeysError, KeysEvent, MemberPeers, Node, Permissions, RoleChange, UndescribedAnswer, operations
from etcdv2_api.node import Model, wire_name

SCHEMAS = description().spec["components"]["schemas"]
TREE = Node(
    dir=True,
    nodes=(
        Node(key="/a", dir=True, nodes=(Node(key="/a/1", value="x"), Node(key="/a/2", dir=True))),
        Node(key="/b", value=""),
    ),
)
read = operations.get_key("/").decode


def nested(depth: int) -> bytes:
    """A body whose deepest node is `depth` levels below the first."""
    opening = '{"key":"/d","dir":true,"nodes":[' * depth
    return f'{{"action":"get","node":{opening}{{"key":"/f","value":"x"}}{"]}" * depth}}}'.encode()


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_has_a_model_with_the_names_of_the_wire(name: str) -> None:
    model = getattr(etcdv2_api, name)
    assert issubclass(model, Model)
    assert [field.alias for field in model.model_fields.values()] == list(SCHEMAS[name]["properties"])


def test_wire_names_are_camel_case_with_urls_as_etcd_writes_it() -> None:
    assert [wire_name(one) for one in ("modified_index", "peer_urls", "dir")] == ["modifiedIndex", "peerURLs", "dir"]


def test_root_without_anything_has_defaults() -> None:
    node = KeysEvent.model_validate_json(b'{"action":"get","node":{"dir":true}}').node
    assert node is not None
    assert (node.key, node.dir, node.nodes, node.modified_index, node.created_index) == ("/", True, (), 0, 0)
    assert (node.value, node.ttl, node.expiration, node.name) == (None, None, None, "")


def test_models_are_built_by_field_name_and_written_with_wire_names() -> None:
    assert MemberPeers(peer_urls=("http://a:1",)).model_dump_json(by_alias=True) == '{"peerURLs":["http://a:1"]}'
    assert KeysError(error_code=100, message="m").index == 0


def test_models_are_frozen() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        TREE.key = "/x"


def test_lists_come_back_as_tuples() -> None:
    body = b'{"members":[{"id":"1","name":"","peerURLs":["http://a:1"],"clientURLs":[]}]}'
    members = operations.list_members().decode(200, body)
    assert isinstance(members, etcdv2_api.Members)
    assert isinstance(members.members, tuple)
    assert members.members[0].peer_urls == ("http://a:1",)


def test_no_model_has_a_field_of_type_list() -> None:
    for name in SCHEMAS:
        hints = typing.get_type_hints(getattr(etcdv2_api, name))
        assert not [hint for hint in hints.values() if "list[" in str(hint)], name


def test_undescribed_members_are_ignored() -> None:
    assert KeysEvent.model_validate_json(b'{"action":"get","later":1}') == KeysEvent(action="get")


def test_expiration_has_a_zone_and_microseconds() -> None:
    node = Node.model_validate_json(b'{"key":"/t","expiration":"2026-11-22T10:11:03.454187298Z","ttl":-1}')
    assert node.expiration == datetime(2026, 11, 22, 10, 11, 3, 454187, UTC)
    assert node.ttl == -1


def test_indexes_beyond_a_float_stay_exact() -> None:
    node = Node.model_validate_json(b'{"modifiedIndex":18446744073709551615}')
    assert node.modified_index == 2**64 - 1


def test_parts_not_given_are_not_sent() -> None:
    patterns = etcdv2_api.KeyPatterns(read=("/a/*",))
    change = RoleChange(role="r", grant=Permissions(kv=patterns))
    call = operations.put_role("r", change)
    assert call.json == '{"role":"r","grant":{"kv":{"read":["/a/*"]}}}'


def test_walk_is_depth_first_with_the_node_itself() -> None:
    assert [node.key for node in TREE.walk()] == ["/", "/a", "/a/1", "/a/2", "/b"]


def test_leaves_are_the_files() -> None:
    assert [node.key for node in TREE.leaves()] == ["/a/1", "/b"]
    file = TREE.nodes[1]
    assert list(file.leaves()) == [file]


def test_children_are_one_level_and_names_the_last_segment() -> None:
    assert [node.name for node in TREE.children] == ["a", "b"]
    assert TREE.nodes[1].children == ()


def test_walk_of_a_tree_deeper_than_the_recursion_limit_ends() -> None:
    node = Node(key="/f", value="x")
    for _ in range(5000):
        node = Node.model_construct(key="/d", dir=True, nodes=(node,))
    assert sum(1 for _ in node.walk()) == 5001
    assert [leaf.key for leaf in node.leaves()] == ["/f"]


@pytest.mark.parametrize("depth", [98, 99, 100, 150, 200])
def test_tree_deeper_than_the_json_parser_goes_is_read(depth: int) -> None:
    event = read(200, nested(depth))
    assert isinstance(event, KeysEvent)
    assert event.node is not None
    assert sum(1 for _ in event.node.walk()) == depth + 1


@pytest.mark.parametrize("depth", [400, 5000, 100_000])
def test_tree_too_deep_to_be_read_is_refused_with_advice(depth: int) -> None:
    with pytest.raises(UndescribedAnswer, match="read it level by level"):
        read(200, nested(depth))


def test_deep_tree_that_is_not_as_described_says_so() -> None:
    with pytest.raises(UndescribedAnswer, match="not as described: action"):
        read(200, nested(120).replace(b'"get"', b'"got"'))


def test_deep_body_that_is_cut_is_no_json() -> None:
    with pytest.raises(UndescribedAnswer, match="not JSON"):
        read(200, nested(120)[:-40])


@pytest.fixture
def collector() -> typing.Iterator[None]:
    was_on = gc.isenabled()
    yield
    (gc.enable if was_on else gc.disable)()


class Watched(Model):
    """A model that notes whether the collector was on while it was read."""

    node: str
    on: typing.Annotated[bool, pydantic.BeforeValidator(lambda _: gc.isenabled())]


@pytest.mark.parametrize(
    ("size", "was_on", "meanwhile"), [(10, True, True), (70_000, True, False), (70_000, False, False)]
)
@pytest.mark.usefixtures("collector")
def test_collector_rests_only_for_a_large_body_and_is_as_before(size: int, was_on: bool, meanwhile: bool) -> None:
    (gc.enable if was_on else gc.disable)()
    from etcdv2_api.answer import read as read_model

    body = json.dumps({"node": "x" * size, "on": True}).encode()
    assert read_model(Watched, 200, body).on is meanwhile
    assert gc.isenabled() is was_on


@pytest.mark.usefixtures("collector")
def test_collector_is_on_again_after_a_large_body_that_does_not_fit() -> None:
    gc.enable()
    with pytest.raises(UndescribedAnswer):
        read(200, b'{"action":"' + b"x" * 70_000 + b'"}')
    assert gc.isenabled()

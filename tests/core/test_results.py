"""What calls return, made of generated nodes and the headers of the answer."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from etcdv2._core.answers import ack_from, answered_by, response_from
from etcdv2._core.etcd_headers import Meta
from etcdv2._types.api_errors import NotFile
from etcdv2._types.results import Ack, ClusterHealth, EndpointHealth, Event, Response
from etcdv2_api import KeysEvent, Member, Node

META = Meta(9, 19, 2, "cafe")
FILE = Node(key="/a", value="v", modified_index=7, created_index=3)
EMPTY = Node(key="/e", value="")
TREE = Node(key="/d", dir=True, nodes=(FILE, Node(key="/d/e", dir=True), Node(key="/d/f", dir=True, nodes=(EMPTY,))))


def response(node: Node, action: str = "get") -> Response:
    found = response_from(KeysEvent.model_validate({"action": action, "node": node.model_dump(by_alias=True)}), META)
    assert found is not None
    return found


def test_response_has_the_answer_and_its_headers() -> None:
    event = KeysEvent(action="set", node=FILE, prev_node=EMPTY)
    assert response_from(event, META) == Response("set", FILE, EMPTY, 9, 19, 2, "cafe")


def test_value_of_a_file_is_its_text_also_when_empty() -> None:
    assert response(FILE).value == "v"
    assert response(EMPTY).value == ""


def test_value_of_a_directory_is_refused_as_etcd_does() -> None:
    with pytest.raises(NotFile) as caught:
        _ = response(TREE).value
    assert (caught.value.code, caught.value.cause, caught.value.index, caught.value.status) == (102, "/d", 9, 0)


def test_value_of_a_deleted_node_is_refused_with_the_reason() -> None:
    with pytest.raises(NotFile, match="node of a delete has no value"):
        _ = response(Node(key="/a", modified_index=8), "delete").value


def test_walk_is_depth_first_and_leaves_are_the_files() -> None:
    assert [node.key for node in response(TREE).walk()] == ["/d", "/a", "/d/e", "/d/f", "/e"]
    assert [node.key for node in response(TREE).leaves()] == ["/a", "/e"]
    assert list(response(FILE).leaves()) == [FILE]


def test_answer_without_node_is_no_response_but_an_ack() -> None:
    event = KeysEvent(action="set")
    assert response_from(event, META) is None
    assert ack_from(event, META) == Ack("set", 9, 19, 2, "cafe")


def test_ack_is_made_also_of_a_full_answer() -> None:
    """2.3 does not know noValueOnSuccess."""
    assert ack_from(KeysEvent(action="set", node=FILE), META) == Ack("set", 9, 19, 2, "cafe")


def test_only_answers_about_keys_become_a_response() -> None:
    assert answered_by(KeysEvent(action="set", node=FILE), META) is not None
    assert answered_by(KeysEvent(action="set"), META) is None
    assert answered_by(Member(id="1", name="", peer_urls=(), client_urls=()), META) is None
    assert answered_by(None, META) is None


@pytest.mark.parametrize(
    ("action", "deleted"),
    [
        ("set", False),
        ("create", False),
        ("update", False),
        ("compareAndSwap", False),
        ("delete", True),
        ("compareAndDelete", True),
        ("expire", True),
    ],
)
def test_event_knows_its_key_its_index_and_whether_it_deleted(action: str, deleted: bool) -> None:
    event = Event(action, FILE, None, "v")
    assert (event.key, event.index, event.deleted, event.ancestor) == ("/a", 7, deleted, False)


@pytest.mark.parametrize("result", [response(TREE), Ack("set", 9, 19, 2, "cafe"), Event("set", FILE, EMPTY, "v")])
def test_results_are_frozen_equal_by_content_and_pickle(result: Response | Ack | Event) -> None:
    assert pickle.loads(pickle.dumps(result)) == result
    assert dataclasses.replace(result) == result
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.action = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("members", "healthy", "degraded"),
    [([], False, False), ([True], True, False), ([True, False], True, True), ([False, False], False, False)],
)
def test_cluster_is_healthy_while_one_endpoint_is_and_degraded_while_not_all(
    members: list[bool], healthy: bool, degraded: bool
) -> None:
    found = ClusterHealth(tuple(EndpointHealth("http://a:2379", one, "", 0.1) for one in members))
    assert (found.healthy, found.degraded) == (healthy, degraded)

"""The description itself, and the check that holds real answers against it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from etcdv2.testing import NotAsDescribed, check_answer
from etcdv2.testing._description import KEPT, Media, closed, description, thinned

DESCRIPTION = description()
SPEC = DESCRIPTION.spec
EXAMPLES = list(DESCRIPTION.examples())
CLUSTER = {"content-type": "application/json", "x-etcd-cluster-id": "48276a8f75b6a87"}
GOOD = {**CLUSTER, "x-etcd-index": "22", "x-raft-index": "41", "x-raft-term": "2"}
BAD = {**CLUSTER, "x-etcd-index": "22"}
PLAIN = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
JSON = {"content-type": "application/json"}
HEALTH = {"content-type": "text/plain; charset=utf-8"}
ADDED = b'{"id":"cc268a2e25236d44","name":"","peerURLs":["http://127.0.0.1:23801"],"clientURLs":[]}\n'
EVENT = b'{"action":"set","node":{"key":"/a","value":"x","modifiedIndex":22,"createdIndex":22}}\n'
MISSING = b'{"errorCode":100,"message":"Key not found","cause":"/a","index":22}\n'


def name_of(example: tuple[str, str, str, Media, str, Any]) -> str:
    path, method, status, _, name, _ = example
    return f"{method} {path} {status} {name}"


def resolved(part: Any) -> Any:
    while "$ref" in part:
        found = SPEC
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, item in SPEC["paths"].items():
        for method in ("get", "put", "post", "delete"):
            if method in item:
                yield path, method, item[method]


# ---- the description


def test_description_is_valid_openapi() -> None:
    validate(SPEC)


def test_every_operation_is_named_and_summed_up() -> None:
    """Under a name of its own: foreign generators make a function of each."""
    names: list[str] = []
    for path, method, operation in operations():
        assert operation["summary"].endswith("."), f"{method} {path}"
        names.append(operation["operationId"])
        if "x-same-as" in SPEC["paths"][path]:
            assert method in SPEC["paths"][SPEC["paths"][path]["x-same-as"]]
    assert len(set(names)) == len(names)


def integers(part: Any) -> Iterator[Any]:
    """Every schema of an integer, of requests and answers."""
    if isinstance(part, dict):
        if part.get("type") == "integer":
            yield part
        for inner in part.values():
            yield from integers(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from integers(inner)


def test_what_the_server_keeps_without_a_sign_goes_up_to_its_largest() -> None:
    """As in Go's uint64. With a sign is only the `ttl` of a node; without a width the number of an error."""
    found = [(one.get("format"), one.get("minimum"), one.get("maximum")) for one in integers(SPEC)]
    assert found.count(("uint64", 0, 2**64 - 1)) == len(found) - 2 > 30
    assert {one for one in found if one[0] != "uint64"} == {("int64", None, None), (None, None, None)}


def test_only_a_body_without_which_the_request_is_refused_is_required() -> None:
    """A PUT or POST of a key without one stores "", all else answers 400 or 415 (seen on 3.3.25 to 3.5.30)."""
    bodies = {(path, method): operation.get("requestBody") for path, method, operation in operations()}
    required = {place: resolved(body)["required"] for place, body in bodies.items() if body}
    assert {path for (path, _), is_required in required.items() if not is_required} == {"/v2/keys/", "/v2/keys/{key}"}
    assert {path.split("/")[2] for (path, _), is_required in required.items() if is_required} == {"members", "auth"}


def test_text_that_is_json_says_so_as_the_standard_does() -> None:
    """An object as the schema of text/plain breaks generators: the schema is that of a string with JSON in it."""
    texts = [
        media["schema"]
        for _, _, operation in operations()
        for response in operation["responses"].values()
        for kind, media in resolved(response).get("content", {}).items()
        if kind == "text/plain"
    ]
    assert {schema.get("type") for schema in texts} == {"string"}
    assert [schema["contentSchema"] for schema in texts if "contentMediaType" in schema] == [
        {"$ref": "#/components/schemas/Health"}
    ] * 2


def test_root_has_the_operations_and_parameters_of_a_key() -> None:
    root, key = SPEC["paths"]["/v2/keys/"], SPEC["paths"]["/v2/keys/{key}"]
    for method in ("get", "put", "post", "delete"):
        assert root[method].get("parameters") == key[method].get("parameters")
        assert root[method].get("requestBody") == key[method].get("requestBody")


def test_every_parameter_says_where_it_travels() -> None:
    words = {"path": "Path.", "query": "Query."}
    for parameter in SPEC["components"]["parameters"].values():
        assert parameter["description"].startswith(words[parameter["in"]]), parameter["name"]
    for body in SPEC["components"]["requestBodies"].values():
        form = body["content"].get("application/x-www-form-urlencoded", {"schema": {"properties": {}}})
        for name, schema in form["schema"]["properties"].items():
            assert re.match(r"Form[.,]", schema["description"]), name


def test_only_put_and_post_have_a_body_and_then_no_query() -> None:
    for path, method, operation in operations():
        places = {resolved(one)["in"] for one in operation.get("parameters", ())}
        assert ("requestBody" in operation) <= (method in ("put", "post")), f"{method} {path}"
        assert not ("requestBody" in operation and "query" in places), f"{method} {path}"


def test_every_answer_with_content_has_an_example() -> None:
    for path, method, operation in operations():
        for status, response in operation["responses"].items():
            for kind, media in resolved(response).get("content", {}).items():
                assert media.get("examples"), f"{method} {path} {status} {kind}"


def test_schemas_stay_open_for_the_generator() -> None:
    assert "additionalProperties: false" not in json.dumps(SPEC).replace('"', "")


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_example_of_an_answer_fits_its_closed_schema(example: tuple[str, str, str, Media, str, Any]) -> None:
    _, _, _, media, _, value = example
    assert DESCRIPTION.errors(media.schema, value) == []


def test_example_of_a_request_fits_its_closed_schema() -> None:
    seen = 0
    for _, _, operation in operations():
        for media in resolved(operation.get("requestBody", {})).get("content", {}).values():
            for example in media["examples"].values():
                assert DESCRIPTION.errors(closed(dict(media["schema"])), example["value"]) == []
                seen += 1
    assert seen > 10


@pytest.mark.parametrize("name", SPEC["components"]["schemas"])
def test_closed_schema_refuses_a_member_that_it_does_not_name(name: str) -> None:
    examples = [value for *_, media, _, value in EXAMPLES if media.schema.get("$ref", "").endswith(f"/{name}")]
    content = {**(examples[0] if examples else {}), "surprise": 1}
    assert any("surprise" in error for error in DESCRIPTION.errors({"$ref": f"#/components/schemas/{name}"}, content))
    assert "additionalProperties" not in SPEC["components"]["schemas"][name]


# ---- what is described passes


@pytest.mark.parametrize(
    ("method", "target", "status", "headers", "body"),
    [
        ("PUT", "/v2/keys/a", 201, GOOD, EVENT),
        ("PUT", "/v2/keys/a", 200, GOOD, b'{"action":"set"}\n'),
        ("GET", "/v2/keys/", 200, GOOD, b'{"action":"get","node":{"dir":true}}\n'),
        ("GET", "/v2/keys", 200, GOOD, b'{"action":"get","node":{"dir":true}}\n'),
        ("GET", "/v2/keys/a/b%2Fc/", 200, GOOD, EVENT),
        ("GET", "/v2/keys/a?wait=true&waitIndex=4", 200, GOOD, EVENT),
        ("GET", "/v2/keys/a?wait=true", 200, GOOD, b""),
        ("GET", "/v2/keys/a?wait=1&stream=T", 200, GOOD, EVENT + EVENT),
        ("GET", "/v2/keys/a?wait=true&stream=true", 200, GOOD, EVENT + EVENT[:20]),
        ("GET", "/v2/keys/a?wait=true&stream=true", 200, GOOD, b""),
        ("GET", "/v2/keys/a", 404, BAD, MISSING),
        ("GET", "/v2/keys/a", 404, PLAIN, b"404 page not found\n"),
        ("HEAD", "/v2/keys/a", 200, GOOD, b""),
        ("HEAD", "/v2/keys/a", 404, BAD, b""),
        ("PATCH", "/v2/keys/a", 405, PLAIN, b"Method Not Allowed\n"),
        ("DELETE", "/v2/members", 405, {**PLAIN, "x-etcd-cluster-id": "1"}, b"Method Not Allowed\n"),
        ("GET", "/v2/keys/a//b", 301, {"content-type": "text/html; charset=utf-8", "location": "/v2/keys/a/b"}, b"<a>"),
        ("PUT", "/v2/keys/a//b", 301, {"location": "/v2/keys/a/b"}, b""),
        ("GET", "/v2/keys/bad%zz", 400, {"content-type": "text/plain; charset=utf-8"}, b"400 Bad Request"),
        ("GET", "/v2/members/abc", 404, CLUSTER, b'{"message":"Not found"}'),
        ("GET", "/v2/members/leader/", 404, CLUSTER, b'{"message":"Not found"}'),
        ("POST", "/v2/members/whatever/id", 201, CLUSTER, ADDED),
        ("POST", "/v2/members/leader", 201, CLUSTER, ADDED),
        ("POST", "/v2/members/leader", 415, CLUSTER, b'{"message":"Bad Content-Type , accept application/json"}'),
        ("PUT", "/v2/members/leader", 404, CLUSTER, b'{"message":"No such member: leader"}'),
        ("DELETE", "/v2/members/a%2Fb", 404, CLUSTER, b'{"message":"No such member: a/b"}'),
        ("GET", "/v2/auth/users/a/b", 400, JSON, b'{"message":"Invalid path"}'),
        ("HEAD", "/v2/auth/roles/a/b", 400, JSON, b""),
        ("PUT", "/v2/auth/users/a%2Fb", 400, JSON, b'{"message":"Invalid path"}'),
        ("PUT", "/v2/members/abc", 204, {"x-etcd-cluster-id": "1"}, b""),
        ("PUT", "/v2/auth/enable", 200, CLUSTER, b""),
        ("PUT", "/v2/keys/a", 501, {}, b""),
        ("GET", "/health", 503, {"content-type": "text/plain; charset=utf-8"}, b'{"health":"false","reason":"x"}\n'),
        ("GET", "/v2/machines", 200, {"content-type": "text/plain; charset=utf-8"}, b""),
    ],
)
def test_described_answer_passes(method: str, target: str, status: int, headers: dict[str, str], body: bytes) -> None:
    check_answer(method, target, status, headers, body)


# ---- what is not, does not


@pytest.mark.parametrize(
    ("method", "target", "status", "headers", "body", "complaint"),
    [
        ("GET", "/v2/nope", 404, PLAIN, b"404 page not found\n", "no such path"),
        ("GET", "/v2/auth/users/a/b", 400, CLUSTER, b'{"message":"Invalid path"}', "has x-etcd-cluster-id"),
        ("GET", "/v2/auth/enable/", 404, PLAIN, b"404 page not found\n", "no such path"),
        ("POST", "/v2/members/leader", 405, CLUSTER, b"Method Not Allowed\n", "not described"),
        ("POST", "/v2/members/a/b", 404, CLUSTER, b'{"message":"No such member: a/b"}', "not described"),
        ("GET", "/health", 200, HEALTH, b'{"health":true}', "True is not"),
        ("GET", "/health", 200, HEALTH, b"OK", "no JSON"),
        ("GET", "/v2/machines", 200, HEALTH, b"\xff", "no UTF-8"),
        ("GET", "/v2/keys/a", 200, {**GOOD, "x-etcd-index": str(2**64)}, EVENT, "is not as described"),
        ("GET", "/v2/keys/a", 418, GOOD, EVENT, "not described"),
        ("PATCH", "/v2/keys/a", 200, GOOD, EVENT, "not described"),
        ("HEAD", "/v2/members", 200, CLUSTER, b"", "not described"),
        ("GET", "/v2/keys/a", 200, {**GOOD, "content-type": "text/html"}, EVENT, "not described"),
        ("GET", "/v2/keys/a", 404, PLAIN, b"404 File not found\n", "not as described"),
        ("GET", "/v2/keys/a", 200, BAD, EVENT, "has no x-raft-index, x-raft-term"),
        ("GET", "/v2/keys/a", 404, {**BAD, "x-raft-term": "2"}, MISSING, "has x-raft-term"),
        ("GET", "/version", 200, CLUSTER, b'{"etcdserver":"3","etcdcluster":"3"}', "has x-etcd-cluster-id"),
        ("GET", "/v2/keys/a", 200, {**GOOD, "x-etcd-index": "-1"}, EVENT, "x-etcd-index: -1 is not as described"),
        ("GET", "/v2/keys/a", 200, {**GOOD, "x-etcd-cluster-id": "G"}, EVENT, "cluster-id: G is not as described"),
        ("GET", "/v2/keys/a", 404, {**PLAIN, "x-content-type-options": "sniff"}, b"404 page not found\n", "options"),
        ("GET", "/v2/keys/a", 200, GOOD, b"", "no JSON"),
        ("GET", "/v2/keys/a?wait=false", 200, GOOD, b"", "no JSON"),
        ("PUT", "/v2/keys/a?wait=true", 200, GOOD, b"", "no JSON"),
        ("GET", "/v2/keys/a?wait=true", 200, GOOD, EVENT + EVENT, "no JSON"),
        ("GET", "/v2/keys/a?wait=true&stream=true", 200, GOOD, EVENT + b"{}\n", "'action' is a required property"),
        ("GET", "/v2/keys/a", 200, GOOD, EVENT.replace(b'"value"', b'"worth"'), "worth"),
        ("GET", "/v2/keys/a", 200, GOOD, EVENT.replace(b'"x"', b"1"), "is not of type 'string'"),
        ("GET", "/v2/keys/a", 200, GOOD, EVENT.replace(b'"x"', b'"x","expiration":"soon"'), "is not a 'date-time'"),
        ("GET", "/v2/keys/a", 404, BAD, MISSING.replace(b"100", b"104"), "error code 104 is not described"),
        ("GET", "/v2/keys/a", 404, {**BAD, "x-etcd-index": "0"}, MISSING, "index is 22, X-Etcd-Index 0"),
        ("PUT", "/v2/keys/a", 201, {**GOOD, "x-etcd-index": "23"}, EVENT, "node.modifiedIndex is 22"),
        ("HEAD", "/v2/keys/a", 200, GOOD, EVENT, "a body after HEAD"),
        ("PUT", "/v2/auth/enable", 200, CLUSTER, b"{}", "not described"),
        ("PUT", "/v2/members/1", 204, {"x-etcd-cluster-id": "1"}, b"x", "not described"),
        ("PUT", "/v2/keys/", 200, GOOD, EVENT, "not described"),
    ],
)
def test_undescribed_answer_is_refused(
    method: str, target: str, status: int, headers: dict[str, str], body: bytes, complaint: str
) -> None:
    with pytest.raises(NotAsDescribed, match=re.escape(complaint)):
        check_answer(method, target, status, headers, body)


def test_surprise_deep_in_a_tree_is_found() -> None:
    tree: dict[str, Any] = {"key": "/f", "surprise": 1}
    for _ in range(20):
        tree = {"key": "/d", "dir": True, "nodes": [tree]}
    with pytest.raises(NotAsDescribed, match="surprise"):
        check_answer("GET", "/v2/keys/d", 200, GOOD, json.dumps({"action": "get", "node": tree}).encode())


def test_large_body_is_judged_by_the_ends_of_its_lists() -> None:
    nodes: list[dict[str, Any]] = [{"key": f"/d/{number}", "value": "x" * 50} for number in range(5000)]
    whole = {"action": "get", "node": {"key": "/d", "dir": True, "nodes": nodes}}
    assert len(thinned(whole)["node"]["nodes"]) == 2 * KEPT
    check_answer("GET", "/v2/keys/d", 200, GOOD, json.dumps(whole).encode())
    nodes[-1]["surprise"] = 1
    with pytest.raises(NotAsDescribed, match="surprise"):
        check_answer("GET", "/v2/keys/d", 200, GOOD, json.dumps(whole).encode())

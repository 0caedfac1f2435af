"""Holds answers against the description that `etcdv2_api` carries, with closed schemas.

Owns what "described" means for a status, a content type, headers and a body. Sends nothing, and knows
no client. Needs jsonschema and PyYAML, so it is imported when it is used.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, cast
from urllib.parse import parse_qs, unquote

from etcdv2.testing._not_as_described import NotAsDescribed

try:
    import yaml
    from jsonschema import Draft202012Validator, FormatChecker
except ModuleNotFoundError as cause:
    raise ModuleNotFoundError("to check answers takes jsonschema and PyYAML: pip install 'etcdv2[testing]'") from cause

METHODS = ("get", "put", "post", "delete")
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C is not everywhere."""
LARGE = 256 * 1024
"""Bytes of a body from which on the middle of its long lists is left out."""
KEPT = 100
"""Items at either end of such a list."""
ANYTHING = {"key": ".+", "rest": ".*", "segment": "[^/]+"}
"""What stands for a parameter of the path, by its `x-encoding`."""

Json = Any
HeaderCheck = Callable[[str], bool]
formats = FormatChecker(formats=())


@formats.checks("date-time")
def _is_date_time(text: object) -> bool:
    """RFC 3339 as Go writes it: up to nine digits of a second."""
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
    return not isinstance(text, str) or re.fullmatch(pattern, text) is not None


@dataclass(frozen=True)
class Media:
    """One content type of a response."""

    schema: Json
    is_text: bool
    lines_with: str = ""
    empty_with: str = ""
    examples: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True)
class Response:
    """One described status of an operation."""

    status: str
    media: Mapping[str, Media]
    headers: Mapping[str, HeaderCheck]
    required: frozenset[str]
    error_codes: frozenset[int]
    index_is: tuple[str, ...]
    may_be_empty: bool


@dataclass(frozen=True)
class Route:
    """One path with its operations: method to status to response."""

    path: str
    pattern: re.Pattern[str]
    has_head: bool
    responses: Mapping[str, Mapping[str, Response]]


class Description:
    """The description, ready to judge answers."""

    def __init__(self, spec: Json) -> None:
        self.spec = spec
        self.schemas: dict[str, Json] = {
            name: closed(one) for name, one in copy.deepcopy(spec["components"]["schemas"]).items()
        }
        self._validators: dict[str, Draft202012Validator] = {}
        self._before_routing = self._responses(spec["x-before-routing"])
        self._routes = [self._route(path, item) for path, item in spec["paths"].items()]
        self._exact = {
            spelling: route
            for route in self._routes
            for spelling in [route.path, *spec["paths"][route.path].get("x-other-spellings", ())]
            if "{" not in spelling
        }

    def check(
        self, method: str, target: str, status: int, headers: Mapping[str, str], body: bytes, *, whole: bool = True
    ) -> None:
        """Raise NotAsDescribed, with a readable text, if the description does not have this answer.

        `target`: path and query. Names in `headers` are lower case. `body`: without its transfer and
        content coding. `whole`: whether that is all of it; else whole lines of a stream are checked.
        """
        path, _, query = target.partition("?")
        what = f"{method} {target}: {status}"

        # 1. Which answer of the description it is.
        route = self.route(path)
        if route is None:
            raise NotAsDescribed(f"{what}: the description has no such path")
        kind = headers.get("content-type", "").partition(";")[0].strip()
        response = self._pick(route, method, str(status), kind, body)
        if response is None:
            raise NotAsDescribed(f"{what} as {kind or 'no content type'}: not described; {body[:300]!r}")

        # 2. Its headers.
        self._check_headers(what, response, kind, headers)

        # 3. Its body.
        if method == "HEAD" and body:
            raise NotAsDescribed(f"{what}: a body after HEAD")
        if method == "HEAD":
            return
        try:
            content = self._check_body(what, response, kind, query, body, whole=whole)
        except RecursionError:
            return  # a tree some hundred levels deep, which neither json nor jsonschema can follow
        if isinstance(content, dict):
            self._check_meaning(what, response, headers, content)

    def route(self, path: str) -> Route | None:
        """The path of the description that this one is. The server looks at it without percent signs."""
        path = unquote(path)
        found = self._exact.get(path)
        return found or next((one for one in self._routes if one.pattern.fullmatch(path)), None)

    def validator(self, name: str) -> Draft202012Validator:
        """For a schema of the description, closed."""
        if name not in self._validators:
            self._validators[name] = self._validator({"$ref": f"#/components/schemas/{name}"})
        return self._validators[name]

    def examples(self) -> Iterator[tuple[str, str, str, Media, str, Json]]:
        """Path, method, status, media, name and value of every example of an answer."""
        for route in self._routes:
            for method, responses in route.responses.items():
                for status, response in responses.items():
                    for media in response.media.values():
                        for name, value in media.examples.items():
                            yield route.path, method, status, media, name, value

    def errors(self, schema: Json, content: Json) -> list[str]:
        """What is wrong with `content`, each with its place."""
        reference = members_of(schema).get("$ref")
        validator = self.validator(str(reference).rpartition("/")[2]) if reference else self._validator(schema)
        found = validator.iter_errors(content)  # pyright: ignore[reportUnknownMemberType]  # as typeshed has it
        return [f"{one.json_path}: {one.message}" for one in found]

    def _validator(self, schema: Json) -> Draft202012Validator:
        whole = {**schema, "components": {"schemas": self.schemas}}
        return Draft202012Validator(whole, format_checker=formats)

    def _pick(self, route: Route, method: str, status: str, kind: str, body: bytes) -> Response | None:
        described = route.responses.get("GET" if method == "HEAD" and route.has_head else method, {})
        for responses in (described, self._before_routing):
            response = responses.get(status)
            if response is None:
                continue
            nothing = not body and (not kind or not response.media)
            if kind in response.media or (nothing and (not response.media or response.may_be_empty)):
                return response
        return None

    def _check_headers(self, what: str, response: Response, kind: str, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            fits = response.headers.get(name)
            if fits is not None and not fits(value):
                raise NotAsDescribed(f"{what}: the header {name}: {value} is not as described")
            if fits is None and name.startswith(("x-etcd-", "x-raft-")):
                raise NotAsDescribed(f"{what}: has {name}, which is not described here")

        # Plain text comes from Go's router, which adds none.
        missing = response.required - headers.keys()
        if kind != "text/plain" and missing:
            raise NotAsDescribed(f"{what}: has no {', '.join(sorted(missing))}")

    def _check_body(self, what: str, response: Response, kind: str, query: str, body: bytes, *, whole: bool) -> Json:
        media = response.media.get(kind)
        if media is None:
            return None

        # 1. A stream. Its last line may be cut: it ends when one of the two sides closes it.
        asked = parse_qs(query)
        if media.lines_with and asked.get(media.lines_with, ["false"])[0] in TRUE:
            for line in body.split(b"\n")[:-1]:
                self._fitting(what, media, self._parsed(what, line))
            return None

        # 2. What is no more than a beginning says nothing.
        if not whole:
            return None
        if not body and media.empty_with and asked.get(media.empty_with, ["false"])[0] in TRUE:
            return None
        if media.is_text:
            try:
                text = body.decode()
            except UnicodeDecodeError as error:
                raise NotAsDescribed(f"{what}: the text is no UTF-8: {body[:300]!r}") from error
            return self._fitting(what, media, text)
        return self._fitting(what, media, self._parsed(what, body))

    def _parsed(self, what: str, body: bytes) -> Json:
        try:
            content = json.loads(body)
        except ValueError as error:
            raise NotAsDescribed(f"{what}: no JSON, {error}: {body[:300]!r}") from error
        return thinned(content) if len(body) > LARGE else content

    def _fitting(self, what: str, media: Media, content: Json) -> Json:
        wrong = self.errors(media.schema, content)
        if wrong:
            lines = [f"{what}: the body is not as described", *wrong[:5], repr(content)[:600]]
            raise NotAsDescribed("\n".join(lines))
        return content

    def _check_meaning(self, what: str, response: Response, headers: Mapping[str, str], content: Json) -> None:
        if response.error_codes:
            code = content["errorCode"]
            if code not in response.error_codes:
                raise NotAsDescribed(f"{what}: error code {code} is not described for this status")

        if response.index_is:
            there = content
            for step in response.index_is:
                there = members_of(there).get(step)
            index = headers.get("x-etcd-index")
            if there is not None and str(there) != index:
                raise NotAsDescribed(f"{what}: {'.'.join(response.index_is)} is {there}, X-Etcd-Index {index}")

    def _route(self, path: str, item: Json) -> Route:
        pattern = path
        for one in item.get("parameters", ()):
            parameter = self._resolved(one)
            pattern = pattern.replace("{" + parameter["name"] + "}", ANYTHING[parameter["x-encoding"]])
        responses = {method.upper(): self._responses(item[method]["responses"]) for method in METHODS if method in item}
        return Route(path, re.compile(pattern, re.DOTALL), item.get("x-head", False), responses)

    def _responses(self, responses: Json) -> dict[str, Response]:
        return {status: self._response(status, self._resolved(one)) for status, one in responses.items()}

    def _response(self, status: str, one: Json) -> Response:
        headers = {name.lower(): self._resolved(header) for name, header in one.get("headers", {}).items()}
        return Response(
            status,
            {kind: _media(media) for kind, media in one.get("content", {}).items()},
            {name: _header_check(header["schema"]) for name, header in headers.items()},
            frozenset(name for name, header in headers.items() if header.get("required")),
            frozenset(one.get("x-error-codes", ())),
            tuple(one["x-index-is"].split(".")) if "x-index-is" in one else (),
            one.get("x-may-be-empty", False),
        )

    def _resolved(self, part: Json) -> Json:
        while "$ref" in part:
            target = self.spec
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            part = target
        return part


def closed(schema: Json) -> Json:
    """The same schema, refusing members that it does not name, at every level. Changes what it is given."""
    members = members_of(schema)
    if "properties" in members and "additionalProperties" not in members:
        members["additionalProperties"] = False
    for name, part in members.items():
        if name not in ("default", "enum", "const", "required"):
            closed(part)
    return schema


def members_of(content: Json) -> dict[str, Json]:
    """Those of an object, as it is; of anything else none."""
    return cast(dict[str, Json], content) if isinstance(content, dict) else {}


def thinned(content: Json) -> Json:
    """A large body without the middle of its long lists: they are all alike, and jsonschema needs 0.1 ms for a node."""
    if isinstance(content, dict):
        return {name: thinned(part) for name, part in members_of(content).items()}
    if isinstance(content, list):
        items: list[Json] = content  # pyright: ignore[reportUnknownVariableType]  # of Any, as all JSON
        ends = items if len(items) <= 2 * KEPT else [*items[:KEPT], *items[-KEPT:]]
        return [thinned(part) for part in ends]
    return content


def _media(media: Json) -> Media:
    schema, examples = media["schema"], {name: one["value"] for name, one in media.get("examples", {}).items()}

    # JSON that calls itself text: judged as JSON.
    if schema.get("contentMediaType") == "application/json":
        schema = schema["contentSchema"]
        examples = {name: json.loads(value) for name, value in examples.items()}

    is_text = schema.get("type") == "string"
    return Media(schema, is_text, media.get("x-lines-with", ""), media.get("x-empty-with", ""), examples)


def _header_check(schema: Json) -> HeaderCheck:
    if schema.get("type") == "integer":
        return lambda value: value.isascii() and value.isdigit() and int(value) <= schema["maximum"]
    if "const" in schema:
        return lambda value: value == schema["const"]
    pattern = re.compile(schema.get("pattern", ""))
    return lambda value: pattern.search(value) is not None


@cache
def description() -> Description:
    """That of the installed `etcdv2_api`."""
    text = (files("etcdv2_api") / "etcd-v2.yaml").read_text(encoding="utf-8")
    return Description(yaml.load(text, LOADER))

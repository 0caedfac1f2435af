"""The page of the HTTP API, made from spec/etcd-v2.yaml: operations by tag, what they take and answer, and the models.

Owns how the description reads as Markdown. Decides nothing of what it says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import cast

from scripts.description import Json, load, resolve

METHODS = ("get", "put", "post", "delete")
HEAD = """\
# The HTTP API

Made from `spec/etcd-v2.yaml`, the OpenAPI 3.1 description that models and low-level calls are generated from, and that
every answer of the test suite's servers is checked against. It is in the package too:
`importlib.resources.files("etcdv2_api") / "etcd-v2.yaml"`. [What servers do](protocol.md) has more.
"""


def page() -> str:
    """The whole page."""
    spec = load()
    parts = [HEAD, spec["info"]["description"].strip()]
    for tag in spec["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}")
        parts.extend(_operations(spec, tag["name"]))

    parts.append("## Models\n\nNames as on the wire; in Python they are in snake case.")
    for name, schema in spec["components"]["schemas"].items():
        parts.append(f"### {name} {{ #model-{name} }}\n\n{schema.get('description', '').strip()}")
        if fields := "\n".join(_fields(spec, schema)):
            parts.append(f"| member | type | |\n|---|---|---|\n{fields}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _operations(spec: Json, tag: str) -> Iterator[str]:
    for path, item in spec["paths"].items():
        for method in METHODS:
            operation = item.get(method)
            if operation is None or tag not in operation["tags"]:
                continue
            yield f"### {method.upper()} `{path}` {{ #{operation['operationId']} }}"
            yield f"{operation['summary']}\n\n{operation.get('description', '').strip()}".strip()
            yield from _taken(spec, [*item.get("parameters", []), *operation.get("parameters", [])], operation)
            yield _answers(spec, operation["responses"])


def _taken(spec: Json, parameters: list[Json], operation: Json) -> Iterator[str]:
    """Parameters of path and query, and the members of a body, in one table."""
    rows = [
        f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} | {_placed(one)} |"
        for one in (resolve(spec, part) for part in parameters)
    ]
    body = resolve(spec, operation.get("requestBody", {}))
    for kind, content in body.get("content", {}).items():
        where = "form" if "form" in kind else "JSON body"
        schema = resolve(spec, content["schema"])
        if "properties" in schema:
            rows += [
                f"| `{name}` | {where} | {_type(one)} | {_placed(resolve(spec, one))} |"
                for name, one in schema["properties"].items()
            ]
        else:
            rows.append(f"| | {where} | {_type(content['schema'])} | |")
    if rows:
        yield "\n".join(["| parameter | in | type | |", "|---|---|---|---|", *rows])


def _answers(spec: Json, responses: Json) -> str:
    rows = ["| status | body | |", "|---|---|---|"]
    for status, part in responses.items():
        answer = resolve(spec, part)
        bodies = [
            _type(content["schema"]) if "json" in kind else f"`{kind.partition(';')[0]}`"
            for kind, content in answer.get("content", {}).items()
        ]
        codes = ", ".join(str(code) for code in answer.get("x-error-codes", []))
        text = _line(answer.get("description", "")) + (f" Codes {codes}." if codes else "")
        rows.append(f"| {status} | {' or '.join(bodies)} | {text} |")
    return "\n".join(rows)


def _fields(spec: Json, schema: Json) -> Iterator[str]:
    required = schema.get("required", [])
    for name, one in schema.get("properties", {}).items():
        text = _line(one.get("description", "") or resolve(spec, one).get("description", ""))
        yield f"| `{name}` | {_type(one)}{'' if name in required else ', optional'} | {text} |"


def _type(schema: Json) -> str:
    """A schema in a few words, with links to models."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#model-{name})"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(one) for one in choices)
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(kind, list):
        return " or ".join(_type({**schema, "type": one}) for one in cast("list[str]", kind))
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(kind)


def _placed(part: Json) -> str:
    """A description without the place that the column before it has."""
    return re.sub(r"^(?:Query|Form)\. ", "", _line(part.get("description", "")))


def _line(text: str) -> str:
    """A text in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")

"""Turns spec/etcd-v2.yaml into generated/etcdv2_api: models, operations and their small runtime.

Owns the rules from description to code; spec/README.md lists the extensions it reads. Decides
nothing about the wire.
"""

from __future__ import annotations

import argparse
import keyword
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import yaml

from scripts.description import ROOT, SPEC, DescriptionError, Json, load, resolve, snake

TEMPLATES = ROOT / "scripts" / "templates"
TARGET = ROOT / "generated" / "etcdv2_api"
PACKAGE = "etcdv2_api"
RUNTIME = ("call.py", "answer.py", "node.py")
COMMAND = "scripts/generate.py (make generate)"
METHODS = ("get", "put", "post", "delete")
# A client reads what comes; these are for the tests, which hold the servers to them.
CONSTRAINTS = frozenset({"minimum", "maximum", "pattern", "minLength"})


@dataclass(frozen=True)
class Sent:
    """A parameter that goes into query or form."""

    name: str
    wire: str
    type: str
    text: str
    description: str


@dataclass
class Operation:
    """What the template needs to write one function."""

    name: str
    method: str
    path: str
    signature: str = ""
    docstring: str = ""
    answer: str = ""
    error: str = ""
    place: str = ""
    sends: list[Sent] = field(default_factory=list[Sent])
    json: str = "None"
    secret: bool = False
    branches: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    @property
    def query(self) -> str:
        return "query" if self.place == "query" else "()"

    @property
    def form(self) -> str:
        return "form" if self.place == "form" else "None"


# ---- operations


def operations(spec: Json) -> Iterator[Operation]:
    """The operations that become functions, in the order of the description."""
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            if "operationId" not in item[method]:
                raise DescriptionError(f"{method} {path}: no operationId")
            if "x-same-as" not in item and not item[method].get("x-no-function"):
                yield operation(spec, path, method, item)


def operation(spec: Json, path: str, method: str, item: Json) -> Operation:
    what = item[method]
    made = Operation(what["operationId"], method.upper(), "")

    # 1. Parameters of path and query.
    parameters = [resolve(spec, one) for one in [*item.get("parameters", ()), *what.get("parameters", ())]]
    in_path = [one for one in parameters if one["in"] == "path"]
    made.path = path_expression(path, in_path)
    made.sends = [sent(one["name"], one["schema"], one["description"]) for one in parameters if one["in"] == "query"]
    made.place = "query" if made.sends else ""
    arguments = [f"{snake(one['name'])}: str" for one in in_path]
    notes = [(snake(one["name"]), one["description"]) for one in in_path]

    # 2. A body: a form, each of whose fields is an argument, or JSON, which is one argument.
    if "requestBody" in what:
        body = resolve(spec, what["requestBody"])
        media, content = next(iter(body["content"].items()))
        if media == "application/x-www-form-urlencoded":
            if made.sends:
                raise DescriptionError(f"{made.name}: parameters in the query beside a form")
            made.place = "form"
            made.sends = [sent(key, one, one["description"]) for key, one in content["schema"]["properties"].items()]
        else:
            arguments.append(f"body: {schema_name(content['schema'])}")
            notes.append(("body", body["description"]))
            made.json = "body.model_dump_json(by_alias=True, exclude_none=True)"
            made.secret = body.get("x-secret", False)

    # 3. What goes into query or form is left out when it is None.
    if made.sends:
        arguments += ["*", *(f"{one.name}: {one.type} | None = None" for one in made.sends)]
        notes += [(one.name, one.description) for one in made.sends]

    made.signature = ", ".join(arguments)
    made.docstring = docstring(what["summary"], what.get("description", ""), notes)
    answers(spec, made, what["responses"])
    return made


def path_expression(path: str, parameters: Sequence[Json]) -> str:
    """The Python expression for a path: `"/v2/keys" + key_path(key)`."""
    parts: list[str] = []
    for piece in re.split(r"(/?\{\w+\})", path):
        if not piece.endswith("}"):
            parts += [f'"{piece}"'] if piece else []
            continue

        # How a parameter is encoded is not in OpenAPI: an extension says it.
        parameter = next(one for one in parameters if one["name"] == piece.strip("/{}"))
        name = snake(parameter["name"])
        match parameter.get("x-encoding"):
            case "key":
                parts.append(f"key_path({name})")
            case "segment":
                parts += ['"/"', f"path_segment({name})"]
            case other:
                raise DescriptionError(f"{path}: x-encoding of {name} is {other!r}")

    return " + ".join(parts).replace('" + "', "")


def sent(wire: str, schema: Json, description: str) -> Sent:
    name = snake(wire)
    kinds = {"boolean": ("bool", f"flag({name})"), "integer": ("int", f"str({name})"), "string": ("str", name)}
    if schema.get("type") not in kinds or keyword.iskeyword(name):
        raise DescriptionError(f"parameter {wire}: no rule for {schema}")
    kind, text = kinds[schema["type"]]
    return Sent(name, wire, kind, text, description)


def answers(spec: Json, made: Operation, responses: Mapping[str, Json]) -> None:
    """Which status is read how. Errors that come without JSON are left to UndescribedAnswer."""
    good: dict[str, str] = {}
    bad: dict[str, str] = {}
    statuses: dict[str, list[str]] = {}
    for status, response in responses.items():
        found = readers(resolve(spec, response), status.startswith("2"))
        if found is None:
            continue
        call, types = found
        (good if status.startswith("2") else bad).update(dict.fromkeys(types, ""))
        statuses.setdefault(call, []).append(status)

    made.answer = " | ".join(good)
    made.error = " | ".join(one for one in bad if one not in good) or "Never"

    # One branch for all statuses that are read alike.
    for call, some in statuses.items():
        test = f"status == {some[0]}" if len(some) == 1 else f"status in ({', '.join(some)})"
        made.branches.append({"test": test, "read": call})


def readers(response: Json, good: bool) -> tuple[str, list[str]] | None:
    """The expression that reads a body, and the types it gives."""
    content = response.get("content")
    if not content:
        return ("expect_nothing(status, body)", ["None"]) if good else None
    names = list(dict.fromkeys(schema_name(schema) for one in content.values() if (schema := json_schema(one))))
    if not names:
        return ("read_text(status, body)", ["str"]) if good else None
    if len(names) > 2:
        raise DescriptionError(f"no rule for {len(names)} JSON bodies of one status")
    reader = "read" if len(names) == 1 else "read_either"
    return f"{reader}({', '.join(names)}, status, body)", names


def json_schema(media: Json) -> Json | None:
    """Of the JSON that this content type carries, also where it calls itself text; None for other text."""
    schema: Json = media["schema"]
    if schema.get("contentMediaType") == "application/json":
        return schema.get("contentSchema")
    return schema if "$ref" in schema else None


def schema_name(schema: Json) -> str:
    return str(schema["$ref"]).removeprefix("#/components/schemas/")


def docstring(summary: str, description: str, notes: Sequence[tuple[str, str]]) -> str:
    if not description and not notes:
        return summary
    blocks = [textwrap.fill(" ".join(one.split()), 116) for one in [summary, *description.split("\n\n")] if one.strip()]
    lines = [textwrap.fill(f"{name}: {' '.join(text.split())}", 116, subsequent_indent="    ") for name, text in notes]
    text = "\n\n".join([*blocks, "\n".join(lines)] if lines else blocks)
    return textwrap.indent(text, "    ").strip() + "\n    "


def operations_source(spec: Json) -> str:
    made = list(operations(spec))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    template = environment.get_template("operations.py.jinja")
    reads = {branch["read"].partition("(")[0] for one in made for branch in one.branches}
    used = {name for name in spec["components"]["schemas"] if any(mentions(one, name) for one in made)}
    code = " ".join([one.path + " ".join(each.text for each in one.sends) for one in made])
    return template.render(
        operations=made,
        readers=sorted(reads | {"undescribed"}),
        encoders=[name for name in ("flag", "key_path", "path_segment") if f"{name}(" in code],
        models=sorted(used),
        with_never=any(one.error == "Never" for one in made),
    )


def mentions(one: Operation, name: str) -> bool:
    return re.search(rf"\b{name}\b", f"{one.signature} {one.answer} {one.error}") is not None


# ---- models

# What datamodel-code-generator writes, and what it has to be: it has no option for tuples of any length.
REWRITES = (
    (r"Annotated\[Sequence\[(\w+)\], Field\(validate_default=True\)\] = \[\]", r"tuple[\1, ...] = ()"),
    (r"\bSequence\[(\w+)\]", r"tuple[\1, ...]"),
    (r"from collections\.abc import Mapping, Sequence\n", "from collections.abc import Mapping\n"),
    (r"from typing import Annotated, Literal\n", "from typing import Literal\n"),
    (r", Field\n", "\n"),
    (r"\n+Node\.model_rebuild\(\)\n", "\n"),  # models are built when they are first used, see templates/node.py
)


def models_source(spec: Json) -> str:
    schemas = {name: for_models(schema) for name, schema in spec["components"]["schemas"].items()}
    source = {"openapi": spec["openapi"], "info": {"title": "-", "version": "-"}, "components": {"schemas": schemas}}

    # 1. As datamodel-code-generator makes them.
    with tempfile.TemporaryDirectory() as directory:
        given, made = Path(directory, "spec.yaml"), Path(directory, "models.py")
        given.write_text(yaml.safe_dump(source, sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "datamodel_code_generator", "--input", str(given), "--output", str(made)]
        run = subprocess.run(
            [*command, "--custom-file-header", "#"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if run.returncode or run.stderr.strip():
            raise DescriptionError(f"datamodel-codegen: {run.stderr.strip() or run.stdout.strip()}")
        text = made.read_text(encoding="utf-8").removeprefix("#\n")

    # 2. As they have to be. A rule that is no longer needed must go.
    for pattern, replacement in REWRITES:
        text, count = re.subn(pattern, replacement, text)
        if not count:
            raise DescriptionError(f"the rule {pattern} for models.py applies nowhere: is it still needed?")
    return '"""The bodies of requests and answers."""\n' + text


def for_models(schema: Json) -> Json:
    """A schema without constraints, with Python's names, its texts wrapped for docstrings."""
    made: Json = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {snake(name): for_models(one) for name, one in value.items()}
        elif key == "required":
            made[key] = [snake(name) for name in value]
        elif key in ("items", "additionalProperties"):
            made[key] = for_models(value)
        elif key == "description":
            text = " ".join(value.split())
            made[key] = text if len(text) <= 108 else "\n".join(textwrap.wrap(text, 108))
        elif key not in CONSTRAINTS and (key, value) != ("format", "uint64"):  # the generator does not know that one
            made[key] = value
    return made


# ---- files


def package(spec: Json, source: Path = SPEC) -> dict[str, str]:
    """All files of the generated package; among them the description itself, which was read from `source`."""
    sources = {"models.py": models_source(spec), "operations.py": operations_source(spec), "__init__.py": init(spec)}
    files = {name: made_from("spec/etcd-v2.yaml", name, text) for name, text in sources.items()}
    for name in RUNTIME:
        text = (TEMPLATES / name).read_text(encoding="utf-8")
        files[name] = made_from(f"scripts/templates/{name}", name, text)
    files["py.typed"] = ""
    files[SPEC.name] = source.read_text(encoding="utf-8")
    return files


def init(spec: Json) -> str:
    functions = sorted(one.name for one in operations(spec))
    models = sorted(spec["components"]["schemas"])
    names = sorted(["Call", "UndescribedAnswer", *models, *functions])
    return "\n".join([
        '"""The etcd v2 HTTP API: one function for each operation, and the models of what goes and comes."""',
        f"from {PACKAGE}.call import Call, UndescribedAnswer",
        f"from {PACKAGE}.models import {', '.join(models)}",
        f"from {PACKAGE}.operations import {', '.join(functions)}",
        f"__all__ = {names!r}",
        "",
    ])  # fmt: skip


def made_from(source: str, name: str, text: str) -> str:
    """`text` with its header, formatted as ruff formats it at its place in the repository."""
    text = f"# Made from {source} by {COMMAND}. Not to be edited.\n{text}"
    place = str(TARGET / name)

    # Formatted twice: the fixes change what has to be formatted, and need lines that are not too long.
    for step in (["format"], ["check", "--fix", "--quiet"], ["format"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *step, "--stdin-filename", place, "-"],
            input=text,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise DescriptionError(f"ruff {step[0]} {name}: {run.stderr.strip()}")
        text = run.stdout
    return text


def differences(files: Mapping[str, str], target: Path) -> list[str]:
    """How `target` differs from `files`: one line for each file changed, missing or extra."""
    there = {one.relative_to(target).as_posix() for one in target.rglob("*") if one.is_file() and one.suffix != ".pyc"}
    found = [f"missing: {name}" for name in sorted(files.keys() - there)]
    found += [f"extra: {name}" for name in sorted(there - files.keys())]
    common = sorted(files.keys() & there)
    return found + [f"changed: {name}" for name in common if (target / name).read_text(encoding="utf-8") != files[name]]


def write(files: Mapping[str, str], target: Path) -> None:
    for line in differences(files, target):
        kind, _, name = line.partition(": ")
        print(f"{kind}: {name}")
        if kind == "extra":
            (target / name).unlink()
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(files[name], encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make generated/etcdv2_api from spec/etcd-v2.yaml.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    mode.add_argument("--validate", action="store_true", help="only validate the description")
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--target", type=Path, default=TARGET)
    chosen = parser.parse_args(arguments)

    try:
        spec = load(chosen.spec)
        if chosen.validate:
            print(f"{chosen.spec.name} is valid: {sum(1 for _ in operations(spec))} operations")
            return 0
        files = package(spec, chosen.spec)
    except DescriptionError as error:
        print(error, file=sys.stderr)
        return 1

    if not chosen.check:
        write(files, chosen.target)
        return 0

    stale = differences(files, chosen.target)
    if stale:
        print("\n".join([f"{chosen.target.name} is stale (make generate):", *stale]), file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

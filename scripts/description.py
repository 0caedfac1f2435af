"""Reads spec/etcd-v2.yaml, and refuses what is not valid OpenAPI 3.1. Makes nothing of it: that is `generate`'s.

Owns how a reference is followed, and how a name of the description reads in Python.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from openapi_spec_validator import validate as validate_openapi
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "spec" / "etcd-v2.yaml"
Json = dict[str, Any]


class DescriptionError(Exception):
    """The description is not valid, or says something that this generator has no rule for."""


def load(path: Path = SPEC) -> Json:
    """The description, valid as OpenAPI 3.1. Raises DescriptionError."""
    try:
        content: Json = yaml.safe_load(path.read_text(encoding="utf-8"))
        validate_openapi(content)
    except (yaml.YAMLError, OpenAPIValidationError) as error:
        raise DescriptionError(f"{path.name}: {error}") from error
    return content


def resolve(spec: Json, part: Json) -> Json:
    """Follow a `$ref` within the description."""
    while "$ref" in part:
        target: Any = spec
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        part = target
    return part


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()

"""scripts/generate.py: what is committed is what the description gives, and a difference is noticed."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import generate


@pytest.fixture(scope="module")
def spec() -> Any:
    return generate.load()


@pytest.fixture(scope="module")
def files(spec: Any) -> dict[str, str]:
    return generate.package(spec)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A copy of the generated package."""
    return shutil.copytree(generate.TARGET, tmp_path / "etcdv2_api", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def made(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command takes what the description gave before: to make it takes seconds."""
    monkeypatch.setattr(generate, "package", lambda spec, source: files)


@pytest.mark.usefixtures("made")
def test_committed_package_is_what_the_description_gives() -> None:
    assert generate.main(["--check"]) == 0


@pytest.mark.usefixtures("made")
def test_check_names_changed_missing_and_extra_files_and_writes_nothing(
    target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = target / "models.py"
    models.write_text(models.read_text() + "# mine\n")
    (target / "call.py").unlink()
    (target / "later").mkdir()
    (target / "later" / "extra.py").touch()
    assert generate.main(["--check", "--target", str(target)]) == 1
    stale = capsys.readouterr().err.splitlines()
    assert stale[1:] == ["missing: call.py", "extra: later/extra.py", "changed: models.py"]
    assert models.read_text().endswith("# mine\n")


def test_generating_mends_what_check_complains_about(
    target: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (target / "node.py").write_text("")
    (target / "answer.py").unlink()
    (target / "extra.py").touch()
    generate.write(files, target)
    assert generate.differences(files, target) == []
    assert capsys.readouterr().out.splitlines() == ["missing: answer.py", "extra: extra.py", "changed: node.py"]


@pytest.mark.load
def test_generating_twice_gives_the_same(spec: Any, files: dict[str, str]) -> None:
    assert generate.package(spec) == files


def test_first_line_of_every_module_names_source_and_command(files: dict[str, str]) -> None:
    for name, text in files.items():
        if name.endswith(".py"):
            first = text.partition("\n")[0]
            assert first.startswith(("# Made from spec/etcd-v2.yaml by ", "# Made from scripts/templates/"))
            assert "make generate" in first


def test_runtime_is_the_templates(files: dict[str, str]) -> None:
    for name in generate.RUNTIME:
        assert (generate.TEMPLATES / name).read_text() in files[name]


def test_package_names_all_operations_and_models(spec: Any) -> None:
    import etcdv2_api

    operations = {one.name for one in generate.operations(spec)}
    assert {"Call", "UndescribedAnswer", *operations, *spec["components"]["schemas"]} == set(etcdv2_api.__all__)


def test_validate_only_counts(spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--validate"]) == 0
    assert capsys.readouterr().out == f"etcd-v2.yaml is valid: {len(list(generate.operations(spec)))} operations\n"


@pytest.mark.parametrize("text", ["a: [", "openapi: 3.1.0\ninfo: {title: x, version: '1'}\npaths: {/a: {get: 1}}\n"])
def test_description_that_is_not_valid_is_refused(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(text)
    assert generate.main(["--validate", "--spec", str(broken)]) == 1
    assert "broken.yaml" in capsys.readouterr().err


def test_reference_to_nowhere_is_refused(spec: Any, tmp_path: Path) -> None:
    changed = copy.deepcopy(spec)
    changed["components"]["schemas"]["Members"]["properties"]["members"]["items"]["$ref"] = (
        "#/components/schemas/Nobody"
    )
    (tmp_path / "lost.yaml").write_text(yaml.safe_dump(changed))
    with pytest.raises(generate.DescriptionError, match="Nobody"):
        generate.models_source(changed)


def test_the_package_carries_the_description(files: dict[str, str]) -> None:
    assert files["etcd-v2.yaml"] == generate.SPEC.read_text()


def test_operation_whose_errors_come_without_json_is_made(spec: Any) -> None:
    """Its function says `Never`, and the file has what it needs to say so."""
    changed = copy.deepcopy(spec)
    responses = changed["paths"]["/version"]["get"]["responses"]
    del responses["502"], responses["503"]
    source = generate.made_from("spec/etcd-v2.yaml", "operations.py", generate.operations_source(changed))
    assert "def get_version() -> Call[Version, Never]:" in source
    assert "def _read_get_version(status: int, body: bytes) -> Version:" in source
    assert "\nfrom typing import Never\n" in source


@pytest.mark.parametrize("mark", ["x-same-as", "x-no-function"])
def test_operation_that_is_no_function_has_a_name_all_the_same(spec: Any, mark: str) -> None:
    marked = {
        operation["operationId"]
        for item in spec["paths"].values()
        for method, operation in item.items()
        if method in generate.METHODS and (mark in item or mark in operation)
    }
    assert marked
    assert not marked & {one.name for one in generate.operations(spec)}


def test_operation_without_a_name_is_refused(spec: Any) -> None:
    changed = copy.deepcopy(spec)
    del changed["paths"]["/version"]["get"]["operationId"]
    with pytest.raises(generate.DescriptionError, match="get /version: no operationId"):
        list(generate.operations(changed))


def test_parameter_in_the_path_without_encoding_is_refused(spec: Any) -> None:
    changed = copy.deepcopy(spec)
    del changed["components"]["parameters"]["key"]["x-encoding"]
    with pytest.raises(generate.DescriptionError, match="x-encoding"):
        list(generate.operations(changed))


def test_parameter_of_unknown_type_is_refused(spec: Any) -> None:
    changed = copy.deepcopy(spec)
    changed["components"]["parameters"]["wait"]["schema"] = {"type": "array"}
    with pytest.raises(generate.DescriptionError, match="parameter wait"):
        list(generate.operations(changed))


def test_rewriting_rule_that_applies_nowhere_is_refused(spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "REWRITES", (*generate.REWRITES, ("never there", "")))
    with pytest.raises(generate.DescriptionError, match="never there"):
        generate.models_source(spec)

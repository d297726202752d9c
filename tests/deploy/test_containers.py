"""The container file, the compose file and the unit of systemd hold together, and a misspelt key in them is found."""

import functools
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from cvtbatch import contracts
from cvtbatch.pipelines.shared import compile_ahead
from tests.support.deploy_files import DEPLOY, Document, compose_document, misspelt, parse_command
from tests.support.paths import ROOT

COMPOSE = compose_document()
SERVICES = COMPOSE["services"]
CONTAINERFILE = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
UNITS = {name: DEPLOY / "systemd" / f"cvtbatch-{name}.service" for name in ("worker@", "serve")}


@functools.cache
def _compose_schema() -> jsonschema.protocols.Validator:
    """Return the schema of compose-spec/compose-spec, as check-jsonschema carries it."""
    file = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return jsonschema.Draft202012Validator(json.loads(file.read_bytes()))


def test_the_compose_file_is_accepted() -> None:
    _compose_schema().validate(COMPOSE)


def test_a_misspelt_key_of_the_compose_file_is_refused() -> None:
    # Names of services, networks, volumes and configs are the user's, as are keys that begin with x-.
    names = {"services", "networks", "volumes", "configs", "depends_on"}
    own = {key: value for key, value in COMPOSE.items() if not key.startswith("x-")}
    accepted = []
    for path, changed in misspelt(own, frozenset()):
        parent = path.split("/")[-2] if "/" in path else ""
        if parent not in names and _compose_schema().is_valid(changed):
            accepted.append(path)
    assert accepted == []


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
def test_services_have_no_privileges_and_what_they_name(service: Document) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    for name in service.get("depends_on", {}):
        assert name in SERVICES
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        assert source.startswith(".") or source in COMPOSE["volumes"]
    for config in service.get("configs", []):
        assert config["source"] in COMPOSE["configs"]


def test_services_run_commands_of_cvtbatch() -> None:
    scheduler = parse_command(SERVICES["scheduler"]["command"])
    workers = [parse_command(SERVICES[name]["command"]) for name in ("worker", "worker-gpu")]
    driver = parse_command([*SERVICES["extract"]["entrypoint"][1:], *SERVICES["extract"]["command"]])
    place = yaml.safe_load(COMPOSE["configs"]["cluster"]["content"])
    assert contracts.problems_of(place, "cluster.json") == []
    assert driver["cluster_file"] == Path(SERVICES["extract"]["configs"][0]["target"])
    assert scheduler["certs"] == Path("certs")
    assert place["certs"] == "/home/cvtbatch/certs"
    assert [worker["address"] for worker in workers] == [place["address"]] * 2
    assert [worker["gpu"] for worker in workers] == [False, True]
    for worker, name in zip(workers, ("worker", "worker-gpu"), strict=True):
        assert worker["nanny"] is False
        assert SERVICES[name]["restart"] == "always"
        assert SERVICES[name]["mem_limit"] == f"{worker['memory_gb']:g}g"
    making = re.search(r"cvtbatch (certs [a-z -]+?) &&", SERVICES["certs"]["entrypoint"][2])
    assert making
    assert parse_command(making[1].split())["hosts"] == ("scheduler",)


def test_the_container_file_fits_the_checkout() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f'org.opencontainers.image.version="{project["version"]}"' in CONTAINERFILE
    assert f'org.opencontainers.image.licenses="{project["license"]}"' in CONTAINERFILE
    [uv] = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert f" uv=={uv}\n" in CONTAINERFILE
    assert "USER 10001:10001\n" in CONTAINERFILE
    assert 'ENTRYPOINT ["cvtbatch"]\n' in CONTAINERFILE
    for target in ("features", "full"):
        stage = CONTAINERFILE.partition(f"FROM base AS {target}\n")[2].partition("FROM ")[0]
        compiling = f"RUN python -m {compile_ahead.__name__} --into-package\n"
        assert stage.partition(compiling)[2].strip().startswith("USER 10001:10001")
    stages = set(re.findall(r" AS ([a-z-]+)$", CONTAINERFILE, re.MULTILINE))
    assert {"full", "features"} <= stages
    assert {SERVICES["certs"]["build"]["target"]} <= stages
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
    assert {name for names in copied for name in names.split()} == sent
    assert all((ROOT / name).exists() for name in sent)


def _complaints(unit: str, folder: Path) -> str:
    """Return what systemd says of a unit whose program is there."""
    file = folder / "cvtbatch.service"
    file.write_text(unit.replace("/opt/cvtbatch/bin/cvtbatch", sys.executable), encoding="utf-8")
    run = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs Debian's package systemd")
def test_the_unit_is_accepted_and_a_misspelt_key_is_not(tmp_path: Path) -> None:
    assert _complaints(UNITS["serve"].read_text(encoding="utf-8"), tmp_path) == ""
    unit = UNITS["worker@"].read_text(encoding="utf-8")
    assert _complaints(unit, tmp_path) == ""
    for key in re.findall(r"^(\w+)=", unit, re.MULTILINE):
        assert f"{key}z" in _complaints(re.sub(rf"^{key}=", f"{key}z=", unit, flags=re.MULTILINE), tmp_path), key


def test_the_units_run_commands_of_cvtbatch() -> None:
    found = {}
    for name, unit in UNITS.items():
        [line] = re.findall(r"^ExecStart=\S+/cvtbatch (.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
        found[name] = parse_command([word for word in line.split() if word != "$CVTBATCH_OPTIONS"])
    assert (found["worker@"]["command"], found["worker@"]["nanny"]) == ("worker", False)
    assert (found["serve"]["command"], found["serve"]["once"]) == ("serve", False)

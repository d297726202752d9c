"""The manifests are what Kubernetes and the Dask operator accept, and what cvtbatch and the operator's autoscaler need."""

import asyncio
import functools
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from distributed import Worker
from kubernetes_validate import utils

from cvtbatch.downloads import read_file
from cvtbatch.engine.certificates import make_certificates
from cvtbatch.engine.cluster_file import ExternalScheduler, read_cluster_file
from cvtbatch.engine.encryption import security_of
from cvtbatch.engine.settings import GPU
from tests.support.deploy_files import DEPLOY, Document, kubernetes_documents, misspelt, parse_command
from tests.support.outside_data import outside

DOCUMENTS = {f"{document['kind']}/{document['metadata']['name']}": document for document in kubernetes_documents()}
# The oldest of which the manifests use every field, and the newest that is known.
VERSIONS = ("1.31", "1.37")
# Maps with keys of anybody's.
FREE = frozenset({"labels", "matchLabels", "selector", "requests", "limits"})
CLUSTER, GROUP, JOB = (
    DOCUMENTS[name]["spec"] for name in ("DaskCluster/cvtbatch", "DaskWorkerGroup/cvtbatch-gpu", "Job/extract")
)
PODS = {
    "scheduler": CLUSTER["scheduler"]["spec"],
    "worker": CLUSTER["worker"]["spec"],
    "gpu worker": GROUP["worker"]["spec"],
    "driver": JOB["template"]["spec"],
}


@functools.cache
def _known_schemas(file: str, version: str) -> Any:
    return _read_schema(file, version)


_read_schema = utils.schema_contents


@pytest.fixture(autouse=True)
def schemas_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "schema_contents", _known_schemas)


@functools.cache
def _operator_schema(kind: str) -> jsonschema.protocols.Validator:
    """Return the operator's own schema of a kind, closed: what it does not name is refused."""
    file = outside(f"deploy/{kind.lower()}.yaml")
    [version] = yaml.safe_load(read_file(file))["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"] |= {"apiVersion": {"const": f"kubernetes.dask.org/{version['name']}"}, "kind": {"const": kind}}
    names = {"name": {"type": "string"}, "namespace": {"type": "string"}}
    schema["properties"]["metadata"] = {"type": "object", "properties": names, "required": ["name", "namespace"]}
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return jsonschema.Draft202012Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _built_by_operator(document: Document) -> list[Document]:
    """Return what the operator makes of a document: pods and a service with its specifications."""
    parts = {name: document["spec"][name] for name in ("scheduler", "worker") if name in document["spec"]}
    metadata = {"name": document["metadata"]["name"]}
    built = [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": part["spec"]} for part in parts.values()]
    if "service" in parts.get("scheduler", {}):
        service = parts["scheduler"]["service"]
        built.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    return built


def _check(document: Document) -> None:
    """Raise jsonschema's ValidationError, or SchemaNotFoundError, for what would not be accepted as it stands."""
    standard = [document]
    if document.get("apiVersion", "").startswith("kubernetes.dask.org/"):
        _operator_schema(document["kind"]).validate(document)
        standard = _built_by_operator(document)
    for part in standard:
        for version in VERSIONS:
            utils.validate(part, version, strict=True)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_documents_are_accepted(document: Document) -> None:
    _check(document)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_misspelt_key_is_refused(document: Document) -> None:
    refusals = (jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError, KeyError)
    accepted = []
    for path, changed in misspelt(document, FREE):
        try:
            _check(changed)
            accepted.append(path)
        except refusals:
            continue
    assert accepted == []


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
def test_pods_have_no_privileges_and_known_limits(pod: Document) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    locked = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert container["securityContext"] == locked
    assert container["resources"]["limits"]["memory"]
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    assert {"/tmp", "/home/cvtbatch"} <= set(mounts.values())


def test_commands_are_commands_of_cvtbatch() -> None:
    commands = {name: parse_command(pod["containers"][0]["args"]) for name, pod in PODS.items()}
    assert [command["command"] for command in commands.values()] == ["scheduler", "worker", "worker", "extract"]
    config = read_cluster_file(DEPLOY / "kubernetes.yaml")
    assert isinstance(config, ExternalScheduler)
    for name in ("worker", "gpu worker"):
        # By this name the operator deletes the worker that the scheduler has retired; it is the pod's, too.
        assert commands[name]["name"] == "$(DASK_WORKER_NAME)"
        assert commands[name]["nanny"] is False
        assert commands[name]["address"] == config.address
        limit = PODS[name]["containers"][0]["resources"]["limits"]["memory"]
        assert commands[name]["memory_gb"] == int(limit.removesuffix("Gi"))
    assert commands["gpu worker"]["gpu"] is True
    assert config.certs == Path("/certs") == commands["scheduler"]["certs"] == commands["worker"]["certs"]
    assert commands["driver"]["cluster_file"] == Path("/cluster/kubernetes.yaml")


def test_what_pods_name_is_there_or_made_by_a_command_of_the_guide() -> None:
    guide = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for pod in PODS.values():
        for volume in pod["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert f"PersistentVolumeClaim/{claim['claimName']}" in DOCUMENTS
            if secret := volume.get("secret"):
                assert f"create secret generic {secret['secretName']}" in guide
            if settings := volume.get("configMap"):
                assert f"create configmap {settings['name']}" in guide
        for source in pod["containers"][0].get("envFrom", []):
            assert f"create secret generic {source['secretRef']['name']}" in guide
        for variable in pod["containers"][0].get("env", []):
            if "valueFrom" in variable:
                assert f"create secret generic {variable['valueFrom']['secretKeyRef']['name']}" in guide


def test_the_autoscaler_is_answered_over_http_and_takes_no_worker_with_a_gpu(tmp_path: Path) -> None:
    """What the operator's autoscaler does: GET the target, POST a retirement, delete what was retired by its name."""
    certs = tmp_path / "certs"
    make_certificates(certs, ["127.0.0.1"])
    [container] = PODS["scheduler"]["containers"]
    settings = {variable["name"]: variable["value"] for variable in container["env"]}
    listen = f"scheduler --port 0 --certs {certs} --dashboard 127.0.0.1:0"
    command = [sys.executable, "-m", "cvtbatch", *listen.split()]
    with subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # "certificates valid until …", "scheduler at ADDRESS", "dashboard at URL/status"
            _, scheduler, dashboard = (process.stdout.readline().split()[-1] for _ in range(3))
            retired = asyncio.run(_scale(scheduler, dashboard.removesuffix("/status"), certs, tmp_path))
        finally:
            process.terminate()
            process.wait(30)
    assert retired == ["cvtbatch-default-worker-1"]


async def _scale(scheduler: str, dashboard: str, certs: Path, scratch: Path) -> list[str]:
    """Connect a worker and one with a GPU, ask for one less, and return the names of those that were retired.

    Of idle workers, Dask's choice is the one that came last.
    """
    common: dict[str, Any] = {
        "security": security_of(certs),
        "nthreads": 1,
        "local_directory": str(scratch),
        "dashboard": False,
    }
    async with (
        Worker(scheduler, name="cvtbatch-default-worker-1", **common),
        Worker(scheduler, name="cvtbatch-gpu-worker-1", resources={GPU: 1}, **common),
    ):
        target = await asyncio.to_thread(_ask, f"{dashboard}/api/v1/adaptive_target", None)
        assert set(target) == {"workers"}
        retired = await asyncio.to_thread(_ask, f"{dashboard}/api/v1/retire_workers", {"n": 1})
        return [worker["name"] for worker in retired.values()]


def _ask(url: str, document: Document | None) -> Document:
    data = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
        result: Document = json.load(answer)
    return result

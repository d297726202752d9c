"""The bundle: a frozen model as a folder, or as a tar of it, that scores the same for ever and runs no foreign code.

    bundle.json          what it is, what it was fitted on, what it may expect of itself, and the hashes of the other files
    arrays.safetensors   scaler, components in use, forests as flat arrays, logistic terms, distance; training's out-of-fold scores
    golden.parquet       made-up rows under the names that `score` takes, and the scores that they must have (`expected_...`)
    selection.parquet    what became of every column that was offered

Loading verifies every hash and scores the golden rows: votes must be equal to the last bit, what passes through exp within 1e-12.
The digest of a bundle is that of its bundle.json, which holds no time and no path.

Format 2 adds what a bundle of format 1 lacks: the settings behind its specifications, training's out-of-fold scores, and of which
bundle, on whom, it is a recalibration, if it is one.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from cvtbatch import contracts
from cvtbatch.dlrn.forest import FlatForest
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.nomogram import Axis, Nomogram
from cvtbatch.dlrn.scoring import SpecIds, needed_columns, score_batch
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.dlrn.training_scores import ClassScores
from cvtbatch.errors import FormatError, InputError
from cvtbatch.spec import Spec, canonical_json

FORMAT_VERSION = 2
DOCUMENT, ARRAYS, GOLDEN, SELECTION = "bundle.json", "arrays.safetensors", "golden.parquet", "selection.parquet"
FILES = (ARRAYS, GOLDEN, SELECTION)
EXPECTED = "expected_"
RECALIBRATION, OUT_OF_FOLD, SIDES = "recalibration", "out_of_fold", ("events", "others")
# exp may differ by an ulp between machines.
TOLERANCE = 1e-12
SAME_BITS = {str(model) for model in SIGNATURES}
# The first is what the others build on.
SPEC_KINDS = ("volume", "radiomics", "embedding")

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded and verified bundle.

    Attributes:
        document: bundle.json.
        digest: SHA-256 of bundle.json.
        out_of_fold: training's scores by model; empty in a bundle that keeps none.
    """

    document: JsonObject
    digest: str
    model: FrozenModel
    out_of_fold: Mapping[Model, ClassScores] = field(default_factory=dict)

    @property
    def specs(self) -> SpecIds:
        """The specifications that the inputs must have."""
        ids = self.document["specs"]
        return SpecIds(ids["radiomics_spec_id"], ids["embedding_spec_id"])

    def known_specs(self) -> dict[str, Spec]:
        """Return the specifications with their settings, by id; empty in a bundle that does not keep them.

        Raises:
            FormatError: "bundle_damaged": they are not those that the bundle names.
        """
        found: dict[str, Spec] = {}
        parent = ""
        for kind in SPEC_KINDS if "spec_settings" in self.document else ():
            spec = Spec(kind, parent, canonical_json(self.document["spec_settings"][kind]))
            if spec.spec_id != self.document["specs"][f"{kind}_spec_id"]:
                raise FormatError("bundle_damaged", f"spec_settings.{kind} of {DOCUMENT} are not of {kind}_spec_id")
            found[spec.spec_id] = spec
            parent = parent or spec.spec_id
        return found

    def needed_columns(self) -> list[str]:
        """Return the columns that scoring cannot do without."""
        return needed_columns(self.model)

    def score(self, table: pa.Table, explain: bool = False) -> pa.Table:
        """Score a table: one row for each of its rows, identity first; null where something cannot be computed.

        Args:
            table: radiomics features by name, `embedding` (list of numbers, null where there is none) and `epilepsy` (0, 1, null).
            explain: add what contributes most to the DLR signature.

        Raises:
            InputError: "missing_column", "other_spec", "bad_column" or "bad_value".
        """
        scored = score_batch(self.model, self.specs, table, explain=explain)
        return scored.append_column("bundle_digest", pa.array([self.digest] * len(scored), pa.string()))

    def score_batches(self, batches: Iterable[pa.RecordBatch | pa.Table], explain: bool = False) -> Iterator[pa.Table]:
        """Score batch after batch, holding one at a time."""
        for batch in batches:
            table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            yield self.score(table, explain)


def sha256(data: bytes) -> str:
    """Return the hash that `sha256sum` gives, as hex."""
    return hashlib.sha256(data).hexdigest()


def load_bundle(path: str | Path) -> Bundle:
    """Load a bundle, verify every hash, and score its golden rows.

    Args:
        path: its folder, or a tar of it.

    Raises:
        InputError: there is no bundle.
        FormatError: "bundle_too_new", "bundle_damaged" (bytes are not those that were written), "bundle_changed" (its own rows
            do not score as they did).
    """
    files = read_files(Path(path))
    try:
        document = json.loads(files[DOCUMENT])
    except ValueError:
        raise FormatError("bundle_damaged", f"{DOCUMENT} of the bundle is no JSON") from None
    _check_document(document)
    for name in FILES:
        if name not in files or sha256(files[name]) != document["files"][name]:
            what = "is missing from the bundle" if name not in files else "is not what was written: its hash differs"
            raise FormatError("bundle_damaged", f"{name} {what}")
    arrays = load_arrays(files[ARRAYS])
    bundle = Bundle(document, sha256(files[DOCUMENT]), _model_of(document, arrays), _out_of_fold_of(arrays))
    _verify_golden(bundle, pq.read_table(io.BytesIO(files[GOLDEN])))
    return bundle


def write_bundle(
    out: Path,
    document: Mapping[str, Any],
    model: FrozenModel,
    golden: pa.Table,
    selection: pa.Table,
    out_of_fold: Mapping[Model, ClassScores],
) -> str:
    """Write a bundle, whole or not at all, and return its digest.

    Args:
        out: a new folder, or a new file that ends in .tar.
        document: bundle.json but for what follows from the model and the files.
        golden: rows with their expected scores.
        selection: what became of every column.
        out_of_fold: training's scores by model, or none.

    Raises:
        InputError: there is something at `out`, or it cannot be written.
    """
    files = {
        ARRAYS: save_arrays(_arrays_of(model, out_of_fold)),
        GOLDEN: _parquet(golden),
        SELECTION: _parquet(selection),
    }
    whole = {
        "format": "cvtbatch-bundle",
        "format_version": FORMAT_VERSION,
        **document,
        **_description_of(model),
        "files": {name: sha256(data) for name, data in files.items()},
    }
    if problems := contracts.problems_of(whole, "bundle.json"):
        raise FormatError("bundle_invalid", "; ".join(problems))
    text = (json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
    contents = {DOCUMENT: text, **files}
    if out.exists():
        raise InputError("bundle_exists", f"--out {out}: there is something already; choose a new name")
    aside = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _WRITERS[out.suffix == ".tar"](aside, contents)
        aside.replace(out)
    except OSError as error:
        raise InputError("cannot_write", f"--out {out} cannot be written: {error.strerror or error}") from None
    return sha256(text)


def _write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    path.mkdir(exist_ok=True)
    for name, data in contents.items():
        (path / name).write_bytes(data)


def _write_tar(path: Path, contents: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in contents.items():
            # A TarInfo of its own has no owner and no time.
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


_WRITERS: dict[bool, Callable[[Path, Mapping[str, bytes]], None]] = {False: _write_folder, True: _write_tar}


def read_files(path: Path) -> dict[str, bytes]:
    """Return the files of a bundle by name, as they are.

    Raises:
        InputError: "no_bundle".
    """
    names = (DOCUMENT, *FILES)
    try:
        if path.is_dir():
            files = {name: (path / name).read_bytes() for name in names if (path / name).is_file()}
        else:
            with tarfile.open(path, "r:") as tar:
                members = {Path(member.name).name: member for member in tar.getmembers() if member.isfile()}
                files = {name: tar.extractfile(members[name]).read() for name in names if name in members}  # type: ignore[union-attr]
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            "no_bundle", f"bundle {path} is neither a folder nor a tar that can be read", str(error)
        ) from None
    if DOCUMENT not in files:
        raise InputError("no_bundle", f"{path} holds no {DOCUMENT}: it is no bundle")
    return files


def _check_document(document: object) -> None:
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise FormatError(
            "bundle_too_new",
            f"the bundle has format version {version}; this version knows up to {FORMAT_VERSION}: use a newer cvtbatch",
        )
    if problems := contracts.problems_of(document, "bundle.json"):
        raise FormatError("bundle_damaged", f"{DOCUMENT}: {'; '.join(problems[:5])}")


def _arrays_of(model: FrozenModel, out_of_fold: Mapping[Model, ClassScores]) -> dict[str, np.ndarray[Any, Any]]:
    plain = ("loadings", "offset", "mean", "scale", "low", "high", "terms", "distance_columns", "whitening")
    arrays = {name: getattr(model, name) for name in (*plain, "training_distances")}
    for signature in SIGNATURES:
        arrays[f"{signature}.used"] = model.used[signature]
        arrays |= {f"{signature}.{name}": array for name, array in model.forests[signature].arrays().items()}
    if model.recalibration is not None:
        arrays[RECALIBRATION] = model.recalibration
    for name, scores in out_of_fold.items():
        arrays |= {f"{OUT_OF_FOLD}.{name}.{side}": getattr(scores, side) for side in SIDES}
    return {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}


def _description_of(model: FrozenModel) -> JsonObject:
    """Return the part of bundle.json that belongs to the model."""
    return {
        "columns": {"radiomics": list(model.radiomics), "components": list(model.components)},
        "embedding_length": len(model.loadings),
        "thresholds": {str(name): dict(values) for name, values in model.thresholds.items()},
        "nomogram": model.nomogram.to_document(),
        "missing_feature": model.missing_feature,
    }


def _out_of_fold_of(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[Model, ClassScores]:
    return {
        model: ClassScores(*(arrays[f"{OUT_OF_FOLD}.{model}.{side}"] for side in SIDES))
        for model in Model
        if f"{OUT_OF_FOLD}.{model}.{SIDES[0]}" in arrays
    }


def _model_of(document: JsonObject, arrays: Mapping[str, np.ndarray[Any, Any]]) -> FrozenModel:
    axes = tuple(Axis(**axis) for axis in document["nomogram"]["axes"])
    forests = {
        signature: FlatForest(**{name: arrays[f"{signature}.{name}"] for name in FlatForest.__dataclass_fields__})
        for signature in SIGNATURES
    }
    plain = ("loadings", "offset", "mean", "scale", "low", "high", "terms", "distance_columns", "whitening")
    return FrozenModel(
        radiomics=tuple(document["columns"]["radiomics"]),
        components=tuple(document["columns"]["components"]),
        **{name: arrays[name] for name in (*plain, "training_distances")},
        used={signature: arrays[f"{signature}.used"] for signature in SIGNATURES},
        forests=forests,
        nomogram=Nomogram(axes, document["nomogram"]["intercept"], document["nomogram"]["per_point"]),
        thresholds={Model(name): values for name, values in document["thresholds"].items()},
        missing_feature=document["missing_feature"],
        recalibration=arrays.get(RECALIBRATION),
    )


def _verify_golden(bundle: Bundle, golden: pa.Table) -> None:
    """Score the golden rows and compare.

    Raises:
        FormatError: "bundle_changed", with the column and the largest difference.
    """
    scored = bundle.score(golden)
    for name in (name for name in golden.column_names if name.startswith(EXPECTED)):
        own = name.removeprefix(EXPECTED)
        expected, found = golden[name].combine_chunks(), scored[own].combine_chunks()
        if expected.is_valid() != found.is_valid():
            raise FormatError(
                "bundle_changed", f"golden rows: {own} is missing where it was not, or the other way round"
            )
        pair = [column.drop_null().to_numpy(zero_copy_only=False) for column in (expected, found)]
        largest = float(np.abs(pair[0] - pair[1]).max(initial=0.0))
        if largest > (0.0 if own in SAME_BITS else TOLERANCE):
            raise FormatError(
                "bundle_changed",
                f"golden rows: {own} differs by {largest:.3g} from what the bundle was written with: this machine or this "
                "version computes otherwise, and its scores cannot be trusted",
            )


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()

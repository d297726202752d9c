"""The bundle: a frozen model as a folder, or as a tar of it, that scores the same for ever and runs no foreign code.

    bundle.json          what it is, what it was fitted on, what it may expect of itself, and the hashes of the other files
    arrays.safetensors   scaler, components in use, forests as flat arrays, logistic terms, distance; training's out-of-fold scores
    golden.parquet       made-up rows under the names that `score` takes, and the scores that they must have (`expected_...`)
    selection.parquet    what became of every column that was offered

Loading verifies every hash, then whatever scoring relies on (`soundness`), then scores the golden rows: votes must be equal to the
last bit, what passes through exp within 1e-12. The golden rows say which model they were scored with: a number that none of them
sees is held too. The digest of a bundle is that of its bundle.json, which holds no time and no path.

What that promises: bytes that changed by themselves are refused; a bundle that loads, wherever it comes from, reads and writes no
foreign memory, ends, and scores its own golden rows as it says. Who makes all hashes anew makes another model, and that has another
digest: every score names the digest of what it comes from.

Format 2 adds what a bundle of format 1 lacks: the settings behind its specifications, training's out-of-fold scores, and of which
bundle, on whom, it is a recalibration, if it is one. Format 3 adds what makes probabilities of votes, a summary of the cohort, and
whose outlines it was fitted on; a recalibration of an older bundle says as little of this as that does. It also has keys that this
version knows at their default alone (`bundle_document.refuse_later`).
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save as save_arrays

from cvtbatch import contracts
from cvtbatch.contracts import JsonObject
from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.bundle_document import parse_document, refuse_later
from cvtbatch.dlrn.bundle_files import ARRAYS, DOCUMENT, FILES, GOLDEN, SELECTION, read_files, write_files
from cvtbatch.dlrn.cohort_summary import EmbeddingMoments
from cvtbatch.dlrn.description import ClassFit, Description
from cvtbatch.dlrn.frames import is_frame, to_frame, to_table
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.model_arrays import (
    DESCRIPTION,
    arrays_of,
    description_of,
    model_of,
    moments_of,
    out_of_fold_of,
    problems_of,
    read_arrays,
)
from cvtbatch.dlrn.scoring import SpecIds, by_class, golden_scores, needed_columns, score_batch
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.dlrn.training_scores import ClassScores
from cvtbatch.documents import from_document
from cvtbatch.errors import FormatError, InputError
from cvtbatch.spec import FUSE, Spec, canonical_json, digest

if TYPE_CHECKING:
    import pandas as pd

# An Arrow table or a pandas DataFrame.
Rows = TypeVar("Rows")
FORMAT_VERSION = 3
EXPECTED = "expected_"
# exp may differ by an ulp between machines.
TOLERANCE = 1e-12
SAME_BITS = {name for model in SIGNATURES for name in (str(model), by_class(model))}
# The first is what the others build on.
SPEC_KINDS = ("volume", "radiomics", "embedding")
# Of spec_settings.embedding, the settings of each network where several are fused.
FUSED = "fused"
# In the metadata of the golden rows: the digest of all that scores come from. Bundles of earlier versions have none.
SCORED_WITH = b"cvtbatch.scored_with"
SHOWN = 5
MOST_GOLDEN_ROWS, MOST_GOLDEN_VALUES, MOST_GOLDEN_BYTES = 4096, 1 << 24, 256 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded and verified bundle.

    Attributes:
        document: bundle.json as it was read.
        description: the same, as values.
        digest: SHA-256 of bundle.json.
        out_of_fold: training's scores by model; empty in a bundle that keeps none.
        moments: of training's embeddings; None in a bundle that keeps none.
    """

    document: JsonObject
    description: Description
    digest: str
    model: FrozenModel
    out_of_fold: Mapping[Model, ClassScores] = field(default_factory=dict)
    moments: EmbeddingMoments | None = None

    def __repr__(self) -> str:
        cohort, outcome = self.description.cohort, self.description.outcome
        unfit = ", not for inference" if self.description.weights.not_for_inference else ""
        centers = ", ".join(cohort.training_centers)
        told = (
            f"of {', '.join(outcome.classes)}" if outcome.is_several else f"{cohort.positive} of them {outcome.event}"
        )
        return f"Bundle({self.digest[:12]}, fitted on {cohort.cases} cases of {centers}, {told}{unfit})"

    @property
    def specs(self) -> SpecIds:
        """The specifications that the inputs must have."""
        chain = self.description.specs
        of_regions = {region.name: region.region_spec_id for region in self.description.regions}
        return SpecIds(chain.radiomics_spec_id, chain.embedding_spec_id, of_regions)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that columns come from."""
        return tuple(region.name for region in self.description.regions)

    def class_fits(self) -> dict[str, ClassFit]:
        """Return what the fit found of each of several classes, by name, in their order; nothing where an event is told."""
        told = self.document.get("outcome", {}).get("by_class", {})
        return {name: from_document(ClassFit, told[name]) for name in self.model.classes}

    def known_specs(self) -> dict[str, Spec]:
        """Return the specifications with their settings, by id; empty in a bundle that does not keep them.

        Raises:
            FormatError: "bundle_damaged": they are not those that the bundle names.
        """
        found: dict[str, Spec] = {}
        settings, parent = self.description.spec_settings, ""
        if settings is None:
            return found
        for kind in SPEC_KINDS:
            several = settings[kind].get(FUSED) if kind == "embedding" else None
            specs = [Spec(kind, parent, canonical_json(own)) for own in several or [settings[kind]]]
            if FUSE.join(spec.spec_id for spec in specs) != self.description.specs.of_kind(kind):
                raise FormatError("bundle_damaged", f"spec_settings.{kind} of {DOCUMENT} are not of {kind}_spec_id")
            found |= {spec.spec_id: spec for spec in specs}
            parent = parent or specs[0].spec_id
        return found

    def needed_columns(self) -> list[str]:
        """Return the columns that scoring cannot do without."""
        return needed_columns(self.model)

    def score(self, rows: Rows, explain: bool = False) -> Rows:
        """Score rows: one for each of them, identity first; null where something cannot be computed.

        Args:
            rows: an Arrow table or a pandas DataFrame, e.g. `store.wide()` or its `to_pandas()`, columns in any order: radiomics
                features by name, clinical terms as the manifest has them (`epilepsy`: 0, 1, null), and the embedding as
                `embedding` (list of numbers, null where there is none) or as a column for each number, `emb_0000` ..., as
                `store.X_y` and `cvtbatch export` have it. A bundle of a feature set, of regions or of pooled slices takes those
                of `store.wide(features=..., regions=bundle.regions, pooling=...)`. Features in float32 are scored, with a
                `cvtbatch.dlrn.RoundedWarning`: the store's are float64.
            explain: add what contributes most to the DLR signature, of several classes to the DLRN's logarithms of odds.

        Returns:
            a table for a table; for a DataFrame a DataFrame with its index, where null is NaN or None.

        Raises:
            InputError: "missing_column", "other_spec", "bad_column", "bad_value" or "bad_argument".
        """
        table = to_table(self.model, self.specs, rows)
        scored = score_batch(self.model, self.specs, table, explain=explain)
        scored = scored.append_column("bundle_digest", pa.array([self.digest] * len(scored), pa.string()))
        answer: Rows = to_frame(scored, rows) if is_frame(rows) else scored
        return answer

    def predict_proba(self, rows: "pa.Table | pd.DataFrame") -> Floats:
        """Return the DLRN's probabilities as scikit-learn has them: (n, 2), without the event and with it, or (n, K).

        The event is CVT, unless `description.outcome` says another, and which several classes in their order.

        All are NaN where `score` has none: a clinical term, the embedding or a feature that the model uses is unknown.

        Args:
            rows: as for `score`.

        Raises:
            InputError: as `score`.
        """
        table = to_table(self.model, self.specs, rows)
        scored = score_batch(self.model, self.specs, table, explain=False)
        if self.model.classes:
            lists = scored[by_class(Model.DLRN)].to_pylist()
            return np.array([row or [np.nan] * len(self.model.classes) for row in lists]).reshape(
                len(lists), len(self.model.classes)
            )
        positive = scored[str(Model.DLRN)].to_numpy()
        return np.column_stack([1 - positive, positive])

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
        InputError: there is no bundle, or this is no path.
        FormatError: "bundle_too_new", "bundle_damaged" (bytes are not those that were written), "bundle_changed" (its own rows
            do not score as they did).
    """
    if not isinstance(path, str | Path):
        raise InputError("bad_argument", f"a bundle is named by its path, not by a {type(path).__name__}")
    files = read_files(Path(path))
    document = _checked(parse_document(files[DOCUMENT]))
    description = from_document(Description, document)
    for name in FILES:
        if name not in files or sha256(files[name]) != description.files[name]:
            what = "is missing from the bundle" if name not in files else "is not what was written: its hash differs"
            raise FormatError("bundle_damaged", f"{name} {what}")
    arrays = read_arrays(files[ARRAYS])
    if problems := problems_of(description, arrays):
        raise FormatError("bundle_damaged", f"the bundle holds no model: {_first(problems)}")
    model = model_of(description, arrays)
    if model.classes and set(document["outcome"]["by_class"]) != set(model.classes):
        raise FormatError("bundle_damaged", f"outcome.by_class of {DOCUMENT} is not of its classes")
    bundle = Bundle(document, description, sha256(files[DOCUMENT]), model, out_of_fold_of(arrays), moments_of(arrays))
    _verify_golden(bundle, _read_golden(files[GOLDEN]), _scored_with(document))
    return bundle


def write_bundle(
    out: Path,
    document: Mapping[str, Any],
    model: FrozenModel,
    golden: pa.Table,
    selection: pa.Table,
    out_of_fold: Mapping[Model, ClassScores],
    moments: EmbeddingMoments | None = None,
) -> str:
    """Write a bundle, whole or not at all, and return its digest.

    Args:
        out: a new folder, or a new file that ends in .tar.
        document: bundle.json but for what follows from the model and the files.
        golden: rows with their expected scores.
        selection: what became of every column.
        out_of_fold: training's scores by model, or none.
        moments: of training's embeddings, or none; `cohort_summary` of the document goes with them.

    Raises:
        InputError: there is something at `out`, or it cannot be written.
    """
    arrays = arrays_of(model, out_of_fold, moments)
    whole = {
        "format": "cvtbatch-bundle",
        "format_version": FORMAT_VERSION,
        **document,
        **description_of(model),
        "files": {ARRAYS: sha256(saved := save_arrays(arrays)), SELECTION: sha256(selected := _parquet(selection))},
    }
    named = golden.replace_schema_metadata({**(golden.schema.metadata or {}), SCORED_WITH: _scored_with(whole)})
    whole["files"][GOLDEN] = sha256(rows := _parquet(named))
    problems = contracts.problems_of(whole, "bundle.json")
    if problems := problems or problems_of(from_document(Description, whole), arrays):
        raise FormatError("bundle_invalid", "; ".join(problems))
    text = (json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
    write_files(out, {DOCUMENT: text, ARRAYS: saved, GOLDEN: rows, SELECTION: selected})
    return sha256(text)


def _checked(document: object) -> JsonObject:
    """Return bundle.json, which keeps to its contract.

    Raises:
        FormatError: "bundle_too_new" or "bundle_damaged".
    """
    if not isinstance(document, dict):
        raise FormatError("bundle_damaged", f"{DOCUMENT} is no JSON object")
    version = document.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise FormatError(
            "bundle_too_new",
            f"the bundle has format version {version}; this version knows up to {FORMAT_VERSION}: use a newer cvtbatch",
        )
    refuse_later(document)
    if problems := contracts.problems_of(document, "bundle.json", most=SHOWN + 1):
        raise FormatError("bundle_damaged", f"{DOCUMENT}: {_first(problems)}")
    return document


def _first(problems: Sequence[str]) -> str:
    """Return the first problems, each cut where it quotes what was found at length."""
    shown = [text if len(text) <= 300 else f"{text[:300]} ..." for text in problems[:SHOWN]]
    return "; ".join([*shown, "and more"] if len(problems) > SHOWN else shown)


def _read_golden(data: bytes) -> pa.Table:
    """Return the golden rows.

    Raises:
        FormatError: "bundle_damaged".
    """
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        about = file.metadata
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        # Of equal numbers a file holds millions in a few bytes.
        values = sum(group.column(number).num_values for group in groups for number in range(group.num_columns))
        if 0 < about.num_rows <= MOST_GOLDEN_ROWS and size <= MOST_GOLDEN_BYTES and values <= MOST_GOLDEN_VALUES:
            return file.read()
    except Exception as error:  # pyarrow raises its own kinds and Python's
        raise FormatError("bundle_damaged", f"{GOLDEN} is no parquet file", f"{error}") from None
    raise FormatError(
        "bundle_damaged", f"{GOLDEN} holds {about.num_rows} rows of {values} values: these are no golden rows"
    )


def _scored_with(document: JsonObject) -> str:
    """Return the digest of all that scores come from: the arrays, and the model's part of bundle.json, defaults left out."""
    defaults = contracts.defaults_of("bundle.json")
    told = {name: document[name] for name in DESCRIPTION if name in document and document[name] != defaults.get(name)}
    if len(classes := document.get("outcome", {}).get("classes", ())) > 2:
        told["classes"] = classes
    return digest(document["files"][ARRAYS], canonical_json(told))


def _verify_golden(bundle: Bundle, golden: pa.Table, scored_with: str) -> None:
    """Score the golden rows and compare.

    Raises:
        FormatError: "bundle_damaged": they are no golden rows, or those of another model; "bundle_changed", with the column and the
            largest difference.
    """
    names = [name for name in golden.column_names if name.startswith(EXPECTED)]
    wanted = golden_scores(bundle.model)
    if sorted(names) != sorted(EXPECTED + name for name in wanted):
        raise FormatError("bundle_damaged", f"golden rows: they do not have every {EXPECTED} column, each once")
    try:
        scored = bundle.score(golden)
    except InputError as error:
        raise FormatError("bundle_damaged", f"golden rows: {_first([error.message])}") from None
    for name in wanted:
        _compare(name, golden[EXPECTED + name].combine_chunks(), scored[name].combine_chunks())
    said = (golden.schema.metadata or {}).get(SCORED_WITH)
    if said is not None and said != scored_with.encode():
        raise FormatError("bundle_damaged", "golden rows: they were scored with another model than the bundle holds")


def _compare(name: str, expected: pa.Array, found: pa.Array) -> None:
    """Raise unless a score of the golden rows is what it must be."""
    lists = pa.types.is_list(expected.type)
    kind = expected.type.value_type if lists else expected.type
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not numbers or expected.null_count == len(expected):
        raise FormatError("bundle_damaged", f"golden rows: {name} holds no number to compare with")
    if expected.is_valid() != found.is_valid():
        raise FormatError("bundle_changed", f"golden rows: {name} is missing where it was not, or the other way round")
    known = [column.drop_null().flatten() if lists else column.drop_null() for column in (expected, found)]
    if len(known[0]) != len(known[1]) or known[0].null_count:
        raise FormatError("bundle_changed", f"golden rows: {name} is not told of as many classes as it was")
    pair = [column.cast(pa.float64()).to_numpy() for column in known]
    largest = float(np.abs(pair[0] - pair[1]).max(initial=0.0))
    # NaN is no small difference.
    if not largest <= (0.0 if name in SAME_BITS else TOLERANCE):
        raise FormatError(
            "bundle_changed",
            f"golden rows: {name} differs by {largest:.3g} from what the bundle was written with: this machine or this "
            "version computes otherwise, and its scores cannot be trusted",
        )


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()

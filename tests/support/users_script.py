"""What a user of `import cvtbatch` writes: run by a test, and held by mypy's strict rules from outside the package."""

from dataclasses import dataclass
from pathlib import Path

import cvtbatch


@dataclass(frozen=True, slots=True)
class Found:
    """What the script found."""

    outlines: int
    computed: int
    failures: int
    columns: list[str]
    features: dict[str, float]
    kind: str


def work(archive: Path, store_folder: Path, bundle_folder: Path) -> Found:
    """Extract an archive without embeddings, look at the store, and try to score what lacks what the bundle needs."""
    done = cvtbatch.extract(
        archive / "manifest.csv",
        store_folder,
        workers=0,
        settings={"embedding.weights": "none"},
        log=archive / "log",
        on_progress=lambda progress: print(progress.done, progress.total),
    )
    store = cvtbatch.FeatureStore(store_folder)
    X, y, groups = store.X_y("cvt", features=["age", "epilepsy"], center="A", where="age >= 40")
    features: dict[str, float] = cvtbatch.extract_features(
        archive / "ct1.nii.gz", archive / "mask1.nii.gz", grid="stored"
    )
    bundle = cvtbatch.load_bundle(bundle_folder)
    kind = ""
    try:
        bundle.predict_proba(store.wide())
    except cvtbatch.CvtbatchError as error:
        kind = error.kind
    # A type that finds no mistake is none: these are refused, and mypy minds an `ignore` that nothing needs.
    if kind == "never":
        cvtbatch.extract_features(archive, archive, grid="as given")  # type: ignore[arg-type]
        kind = done.report.computed  # type: ignore[assignment]
        kind = done.nothing  # type: ignore[attr-defined]
    assert len(X) == len(y) == len(groups)
    return Found(len(X), done.report.computed, len(done.failures()), list(X.columns), features, kind)

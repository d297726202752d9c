"""What outlines that nobody drew do to a model: `benchmark_outline_effect.py METHOD [--train 48] [--apply 40]`.

A model is fitted on the true outlines of one synthetic centre and applied to another, to its true outlines and to those that a
method finds in the same volumes, by the commands that a user calls: `extract`, `fit`, `score`, `validate --reader`, `agreement`.
Prints AUC by reader, Dice, volume bias, features that do not survive, and shift and flips of every model's score. Untrained image
weights.
"""

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path

from tests.support.commands import cvtbatch

TRIAL = ("--set", "embedding.weights=random:0")
FEW = tuple(
    text for name in ("crossfit_folds", "selection.lasso_folds", "forest.folds") for text in ("--set", f"fit.{name}=3")
)


def make_archive(folder: Path, train: int, apply: int) -> tuple[Path, Path]:
    """Write a synthetic archive, and the manifests of its two centres."""
    cvtbatch("synth", folder / "archive", "--cases", 2 * max(train, apply), "--centers", 2, "--seed", 3, check=True)
    with (folder / "archive" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    manifests = []
    for center, most in (("C1", train), ("C2", apply)):
        path = folder / "archive" / f"{center}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows([row for row in rows if row["center"] == center][:most])
        manifests.append(path)
    return manifests[0], manifests[1]


def aucs(report: Path) -> dict[str, str]:
    """Return the AUC of every model in a report, with its interval."""
    document = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return {
        model["name"]: json.dumps(next(value for key, value in model.items() if key == "auc"))
        for model in document["models"]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=["threshold", "blast-ct"])
    parser.add_argument("--train", type=int, default=48)
    parser.add_argument("--apply", type=int, default=40)
    options = parser.parse_args()
    found = ("--set", f"outline.method={options.method}", "--set", "outline.cases=all")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, bundle = folder / "store", folder / "bundle"
        train, apply = make_archive(folder, options.train, options.apply)
        cvtbatch("extract", train, "--store", store, "--workers", 0, *TRIAL, check=True)
        fit = ("--set", "cohort.training_centers=[C1]", *FEW, "--set", "fit.nested.repeats=0")
        cvtbatch("fit", "--store", store, *fit, "--out", bundle, check=True)
        cvtbatch("extract", apply, "--store", store, "--workers", 0, *TRIAL, *found, check=True)
        for reader in ("A", options.method):
            chosen = ("--store", store, "--bundle", bundle, "--reader", reader)
            cvtbatch("score", *chosen, check=True)
            cvtbatch("validate", *chosen, "--center", "C2", "--out", folder / reader, check=True)
            print(reader, json.dumps(aucs(folder / reader)))
        compared = cvtbatch(
            "agreement", "--store", store, "--readers", f"A,{options.method}", "--bundle", bundle, "--center", "C2",
            "--out", folder / "agreement", "--json", check=True,
        )  # fmt: skip
        comparison = json.loads(compared.stdout)["comparison"]
        weak = len(comparison.pop("weak_features"))
        json.dump({**comparison, "weak_features": weak}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()

"""The command that tunes the backbone."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from cvtbatch.cli.display import print_finetuning, progress_display
from cvtbatch.cli.interrupts import raise_if_interrupted
from cvtbatch.cli.options import job_option, json_option, set_option, store_option


@click.command(short_help="Tune the backbone on the training centres' slices.")
@store_option
@click.option("--snapshot", metavar="NAME", help="Rows as they were then; by default an automatic, recorded snapshot.")
@job_option
@set_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Weights to write: .safetensors.")
@json_option
def finetune(
    store_url: str, snapshot: str | None, job: Path | None, overrides: Sequence[str], out: Path, as_json: bool
) -> None:
    """Tune the ImageNet backbone on the training centres' largest slices.

    No patient of another centre is looked at. A learning curve (PNG) lies beside the weights, and a checkpoint until both are
    written: the same command continues.

    \b
    Example:
      cvtbatch finetune --store store --set 'cohort.training_centers=[C1]' --out tuned.safetensors
      cvtbatch extract archive/manifest.csv --store store --only embeddings --set embedding.weights=tuned.safetensors
    """
    from cvtbatch.pipelines.models.finetune import tune_backbone
    from cvtbatch.pipelines.shared.job import read_job

    settings = read_job("finetune", job, overrides)
    with progress_display("finetune", quiet=as_json) as show:
        show.enter("finetune", "batches")

        def on_batch(done: int, total: int) -> None:
            show(done, total, 0)
            raise_if_interrupted()

        report = tune_backbone(store_url, snapshot, settings, out, on_batch)
    if as_json:
        click.echo(json.dumps(report.to_document(out), indent=2))
    else:
        print_finetuning(report, out)

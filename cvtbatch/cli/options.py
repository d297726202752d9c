"""Options and exit codes that several commands share."""

from pathlib import Path

import click

CANNOT_RUN = 1
STANDING_FAILURES = 3

store_option = click.option(
    "--store", "store_url", required=True, metavar="URL", help="The store: a folder, or s3://BUCKET/PREFIX."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, all else on stderr."
)
job_option = click.option(
    "--job", type=click.Path(path_type=Path), help="Job file; by default the one that comes with cvtbatch."
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value of the job; repeatable."
)
manifest_argument = click.argument("manifest", type=click.Path(path_type=Path))
snapshot_option = click.option("--snapshot", "snapshot_name", metavar="NAME", help="Read what this snapshot froze.")
spec_option = click.option(
    "--spec", "spec_ids", multiple=True, metavar="ID", help="Read rows of this specification; repeatable."
)

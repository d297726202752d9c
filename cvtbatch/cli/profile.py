"""Commands about what is computed of an ROI: profiles, and PyRadiomics parameter files."""

import json
from pathlib import Path

import click

from cvtbatch.cli.display import say
from cvtbatch.cli.options import CANNOT_RUN, json_option
from cvtbatch.cli.tables import print_table
from cvtbatch.counts import counted
from cvtbatch.extras import installed

# Differences from a profile that are named; --json has all of them.
_SHOWN_PROBLEMS = 3


@click.group(short_help="Begin a PyRadiomics parameter file, or check one.")
def profile() -> None:
    """Show a profile as a PyRadiomics parameter file, and check any such file."""


@profile.command(short_help="Print profile NAME as a parameter file.")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Print profile NAME, cvt-1834 or onekey-1834, as a parameter file to start from; PyRadiomics reads it too.

    \b
    Example:
      cvtbatch profile show cvt-1834 > params.yaml
    """
    from cvtbatch.radiomics import profile_parameters, write_template

    if as_json:
        document = {"command": "profile show", "profile": name, "parameters": profile_parameters(name)}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(write_template(name), nl=False)


@profile.command(short_help="Say what becomes of each key of FILE.")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Say what becomes of each key of FILE, a PyRadiomics parameter file: which engine, without effect, or refused.

    Nothing is computed. Where a key is refused, the file is, and the exit code is 1.

    \b
    Example:
      cvtbatch profile check params.yaml
    """
    from cvtbatch.pipelines.extraction.set_settings import told_of_outlines, why_not_stored
    from cvtbatch.radiomics import check_profile
    from cvtbatch.radiomics.profile_check import show_value

    checked = check_profile(file)
    feature_set, verdicts = checked.found.feature_set, checked.found.verdicts
    if as_json:
        click.echo(json.dumps(checked.to_document(), indent=2))
    else:
        rows = [(one.key, show_value(one.value), one.outcome, one.reason) for one in verdicts]
        print_table(f"{file}: what becomes of each key", ("key", "value", "becomes", "because"), rows)
        if feature_set is None:
            refused = sum(one.outcome == "refused" for one in verdicts)
            say(f"Refused: {counted(refused, 'key')}; mend the file and check it again.")
        else:
            by = "the fast engine"
            if checked.engine == "pyradiomics":
                by = f"PyRadiomics 3.0.1, which is {'' if installed('radiomics') else 'not '}installed here"
            say(f"Accepted: {len(feature_set.names()):,} features, computed by {by}.")
            if line := checked.defaults_line():
                say(line)
            say(f'In Python: cvtbatch.extract_features(ct, mask, params="{file}")')
            if reason := why_not_stored(feature_set):
                say(f"Not into a store: {reason}")
            else:
                say(f"Into a store, a table of its own: cvtbatch extract MANIFEST --store STORE --params {file}")
                if limit := told_of_outlines(feature_set):
                    say(f"But {limit}")
            if problems := checked.job_problems:
                say("As radiomics.profile, in the place of the study's features, it is refused:")
                for problem in problems[:_SHOWN_PROBLEMS]:
                    say(f"  {problem}")
                if len(problems) > _SHOWN_PROBLEMS:
                    say(f"  ... and {len(problems) - _SHOWN_PROBLEMS} more (--json has all)")
            else:
                say("As radiomics.profile, in the place of the study's features, it is taken.")
    if feature_set is None:
        ctx.exit(CANNOT_RUN)

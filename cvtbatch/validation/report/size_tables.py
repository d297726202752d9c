"""Tables of how many cases a validation takes, and how many the development took."""

from collections.abc import Iterator

from cvtbatch.validation.development_size import DevelopmentCriterion
from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.power import Target
from cvtbatch.validation.report.case_words import clinical_terms
from cvtbatch.validation.report.digits import decimal
from cvtbatch.validation.report.tables import Column, ReportTable, tabulate
from cvtbatch.validation.values import NotComputable

_TARGETS: tuple[Column[Target], ...] = (
    Column("measure", lambda target: target.measure),
    Column("value here", lambda target: target.anticipated, 2),
    Column("width here", lambda target: target.now, 2),
    Column("width asked for", lambda target: target.width, 2),
    Column("cases needed", lambda target: target.n),
    Column("events among them", lambda target: target.events),
)
_CRITERIA: tuple[Column[DevelopmentCriterion], ...] = (
    Column("criterion", lambda row: row.name),
    Column("cases needed", lambda row: row.n),
    Column("events among them", lambda row: row.events),
)


def size_tables(validation: Validation) -> Iterator[ReportTable]:
    """Yield the tables of sizes, in the order of the page."""
    yield tabulate(
        "power",
        "How many cases would give a 95 % interval of a width",
        _TARGETS,
        validation.power.targets,
        place="power",
        notes=(
            "At the share of events of this centre, each case of another patient. AUC: Newcombe 2006; O/E: Riley 2021, at O/E 1; "
            "sensitivity: Wilson.",
        ),
    )
    yield tabulate(
        "power_criteria",
        "Riley's criteria for an external validation (2021)",
        _TARGETS,
        validation.power.criteria,
        place="power",
        notes=(
            "Widths as pmvalsampsize asks for. O/E and slope: at 1, the slope for probabilities as they are here; net benefit: at "
            "the frozen threshold. The largest number counts.",
        ),
    )
    yield _development_table(validation)


def _development_table(validation: Validation) -> ReportTable:
    name, title = "development_size", f"Riley's criteria for the development of {validation.primary} (2020)"
    found = validation.development
    if isinstance(found, NotComputable):
        return ReportTable(name, title, ("criterion",), ((found,),), place="power")
    had = found.cohort
    epilepsy_alone = clinical_terms(validation.nomogram) == ("epilepsy",)
    clinical = "epilepsy" if epilepsy_alone else "every clinical term and candidate"
    events = f"{had.events:,} of them with {validation.outcome.event}"
    notes = (
        f"Training had {had.cases:,} cases of {had.patients:,} patients, {events}, and {had.parameters:,} "
        f"candidate parameters: every column that selection was offered, and {clinical}.",
        f"Cox-Snell R² of {decimal(found.cox_snell)}, of {decimal(found.largest)} at most: by {found.anticipated}. The criteria "
        "are those of a regression of all candidates; selection and LASSO are no way round them.",
    )
    return tabulate(name, title, _CRITERIA, found.criteria, place="power", notes=notes)

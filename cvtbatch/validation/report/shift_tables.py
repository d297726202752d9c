"""Tables of the shift: features, scores and acquisition against training, and what acquisition explains of the score."""

from collections.abc import Iterator, Mapping
from functools import partial

from cvtbatch.validation.covariate_effects import CovariateEffect
from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.feature_shift import FeatureShift, is_large
from cvtbatch.validation.kept_columns import AT_QUANTILES
from cvtbatch.validation.report.column_words import image_pattern_notes
from cvtbatch.validation.report.digits import Counted
from cvtbatch.validation.report.tables import Column, ReportTable, part_of, tabulate
from cvtbatch.validation.shift import ScoreShift
from cvtbatch.validation.values import Estimate, Maybe, NotComputable, Significance

_SHIFT_NOTES = (
    "Difference of the means in standard deviations; K-S: Kolmogorov-Smirnov, P is Holm's over the rows. Shifted: |difference| at "
    "least 0.5 and P below 0.05. Unseen: more cases outside the training range than chance explains (Holm's P below 0.05). "
    "Unclear: |difference| at least 0.5, which chance may explain in so few cases.",
)
_SCORE_NOTES = (
    "Log odds. Training's scores are out of fold: each case's, from signatures that had not seen it; the DLRN's are in sample for "
    "its coefficients. All cases also differ where the share of {event} does; within a class they do not."
)


_KEPT_NOTES = (
    "Training's values are not in this store: the bundle keeps quantiles of them, from the 5th to the 95th percentile at most. "
    "K-S D is the largest difference at these, no larger than the full one, so that P is no smaller.",
)


def _kept(rows: tuple[FeatureShift, ...]) -> tuple[str, ...]:
    """Say so where training's values are not at hand."""
    kept = any(isinstance(row.ks, Significance) and row.ks.name == AT_QUANTILES for row in rows)
    return _KEPT_NOTES if kept else ()


def _patterns(features: Maybe[tuple[FeatureShift, ...]], settings: Mapping[str, str]) -> tuple[str, ...]:
    if isinstance(features, NotComputable):
        return ()
    return image_pattern_notes((row.feature for row in features), settings)


def _shift_verdict(row: FeatureShift) -> str:
    """Name what was found; a large difference that chance may explain is neither a shift nor none."""
    if isinstance(row.ks, NotComputable):
        return ""
    found = ", ".join(word for word, yes in (("shifted", row.shifted), ("unseen", row.unseen)) if yes)
    return found or ("unclear" if is_large(row) else "none found")


def _outside(n: int, share: Estimate) -> Counted:
    return Counted(share, round(share.value * n), n)


_SHIFT: tuple[Column[FeatureShift], ...] = (
    Column("column", lambda row: row.feature),
    Column("cases", lambda row: row.n),
    Column("unknown", lambda row: row.unknown),
    Column("training mean", lambda row: row.training_mean, 2),
    Column("mean here", lambda row: row.center_mean, 2),
    Column("difference (SD)", lambda row: row.difference, 2),
    Column("K-S D", lambda row: part_of(row.ks, lambda test: test.statistic), 2),
    Column("K-S P", lambda row: row.ks),
    Column("outside range", lambda row: part_of(row.outside, partial(_outside, row.n)), 2),
    Column("verdict", _shift_verdict),
)
_COVARIATES: tuple[Column[CovariateEffect], ...] = (
    Column("covariate", lambda row: row.covariate),
    Column("cases", lambda row: row.n),
    Column("share of variance", lambda row: row.explained),
    Column("P", lambda row: row.test),
)


def shift_tables(validation: Validation) -> Iterator[ReportTable]:
    """Yield the tables of the shift, in the order of the page."""
    found = validation.shift
    scores = found.scores.rows if isinstance(found.scores, ScoreShift) else found.scores
    for name, title, rows, notes in (
        (
            "shift_features",
            "Selected features against training",
            found.features,
            (*_SHIFT_NOTES, *_patterns(found.features, validation.provenance.settings)),
        ),
        (
            "shift_scores",
            "Scores against training's out-of-fold scores",
            scores,
            (_SCORE_NOTES.format(event=validation.outcome.event),),
        ),
        ("shift_acquisition", "Acquisition against training", found.acquisition, ()),
    ):
        if isinstance(rows, NotComputable):
            yield ReportTable(name, title, ("column",), ((rows,),), place="shift")
        else:
            yield tabulate(name, title, _SHIFT, rows, place="shift", notes=(*notes, *_kept(rows)))
    yield tabulate(
        "shift_covariates",
        "What acquisition explains of the score beyond the outcome",
        _COVARIATES,
        found.covariates,
        place="beside-shift",
        notes=("Log odds of the score; partial F test, P is Holm's over the rows.",),
    )

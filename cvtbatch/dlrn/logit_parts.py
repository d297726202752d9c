"""What makes the DLRN's probabilities of several classes: the logarithm of the odds of each against the first, part by part.

The votes of the DLR forest, which the multinomial nomogram multiplies, are a base and what each column adds (Saabas'
decomposition, see `kernels.forest_contributions`); multiplied by its coefficients they are parts of the logarithm of the odds.
"""

from dataclasses import dataclass

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Floats32
from cvtbatch.dlrn.clinical_terms import ClinicalColumns, design, names_of
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.settings import Model


@dataclass(frozen=True, slots=True)
class LogitParts:
    """Parts of the logarithms of odds of n rows; of the first class of K, which the others are compared with, all are 0.

    Attributes:
        base: (K,) the intercept, and the mean votes at the roots of the DLR forest.
        columns: (n, C, K) what each column of the model adds.
        clinical: (n, T, K) what each clinical term adds, NaN where its value is unknown.
    """

    base: Floats
    columns: Floats
    clinical: Floats


def logit_parts(model: FrozenModel, scaled: Floats32, clinical: ClinicalColumns) -> LogitParts:
    """Return the parts, which sum up to the logarithms of odds that a model of several classes gives.

    Args:
        scaled: (n, C) z-scores, as the forests saw them.
        clinical: (n,) values of the clinical terms by column.
    """
    rows, classes = len(scaled), len(model.classes)
    base, added = model.forests[Model.DLR].contributions_by_class(scaled)
    names, values = names_of(model.clinical), design(model.clinical, clinical, rows)
    owners = [names.index(term.name) for term in model.clinical for _ in term.labels()]
    found = LogitParts(np.zeros(classes), np.zeros((*scaled.shape, classes)), np.zeros((rows, len(names), classes)))
    for label, coefficients in enumerate(model.terms, 1):
        intercept, of_votes, of_terms = coefficients[0], coefficients[1:classes], coefficients[classes:]
        found.base[label] = intercept
        # One after the other, so that a row alone has the bits that it has among others.
        for other, coefficient in enumerate(of_votes, 1):
            found.base[label] += coefficient * base[other]
            found.columns[:, :, label] += coefficient * added[:, :, other]
        for owner, coefficient, own in zip(owners, of_terms, values.T, strict=True):
            found.clinical[:, owner, label] += coefficient * own
    return found

"""The table of ICC by feature: what is written is read again, and what is no such table is refused."""

import hashlib

import pytest

from cvtbatch.errors import InputError
from cvtbatch.validation.icc_table import icc_table_to_csv, parse_icc_table
from cvtbatch.validation.readers import FeatureAgreement, weakest_first
from cvtbatch.validation.values import Estimate, Interval, NotComputable

FEATURES = (
    FeatureAgreement("original_glcm_Contrast", Estimate(1 / 3, Interval(-0.1, 0.7)), 12),
    FeatureAgreement("original_shape_Sphericity", NotComputable("it does not vary"), 11),
    FeatureAgreement("original_firstorder_Mean", Estimate(0.8, NotComputable("degrees of freedom vanish")), 12),
    FeatureAgreement("original_firstorder_Range", Estimate(0.81, Interval(0.7, 0.9)), 12),
)
NAMES = tuple(row.feature for row in FEATURES)


def test_what_is_written_is_read_again_to_the_last_bit() -> None:
    text = icc_table_to_csv(FEATURES)
    assert text.splitlines() == [
        "feature,class,icc,lower,upper,n",
        f"original_glcm_Contrast,glcm,{1 / 3!r},-0.1,0.7,12",
        "original_shape_Sphericity,shape,,,,11",
        "original_firstorder_Mean,firstorder,0.8,,,12",
        "original_firstorder_Range,firstorder,0.81,0.7,0.9,12",
    ]
    found = parse_icc_table(text.encode(), NAMES[::-1])
    assert found.icc == (0.81, 0.8, None, 1 / 3)
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert parse_icc_table(b"\xef\xbb\xbfn,icc,feature\n1,-2,a\n2,0.5,b\n", ["b"]).icc == (0.5,)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"feature,icc\na,0.5\na,0.5\n", "names 'a' twice"),
        (b"feature,icc\nb,0.5\n", "lacks 1 of 1 features, a first"),
        (b"feature,icc\na,1.5\n", "'1.5' for 'a'"),
        (b"feature,icc\na,inf\n", "'inf' for 'a'"),
        (b"feature,icc\na,nan\n", "'nan' for 'a'"),
        (b"feature,icc\na,high\n", "'high' for 'a'"),
        (b"feature,n\na,1\n", "no column icc"),
        (b"", "no column feature and no column icc"),
        (b"\xff\xfe\n", "no UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as told:
        parse_icc_table(data, ["a"])
    assert told.value.kind == "bad_icc_table"


def test_weak_features_are_those_that_do_not_exceed_080_the_weakest_first() -> None:
    assert [row.feature for row in weakest_first(FEATURES)] == [NAMES[1], NAMES[0], NAMES[2]]

"""What an unknown name was meant to be."""

from cvtbatch.nearest import did_you_mean, enumerated, nearest


def test_capitals_tell_none_apart_and_the_likest_comes_first() -> None:
    assert nearest("c2/c2-0011", ["C2/C2-0001", "C2/C2-0011", "C1/x"], 2) == ["C2/C2-0011", "C2/C2-0001"]
    assert nearest("c1", ["C1", "c1"], 2) == ["C1", "c1"]


def test_what_is_like_nothing_is_told_so_unless_any_will_do() -> None:
    assert nearest("Berlin", ["C1", "C2"]) == []
    assert nearest("Berlin", ["C1", "Bern"], cutoff=0.0) == ["Bern"]
    assert nearest("Berlin", []) == []
    assert did_you_mean("radiomic", ["rois", "radiomics"]) == "did you mean 'radiomics'? "
    assert did_you_mean("Berlin", ["C1"]) == ""


def test_two_letters_in_the_wrong_order_are_the_likeliest_slip() -> None:
    classes = ["gldm", "glcm", "glrlm", "glszm"]
    assert [nearest(typed, classes) for typed in ("gclm", "GLMC", "glm")] == [["glcm"], ["glcm"], ["gldm"]]


def test_many_names_are_cut() -> None:
    assert enumerated(["b", "a"]) == "a, b"
    assert enumerated([]) == "none"
    assert enumerated(f"{number:02d}" for number in range(23)).endswith("19 and 3 more")

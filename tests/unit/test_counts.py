from cvtbatch.counts import counted


def test_one_is_no_plural() -> None:
    assert [counted(number, "slice") for number in (0, 1, 2, 2000)] == [
        "0 slices",
        "1 slice",
        "2 slices",
        "2,000 slices",
    ]
    assert [counted(number, "study is", "studies are") for number in (1, 2)] == ["1 study is", "2 studies are"]

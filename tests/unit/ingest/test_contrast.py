"""Texts that say whether contrast was given, as technologists write them."""

import pytest

from cvtbatch.ingest.contrast import hints_at_contrast, names_contrast


@pytest.mark.parametrize(
    "text",
    [
        *("IOMERON 350", "80ml Ultravist", "IV CONTRAST", "Jod", "ORAL & IV", "NON IONIC"),
        *("No allergy, Omnipaque", "keine Allergie, Ultravist"),
    ],
)
def test_agents(text: str) -> None:
    assert names_contrast(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NONE",
        "None",
        "no",
        "N/A",
        "WITHOUT CONTRAST",
        "w/o",
        "ohne KM",
        "nativ",
        "NON CONTRAST",
        "NON-CONTRAST",
        "kein",
        "keines",
        "o. KM",
        "nil",
        "not given",
        "0 ml",
        "sin contraste",
        "N.A.",
        "no IV contrast",
        *("NOT USED", "UNUSED", "NO KM", "KEINE", "nicht gegeben", "No contrast agent used", "NO CE", "not applicable"),
        *("-KM", "C-", "0.0", "0 cc", "non injecté", "keine Angabe", "WITHOUT", "NCCT"),
    ],
)
def test_words_for_no_agent(text: str) -> None:
    assert not names_contrast(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        *(
            (text, True)
            for text in (
                "CTA HEAD",
                "CTA_Hals 0.75",
                "Kopf mit KM",
                "CTV",
                "mit und ohne KM",
                "post-contrast",
                "HEAD C+",
            )
        ),
        *(
            (text, True)
            for text in ("vor und nach KM", "nativ ohne KM + CTA", "CT venography", "NO. CTA", "PRE POST CONTRAST")
        ),
        *((text, True) for text in ("mit u. ohne KM", "m.u.o. KM", "mit, ohne KM", "mit-ohne KM", "W/O WITH CONTRAST")),
        *(
            (text, True)
            for text in ("CCT +KM", "Kopf-KM", "CCT nativ - KM", "CCT -KM/+KM", "HEAD W CONTRAST", "mit Kontrastmittel")
        ),
        *((text, True) for text in ("CCT KM venös", "con contraste", "CECT HEAD")),
        *(
            (text, True)
            for text in (
                *("with and without contrast", "HEAD W/WO CONTRAST", "Head wo/w contrast", "HEAD W WO IV CONTRAST"),
                *("Crane avec injection", "CRANE INJECTE", "Crane IV+", "Head +C", "TESTA MDC", "TC cranio c/c"),
            )
        ),
        *(
            (text, None)
            for text in (
                "sans injection",
                "CRANE NON INJECTE",
                "Cranio senza mdc",
                "TC cranio s/c",
                "Crane IV-",
                "C2 + C3",
            )
        ),
        *((text, None) for text in ("CCT -KM", "CCT KM-", "ohne i.v. KM", "W/O CONTRAST", "ohne Kontrastmittel")),
        *(
            (text, None)
            for text in (
                "Kopf nativ",
                "Kopf ohne KM",
                "Kopf_ohne_KM",
                "o. KM",
                "vor KM",
                "non-CTA",
                "WITHOUT CONTRAST",
                "nativ/ohne KM",
            )
        ),
    ],
)
def test_descriptions_that_hint_at_contrast(text: str, hint: bool | None) -> None:
    assert hints_at_contrast(None, False, (text,), ()) is hint

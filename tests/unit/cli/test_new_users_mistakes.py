"""What new users type wrong, and what they are told: the value, and the way on. Never a traceback."""

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cvtbatch.cli import cli
from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive
from tests.support.commands import cvtbatch, told
from tests.support.model_store import fill
from tests.support.paths import ROOT

BUNDLE = ROOT / "tests" / "compat" / "bundle-3"
# As PyRadiomics' exampleCT.yaml, without its comments.
EXAMPLE_CT = """\
imageType:
  Original: {}
  LoG:
    sigma: [1.0, 2.0, 3.0, 4.0, 5.0]
  Wavelet: {}
featureClass:
  shape:
  firstorder:
  glcm:
  glrlm:
  glszm:
  gldm:
setting:
  normalize: true
  normalizeScale: 500
  interpolator: 'sitkBSpline'
  resampledPixelSpacing: [1, 1, 1]
  binWidth: 25
  voxelArrayShift: 1000
  label: 1
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an archive of four cases and a store of two centres, in which the user stands."""
    folder = tmp_path_factory.mktemp("user")
    tiny_archive(folder / "archive", 4)
    (folder / "empty").mkdir()
    (folder / "empty" / "readme.txt").write_text("nothing here", encoding="utf-8")
    (folder / "odd.xlsx").write_bytes(b"PK\x03\x04\xff\x00")
    (folder / "quote.csv").write_text('center,case_id,image,mask\nA,1,"ct.nii.gz,mask.nii.gz\n', encoding="utf-8")
    (folder / "images" / "head-1").mkdir(parents=True)
    store = fill(folder / "store")
    cases = store.current("cases").to_pylist()
    silent = [
        {**case, "cvt": None, "clinical_digest": f"silent-{case['case_key']}"}
        for case in cases
        if case["center"] == "C2"
    ]
    store.table("cases").append(silent)
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


# What is typed, in the folder above; the exit code; what the answer has to say.
TYPED = [
    ("check images", 1, ["images is a folder", "cvtbatch index images --center NAME --out manifest.csv"]),
    ("extract images --store new", 1, ["images is a folder", "cvtbatch index images --center NAME --out manifest.csv"]),
    ("extract archive --store new", 1, ["archive is a folder", "name archive/manifest.csv"]),
    ("extract absent.csv --store new", 1, ["there is no manifest file absent.csv"]),
    (
        "extract archive/ct0.nii.gz --store new",
        1,
        ["ct0.nii.gz is an image", "cvtbatch index FOLDER --out manifest.csv"],
    ),
    ("check odd.xlsx", 1, ["odd.xlsx is a workbook", "save the table as 'CSV UTF-8'"]),
    ("check quote.csv", 1, ["quote.csv", "a text in quotes has no end"]),
    ("extract archive/manifest.csv --store new --job archive", 1, ["job file archive", "it is a folder: name a file"]),
    (
        "extract archive/manifest.csv --store new --set volume.spacing_mm=0.5",
        1,
        ["0.5 is no list: write [0.5, 0.5, 0.5]"],
    ),
    (
        "extract archive/manifest.csv --store new --set volume.spacing_mm=[0,1]",
        1,
        [
            "volume.spacing_mm: [0, 1] has 2 entries: at least 3",
            "spacing_mm.0: 0 is out of range: it has to be above 0",
        ],
    ),
    ("extract archive/manifest.csv --store new --set version=2", 1, ["version: 2 is not 1, the only value"]),
    (
        "extract archive/manifest.csv --store new --set radiomics.profile=archive",
        1,
        ["'archive': this is a folder", "parameter file"],
    ),
    (
        "extract archive/manifest.csv --store new --cluster tcp://host:1",
        1,
        ["there is no such file", "--cluster takes a YAML file", "kind: scheduler, address:"],
    ),
    (
        "extract archive/manifest.csv --store archive/manifest.csv --set embedding.weights=none --workers 0",
        1,
        ["there is something of that name already", "choose another place"],
    ),
    ("synth quote.csv --cases 1", 1, ["quote.csv cannot be written", "is a file, where a folder is wanted"]),
    (
        "index empty --center C --out i.csv --map m.csv --workers 0",
        1,
        ["no study below the folder", "among its 1 file;"],
    ),
    (
        "index images --center C --out i.csv --map m.csv --clinical a.csv --on id --workers 0",
        1,
        ["the clinical table cannot be read: there is no such file"],
    ),
    ("manifest template --out archive", 1, ["something of that name already: give --out another one"]),
    (
        "profile check quote.csv",
        1,
        ["holds none of imageType, featureClass, setting", "cvtbatch profile show cvt-1834"],
    ),
    ("profile check archive", 1, ["archive is a folder: name the parameter file in it"]),
    ("extrat archive/manifest.csv", 2, ["'extrat'", "'extract'"]),
    ("status --sotre store", 2, ["'--sotre'", "'--store'"]),
    (
        "extract archive/manifest.csv --store new --set radiomics.profile=own.yaml",
        1,
        ["'own.yaml'", "there is no such file", "cvt-1834 or onekey-1834"],
    ),
    (
        "extract archive/manifest.csv --store new --set radiomics.profile=cvt-183",
        1,
        ["no such profile", "did you mean 'cvt-1834'?"],
    ),
    ("extract archive/manifest.csv --store new --job own.yaml", 1, ["there is no job file own.yaml"]),
    (
        "extract archive/manifest.csv --store new --workers many",
        2,
        ["'many' is not a whole number", "0 works in this process"],
    ),
    (
        "extract archive/manifest.csv --store new --set embeding.weights=none",
        1,
        ["embeding", "nearest valid one is embedding"],
    ),
    ("extract archive/manifest.csv --store new --set outline.method=blast", 1, ["'blast'", "did you mean 'blast-ct'?"]),
    (
        "extract archive/manifest.csv --store /proc/x --set embedding.weights=none --workers 0",
        1,
        ["/proc/x", "choose another place"],
    ),
    (
        "extract archive/manifest.csv --store archive --set embedding.weights=none --workers 0",
        1,
        ["it is no store; choose an empty folder"],
    ),
    ("status --store archive", 1, ["it is no store; name the folder that `cvtbatch extract --store` has filled"]),
    (
        "status --store /proc/x",
        1,
        ["there is no store at /proc/x", "cvtbatch extract MANIFEST --store STORE makes one"],
    ),
    ("fit --store store --set cohort.training_centers=C1 --out b", 1, ["'C1' is no list: write [C1]"]),
    ("fit --store store --out b", 1, ["cohort.training_centers is empty", "C1, C2"]),
    (
        "fit --store store --set cohort.training_centers=[C3] --out b",
        1,
        ["no centre 'C3'; it has 'C1', 'C2'"],
    ),
    ("fit --store store --set cohort.training_centers=[C2] --out b", 1, ["14 no outcome", "column cvt or etiology"]),
    ("fit --store store --job extract.yaml --out b", 1, ["kind: extract, but the command is fit"]),
    ("score --store store --bundle /no", 1, ["there is no bundle /no", "cvtbatch fit --out"]),
    ("score --store store --bundle archive", 1, ["archive holds no bundle.json", "no bundle", "cvtbatch fit --out"]),
    (
        f"score --store store --bundle {BUNDLE}",
        1,
        ["no features under the bundle's settings (rad-", "cvtbatch add-center MANIFEST --store"],
    ),
    (f"predict absent.nii.gz archive --bundle {BUNDLE.parent}", 1, ["image: there is no file", "absent.nii.gz"]),
    (f"bundle show {BUNDLE}/bundle.json", 1, ["neither a folder nor a tar", "that `cvtbatch fit --out` has written"]),
    ("index archive/manifest.csv --out x.csv", 1, ["index takes a folder", "cvtbatch check"]),
    ("review apply v.csv --store store", 1, ["there is no file v.csv", "the review page saved"]),
    ("review apply archive --store store", 1, ["review archive cannot be read: it is a folder: name a file"]),
    (f"score --store store --bundle {BUNDLE} --center Berlin", 1, ["no centre 'Berlin'", "it has 'C1', 'C2'"]),
    (
        f"validate --store store --bundle {BUNDLE} --center Berlin --out r",
        1,
        ["no centre 'Berlin'", "it has 'C1', 'C2'"],
    ),
    (f"validate --store store --bundle {BUNDLE} --center C1 --out r", 1, ["trained on centre 'C1'"]),
    ("review --store store --center Berlin --out r --workers 0", 1, ["no centre 'Berlin'", "it has 'C1', 'C2'"]),
    ("agreement --store store --readers A,B --center c1 --out r", 1, ["no centre 'c1'", "did you mean 'C1'?"]),
    ("agreement --store store --readers A,D --out r", 1, ["reader 'D'", "A, reading 1"]),
    ("export wide --store store --center Berlin --out x.csv", 1, ["no centre 'Berlin'", "it has 'C1', 'C2'"]),
    ("export specs --store store --center C1 --out x.csv", 1, ["table specs is not of centres"]),
    ("snapshot create s --store store --center Berlin", 1, ["no centre 'Berlin'", "it has 'C1', 'C2'"]),
    ("export radiomic --store store --out x.csv", 2, ["'radiomic'", "did you mean 'radiomics'?"]),
    ("export cases --store store --out x.xlsx", 1, ["x.xlsx", ".parquet nor .csv"]),
    ("export cases --store store --out archive/manifest.csv", 1, ["is a manifest", "name another file"]),
    ("check archive/manifest.csv --out archive/manifest.csv", 1, ["is a manifest", "name another file"]),
    ("export cases --store store --columns Age --out x.csv", 1, ["'Age'", "the nearest one is age"]),
    ("export wide --store store --columns volume_ml --out x.csv", 1, ["'volume_ml'", "table rois has it"]),
    ("export cases --store store --snapshot paper --out x.csv", 1, ["no snapshot 'paper'"]),
    ("snapshot create pa/per --store store", 1, ["pa/per"]),
    ("picture C2/0099 --store store --out x.png", 1, ["no case 'C2/0099'", "C2/009", "cvtbatch export rois"]),
    ("forget C2/0099 --store store", 1, ["no case 'C2/0099'", "C2/009"]),
]


@pytest.mark.parametrize(("line", "code", "words"), TYPED, ids=[line.replace(str(ROOT), "") for line, _, _ in TYPED])
def test_a_mistyped_command_is_told_the_way_on(place: Path, line: str, code: int, words: list[str]) -> None:
    (place / "extract.yaml").write_text("version: 1\nkind: extract\n", encoding="utf-8")
    text = told(line, code)
    assert [word for word in words if word not in text] == [], text


def test_pyradiomics_own_example_is_told_what_to_keep(place: Path) -> None:
    (place / "exampleCT.yaml").write_text(EXAMPLE_CT, encoding="utf-8")
    text = told("extract archive/manifest.csv --store new --set radiomics.profile=exampleCT.yaml --workers 0", 1)
    for word in (
        "leave imageType and featureClass out",
        "binWidth, voxelArrayShift, normalize",
        "setting: {binWidth: 25}",
        "image type Square is missing",
        "cvtbatch profile check FILE",
        "extract_features(ct, mask, params=FILE)",
    ):
        assert word in text
    (place / "kept.yaml").write_text(re.search(r"setting: \{.*?\}", text)[0], encoding="utf-8")  # type: ignore[index]
    told(
        "extract archive/manifest.csv --store new --dry-run --set radiomics.profile=kept.yaml --set embedding.weights=none",
        0,
    )


def test_the_list_of_commands_is_whole_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = cvtbatch("--help", check=True).stdout
    commands = text.partition("Before a run:")[2].partition("Exit codes")[0]
    assert "..." not in commands
    rows = [line for line in commands.splitlines() if line.startswith("  ") and line.strip()]
    assert [row.split()[0] for row in rows] == list(cli.commands), "a sentence is longer than its line"
    assert all(row.endswith(".") for row in rows)
    for code in ("0  ", "1  ", "2  ", "3  ", "130"):
        assert f"\n  {code}" in text
    assert "_CVTBATCH_COMPLETE=bash_source cvtbatch" in text


def test_every_command_that_prints_a_result_prints_it_as_json() -> None:
    # The last has PyRadiomics' own options, of which -f json is one.
    others = {"scheduler", "worker", "pyradiomics"}
    for name, command in cli.commands.items():
        leaves = list(getattr(command, "commands", {}).values()) or [command]
        for leaf in leaves:
            assert name in others or any(option.name == "as_json" for option in leaf.params), (name, leaf.name)


def test_a_store_is_exported_by_centre_with_a_column_for_each_number_of_an_embedding(place: Path) -> None:
    few = "export wide --store store --columns roi_key,center,embedding"
    text = told(f"{few} --center C2 --center C1 --out wide.csv", 0)
    assert "embeddings in 24 columns, emb_0000 to emb_0023; --without-embedding leaves them out" in text
    told(f"{few} --center C2 --without-embedding --out c2.csv", 0)
    wide, c2 = (
        list(csv.DictReader((place / name).read_text(encoding="utf-8").splitlines())) for name in ("wide.csv", "c2.csv")
    )
    assert ({row["center"] for row in wide}, {row["center"] for row in c2}) == ({"C1", "C2"}, {"C2"})
    assert list(c2[0]) == ["roi_key", "center"]
    stored = FeatureStore(str(place / "store")).wide(columns=["roi_key", "embedding"]).to_pylist()
    expected = {row["roi_key"]: row["embedding"] for row in stored}
    for row in wide:
        values = [row[f"emb_{index:04d}"] for index in range(24)]
        numbers = expected[row["roi_key"]]
        assert values == [""] * 24 if numbers is None else np.float32(values).tolist() == numbers

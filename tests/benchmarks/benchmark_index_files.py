"""What `index` does beside reading headers, in seconds for N studies: `python -m tests.benchmarks.benchmark_index_files [N]`.

N is 100,000 by default: pseudonyms are made, saved and read again, values are found in a clinical table of as many patients, and a
tenth of N image files with a mask each, flat in one folder, are told apart and paired.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvtbatch.pipelines.indexing.clinical_table import read_clinical_table
from cvtbatch.pipelines.indexing.image_files import find_image_files
from cvtbatch.pipelines.indexing.mask_files import MaskFiles
from cvtbatch.pipelines.indexing.outlines_beside import outlines_of
from cvtbatch.pipelines.indexing.pseudonym_map import PseudonymMap
from cvtbatch.pipelines.shared.uid_key import UidKey
from tests.support.image_trees import grow


@contextmanager
def _timed(what: str, count: int) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    print(f"{what:<40} {count:>8,} {seconds:>8.1f} s {count / seconds:>12,.0f}/s")


def main(count: int) -> None:
    key = UidKey(b"a key of the benchmark, of 32 bytes")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pseudonyms = PseudonymMap.open(folder / "map.csv", key)
        with _timed("pseudonyms made", count):
            for number in range(count):
                pseudonyms.case("A", f"{number // 2:07}", f"1.2.{number}")
        with _timed("saved", count):
            pseudonyms.save()
        with _timed("read", count):
            PseudonymMap.open(folder / "map.csv", key)
        path = folder / "clinical.csv"
        lines = (f"{number:07},{number % 100},F,2024-01-31 14:05" for number in range(count))
        path.write_text("\n".join(["id,age,sex,onset", *lines]))
        with _timed("clinical table read and checked", count):
            table = read_clinical_table(path, "id")
        with _timed("values found", count):
            missing = sum(not table.values("A", f"{number:07}") for number in range(count))
            lost = table.unmatched(("A", f"{number:07}") for number in range(count))
        assert (missing, lost) == (0, ())
        files = count // 10
        root = folder / "flat"
        grow(root, *(f"P{number:05}{end}.nii.gz" for number in range(files) for end in ("", "_mask")))
        paths = list(root.iterdir())
        with _timed("image files told from masks", files):
            images = list(find_image_files(paths, root, None))
        with _timed("masks paired", files):
            masks = MaskFiles(paths, root)
            paired = [outlines_of(image.path, masks, None, None) for image in images]
        assert [len(found) for found in paired] == [1] * files


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

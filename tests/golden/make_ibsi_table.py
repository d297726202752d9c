"""Write the table of the page of IBSI, `docs/ibsi/values.csv`: `CVTBATCH_DATA=FOLDER python -m tests.golden.make_ibsi_table`."""

import csv
import tempfile
from pathlib import Path

from cvtbatch.downloads import data_folder
from tests.golden.ibsi_cases import TABLE, compute_rows, to_table


def main() -> None:
    """Compute, and write."""
    with tempfile.TemporaryDirectory() as scratch:
        rows = to_table(list(compute_rows(data_folder() / "ibsi", Path(scratch))))
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for order in ("ibsi", "pyradiomics"):
        for configuration in dict.fromkeys(row["configuration"] for row in rows):
            found = [row[f"{order}_order_within"] for row in rows if row["configuration"] == configuration]
            print(f"{configuration}, order of {order}: {found.count('yes')} of {len(found)} within IBSI's tolerance")


if __name__ == "__main__":
    main()

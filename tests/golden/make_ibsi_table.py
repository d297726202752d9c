"""Write the table of the page of IBSI, `docs/ibsi/values.csv`: `CVTBATCH_DATA=FOLDER python -m tests.golden.make_ibsi_table`.

How many values hold is printed, and how many do where PyRadiomics' settings alone are to lead from the image as it came to
IBSI's processing.
"""

import csv
import tempfile
from pathlib import Path

import yaml

import cvtbatch
from cvtbatch.downloads import data_folder
from tests.golden.ibsi_cases import FOLDER, TABLE, compute_rows, ct_phantom, to_rows, to_table


def main() -> None:
    """Compute, and write."""
    data = data_folder() / "ibsi"
    with tempfile.TemporaryDirectory() as scratch:
        rows = to_table(list(compute_rows(data, Path(scratch))))
        alone = {name: _held_by_settings_alone(name, data, Path(scratch)) for name in ("C", "D", "E")}
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for order in ("ibsi", "pyradiomics"):
        for configuration in dict.fromkeys(row["configuration"] for row in rows):
            found = [row[f"{order}_order_within"] for row in rows if row["configuration"] == configuration]
            print(f"{configuration}, order of {order}: {found.count('yes')} of {len(found)} within IBSI's tolerance")
    for configuration, held in alone.items():
        print(f"{configuration}, PyRadiomics' settings alone: {held} within IBSI's tolerance")


def _held_by_settings_alone(configuration: str, data: Path, scratch: Path) -> int:
    setting = yaml.safe_load((FOLDER / f"{configuration}.yaml").read_text())["setting"]
    del setting["processing"]
    if (deviations := setting.pop("resegmentOutliers", None)) and "resegmentRange" not in setting:
        setting |= {"resegmentRange": [-deviations, deviations], "resegmentMode": "sigma"}
    file = scratch / "alone.yaml"
    file.write_text(yaml.safe_dump({"setting": setting}))
    values = cvtbatch.extract_features(*ct_phantom(data), params=file)
    return sum(row.within("pyradiomics") for row in to_rows(configuration, data, {"pyradiomics": values}))


if __name__ == "__main__":
    main()

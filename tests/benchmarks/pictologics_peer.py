"""Pictologics beside us, run by the Python of an environment that has it: `python pictologics_peer.py ROI.npz IMAGES.json`.

The archive has `hu`, `inside` (z, y, x) and `spacing_mm` (x, y, z); each image of the list has `name`, `filter` (null, or the
parameters of a filter step) and `bins`. After a run that compiles, prints a JSON object with features of an image and version;
then, for each number that it reads, it runs that many times more, on one thread, and prints the processor seconds of the fastest.
Imports nothing of ours, which another environment has not.
"""

import json
import sys
import time
from importlib import metadata

import numpy as np
import pictologics
from pictologics.loader import Image

FAMILIES = ["intensity", "histogram", "texture"]


def main() -> None:
    """Run the peer."""
    archive, images = np.load(sys.argv[1]), json.loads(sys.argv[2])
    spacing_mm = tuple(float(mm) for mm in archive["spacing_mm"])
    hu, inside = (
        Image(np.ascontiguousarray(archive[name].T, kind), spacing_mm, (0.0, 0.0, 0.0))
        for name, kind in (("hu", np.float64), ("inside", np.uint8))
    )
    pictologics.set_num_threads(1)
    pipeline = pictologics.RadiomicsPipeline()
    for image in images:
        steps = [{"step": "filter", "params": image["filter"]}] if image["filter"] else []
        steps.append({"step": "discretise", "params": {"method": "FBN", "n_bins": image["bins"]}})
        steps.append({"step": "extract_features", "params": {"families": FAMILIES}})
        pipeline.add_config(image["name"], steps)
    names = [image["name"] for image in images]
    found = pipeline.run(hu, inside, config_names=names)
    absent = [name for name in names if found[name].isna().all()]
    if absent:
        raise SystemExit(f"no values of {absent}: nothing to compare")
    features = max(len(found[name]) for name in names)
    print(json.dumps({"features": features, "version": metadata.version("pictologics")}), flush=True)
    for line in sys.stdin:
        best = np.inf
        for _ in range(int(line)):
            start = time.process_time()
            pipeline.run(hu, inside, config_names=names)
            best = min(best, time.process_time() - start)
        print(best, flush=True)


if __name__ == "__main__":
    main()

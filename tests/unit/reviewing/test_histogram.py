"""The HU of an outline, counted and drawn."""

import re
import xml.etree.ElementTree as ET

import numpy as np

from cvtbatch.reviewing.histogram import count_hu, histogram_svg


def test_counts_are_numpys_and_what_lies_beyond_is_in_the_ends() -> None:
    hu = np.random.default_rng(0).normal(58, 40, 5000).round().astype(np.int16)
    found = count_hu(hu)
    inner, _ = np.histogram(hu, bins=np.arange(-20, 121, 5) - 0.5)
    assert sum(found.counts) == 5000
    assert list(found.counts[1:-1]) == inner[1:-1].tolist()
    assert found.counts[0] == np.sum(hu < -15)
    assert found.counts[-1] == np.sum(hu >= 115)
    assert found.percentiles == tuple(np.percentile(hu, [5, 50, 95]))


def test_the_drawing_has_the_heights_of_the_counts_and_says_the_percentiles() -> None:
    hu = np.repeat(np.array([-500, 0, 42, 44, 900], np.int16), [1, 2, 3, 1, 2])
    svg = histogram_svg(count_hu(hu), "#ffd200")
    root = ET.fromstring(svg)
    assert root.attrib["aria-label"] == "HU: 5 % below -300, median 42, 95 % below 900"
    [bars] = [path.attrib["d"] for path in root.iter("path") if path.attrib.get("fill") == "#ffd200"]
    tops = [float(top) for top in re.findall(r"V([\d.]+)h5", bars)]
    heights = {place: 40 - top for place, top in enumerate(tops) if top < 40}
    # Bins of -20, 0, 40 and 115 HU; the fullest, of four voxels, has the whole height.
    assert heights == {0: 10, 4: 20, 12: 40, 27: 20}
    assert len(tops) == 28
    assert len(svg) < 1500

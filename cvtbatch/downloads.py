"""What comes from elsewhere and is no part of the project: sample data and weights, fetched once, each file checked by its SHA-256.

This is the one place where a source, its pinned revision, hashes and licence are written down. Files lie in the user's cache
folder; where the variable CVTBATCH_DATA names a folder that has them already, as on a machine without network, that one is read
and nothing is fetched.
"""

import gzip
import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.nearest import did_you_mean

HUB, HUB_VARIABLE = "https://huggingface.co", "HF_ENDPOINT"
VARIABLE = "CVTBATCH_DATA"
# A fire wall that swallows packets must not hold a run up for minutes; a server may be slow between two parts of a file.
CONNECT_SECONDS, READ_SECONDS = 20, 60


@dataclass(frozen=True, slots=True)
class DataSet:
    """Files of one public repository at one commit.

    Attributes:
        folder: where its files lie below the cache folder, or the folder that CVTBATCH_DATA names.
        repository: owner and name on GitHub.
        source: folder of the files there.
        licence: SPDX identifier.
        listed: a line a file, its name and SHA-256.
    """

    name: str
    folder: str
    repository: str
    commit: str
    source: str
    licence: str
    listed: str

    def files(self) -> Mapping[str, str]:
        """Return the SHA-256 of every file by its name."""
        return dict(line.split() for line in self.listed.split("\n") if line.strip())

    def url(self, name: str) -> str:
        """Return where a file is fetched from."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.source}/{name}"


_DATA_SETS = (
    DataSet(
        "head-ct-ge",
        "head_ct_ge",
        "neurolabusc/dcm_qa_ct",
        "d03e30e4c5c8ad07bf16422b96efc3e91e233dc5",
        "In/GE",
        "BSD-2-Clause",
        """
        01.dcm 7c911fa70882b69d11d5e8fef5dc6ed46c5d57a1459f709c2777a4d0d5b05e31
        02.dcm 4a1879c846d749abf13f0cb331f6bf7db6522be1e23defec03836eff0d9ce246
        03.dcm ed757af2d14d1d22d4bdcf8f3db2a279ec9f4d6168c738e112f49dcd9981e526
        04.dcm 8dad859e197c49133b51569c02aaaf47cef9356a3f0b6c1a0bcf61ac1dadbd1b
        05.dcm f277df2f44b70ab664f10bddc9cc7463c34b85032d19004ebecee8f23f494cdb
        06.dcm aab122ee71cfba687a22698797f3aa9fd6b889e2e5c1ec9c673f9bf695738708
        07.dcm 4fa42d924ee3c7050ed5a9727995eff287f8cd7d7efd983977f5d0258b0e885b
        08.dcm dc5d251e384470ca76cdef5f58783371c2e7b6e041c7aa135f44ea25624559c0
        09.dcm 157993f97de293b816d3378a819765474f267aca5b6ca73385226ea231111575
        10.dcm 1f8bcf2741776c8c61e1b038d941851ccd162a591213c29c1741a12880066181
        11.dcm 5cf4e3966e118e183fc38816c83947c717c8f05892c997e23c1a5dc957d55b6c
        12.dcm dd4c61d73825467e2cc454f2e2af1a935ecb91ea8f2d2969ff7dd3d23cec5460
        13.dcm 6b92cbe0a245b631eb3afbfc2f55e3906f3518104aac4c83d54be1f2f11932a3
        14.dcm ab14c5db6565c58142bac8d29aa74275e83fb5e9cb8ff32f37b4861b4e76a56a
        15.dcm 951a639c564030c09cd98eaccfe647f51a5d274883e70c2c83cac13ba5e07745
        16.dcm 76f06b7ab3ef7faf0839c2e9bc56314c8af9b03cc069aa301663400a3b346181
        17.dcm 26fbc293b2ca7a0c7b20892536cf8b50334b460ff482f67561c3ded8c8dcd0b8
        18.dcm 44dd44a71e9a7e7e77693f26175914ca1f0d99962830ae24df4e7ae73f7a979c
        19.dcm a2039498d20df42818422bbaab6c24bf5cd35aad81f3752412489afc83e311b3
        20.dcm d454a9d9d55e704f90734a8038276b90ab0ebb30ac5203b10ba1aba74e5e5485
        21.dcm c17ea7913addeab88c88eeed7818ed15d2b049e4af928cddd3483bec32a90cf0
        22.dcm f03c5fb344e5d9c1f149f4709686d666d3e20e41b3e870b7dd66656f2dc86e8b
        23.dcm 2daa0049d8b1e5f875496dce808e6f59a50d6c45f1abe6c2f91c2bf3b7a07089
        24.dcm 27aa99676716259ac62a5bf4b09f06df8e031b2b6529eceff824df522b09d41c
        25.dcm cd6a92936929f9ddb35cb2087a8fd26506caf7adc2ddde5cd7cf7c24f25071d1
        26.dcm 8cb43cbaa03aae6fcb5092128173d1c6ba2efcf04d9ef34d06456a8f47e2b948
        27.dcm 86c35a9842c8fd3106d907fcabd7d5b560110a66f137e08c2f3764abbdbe7b4e
        28.dcm c24147eb02627f17d039df7df624ed0595211078044a03e28f82f2b6daef57dc
        """,
    ),
    DataSet(
        "slicerio",
        "segmentations",
        "lassoan/slicerio",
        "543a856758168e9319f6f88ddba6c00d31fa48ef",
        "slicerio/data",
        "MIT",
        """
        Segmentation.seg.nrrd 1a35d7165f51521cf4c747d81278eb461e5f151b0ea43f1bfb38fba3453140cf
        SegmentationOverlapping.seg.nrrd 45b98f1f2fcdc333d8d6d3340dffcd9b9ce0d82c87efe562e332dd7da803a98c
        """,
    ),
    DataSet(
        "dcmqi",
        "segmentations/dicom_seg",
        "QIICR/dcmqi",
        "b6137d9ee8cf6cd6c074fe27d1af26a30b578753",
        "data/segmentations",
        "BSD-3-Clause",
        """
        liver.dcm 4f8fb316b6df067bdf2ef7bc2385fd571ad5be67e171aed3ed902a71293d9d5c
        liver_seg.nrrd 2133305ea5ab9a9ef1ec471b2f5bdedbed39ccde219f781d6a55cc16b22ff850
        partial_overlaps.dcm 6232fd7aee20d1cab94eb06d8ff80c0821fc723d952f6e8d435afc8e576496f7
        partial_overlaps-1.nrrd 414c1f68760bce5368c4c9623c5286501b79af620d6c0aaaa313e5c2a837ccd1
        partial_overlaps-2.nrrd ba11bb9c6f67fe9273828b47b3fe362316fee1a89bac11797285b07616ad9dd6
        partial_overlaps-3.nrrd 8ab946b53a2bb09e6db3693de800970cf2af4051d67566d442e18c90bbcdeb26
        """,
    ),
    DataSet(
        "rt-utils",
        "segmentations/rtstruct",
        "qurit/rt-utils",
        "026e6645e851dab7cea2c424165ffc62c38d34c6",
        "tests/mock_data",
        "MIT",
        """
        rt.dcm d0f498da3c9a1af0a67330cb0ca0ff64da14c344e000cdae50c99bfa6e5c7dba
        invalid_reference_rt.dcm d2389ed9574e70835fb2fd6fa65812948a8ed59ccd70a0d6284e0f2661abde66
        non_existent_reference_rt.dcm 300cf5480aa5c23a7b7c192a02862fc69b7d5ed272c353d82554f2e81e15cbf7
        """,
    ),
    DataSet(
        "dask-crds",
        "deploy",
        "dask/dask-kubernetes",
        "1daa175f33554549a65530a26300f46368083e7e",
        "dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds",
        "BSD-3-Clause",
        """
        daskcluster.yaml 2da8d66739b4c98c8aadb2d1653b6ae6171d35f4e6c17db14d5ab0873943b9c6
        daskworkergroup.yaml 842ed584b27c0f6dd847e7061451223ca4849eda718aed1e9e2b45162bf73eda
        daskautoscaler.yaml 6fc12217a5524db35aaa45204677fcea74f0b22b9b3b94522505be47fc51aa1f
        """,
    ),
    DataSet(
        "blast-ct",
        "blast_ct",
        "biomedia-mira/blast-ct",
        "549168693c76638dfe6690164ec1aba1c0fdf625",
        "blast_ct/examples/saved_models",
        "Apache-2.0",
        """
        model_1.pt 95f76e8b16fe42b6aa49388cb798e282c55cd70191544f4417445bb87803f99f
        model_2.pt 44621a70866c5d4a69a2011f258d2c2f17d86af047d384f858a74ae0151e149c
        model_3.pt 58c82cf9fa984266ffe56866e569241dfe41726f61101df963260da45fa4d120
        """,
    ),
)
DATA_SETS: Mapping[str, DataSet] = {data_set.name: data_set for data_set in _DATA_SETS}


def data_folder() -> Path:
    """Return the folder below which data sets lie: the one that CVTBATCH_DATA names, or the user's cache."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    import pooch

    return Path(pooch.os_cache("cvtbatch"))


def find_data_set(name: str) -> dict[str, Path] | None:
    """Return where every file of a data set lies, by its name, without fetching any; None if one is not there.

    A file of the folder that CVTBATCH_DATA names may be compressed, with `.gz` behind its name: `read_file` reads both.

    Raises:
        InputError: a file is not what the registry says, or CVTBATCH_DATA is set and has not all of them.
    """
    data_set, named = DATA_SETS[name], VARIABLE in os.environ
    folder, found = data_folder() / data_set.folder, {}
    for file, sha256 in data_set.files().items():
        path = next((path for path in (folder / file, folder / f"{file}.gz") if path.is_file()), None)
        if path is None and named:
            raise InputError(
                "no_data", f"the folder that {VARIABLE} names has no {data_set.folder}/{file}", str(folder)
            )
        if path is None:
            return None
        if hashlib.sha256(read_file(path)).hexdigest() != sha256:
            raise InputError("bad_data", f"{file} is not the one of {data_set.repository}: delete it", str(path))
        found[file] = path
    return found


def read_file(path: Path) -> bytes:
    """Return the content of a file of a data set."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def fetch_data_set(name: str) -> dict[str, Path]:
    """Return where every file of a data set lies, by its name; what is not there is fetched.

    Raises:
        InputError: no such data set, or a file cannot be had here; says which, from where, and where to put it.
    """
    if name not in DATA_SETS:
        raise InputError(
            "no_such_data",
            f"there is no data set {name}; {did_you_mean(name, DATA_SETS)}there are {', '.join(DATA_SETS)}",
        )
    data_set = DATA_SETS[name]
    if VARIABLE not in os.environ:
        for file, sha256 in data_set.files().items():
            fetch_file(data_set.url(file), data_folder() / data_set.folder / file, sha256)
    return find_data_set(name) or {}


def fetch_hub_file(repository: str, revision: str, file: str) -> Path:
    """Return where a file of a model hub lies; what is not here is fetched.

    Args:
        revision: a commit, so that the file is the same for ever; no hash of it is known beforehand.

    Raises:
        InputError: `no_data`: it cannot be had here; says which file to fetch, and where to put it.
    """
    host = os.environ.get(HUB_VARIABLE, HUB).rstrip("/")
    url, path = f"{host}/{repository}/resolve/{revision}/{file}", data_folder() / "hub" / repository / revision / file
    if VARIABLE in os.environ and not path.is_file():
        raise InputError(
            "no_data", f"the folder that {VARIABLE} names has no {path.relative_to(data_folder())}: fetch {url}"
        )
    fetch_file(url, path, "")
    return path


def fetch_file(url: str, path: Path, sha256: str) -> None:
    """Fetch one file to `path` unless it is there; it appears whole or not at all.

    Args:
        sha256: of the content, or its first digits where its publisher gives no more; empty where nothing is known of it.

    Raises:
        InputError: `no_data` if it cannot be had, `bad_data` if it is another file; say what to fetch and where to put it.
    """
    told = f"fetch {url} and put it at {path}"
    if not path.is_file():
        import pooch

        pooch.get_logger().setLevel(logging.ERROR)
        download = pooch.HTTPDownloader(timeout=(CONNECT_SECONDS, READ_SECONDS))
        aside = f"{path.name}.part-{os.getpid()}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            got = Path(pooch.retrieve(url, None, aside, path.parent, downloader=download))
            found = _sha256(got)
            if not found.startswith(sha256):
                got.unlink()
                raise InputError("bad_data", f"{url} gave another file, of SHA-256 {found}: {told}")
            got.replace(path)
        except OSError as error:
            raise InputError("no_data", f"this machine could not fetch it ({_reason(error)}): {told}") from None
    elif not (found := _sha256(path)).startswith(sha256):
        raise InputError("bad_data", f"{path} is not the file of that name: its SHA-256 is {found}; delete it, {told}")


def _reason(error: BaseException) -> str:
    """Return the innermost reason of an error of the network, in a line: requests wraps urllib3's, which wrap the system's."""
    inner = getattr(error, "reason", None) or next((one for one in error.args if isinstance(one, BaseException)), None)
    return _reason(inner) if isinstance(inner, BaseException) else str(inner or error)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

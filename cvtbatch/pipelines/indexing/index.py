"""From a folder of studies to a manifest: headers are read, studies told apart, series chosen, and rows added for what is new."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cvtbatch import engine
from cvtbatch.counts import counted
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.ingest.source_files import is_folder
from cvtbatch.manifest.ties import TIE
from cvtbatch.pipelines.indexing.archive_scan import ArchiveSource, scan_series
from cvtbatch.pipelines.indexing.case_rows import CaseRows, NoCell, Outlines, columns
from cvtbatch.pipelines.indexing.clinical_table import ClinicalTable, read_clinical_table
from cvtbatch.pipelines.indexing.dicom_outlines import outlines_by_series
from cvtbatch.pipelines.indexing.header_cache import HeaderCache, Part, cache_file
from cvtbatch.pipelines.indexing.image_choice import choose_images
from cvtbatch.pipelines.indexing.left_out import LeftOut
from cvtbatch.pipelines.indexing.manifest_file import ManifestFile, read_manifest_file
from cvtbatch.pipelines.indexing.manifest_update import ManifestUpdate
from cvtbatch.pipelines.indexing.mask_files import MaskFiles
from cvtbatch.pipelines.indexing.onset import first_after_onset
from cvtbatch.pipelines.indexing.outlines_beside import require_mask_pattern
from cvtbatch.pipelines.indexing.path_pattern import PathPattern
from cvtbatch.pipelines.indexing.pseudonym_map import PseudonymMap, default_map_path
from cvtbatch.pipelines.indexing.report import IndexReport
from cvtbatch.pipelines.indexing.scan import ScanCount, scan
from cvtbatch.pipelines.indexing.studies import Studies
from cvtbatch.pipelines.indexing.study_choice import CHOSEN, ChoiceOptions, StudyChoice, choose_study
from cvtbatch.pipelines.indexing.study_key import StudyRule
from cvtbatch.pipelines.shared.uid_key import load_uid_key
from cvtbatch.pipelines.shared.unfinished import require_done

Show = Callable[[str, int, int, int], None]
_TIED = "series that the rule does not tell apart: --prefer or --kernel decides"


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """What the user says of an archive.

    Attributes:
        pattern, center: see `StudyRule`.
        choice: what decides where the rule does not.
        mask_pattern, segment: see `case_rows.Outlines`.
        map_path: of the pseudonym map; by default the user's own.
        clinical: table of clinical values, and its column of patient ids.
        first_after_onset: whether of a patient's studies the first after the onset alone is taken.
        is_batch: whether these are some studies of many, and nobody is there: those with a tie are left out, and the clinical table
            may know none of them.
    """

    pattern: str | None = None
    center: str | None = None
    choice: ChoiceOptions = ChoiceOptions()  # noqa: RUF009 - frozen
    mask_pattern: str | None = None
    segment: str | None = None
    map_path: Path | None = None
    clinical: tuple[Path, str] | None = None
    first_after_onset: bool = False
    is_batch: bool = False


@dataclass(frozen=True, slots=True)
class Preparation:
    """An index whose options and files were looked at, before anything long begins.

    Attributes:
        root: folder of the studies, or what stands for the archive.
        archive: None for a folder.
    """

    root: Path
    archive: ArchiveSource | None
    out: Path
    options: IndexOptions
    pattern: PathPattern | None
    rule: StudyRule
    clinical: ClinicalTable | None
    there: ManifestFile
    pseudonyms: PseudonymMap


def prepare(root: Path, out: Path, options: IndexOptions) -> Preparation:
    """Look at everything that can be refused before headers are read.

    Raises:
        InputError: there is no such folder, or what the options name cannot be used.
    """
    if not is_folder(root):
        if root.is_file():
            raise InputError("no_folder", "index takes a folder; for a manifest use `cvtbatch check`", str(root))
        raise InputError("no_folder", "there is no folder to index at this path", str(root))
    # Workers of other machines stand in other folders; links on the way stay.
    return _prepare(Path(os.path.abspath(root)), None, out, options)  # noqa: PTH100


def prepare_archive(archive: ArchiveSource, out: Path, options: IndexOptions) -> Preparation:
    """As `prepare`, of series of an archive."""
    return _prepare(archive.root, archive, out, options)


def _prepare(root: Path, archive: ArchiveSource | None, out: Path, options: IndexOptions) -> Preparation:
    if not is_folder(out.absolute().parent):
        raise InputError("cannot_write", "there is no folder for --out: make it first", str(out.absolute().parent))
    pattern = PathPattern.parse(options.pattern) if options.pattern else None
    rule = StudyRule(pattern, options.center)
    if options.mask_pattern is not None:
        require_mask_pattern(options.mask_pattern)
    known = [options.center] if options.center else []
    clinical = read_clinical_table(*options.clinical, known) if options.clinical else None
    if clinical and (own := sorted({*columns(None)} & {*clinical.columns})):
        raise InputError(
            "bad_table", f"the clinical table has the columns {', '.join(own)}, which index fills itself: rename them"
        )
    if options.first_after_onset and (clinical is None or not clinical.has_onset):
        raise InputError(
            "no_onset",
            "--first-after-onset goes by the onset of the illness, of which nothing is said: name a table by --clinical that has a "
            "column 'onset', with values such as 2024-01-31 14:05",
        )
    there = read_manifest_file(out)
    pseudonyms = PseudonymMap.open(map_path(options), load_uid_key())
    return Preparation(root, archive, out, options, pattern, rule, clinical, there, pseudonyms)


def map_path(options: IndexOptions) -> Path:
    """Return where the pseudonym map lies."""
    return options.map_path or default_map_path()


def index(prepared: Preparation, cluster: Cluster, show: Show) -> IndexReport:
    """Make or extend the manifest of an archive.

    Args:
        show: told a stage (`read`, `choose`), how much of it is done, is known to be to do, and has failed; may raise.

    Raises:
        InputError: there is no study and no manifest to extend, the pattern fits no folder, nothing says what a centre is, or
            --out cannot be written.
    """
    started, root, options = time.monotonic(), prepared.root, prepared.options
    rule, clinical, left_out = prepared.rule, prepared.clinical, LeftOut()
    with HeaderCache(cache_file(root)) as cache:
        count = _read(prepared, cache, cluster, show)
        studies = Studies(root, cache, rule)
        rule.require_any_fit()
        found = list(_chosen(studies, options, cluster, show))
        files = list(studies.other_files())
        apart = [path for path, covered in files if not covered]
        of_files = list(choose_images(root, apart, prepared.pattern, options.center))
        found += of_files
        if not found and not prepared.there.rows:
            raise _no_studies(prepared, count)
        # Refuses a table whose ids are not the studies', before anything is written.
        people = [choice.key[:2] for choice in found]
        unmatched = clinical.unmatched(people, in_part=options.is_batch) if clinical else ()
        outlines = Outlines(
            outlines_by_series(studies.packed_outlines()),
            MaskFiles((path for path, _ in files), root, studies.areas),
            options.mask_pattern,
            options.segment,
        )
        rows = CaseRows(root, prepared.archive, prepared.out, prepared.pseudonyms, clinical, outlines)
        found = [rows.settled(choice) for choice in found]
        if options.is_batch:
            found = [replace(one, series=(), reason=_TIED) if one.state == TIE else one for one in found]
        taken, onset_unknown = _taken(found, left_out, clinical if options.first_after_onset else None)
        left_out.files = tuple(studies.refused_files())
        update, states = _write(prepared, cache, rows, taken, left_out)
    return IndexReport(
        seconds=round(time.monotonic() - started, 3),
        files=count.found,
        files_read=count.read,
        unreadable=dict(studies.refused),
        unreadable_files=tuple(rows.place(file.path) for file in left_out.files),
        studies=len(found),
        chosen=states[CHOSEN],
        ties=states[TIE],
        standing_ties=update.standing_ties,
        left_out=left_out.counts(),
        rows_added=len(update.added),
        rows_kept=len(update.kept),
        rows_filled=update.filled,
        settled=update.settled,
        changed=tuple(update.changed),
        removed=tuple(update.removed),
        taken_out=update.taken_out,
        other_ids=update.other_ids,
        outlines=rows.filled,
        unclear_outlines=rows.unclear,
        without_patient=rule.without_patient + sum(not choice.key.patient_id for choice in of_files),
        without_study=rule.without_study,
        misfits=tuple(rule.misfits),
        onset_unknown=onset_unknown,
        clinical_rows=clinical.rows if clinical else 0,
        clinical_unmatched=unmatched,
        without_clinical=sum(not clinical.knows(*choice.key[:2]) for choice in found) if clinical else 0,
        clinical_differing=update.differing,
        clinical_not_taken=clinical.not_taken if clinical else (),
        map_path=str(map_path(options)),
        left_out_path=str(LeftOut.path(prepared.out)) if left_out else "",
    )


def _no_studies(prepared: Preparation, count: ScanCount) -> InputError:
    if prepared.archive is not None:
        return InputError("no_studies", "the archive has no CT of a study that is wanted: widen the selection")
    return InputError(
        "no_studies",
        f"there is no study below the folder: no CT in DICOM, NIfTI, NRRD or MetaImage among its {counted(count.found, 'file')}"
        f"{f', of which {count.refused:,} cannot be read' if count.refused else ''}; name the folder that holds the images",
        str(prepared.root),
    )


def _write(
    prepared: Preparation, cache: HeaderCache, rows: CaseRows, taken: Sequence[StudyChoice], left_out: LeftOut
) -> tuple[ManifestUpdate, Counter[str]]:
    """Write the manifest and what lies beside it; return what was done to it, and how many studies are in which state.

    Args:
        left_out: gets the studies of which a path cannot be written.
    """
    there, manifest = prepared.there, prepared.out.resolve()
    written = cache.written(manifest) if there.columns else {}
    filled = prepared.clinical.columns if prepared.clinical else ()
    update = ManifestUpdate(there, written, settle=prepared.options.choice.decides, clinical=filled)
    states = Counter[str]()
    for choice in taken:
        try:
            update.add(rows.case(choice), rows.rows(choice), choice)
            states[choice.state] += 1
        except NoCell:
            why = "a path is no text, or has blanks around it: rename its folder"
            left_out.extend([choice], "unwritable_path", why)
    update.finish({rows.case(choice) for choice in left_out.choices()})
    prepared.pseudonyms.save()
    update.write(prepared.out, columns(prepared.clinical))
    left_out.write(prepared.out, rows)
    cache.remember(manifest, update.remembered)
    return update, states


def _read(prepared: Preparation, cache: HeaderCache, cluster: Cluster, show: Show) -> ScanCount:
    rule = prepared.rule

    def on_batch(count: ScanCount, folder: str, parts: Iterable[Part]) -> None:
        if any(part.series for part in parts):
            rule.require_fit(folder)
        # More files may be found until all folders were walked.
        show("read", count.read, max(count.found - count.known, count.read + 1), count.refused)

    if prepared.archive is None:
        count = scan(prepared.root, cache, cluster, on_batch)
    else:
        count = scan_series(prepared.archive, cache, on_batch)
    if count.read:
        show("read", count.read, count.read, count.refused)
    return count


def _chosen(studies: Studies, options: IndexOptions, cluster: Cluster, show: Show) -> Iterator[StudyChoice]:
    failed = 0
    for done, outcome in enumerate(engine.run(cluster, choose_study, studies.tasks(options.choice)), start=1):
        choice = require_done(outcome, "the choice in a study")
        failed += choice.state not in {CHOSEN, TIE}
        show("choose", done, len(studies), failed)
        yield choice


def _taken(
    found: Sequence[StudyChoice], left_out: LeftOut, onsets: ClinicalTable | None
) -> tuple[list[StudyChoice], int]:
    """Return the studies that get rows, and of how many of them the place beside the onset is not known.

    They come in the order of their paths: that of patient ids would tell of those.
    """
    for choice in found:
        if not choice.series:
            left_out.extend([choice], choice.state, choice.reason)
    taken = sorted((choice for choice in found if choice.series), key=lambda choice: choice.series[0].image)
    if onsets is None:
        return taken, 0
    first = first_after_onset(taken, lambda key: onsets.onset(key.center, key.patient_id))
    left_out.extend(first.before, "before_onset", "made before the onset")
    left_out.extend(first.later, "later_scan", "not the patient's first after the onset")
    return first.kept, first.untold

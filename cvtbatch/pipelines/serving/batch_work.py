"""A batch of studies on its way: fetched, indexed, extracted, scored, and its results written and sent.

Each step is a pipeline of its own that goes on where it was broken off, so that the whole does.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from cvtbatch.engine import Cluster, open_cluster
from cvtbatch.errors import InputError
from cvtbatch.manifest import read_manifest
from cvtbatch.pacs.retries import Retries
from cvtbatch.pacs.source import open_source
from cvtbatch.pipelines.archive.pull import fetch_series
from cvtbatch.pipelines.extraction.extract import extract
from cvtbatch.pipelines.extraction.listeners import Listeners
from cvtbatch.pipelines.extraction.settings import own_gpus
from cvtbatch.pipelines.models.score import score_store
from cvtbatch.pipelines.serving.arrivals import Arrival
from cvtbatch.pipelines.serving.clinical_watch import OF_STUDIES, ClinicalTableError, require_clinical_table
from cvtbatch.pipelines.serving.figures import Figures
from cvtbatch.pipelines.serving.memory import Became
from cvtbatch.pipelines.serving.outgoing import Outgoing, Sent, sort_out
from cvtbatch.pipelines.serving.serve_settings import ServeSettings
from cvtbatch.pipelines.serving.spool import Indexed, Spool
from cvtbatch.pipelines.shared.run_log import RunLog
from cvtbatch.store import FeatureStore

# There is nothing of whom the bundle is to score, or too little yet: a later batch scores these cases too.
_NOTHING_TO_SCORE = frozenset({"no_features", "no_such_reader", "too_few_own_cases"})


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told what happens.

    Attributes:
        say: called with lines that name no path and nothing of a patient.
        look: called some times a second while something is done; may raise KeyboardInterrupt.
        log: of the user's own.
    """

    say: Callable[[str], None]
    look: Callable[[], None]
    log: RunLog


@dataclass(frozen=True, slots=True)
class BatchWork:
    """Works off batches, one after the other."""

    settings: ServeSettings
    spool: Spool
    figures: Figures
    told: Told

    def carry_out(self, batch: Sequence[Arrival]) -> Mapping[str, Became]:
        """Return what became of each study, by its key; its files are still there.

        Raises:
            UnavailableError, InputError: an archive is away, or does not let us in; or, a ClinicalTableError, the clinical table
                cannot be used; the same call goes on.
            StorageError, ResourceError: the store or the workers gave out; so here.
            KeyboardInterrupt: after what was done has been committed.
        """
        self.spool.keep(batch)
        self.figures.pulled = sum(len(arrival.series) for arrival in batch)
        missing = self._fetch(batch)
        whole = [arrival for arrival in batch if arrival.key not in missing]
        self.spool.keep(whole)
        settings = self.settings
        with open_cluster(settings.cluster, own_gpus(settings.extraction), self._note) as cluster:
            indexed = self._index(whole, cluster)
            case_keys = [key for keys in indexed.cases.values() for key in keys]
            if case_keys:
                self._extract(cluster)
            self.figures.pulled = 0
            view = FeatureStore(settings.store_url).at(None)
            rows = view.rows("failures", ["case_key", "kind"]).to_pylist()
            failed = {row["case_key"]: row["kind"] for row in rows if row["case_key"] in {*case_keys}}
            outlined = set(view.outlines(["case_key"])["case_key"].to_pylist()).intersection(case_keys)
            if outlined:
                self._score(cluster)
        outgoing, sent = self._give_back(outlined - failed.keys())
        found = {key: Became("incomplete", kind) for key, kind in missing.items()}
        found |= {key: Became("left_out", kind) for key, kind in indexed.left_out.items()}
        return found | _of_cases(indexed, failed, outlined, outgoing, sent)

    def _fetch(self, batch: Sequence[Arrival]) -> dict[str, str]:
        """Fetch the series of studies, and return of which something is missing, and why, by the study's key."""
        watched, pace = self.settings.watched, self.settings.watched.pace()
        retries = Retries(sleep=pace.sleep)
        of_series = {series.uid: arrival for arrival in batch for series in arrival.series}
        wanted = [series for arrival in batch for series in arrival.series]
        missing: dict[str, str] = {}
        with open_source(watched.source, retries) as connect:
            for outcome in fetch_series(
                *(connect, wanted, self.spool.files, pace, retries, watched.connections), lambda _: self.told.look()
            ):
                arrival = of_series[outcome.series.uid]
                if outcome.failure is not None:
                    missing[arrival.key] = outcome.failure.kind
                    told = {name: getattr(outcome.failure, name) for name in ("kind", "message", "private")}
                    self.told.log.write("error", "incomplete", study=arrival.name, **told)
        return missing

    def _index(self, whole: Sequence[Arrival], cluster: Cluster) -> Indexed:
        options = self.settings.index
        if options.clinical is not None:
            require_clinical_table(*options.clinical, options.center, self.told.look)
        try:
            return self.spool.index(whole, options, cluster)
        except InputError as error:
            if error.kind in OF_STUDIES:
                raise ClinicalTableError.of(error) from None
            raise

    def _extract(self, cluster: Cluster) -> None:
        settings = self.settings
        listeners = Listeners(on_progress=lambda _: self.told.look(), on_notice=self._note)
        extract(read_manifest(self.spool.manifest), settings.extraction, cluster, settings.options, listeners)

    def _score(self, cluster: Cluster) -> None:
        settings = self.settings
        if settings.bundle is None:
            return
        centers = [settings.index.center] if settings.index.center else []
        try:
            score_store(
                *(settings.store_url, settings.bundle, None, centers, cluster),
                reader=settings.reader,
                explain=False,
                on_progress=lambda *_: self.told.look(),
            )
        except InputError as error:
            if error.kind not in _NOTHING_TO_SCORE:
                raise
            self.told.say(f"nothing was scored: {error.message}")

    def _give_back(self, case_keys: Collection[str]) -> tuple[Outgoing, Sent]:
        results = self.settings.results
        if results is None or not case_keys:
            return Outgoing((), (), frozenset()), Sent()
        view = FeatureStore(self.settings.store_url).at(None)
        outgoing = sort_out(view, case_keys, send_unreviewed=results.send_unreviewed)
        if not results.sends:
            outgoing = replace(outgoing, waiting=frozenset())
        return outgoing, results.carry_out(outgoing, self.spool.manifest)

    def _note(self, text: str) -> None:
        self.told.log.write("warning", "notice", private=text)


def _of_cases(
    indexed: Indexed, failed: Mapping[str, str], outlined: Collection[str], outgoing: Outgoing, sent: Sent
) -> dict[str, Became]:
    """Return what became of studies that have cases: the worst of these."""
    found = {}
    for key, cases in indexed.cases.items():
        kinds = [why[case] for why in (failed, sent.refused) for case in cases if case in why]
        objects = sum(sent.objects[case] for case in cases)
        if kinds:
            found[key] = Became("failed", kinds[0], len(cases), objects)
        elif not outgoing.waiting.isdisjoint(cases):
            found[key] = Became("held", "", len(cases), objects)
        else:
            found[key] = Became("done", "" if set(cases) & set(outlined) else "no_outline", len(cases), objects)
    return found

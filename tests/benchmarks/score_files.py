"""A Parquet file scored into another, without a store: what `benchmark_score` measures."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cvtbatch.dlrn import Bundle
from cvtbatch.dlrn.scoring import ROWS_AT_ONCE


def score_parquet(bundle: Bundle, source: Path, target: Path, threads: int) -> int:
    """Score a Parquet file of `FeatureStore.wide()`'s columns into another, and return how many rows.

    Row groups are read and scored side by side and written in order; a few batches are held at a time, whatever the file's size.

    Args:
        threads: row groups at work at a time.
    """
    columns = bundle.needed_columns()
    with pq.ParquetFile(source) as file:
        present = set(file.schema_arrow.names)
        groups = file.num_row_groups
    identity = [name for name in ("roi_key", "radiomics_spec_id", "embedding_spec_id") if name in present]

    def score_group(number: int) -> pa.Table:
        with pq.ParquetFile(source, pre_buffer=False) as own:
            batches = own.iter_batches(ROWS_AT_ONCE, [number], [*identity, *columns], use_threads=False)
            return pa.concat_tables(bundle.score_batches(batches))

    rows = 0
    writer: pq.ParquetWriter | None = None
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number in range(groups + threads):
                if number < groups:
                    waiting.append(pool.submit(score_group, number))
                if waiting and number >= threads:
                    scored = waiting.popleft().result()
                    writer = writer or pq.ParquetWriter(target, scored.schema)
                    writer.write_table(scored)
                    rows += len(scored)
        finally:
            if writer is not None:
                writer.close()
    return rows

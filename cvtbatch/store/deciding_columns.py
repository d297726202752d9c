"""The columns by which it is decided which rows of a table are current, and which of those are selected."""

from cvtbatch import contracts
from cvtbatch.contracts import TableContract

REGION = "region"
SPEC_KINDS = ("volume", "outline", "region", "radiomics", "embedding", *contracts.description_tables())
SPEC_COLUMNS = tuple(f"{kind}_spec_id" for kind in SPEC_KINDS)
# Columns, beside its key, that decide whether a row is current and selected.
DECIDING = (
    *("case_key", "image_digest", "input_digest", "parent_roi_key", "parent_digest", "center", "roi", REGION),
    *(*SPEC_COLUMNS, "scope", "resolved"),
)


def deciding(contract: TableContract) -> list[str]:
    """Return the columns of a table that decide which of its rows are current and selected."""
    here = {field.name for field in contract.fields}
    return list(dict.fromkeys([*contract.key, *(column for column in DECIDING if column in here), "sequence"]))

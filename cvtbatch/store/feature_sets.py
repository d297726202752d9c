"""The tables of a store: those of the contracts, and one for each feature set that its specifications name.

A set's table is made of its specifications alone: each says the set's name and its columns, so that a reader needs no parameter
file. All specifications of a name have the same columns; of two runs that began with different ones at once, the first holds.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.errors import FormatError, InputError
from cvtbatch.nearest import did_you_mean
from cvtbatch.spec import Spec
from cvtbatch.store.location import Location
from cvtbatch.store.log_heads import Heads
from cvtbatch.store.tables import Pin, Table

SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def set_table(name: str) -> str:
    """Return the name of a feature set's table."""
    return f"{contracts.SET_PREFIX}{name}"


def set_contract(spec: Spec) -> TableContract | None:
    """Return the contract of the table that holds a specification's rows, or None where it is of no feature set.

    Raises:
        FormatError: "store_damaged": the specification names a set, and no columns.
    """
    name = spec.feature_set
    if not name:
        return None
    features = spec.content().get("features", {}).get("names")
    if not SET_NAME.fullmatch(name) or not isinstance(features, list):
        raise FormatError("store_damaged", f"specification {spec.spec_id} does not say what its feature set is")
    return contracts.feature_table(set_table(name), features)


def require_table(specs: Mapping[str, Spec], spec_ids: Sequence[str], table: str) -> None:
    """Refuse specifications of features whose rows are in another table.

    Args:
        specs: by id.

    Raises:
        InputError: "no_such_spec".
    """
    for spec_id in spec_ids:
        spec = specs[spec_id]
        name = spec.feature_set
        if spec.kind == "radiomics" and (set_table(name) if name else contracts.RADIOMICS) != table:
            whose = (
                f"of feature set {name} (features({name!r}), wide(features={name!r}), export {set_table(name)})"
                if name
                else "of the study"
            )
            raise InputError("no_such_spec", f"{spec_id} is {whose}: its features are not in {table}")


class StoreTables(Mapping[str, Table]):
    """The tables of a store by name; those of feature sets are looked for when they are first asked for."""

    def __init__(self, location: Location, heads: Heads) -> None:
        self._location, self._heads = location, heads
        self._known = {name: self._open(contracts.table(name)) for name in contracts.table_names()}
        self._seen: Pin | None = None

    def _open(self, contract: TableContract) -> Table:
        return Table(self._location, contract, self._heads)

    def __getitem__(self, name: str) -> Table:
        if name not in self._known:
            self._look()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(sorted(self._known))

    def __len__(self) -> int:
        self._look()
        return len(self._known)

    def sets(self) -> dict[str, Table]:
        """Return the tables of the feature sets, by the set's name."""
        tables = (name for name in self if name.startswith(contracts.SET_PREFIX))
        return {name.removeprefix(contracts.SET_PREFIX): self._known[name] for name in tables}

    def of_set(self, name: str) -> Table:
        """Return the table of a feature set.

        Raises:
            InputError: "no_such_set": the store has none of this name.
        """
        sets = self.sets()
        if name not in sets:
            if name in self.sets_asked_for():
                raise InputError(
                    "no_such_set",
                    f"feature set {name!r} has no rows yet: a run asked for it, and computed it of no outline; `cvtbatch status` "
                    "tells of how many cases it failed",
                )
            there = (
                f"{did_you_mean(name, sets)}it has {', '.join(sets)}"
                if sets
                else "it has none: extract --params FILE makes one"
            )
            raise InputError("no_such_set", f"the store has no feature set {name!r}; {there}")
        return sets[name]

    def sets_asked_for(self) -> set[str]:
        """Return the names of the feature sets that runs asked for, and of those that have a table: from their first row on."""
        runs = self._known["runs"].read(["feature_sets"])["feature_sets"].to_pylist()
        try:
            return {*self.sets(), *(name for text in runs if text for name in json.loads(text))}
        except ValueError:
            raise FormatError(
                "store_damaged", "the feature sets of a run in table runs are not what was written"
            ) from None

    def of_spec(self, spec: Spec) -> Table:
        """Return the table that holds the features of a radiomics specification."""
        contract = set_contract(spec)
        return self[contracts.RADIOMICS if contract is None else contract.name]

    def _look(self) -> None:
        """Learn of sets that the specifications name since they were last looked at."""
        pin = self._known["specs"].pin()
        if pin is None or pin == self._seen:
            return
        rows = self._known["specs"].read(pin=pin).sort_by("sequence").to_pylist()
        for row in rows:
            contract = set_contract(Spec(row["kind"], row["parent_id"], row["settings"]))
            if contract is not None and contract.name not in self._known:
                self._known[contract.name] = self._open(contract)
        self._seen = pin

"""Which part of a table is run, and how: rows and data by name, length, optimiser, folder."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from recon.data.find import find_scene, find_shape, find_signal
from recon.fields import FIELDS
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.studies.tables.model import Datum, Row, Size, Table
from recon.tasks.nerf.settings import preset as scene_preset
from recon.tasks.shape.settings import ShapeSettings
from recon.tasks.shape.settings import preset as shape_preset
from recon.tasks.signal.settings import preset as signal_preset

Recipe = Literal["paper", "quick"]
LEAST_POOL = 1000
"""Points of the smallest pool."""
FINDERS = {"fit": find_signal, "sdf": find_shape, "occ": find_shape, "nerf": find_scene}


@dataclass(frozen=True)
class Order:
    """What a person asked for."""

    name: str
    table: Table
    rows: tuple[Row, ...]
    data: tuple[Datum, ...]
    folder: Path
    scale: float = 1.0
    """Times the steps of the paper."""
    recipe: Recipe = "paper"
    """Whose optimiser and learning rates."""
    downscale: int = 1
    """Of pictures, films and scenes, beside what the paper shrinks."""
    seed: int = 0
    threads: int = 0
    """Of a CPU, as they were asked for."""

    def cells(self) -> Iterator[tuple[Row, Datum]]:
        """Runs in the order in which they are made: all rows on a datum, then the next."""
        for datum in self.data:
            for row in self.rows:
                if not row.only or datum.name in row.only:
                    yield row, datum

    def place(self, row: Row, datum: Datum) -> Path:
        """The folder of a run."""
        return self.folder / row.name / datum.name

    def settings_of(self, row: Row, size: Size, kind: Any = None) -> tuple[str, Any]:
        """The name of a row's field, and its settings in the length and with the optimiser that are asked for."""
        given = row.settings(size)
        name = field_name_of(given.field)
        return name, self.settings(given, name, kind)

    def settings(self, given: Any, field_name: str, kind: Any) -> Any:
        """A protocol in the length and with the optimiser that are asked for."""
        found = given.with_steps(max(1, round(given.train.steps * self.scale)))
        train = replace(found.train, seed=self.seed)
        if self.recipe == "quick":
            quick = quick_of(self.table.task, recipe_of(found.field, field_name), kind).train
            train = replace(train, optim=quick.optim.rescaled(train.steps / quick.steps))
        found = replace(found, train=train)
        if isinstance(found, ShapeSettings):  # no more exact distances than a short training takes
            found = replace(found, pool=max(LEAST_POOL, min(found.pool, train.steps * train.batch)))
        return found


def quick_of(task: str, field_name: str, kind: Any) -> Any:
    """The quick preset's settings of a field."""
    if task == "fit":
        return signal_preset(kind, "quick", field_name)
    if task == "nerf":
        return scene_preset("quick", field_name)
    return shape_preset("sdf" if task == "sdf" else "occ", "quick", field_name)


def recipe_of(config: Any, field_name: str) -> str:
    """The field whose quick recipe suits this one: that of mixtures is for grids, and the papers' have networks."""
    if isinstance(config, NeuralExpertsConfig) and config.encoder == "sine":
        return "siren" if config.activation in ("sine", "finer") else "pe-mlp"
    return field_name


def field_name_of(config: Any) -> str:
    """The name of a field's kind."""
    return next(name for name, default in FIELDS.items() if type(default) is type(config))


def chosen_rows(table: Table, names: Sequence[str]) -> tuple[Row, ...]:
    """Rows by name; all where none is named. ValueError with the nearest name for one that is none."""
    known = {row.name: row for row in table.rows}
    _refuse_unknown("--rows", names, list(known))
    return tuple(row for row in table.rows if not names or row.name in names)


def chosen_data(table: Table, names: Sequence[str]) -> tuple[tuple[Datum, ...], list[str]]:
    """Data by name, or files of a person's own; all of the paper's that are there where none is named, or else what
    stands in for them. And what is missing. FileNotFoundError where nothing is there."""
    known, find = {datum.name: datum for datum in table.data}, FINDERS[table.task]
    if names:
        found = []
        for name in dict.fromkeys(names):
            datum = known.get(name) or _own(name, {one.name for one in (*table.data, *found)})
            find(datum.find)  # raises, with what to do
            found.append(datum)
        return tuple(found), []
    there, missing = [], []
    for datum in table.data:
        (there if _is_there(datum, find) else missing).append(datum)
    own = tuple(datum for datum in there if not datum.instead_of)
    if not there:
        files = ", ".join(datum.find for datum in table.data)
        raise FileNotFoundError(
            f"none of its data is here ({files}); put it where RECON_DATA says, or name files: --data"
        )
    found = tuple(datum for datum in there if not (own and datum.stand_in))
    return found, [datum.find for datum in missing if not datum.instead_of]


def _own(name: str, taken: set[str]) -> Datum:
    """A file of a person's own, under a name that no other datum has."""
    path = Path(name).expanduser()
    stem = path.resolve().stem or "data"
    if stem in taken:
        stem += "-" + hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:8]
    return Datum(stem, name, "the paper's data")


def is_here(task: str, datum: Datum) -> bool:
    """Whether a table's datum is found."""
    return _is_there(datum, FINDERS[task])


def _is_there(datum: Datum, find: Any) -> bool:
    try:
        find(datum.find)
    except FileNotFoundError:
        return False
    return True


def _refuse_unknown(flag: str, names: Sequence[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ValueError(
                f"{flag} {name} is unknown; {'perhaps ' + near[0] if near else 'known: ' + ', '.join(known)}"
            )

"""Which columns a run was trained on, and where they stand in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlrun.errors import UserError, nearest, shown
from dlrun.predict.cells import Column
from dlrun.trained import Trained

MOST_NAMED = 8  # columns that an error lists


def columns_of(trained: Trained) -> list[Column]:
    """The columns that the run's features were made of, in the order of the features.

    Raises UserError for a run that was not trained on a table.
    """
    data = trained.data
    if len(data.in_shape) != 1:
        shape = " x ".join(str(size) for size in data.in_shape)
        raise UserError(f"the run takes images of {shape} values, no table (expected image files)")
    (width,) = data.in_shape
    names = data.columns or data.features or tuple(f"column{k + 1}" for k in range(width))
    if len(names) != width:
        raise UserError(f"the run has {width} inputs, but {len(names)} names for them")
    categorical = trained.settings.dataset.get("categorical") or ()
    prefixes = sorted((f"{name}=" for name in categorical), key=len, reverse=True)
    columns: list[Column] = []
    for name in names:
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if prefix is None:
            columns.append(Column(name))
            continue
        value = name.removeprefix(prefix)
        last = columns[-1] if columns else None
        if last is not None and last.name == prefix[:-1] and last.values is not None:
            columns[-1] = Column(last.name, (*last.values, value))
        else:
            columns.append(Column(prefix[:-1], (value,)))
    return columns


def names_without_header(width: int, trained: Trained, num_columns: int) -> list[str]:
    """Names for the cells of a row: column1, column2, … as in training, with or without target."""
    all_columns = num_columns + 1 + len(trained.settings.dataset.get("ignore") or ())
    names = [f"column{k}" for k in range(1, max(width, all_columns) + 1)]
    if width == all_columns - 1:
        return [name for name in names if name != trained.data.target_name]
    return names[:width]


def positions(
    names: Sequence[str],
    trained: Trained,
    columns: Sequence[Column],
    ignore: Sequence[str],
    delimiter: str,
    say: Callable[[str], None] | None,
) -> list[int]:
    """Where each column stands in a table with these names; `say` is told what is passed over.

    Raises UserError for a column that is missing, there twice, or not known.
    """
    places = {name: k for k, name in enumerate(names)}
    if len(places) < len(names):
        name = next(name for k, name in enumerate(names) if places[name] != k)
        raise UserError(f"two columns are called '{shown(name)}'; expected different names")
    wanted = [column.name for column in columns]
    _check_ignored(ignore, names, wanted)
    missing = [name for name in wanted if name not in places]
    if missing:
        raise UserError(_missing(missing, names, wanted, delimiter))
    target = trained.data.target_name
    known = {*wanted, *ignore, target, *(trained.settings.dataset.get("ignore") or ())}
    if extra := [name for name in names if name not in known]:
        left_out = shown(",".join(extra))
        raise UserError(
            f"{_listed(extra)}: not among the run's columns; expected {_listed(wanted)} "
            f"(--ignore '{left_out}' leaves out what is not)"
        )
    if say is not None and target in places and target not in wanted and target not in ignore:
        say(f"the column '{shown(target)}' is what the run predicts: passed over")
    return [places[name] for name in wanted]


def _check_ignored(ignore: Sequence[str], names: Sequence[str], wanted: Sequence[str]) -> None:
    for name in ignore:
        if name in wanted:
            raise UserError(f"--ignore {shown(name)}: the run needs this column")
        if name not in names:
            hint = nearest(name, names) or f"; there are {_listed(names)}"
            raise UserError(f"--ignore {shown(name)}: no such column{shown(hint)}")


def _missing(
    missing: Sequence[str], names: Sequence[str], wanted: Sequence[str], delimiter: str
) -> str:
    """What to tell of columns that are not there."""
    separators = [sep for sep in (";", "\t", "|", ",") if sep != delimiter and sep in names[0]]
    if len(names) == 1 and separators:
        typed = "tab" if separators[0] == "\t" else f"'{separators[0]}'"
        return f"one column only, '{shown(names[0], 60)}'; the separator looks like {typed} " + (
            f"(--separator {typed})"
        )
    if all(_is_number(name) for name in names):
        return f"the first row has numbers only; expected the names {_listed(wanted)}"
    others = [name for name in names if name not in wanted]
    same = [name for name in others if name.strip().lower() == missing[0].lower()]
    hint = f"; did you mean {same[0]}?" if same else nearest(missing[0], others)
    return f"no column {_listed(missing)}{shown(hint)}; the run needs {_listed(wanted)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _listed(names: Sequence[str]) -> str:
    """Some names in quotes, and how many more there are.

    >>> _listed(["a", "b"])
    "'a', 'b'"
    """
    some = ", ".join(f"'{shown(name, 40)}'" for name in names[:MOST_NAMED])
    return some + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")

"""Tables of figures as aligned plain text and as Markdown."""

from collections.abc import Mapping

from posejax.checks import require_choice

_LAYOUTS = ("text", "markdown")
MISSING = "-"


def figure_table(
    rows: Mapping[str, Mapping[str, float | int | str | None]],
    *,
    units: Mapping[str, str] | None = None,
    corner: str = "",
    digits: int = 2,
    layout: str = "text",
    transposed: bool = False,
) -> str:
    """One line per row, one column per figure, in the order in which they appear.

    Args:
      rows: `{row: {column: value}}`. A missing value or None is shown as '-', an
        integer and a text as they are, a float with `digits` decimals.
      units: Unit of a column, shown in brackets behind its name.
      corner: Heading of the first column.
      digits: Decimals of floats.
      layout: 'text' for a terminal, 'markdown' for a page.
      transposed: One line per figure and one column per row instead; better to read
        when there are many figures.

    Returns:
      The table, without a line break at its end. Empty if there are no rows.

    Raises:
      ValueError: If `layout` is unknown.

    >>> print(figure_table({"ours": {"PDJ": 42.6}}, units={"PDJ": "%"}, corner="model"))
    model  PDJ [%]
    -----  -------
    ours     42.60
    """
    require_choice("layout", layout, _LAYOUTS)
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for values in rows.values() for name in values))
    unit = dict(units or {})
    heading = [f"{name} [{unit[name]}]" if unit.get(name) else name for name in columns]
    lines = [[corner, *heading]]
    for row, values in rows.items():
        lines.append([row, *(_shown(values.get(name), digits) for name in columns)])
    if transposed:
        lines = [list(line) for line in zip(*lines, strict=True)]
    if layout == "markdown":
        lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return _aligned(lines, layout)


def _shown(value: float | int | str | None, digits: int) -> str:
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    return f"{float(value):.{digits}f}"


def _aligned(lines: list[list[str]], layout: str) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    if layout == "markdown":
        widths = [max(width, 3) for width in widths]
    cells = [
        [line[0].ljust(widths[0])]
        + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        for line in lines
    ]
    if layout == "text":
        cells.insert(1, ["-" * width for width in widths])
        return "\n".join("  ".join(line).rstrip() for line in cells)
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    cells.insert(1, rule)
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)

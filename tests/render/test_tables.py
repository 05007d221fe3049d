import pytest

from posejax.render.tables import figure_table

ROWS = {
    "model": {"PDJ@0.05": 42.613, "norm. L2": 6.43, "frames": 12},
    "resting template": {"PDJ@0.05": 7.0, "note": "no training"},
}
UNITS = {"PDJ@0.05": "%", "norm. L2": "% of side"}


def test_plain_text_is_aligned_with_units_and_gaps():
    expected = """\
test              PDJ@0.05 [%]  norm. L2 [% of side]  frames         note
----------------  ------------  --------------------  ------  -----------
model                    42.61                  6.43      12            -
resting template          7.00                     -       -  no training"""
    assert figure_table(ROWS, units=UNITS, corner="test") == expected


def test_markdown_has_a_rule_that_aligns_numbers_right():
    expected = """\
| run | PDJ |    b |
| --- | --: | ---: |
| a\\|b |   1 | 0.50 |"""
    text = figure_table({"a|b": {"PDJ": 1, "b": 0.5}}, corner="run", layout="markdown")
    lines = text.splitlines()
    assert [len(line) for line in lines] == [len(lines[0])] * 3
    assert lines[0].split() == expected.splitlines()[0].split()
    assert lines[2].split() == expected.splitlines()[2].split()
    assert lines[1] == "| ---- | --: | ---: |"


def test_the_number_of_digits_is_an_option():
    assert "0.1235" in figure_table({"a": {"x": 0.12345}}, digits=4)
    assert "nan" in figure_table({"a": {"x": float("nan")}})


def test_no_rows_give_no_text():
    assert figure_table({}) == ""


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout is 'html'"):
        figure_table(ROWS, layout="html")


def test_a_transposed_table_has_one_line_per_figure():
    expected = """\
         model  resting template
-------  -----  ----------------
PDJ [%]  42.61              7.00
frames      12                 -"""
    rows = {
        "model": {"PDJ": 42.613, "frames": 12},
        "resting template": {"PDJ": 7.0},
    }
    table = figure_table(rows, units={"PDJ": "%"}, transposed=True)
    assert table == expected

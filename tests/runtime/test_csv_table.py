"""Every shape of CSV that plants have reads as the same table."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.csv_table import Layout, avro_name, open_table, sniff_delimiter

ROWS = [["1", "2.5", ""], ["-3", "nan", "x y"]]


def rows(path: Path, layout: Layout | None = None) -> list[list[str]]:
    return [list(cells) for _, cells in open_table(path, layout or Layout()).rows()]


def put(folder: Path, text: str) -> Path:
    path = folder / "file.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiter_line_ends_and_a_byte_order_mark_are_found(
    tmp_path: Path, delimiter: str, ending: str, mark: str
) -> None:
    lines = [delimiter.join(cells) for cells in [["a", "b", "c"], *ROWS]]
    path = put(tmp_path, mark + ending.join(lines) + ending)

    table = open_table(path, Layout())
    assert table.columns == ("a", "b", "c")
    assert rows(path) == ROWS


def test_white_space_of_any_width_parts_columns_without_a_header(tmp_path: Path) -> None:
    path = put(tmp_path, "   1.0e+00   2.0  3\n 4.0 \t 5  6.5\n")

    assert rows(path, Layout(columns=("a", "b", "c"))) == [
        ["1.0e+00", "2.0", "3"],
        ["4.0", "5", "6.5"],
    ]


def test_a_file_on_its_side_is_put_upright(tmp_path: Path) -> None:
    path = put(tmp_path, "1 2 3\n4 5 6\n")

    assert rows(path, Layout(columns=("a", "b"), transpose=True)) == [
        ["1", "4"],
        ["2", "5"],
        ["3", "6"],
    ]


def test_a_file_on_its_side_may_have_its_header_there(tmp_path: Path) -> None:
    path = put(tmp_path, "a,1,2\nb,3,4\n")

    table = open_table(path, Layout(transpose=True))
    assert table.columns == ("a", "b")
    assert [list(cells) for _, cells in table.rows()] == [["1", "3"], ["2", "4"]]


def test_unnamed_and_repeated_columns_get_names_of_their_own(tmp_path: Path) -> None:
    assert open_table(put(tmp_path, "a,,a, \n1,2,3,4\n"), Layout()).columns == (
        "a",
        "column_2",
        "a_3",
        "column_4",
    )


def test_numbers_alone_are_no_header(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the first row must name the columns"):
        open_table(put(tmp_path, "1,2\n3,4\n"), Layout())


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="must have at least one line"):
        open_table(put(tmp_path, text), Layout())


def test_a_row_of_another_length_is_named_by_its_line(tmp_path: Path) -> None:
    table = open_table(put(tmp_path, "a,b\n1,2\n\n3\n"), Layout())

    with pytest.raises(ConfigError, match="line 4: must have 2 values, was 1"):
        list(table.rows())


def test_wrong_names_for_a_file_without_a_header_are_counted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must name the 2 columns of .*, was 3"):
        open_table(put(tmp_path, "1,2\n"), Layout(columns=("a", "b", "c")))


def test_text_that_is_not_utf_8_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b\n\xff\xfe,1\n")

    with pytest.raises(ConfigError, match="UTF-8"):
        list(open_table(path, Layout(delimiter=",")).rows())


@pytest.mark.parametrize(("spelled", "meant"), [("tab", "\t"), ("\\t", "\t"), (";", ";")])
def test_a_delimiter_may_be_given(tmp_path: Path, spelled: str, meant: str) -> None:
    path = put(tmp_path, f"a,b{meant}c\n1,5{meant}2\n")

    assert rows(path, Layout(delimiter=spelled)) == [["1,5", "2"]]


def test_a_comma_inside_semicolon_columns_does_not_mislead(tmp_path: Path) -> None:
    assert sniff_delimiter(put(tmp_path, "a;b;c\n1,5;2,5;3\n1,5;2,5;3\n")) == ";"


cell = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8
)


@given(
    st.integers(2, 5).flatmap(
        lambda n: st.lists(st.lists(cell, min_size=n, max_size=n), min_size=1, max_size=6)
    ),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_what_a_csv_writer_wrote_reads_back(written: list[list[str]], delimiter: str) -> None:
    text = io.StringIO()
    names = [f"c{n}" for n in range(len(written[0]))]
    csv.writer(text, delimiter=delimiter).writerows([names, *written])
    with TemporaryDirectory() as folder:
        path = put(Path(folder), text.getvalue())
        found = rows(path, Layout(delimiter=delimiter))

    assert found == written


@given(st.text(max_size=12))
def test_every_column_has_a_name_that_avro_takes(column: str) -> None:
    assert re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", avro_name(column))


def test_a_cell_beyond_all_measure_is_a_configuration_error(tmp_path: Path) -> None:
    path = put(tmp_path, "a,b\n1," + "x" * 200_000 + "\n")

    with pytest.raises(ConfigError, match=r"line 2: must be CSV, found field larger"):
        list(open_table(path, Layout()).rows())

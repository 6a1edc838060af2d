"""Labels are read from CSV files."""

from pathlib import Path

import pytest

from models.datasets.label_table import read_label_table
from nightread.errors import UsageFault


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def test_a_label_column_gives_exclusive_classes(file: Path) -> None:
    """Labels are sorted, independent of the order of the rows. Windows paths and a byte order mark are accepted."""
    file.write_text("path, label ,age\n./b\\1.dcm,ill,30\na/2.dcm, healthy ,40\n", encoding="utf-8-sig")
    table = read_label_table(file)
    assert (table.labels, table.exclusive, table.key) == (("healthy", "ill"), True, "path")
    assert {name: row.truth for name, row in table.rows.items()} == {"b/1.dcm": (0, 1), "a/2.dcm": (1, 0)}


def test_columns_of_0_and_1_give_any_number_of_labels(file: Path) -> None:
    """Labels are in the order of the columns, without the columns of identifiers."""
    file.write_text("sop_instance_uid,patient,mass,edema\n1.2,P1,1,0\n1.3,,1.0,1\n")
    table = read_label_table(file)
    assert (table.labels, table.exclusive, table.key) == (("mass", "edema"), False, "sop_instance_uid")
    assert [row.truth for row in table.rows.values()] == [(1, 0), (1, 1)]
    assert [row.patient for row in table.rows.values()] == ["P1", None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\na,x\n", "no column path, sop_instance_uid or series_instance_uid. Add one"),
        ("path,patient\na,x\n", "there are no labels. Add a column label"),
        ("path,label\n", "no rows below the column names"),
        ("", "no rows below the column names"),
        ("path,label\na,x\nb,\n", "line 3 has no label"),
        ("path,label\na,x\n./a,x\n", "lines 2 and 3 name the same image"),
        ("path,mass,age\na,1,30\n", "line 2, column age is neither 0 nor 1"),
        ("path,mass,edema\na,0,0,1,0\n", "line 2 has 5 values for 3 columns. Write decimal points"),
        ("path,label\na,b.dcm,ill\n", "line 2 has 3 values for 2 columns"),
        ("path,mass,mass\na,0,1\n", "the column mass occurs twice"),
        ("path,label\na,Nodule\nb,nodule\n", "the labels Nodule and nodule differ only in case"),
        ("path,label\n,ill\n", "line 2 has no path"),
        ("path,mass,edema\na,1\n", "line 2, column edema is neither 0 nor 1"),
    ],
)
def test_an_invalid_table_is_refused(file: Path, content: str, message: str) -> None:
    """The message names the file, the line and the remedy."""
    file.write_text(content)
    with pytest.raises(UsageFault, match=message) as raised:
        read_label_table(file)
    assert str(file) in str(raised.value)


def test_a_spreadsheet_is_not_a_csv_file(file: Path) -> None:
    """Its bytes are not UTF-8."""
    file.write_bytes(b"PK\x03\x04\xff\xfe\x80")
    with pytest.raises(UsageFault, match="this is not a CSV file in UTF-8"):
        read_label_table(file)


def test_messages_name_the_line_number_of_an_editor(file: Path) -> None:
    """Empty lines count."""
    file.write_text("path,label\na.png,ill\n\n\nb.png,\n")
    with pytest.raises(UsageFault, match="line 5 has no label"):
        read_label_table(file)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_than_commas_are_recognised(file: Path, separator: str) -> None:
    """Spreadsheets write semicolons where the comma is the decimal separator; a value may contain a comma."""
    rows = [["path", "mass", '"edema"'], ["a.dcm", "1,0", "0"], ["b,c.dcm", "0", "1"]]
    file.write_text("".join(separator.join(row) + "\r\n" for row in rows), encoding="utf-8-sig")
    table = read_label_table(file)
    assert table.labels == ("mass", "edema")
    assert {name: row.truth for name, row in table.rows.items()} == {"a.dcm": (1, 0), "b,c.dcm": (0, 1)}


def test_a_semicolon_in_a_value_is_no_separator(file: Path) -> None:
    """The line of column names decides."""
    file.write_text("path,label\na;b.dcm,x;y\n")
    table = read_label_table(file)
    assert (table.labels, list(table.rows)) == (("x;y",), ["a;b.dcm"])


def test_rows_and_columns_without_values_are_left_out(file: Path) -> None:
    """Spreadsheets write empty rows below a table, and a separator at the end of a row."""
    file.write_text("path,label\na.dcm,ill,\n,,\n,\n")
    assert list(read_label_table(file).rows) == ["a.dcm"]

"""Tables of factors: labels go to the right images, whatever wrote the table, or are refused."""

import datetime
import time
import tracemalloc
import warnings

import numpy as np
import polars
import pytest
from PIL import Image

from isavae.data import load
from isavae.data.image_statistics import inspect
from isavae.data.own import factor_table, table_text
from isavae.data.own.factor_table import read_factors

pytestmark = pytest.mark.system

NAMES = ["part0/b c.png", "part0/ISIC_01.png", "part1/ä.v2.png", "part1/0003.png"]
KINDS = ["cat", "dog", "cow", "owl"]  # of these images


def write(path, header, column, kinds, separator=",", encoding="utf-8"):
    lines = [
        separator.join(header),
        *(separator.join(row) for row in zip(column, kinds, strict=True)),
    ]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def kinds_of(grid):
    return [None if k < 0 else grid.categories["kind"][k] for k in grid.column("kind")]


@pytest.mark.parametrize("head", ["image_id", "File", "Filename", "id", "IMAGE NAME", "", "who"])
@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name,
        lambda name: f" .\\{name} ".replace("/", "\\"),
        lambda name: name.rpartition("/")[2],
        lambda name: f"/home/me/photos/{name.rpartition('/')[2]}",
        lambda name: name.removesuffix(".png"),
        lambda name: name.rpartition("/")[2].removesuffix(".png"),
        lambda name: name.replace(".png", ".jpeg"),
        lambda name: name.replace("ä", "a\u0308"),
    ],
)
def test_rows_in_any_order_go_to_the_images_that_they_name(tmp_path, head, spell):
    order = [2, 0, 3, 1]
    column, kinds = [spell(NAMES[k]) for k in order], [KINDS[k] for k in order]
    grid = read_factors(write(tmp_path / "t.csv", (head, "kind"), column, kinds), 4, NAMES)
    assert grid.names == ("kind",)
    assert kinds_of(grid) == KINDS


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"],
)
def test_separators_and_encodings_are_found(tmp_path, separator, encoding):
    table = write(tmp_path / "t.csv", ("file", "kind"), NAMES, KINDS, separator, encoding)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert kinds_of(read_factors(table, 4, NAMES)) == KINDS
    assert ["Windows-1252" in str(each.message) for each in told] == (
        [True] if encoding in ("cp1252", "latin-1") else []
    )


@pytest.mark.parametrize(
    ("entries", "values"),
    [
        (("1,5", "0,25", "", "2"), (0.25, 1.5, 2)),
        (("1.5", "NaN", "2", "7e1"), (1.5, 2, 70)),
        (("NA", "n/a", "None", "3"), (3,)),
        (("-1", "-2", "<NA>", "null"), (-2, -1)),
        (
            ("9007199254740993", "9007199254740992", "", "1"),
            (1, 9007199254740992, 9007199254740993),
        ),
        (("1_0", "10", "x", "nan"), ("10", "1_0", "x")),
        (("12.05.2020", "1.2.3", "NA", "1.2.3"), ("1.2.3", "12.05.2020")),
        (("True", "False", "", "True"), ("False", "True")),
        (("?", "-", "7", "."), (7,)),
        (("12%", "7 %", "?", "100%"), (7, 12, 100)),
        (("12,5%", "7%", "-", "\u22120,5%"), (-0.5, 7, 12.5)),
        (("?", "-", "+", "+"), ("+", "-", "?")),
        (("2024-03-31", "?", "1999-12-01", "2024-03-31"), ("1999-12-01", "2024-03-31")),
        (
            ("2024-03-31 09:00", "2024-03-31T12:00", "", "2024-03-30"),
            ("2024-03-30 00:00:00", "2024-03-31 09:00:00", "2024-03-31 12:00:00"),
        ),
    ],
)
def test_gaps_and_numbers_are_what_they_mean(tmp_path, entries, values):
    table = write(tmp_path / "t.csv", ("kind", "file"), entries, NAMES, ";")
    grid = read_factors(table, 4, NAMES)
    assert grid.categories == {"kind": values}
    assert grid.ordered == (() if is_text(values) else ("kind",))
    missing = ("", "nan", "na", "n/a", "none", "<na>", "null")
    missing += () if is_text(values) else ("?", "-", ".")
    assert (grid.column("kind") < 0).tolist() == [entry.lower() in missing for entry in entries]
    columns = {"kind": [entry or None for entry in entries], "file": NAMES}
    polars.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    assert read_factors(tmp_path / "t.parquet", 4, NAMES) == grid


def is_text(values):
    return isinstance(values[0], str) and not values[0][:5].endswith("-")


@pytest.mark.parametrize(
    "entries",
    [("1,234", "5,678", "", "2"), ("1.234,5", "2", "3", "4"), ("1,5", "1.5", "2", "3"),
     ("1,234,567", "2", "3", "4"), ("1", "inf", "2", "3"), ("1 234", "2", "3", "4"),
     ("1\u2019234", "2 345", "3", "4"), ("1\u00a0234,5", "2", "3", "4")],
)  # fmt: skip
def test_numbers_that_could_mean_two_things_are_refused(tmp_path, entries):
    table = write(tmp_path / "t.csv", ("dose", "file"), entries, NAMES, ";")
    with pytest.raises(ValueError, match=r"one decimal sign.*'dose' has|'dose' must be finite"):
        read_factors(table, 4, NAMES)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("12%", "0.5", "3", "4"), r"all be shares or none, but column 'dose' has '12%'"),
        (("31.03.2024", "1.4.2024", "", ""), r"like 2024-03-31, but column 'dose' has '31.03.2024"),
        (("3/4/24", "2024-03-31", "?", ""), "like 2024-03-31, but column 'dose' has '3/4/24'"),
        (("2024-02-30", "2024-01-01", "", ""), "'dose' is not"),
        (("9" * 25, "1", "2", "3"), "64 bits, but those of factor 'dose'"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_shares_and_dates_that_could_mean_two_things_are_refused(
    tmp_path, entries, message, suffix
):
    table = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        write(table, ("dose", "file"), entries, NAMES, ";")
    else:
        polars.DataFrame({"dose": entries, "file": NAMES}).write_parquet(table)
    with pytest.raises(ValueError, match=message):
        read_factors(table, 4, NAMES)


@pytest.mark.parametrize("kind", [polars.String, polars.Categorical, polars.Binary])
def test_a_text_for_all_rows_does_not_fill_the_memory(tmp_path, kind):
    column = polars.Series(["a" * 1_000_000]).cast(kind).new_from_index(0, 4_000)
    polars.DataFrame({"kind": column}).write_parquet(tmp_path / "t.parquet")
    tracemalloc.start()
    with pytest.raises(ValueError, match="'kind' must have at most 1,000 characters, but one has"):
        read_factors(tmp_path / "t.parquet", 4_000)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


def test_bytes_that_are_zero_are_no_text(tmp_path):
    with pytest.raises(ValueError, match="holds bytes that are 0"):
        read_factors(write(tmp_path / "t.csv", ("file", "kind"), NAMES, ["c\0t", *KINDS[1:]]), 4)


@pytest.mark.parametrize("entry", ["1" * 100_000 + "x", "a" + "\u0300\u0323" * 50_000, "1" * 5_000])
@pytest.mark.parametrize("head", ["file", "kind"])
def test_long_entries_take_no_time(tmp_path, entry, head):
    entries = {"file": NAMES, "kind": KINDS} | {head: [entry, *NAMES[1:]]}
    path = write(tmp_path / "t.csv", tuple(entries), entries["file"], entries["kind"])
    begin = time.process_time()
    with pytest.raises(ValueError, match=rf"'{head}' must have at most 1,000 characters, but one"):
        read_factors(path, 4, NAMES)
    assert time.process_time() - begin < 2


def test_numbers_are_told_from_text_in_linear_time():
    begin = time.process_time()
    assert table_text.NUMBER.fullmatch("1" * 100_000 + "x") is None
    assert time.process_time() - begin < 1


def test_a_table_is_no_larger_than_the_memory(tmp_path, monkeypatch):
    table = write(tmp_path / "t.csv", ("kind", "file"), KINDS, NAMES)
    monkeypatch.setenv("ISAVAE_MEMORY_LIMIT", str(32 * (table.stat().st_size - 1)))
    with pytest.raises(ValueError, match=r"must have at most \d+ bytes, .* but has more"):
        read_factors(table, 4, NAMES)


def test_a_table_of_too_many_columns_is_refused(tmp_path):
    """Of a million columns it took more than a minute to say that it fits no image."""
    table = tmp_path / "t.csv"
    table.write_text("\n".join(",".join([first, *map(str, range(10_000))]) for first in "ab"))
    with pytest.raises(ValueError, match="at most 10,000 columns, but has 10,001"):
        read_factors(table, 4, NAMES)


def test_of_a_table_with_more_rows_than_images_only_as_many_are_looked_at(tmp_path, monkeypatch):
    looked_at = []
    really = factor_table._spelled
    monkeypatch.setattr(
        factor_table, "_spelled", lambda *a, **k: looked_at.append(a) or really(*a, **k)
    )
    table = write(tmp_path / "t.csv", ("kind", "file"), KINDS * 500, [*NAMES, "x.png"] * 400)
    with pytest.raises(ValueError, match=r"'x.png' is none of them: column 'file'"):
        read_factors(table, 4, NAMES)
    assert len(looked_at) < 200


def test_numbers_beside_text_are_told(tmp_path):
    names = [f"{k:02}.png" for k in range(9)]
    entries = ["x", *map(str, range(8))]
    table = write(tmp_path / "t.csv", ("age", "file"), entries, names)
    with pytest.warns(UserWarning, match=r"'age' has numbers beside 'x'"):
        assert len(read_factors(table, 9, names).categories["age"]) == 9


def test_columns_that_number_or_name_the_rows_are_no_factors(tmp_path):
    lines = [
        ",path,File name,kind,",
        *(f"{k},{NAMES[k]},{NAMES[k][6:]},{KINDS[k]}," for k in (1, 3, 0, 2)),
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    grid = read_factors(tmp_path / "t.csv", 4, NAMES)
    assert grid.names == ("kind",)
    assert kinds_of(grid) == KINDS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind\ncat\ndog\ncow\nowl\n", r"no column with their names.*factors_by_order=yes"),
        (",kind\n0,cat\n1,dog\n2,cow\n3,owl\n", "no column with their names"),
        ("id,kind\n1,cat\n2,dog\n3,cow\n4,owl\n", "'4' is none of them"),
        ("0.png,cat\n1.png,dog\n2.png,dog\n", "begin it with a header"),
        ("a,b,kind\n0.png,1.png,cat\n1.png,0.png,dog\n", "name different images"),
        ("who,kind\n0.png,cat\n1.png,dog\nz.png,owl\n", r"'z\.png' is none"),
        ("who,kind\n0.png,cat\n0.png,dog\n1.png,owl\n", "comes twice"),
    ],
)
def test_labels_never_go_to_images_by_chance(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_factors(tmp_path / "t.csv", 4, [f"{k}.png" for k in range(4)])


def test_numbers_name_images_only_under_a_head_that_says_so(tmp_path):
    names = [f"{k}.png" for k in range(4)]
    table = write(tmp_path / "t.csv", ("id", "kind"), "2031", ["cow", "cat", "owl", "dog"])
    assert kinds_of(read_factors(table, 4, names)) == KINDS
    table = write(tmp_path / "t.csv", ("angle", "kind"), "2031", KINDS)
    with pytest.raises(ValueError, match="no column with their names"):
        read_factors(table, 4, names)
    grid = read_factors(table, 4, names, by_order=True)
    assert kinds_of(grid) == KINDS
    assert grid.column("angle").tolist() == [2, 0, 3, 1]


def test_a_column_that_counts_images_without_names_places_the_rows(tmp_path):
    for ids in ("2031", "3142"):
        table = write(tmp_path / "t.csv", ("id", "kind"), ids, ["cow", "cat", "owl", "dog"])
        assert kinds_of(read_factors(table, 4)) == KINDS
    table = write(tmp_path / "t.csv", ("", "kind"), "0123", KINDS)
    assert kinds_of(read_factors(table, 4)) == KINDS
    for ids in (["9", "7", "8", "6"], NAMES):
        table = write(tmp_path / "t.csv", ("id", "kind"), ids, KINDS)
        with pytest.raises(ValueError, match="'id' does not count the 4 images"):
            read_factors(table, 4)
        assert kinds_of(read_factors(table, 4, by_order=True)) == KINDS


def test_order_counts_only_where_it_is_asked_for(tmp_path):
    for k in range(3):
        Image.fromarray(np.full((4, 4), 80 * k, np.uint8)).save(tmp_path / f"{k}.png")
    (tmp_path / "factors.csv").write_text("kind\ncat\ndog\ncow\n")
    with pytest.raises(ValueError, match="factors_by_order=yes"):
        load(str(tmp_path))
    assert kinds_of(load(f"{tmp_path}[factors_by_order=yes]").grid) == KINDS[:3]
    with pytest.raises(ValueError, match="factors_by_order must be yes or no, but is 'maybe'"):
        load(f"{tmp_path}[factors_by_order=maybe]")


@pytest.mark.parametrize("path", ["absent/images", "./absent", "absent.npy", "/absent[size=4]"])
def test_a_path_where_nothing_is_gets_one_sentence(path):
    with pytest.raises(ValueError, match=r"there is nothing at [./]*absent[a-z./]*\.$"):
        load(path)


@pytest.mark.parametrize("suffix", ["xlsx", "json", "npz"])
def test_tables_of_other_kinds_are_refused_by_their_suffix(tmp_path, suffix):
    (tmp_path / f"table.{suffix}").write_bytes(b"PK\3\4 and more")
    with pytest.raises(ValueError, match=rf"or Arrow, but are .*table\.{suffix}: save them as one"):
        read_factors(tmp_path / f"table.{suffix}", 4, NAMES)


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])
def test_typed_tables_keep_the_types_of_their_columns(tmp_path, suffix):
    table = tmp_path / f"table.{suffix}"
    days = [datetime.timedelta(days=d) for d in (9, 10, 100, 9)]
    columns = {"file": NAMES[::-1], "kind": KINDS[::-1], "size": [2.5, None, 1.0, -1.0]}
    levels = polars.Enum(["low", "mid", "high"])
    dose = polars.Series(["low", "high", None, "mid"], dtype=levels)
    frame = polars.DataFrame({**columns, "age": days, "dose": dose})
    frame.write_parquet(table) if suffix == "parquet" else frame.write_ipc(table)
    grid = read_factors(table, 4, NAMES, unknown=-1)
    assert grid.names == ("kind", "size", "age", "dose")
    assert grid.ordered == ("size", "age", "dose")
    assert grid.categories["dose"] == ("low", "mid", "high")
    assert grid.column("dose").tolist() == [1, -1, 2, 0]
    assert kinds_of(grid) == KINDS
    assert grid.column("size").tolist() == [-1, 0, -1, 1]
    assert grid.column("age").tolist() == [0, 2, 1, 0]
    with pytest.raises(ValueError, match="at most 3 rows, but has 4"):
        read_factors(table, 3, NAMES[:3])
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"must be an? (Parquet|Arrow) table, but cannot be read"):
        read_factors(table, 4, NAMES)


def test_negative_numbers_are_unknown_only_where_the_option_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("ISAVAE_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    (tmp_path / "t.csv").write_text("x,kind\n-1,a\n0,-1\n3,b\n-1.0,a\n3,b\n-2,a\n")
    name = f"{tmp_path}/a.npy[factors={tmp_path}/t.csv"
    grid = load(f"{name}]").grid
    assert grid.categories == {"x": (-2, -1, 0, 3), "kind": ("-1", "a", "b")}
    grid = load(f"{name}, unknown=-1]").grid
    assert grid.categories == {"x": (-2, 0, 3), "kind": ("a", "b")}
    said = str(inspect(tmp_path / "a.npy", f"factors={tmp_path}/t.csv, unknown=-1"))
    assert "factor x: 3 classes, 2 of 6 images unknown" in said
    assert "factor kind: 2 classes, 1 of 6 images unknown" in said
    with pytest.raises(ValueError, match="unknown is for a table of factors"):
        load(f"{tmp_path}/a.npy[unknown=-1]")
    with pytest.raises(ValueError, match="option unknown must be one value"):
        load(f"{name}, unknown=-1|-2]")


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("Unnamed: 0,file,size\n0,{2},7\n1,{0},5\n2,{1},6\n", (5, 6, 7)),
        ("rownames;file;size\n3;{2};7\n1;{0};5\n2;{1};6\n", (5, 6, 7)),
        ("sep=;\nfile;size\n{2};7\n{0};5\n{1};6\n", (5, 6, 7)),
        ("file,size\n{2},7\n{0},\u22125\n{1},6\n", (-5, 6, 7)),
    ],
)
def test_what_programs_write_around_a_table_is_no_factor(tmp_path, text, sizes):
    (tmp_path / "t.csv").write_text(text.format(*NAMES), encoding="utf-8")
    grid = read_factors(tmp_path / "t.csv", 3, NAMES[:3])
    assert grid.names == ("size",)
    assert [grid.categories["size"][k] for k in grid.column("size")] == [*sizes]


def test_the_mark_of_utf_8_is_no_part_of_the_first_head(tmp_path):
    (tmp_path / "t.csv").write_text("size,file\n7,{2}\n5,{0}\n".format(*NAMES), "utf-8-sig")
    assert read_factors(tmp_path / "t.csv", 3, NAMES[:3]).names == ("size",)

"""`varve merge` on files of other writers, read back by other readers."""

import random
import subprocess

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import pytest

from varve import BINARY


def merge(inputs, output, *options):
    done = subprocess.run([BINARY, "merge", *options, *map(str, inputs), "-o", str(output)],
                          capture_output=True, text=True)
    return done.returncode, done.stderr


def table(rng, rows):
    times = sorted(rng.randrange(5000) for _ in range(rows))
    return pyarrow.table({
        "ts": pyarrow.array(times, pyarrow.int64()),
        "type": [rng.choice(["made", "sent", None]) for _ in range(rows)],
        "text": ["x" * rng.randrange(300) + str(rng.random()) for _ in range(rows)],
        "amount": [rng.choice([None, rng.random()]) for _ in range(rows)],
        "small": pyarrow.array([rng.randrange(100) for _ in range(rows)], pyarrow.int32()),
        "good": [rng.random() < 0.5 for _ in range(rows)],
    })


def write(rng, path, rows, writer):
    if writer == "duckdb":
        connection = duckdb.connect()
        connection.register("rows", rows)
        version = rng.choice(["V1", "V2"])
        connection.execute(f"COPY rows TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048, "
                           f"PARQUET_VERSION {version})")
    elif writer == "polars":
        polars.from_arrow(rows).write_parquet(path, row_group_size=1000, data_page_size=4000)
    else:
        pyarrow.parquet.write_table(rows, path, row_group_size=1500, data_page_size=3000,
                                    data_page_version=rng.choice(["1.0", "2.0"]))


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd:3"])
def test_files_of_other_writers_become_one(tmp_path, codec):
    rng = random.Random(codec)
    inputs, rows = [], []
    for number, writer in enumerate(["duckdb", "polars", "pyarrow"] * 2):
        rows.append(table(rng, 4000))
        inputs.append(tmp_path / f"{number}.parquet")
        write(rng, inputs[-1], rows[-1], writer)
    output = tmp_path / "merged.parquet"
    code, said = merge(inputs, output, "--key", "ts", "--compression", codec, "--group-rows",
                       "5000")
    assert code == 0, said
    expected = pyarrow.concat_tables(rows).to_pylist()
    expected.sort(key=lambda row: row["ts"])  # stable, as the merge is
    assert duckdb.read_parquet(str(output)).to_arrow_table().to_pylist() == expected
    assert polars.read_parquet(output).to_dicts() == expected
    read = pyarrow.parquet.read_table(output, page_checksum_verification=True)
    assert read.to_pylist() == expected
    for pushed in (0, 1234, 4999):  # the statistics and the page index do not lie
        found = duckdb.sql(f"SELECT count(*) FROM '{output}' WHERE ts = {pushed}").fetchone()[0]
        assert found == sum(row["ts"] == pushed for row in expected)


def test_what_cannot_be_merged_is_said_and_leaves_nothing(tmp_path):
    rng = random.Random(1)
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    write(rng, good, table(rng, 100), "pyarrow")
    bad.write_bytes(good.read_bytes()[:-20])
    output = tmp_path / "merged.parquet"
    code, said = merge([good, bad], output, "--key", "ts")
    assert code == 1 and str(bad) in said
    code, said = merge([good], output, "--key", "nothing")
    assert code == 1 and "nothing" in said
    code, said = merge([good], output, "--key", "ts:sideways")
    assert code == 2 and "sideways" in said
    pyarrow.parquet.write_table(table(rng, 50).sort_by([("ts", "descending")]), bad)
    code, said = merge([good, bad], output, "--key", "ts")
    assert code == 1 and str(bad) in said and "--unsorted sort" in said
    assert sorted(tmp_path.iterdir()) == [bad, good]
    code, said = merge([good, bad], output, "--key", "ts", "--unsorted", "sort")
    assert code == 0, said
    assert polars.read_parquet(output)["ts"].is_sorted()
    assert sorted(tmp_path.iterdir()) == [bad, good, output]


def test_readers_skip_row_groups_by_the_bloom_filters(tmp_path):
    inputs, rows = [], 9000
    for number in range(3):
        inputs.append(tmp_path / f"{number}.parquet")
        times = list(range(number, rows, 3))
        pyarrow.parquet.write_table(pyarrow.table({
            "ts": pyarrow.array(times, pyarrow.int64()),
            "id": pyarrow.array([7 * at for at in times], pyarrow.int32()),
            "ratio": [at / 4 for at in times],
            "name": [None if at % 5 == 0 else f"name {at // 10}" for at in times],
            "none": pyarrow.array([None] * len(times), pyarrow.string()),
        }), inputs[-1])
    output = tmp_path / "merged.parquet"
    chosen = ["ts", "id", "ratio", "name", "none"]
    options = [word for name in chosen for word in ("--bloom", name)]
    code, said = merge(inputs, output, "--key", "ts", "--group-rows", "1000", *options)
    assert code == 0, said
    connection = duckdb.connect()
    connection.execute("SET threads = 1")

    def excluded(column, value):
        probed = connection.execute("SELECT row_group_id, bloom_filter_excludes FROM "
                                    f"parquet_bloom_probe('{output}', '{column}', {value})")
        return dict(probed.fetchall())

    for at in range(1, rows, 211):
        own = at // 1000
        values = [("ts", at), ("id", 7 * at), ("ratio", at / 4)]
        if at % 5 != 0:
            values.append(("name", f"'name {at // 10}'"))
        for column, value in values:
            assert not excluded(column, value)[own], (column, value)
            quoted = f"SELECT count(*) FROM '{output}' WHERE {column} = {value}"
            expected = 8 if column == "name" else 1
            assert connection.execute(quoted).fetchone()[0] == expected, (column, value)
    for column, value in [("ts", "{}"), ("id", "{} * 7"), ("ratio", "{} / 4.0"),
                          ("name", "'name {}'")]:
        probed = [excluded(column, value.format(100_000 + i)) for i in range(50)]
        kept = sum(not gone for groups in probed for gone in groups.values())
        assert all(len(groups) == 9 for groups in probed)
        assert kept <= 450 * 3 / 100, (column, kept)
    assert all(excluded("none", "'x'").values())
    code, said = merge(inputs, output, "--key", "ts", "--bloom", "nothing")
    assert code == 1 and "nothing" in said

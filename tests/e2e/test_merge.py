"""`varve merge` on files of other writers, read back by other readers."""

import json
import random
import subprocess

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import pytest

from varve import BINARY, ROOT


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


def write_by_hyparquet(path, rows, codec):
    types = {"ts": "INT64", "type": "STRING", "text": "STRING", "amount": "DOUBLE",
             "small": "INT32", "good": "BOOLEAN"}
    columns = [[name, types[name], rows[name].to_pylist()] for name in rows.column_names]
    subprocess.run(["node", ROOT / "build/readers/write.mjs", path, codec], check=True, text=True,
                   input=json.dumps(columns))


def write(rng, path, rows, writer):
    if writer == "duckdb":
        connection = duckdb.connect()
        connection.register("rows", rows)
        version = rng.choice(["V1", "V2"])
        connection.execute(f"COPY rows TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048, "
                           f"PARQUET_VERSION {version})")
    elif writer == "hyparquet":
        write_by_hyparquet(path, rows, rng.choice(["SNAPPY", "UNCOMPRESSED"]))
    elif writer == "polars":
        polars.from_arrow(rows).write_parquet(path, row_group_size=1000, data_page_size=4000)
    else:
        pyarrow.parquet.write_table(rows, path, row_group_size=1500, data_page_size=3000,
                                    data_page_version=rng.choice(["1.0", "2.0"]))


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd:3"])
def test_files_of_other_writers_become_one(tmp_path, codec):
    rng = random.Random(codec)
    inputs, rows = [], []
    for number, writer in enumerate(["duckdb", "polars", "pyarrow", "hyparquet"] * 2):
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

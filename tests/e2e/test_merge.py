"""`varve merge` on files of other writers, read back by other readers."""

import json
import os
import random
import resource
import subprocess

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import pytest

from varve import BINARY, ROOT, read_rows


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


@pytest.mark.parametrize("codec", ["lz4", "snappy", "zstd"])
def test_pages_that_hardly_shrink_are_read_by_all(tmp_path, codec):
    """Random identifiers are stored in the codec's own format, text beside them is not."""
    rng = random.Random(codec)
    inputs, rows = [], []
    for number in range(2):
        times = sorted(rng.randrange(10**9) for _ in range(20_000))
        rows.append(pyarrow.table({
            "ts": times, "trace": [f"{rng.getrandbits(256):064x}" for _ in times],
            "text": [f'{{"level":"info","path":"/api/items/{t}","status":200}}' for t in times],
        }))
        inputs.append(tmp_path / f"{number}.parquet")
        pyarrow.parquet.write_table(rows[-1], inputs[-1], use_dictionary=False)
    output = tmp_path / "merged.parquet"
    code, said = merge(inputs, output, "--key", "ts", "--compression", codec)
    assert code == 0, said
    group = pyarrow.parquet.read_metadata(output).row_group(0)
    shrunk = {group.column(i).path_in_schema: group.column(i).total_compressed_size /
              group.column(i).total_uncompressed_size for i in range(3)}
    assert shrunk["text"] < 0.5
    assert shrunk["trace"] < 0.7 if codec == "zstd" else 1 < shrunk["trace"] < 1.01
    expected = sorted(pyarrow.concat_tables(rows).to_pylist(), key=lambda row: row["ts"])
    assert duckdb.read_parquet(str(output)).to_arrow_table().to_pylist() == expected
    assert polars.read_parquet(output).to_dicts() == expected
    assert pyarrow.parquet.read_table(output).to_pylist() == expected
    assert read_rows(output) == expected


def test_duckdb_takes_differences_of_32_bits_without_their_overflow(tmp_path):
    """libparquet refuses these pages; they are as the writer means them."""
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, path in enumerate(paths):
        duckdb.sql(f"""COPY (SELECT range * 3 + {number} AS ts,
            CASE WHEN range % 2 = 0 THEN 4294967295 - range ELSE range END::UINTEGER AS wide,
            (range % 256)::UTINYINT AS small, (range * 65521 % 65536)::USMALLINT AS middle
            FROM range(5000)) TO '{path}' (FORMAT parquet, PARQUET_VERSION V2)""")
    output = tmp_path / "out.parquet"
    code, said = merge(paths, output, "--key", "ts")
    assert code == 0, said
    every = f"read_parquet({[str(path) for path in paths]})"
    expected = duckdb.sql(f"SELECT * FROM {every} ORDER BY ts").fetchall()
    assert duckdb.sql(f"SELECT * FROM '{output}'").fetchall() == expected


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("dictionary", [True, False])
def test_readers_that_read_ahead_find_the_columns(tmp_path, copied, dictionary):
    """They take the least of a chunk's offsets for its begin; one of 0 is not theirs."""
    inputs = [tmp_path / f"{number}.parquet" for number in range(2)]
    for number, path in enumerate(inputs):
        times = range(20_000 * number, 20_000 * (number + 1))
        pyarrow.parquet.write_table(pyarrow.table({
            "ts": times, "id": [7 * at for at in times], "name": [f"n{at % 9}" for at in times],
        }), path, compression="snappy", use_dictionary=dictionary)
    output = tmp_path / "merged.parquet"
    code, said = merge(inputs, output, "--key", "ts", "--compression", "snappy",
                       *([] if copied else ["--no-copy"]))
    assert code == 0, said
    footer = pyarrow.parquet.read_metadata(output)
    for group in range(footer.num_row_groups):
        for column in range(footer.num_columns):
            assert footer.row_group(group).column(column).dictionary_page_offset != 0
    connection = duckdb.connect()
    connection.execute("SET prefetch_all_parquet_files = true")
    connection.execute("SET threads = 1")
    seen = connection.execute(f"SELECT sum(id), count(DISTINCT name) FROM '{output}'").fetchone()
    assert seen == (7 * sum(range(40_000)), 9)


def times(rng, unit, rows):
    each = {"ms": 1, "us": 1000, "ns": 1_000_000}[unit]  # in a millisecond

    def time():
        return rng.randrange(-2000 * each, 2000 * each)

    return pyarrow.table({
        "ts": pyarrow.array(sorted(time() for _ in range(rows)), pyarrow.timestamp(unit, "UTC")),
        "at": pyarrow.array([rng.choice([None, time()]) for _ in range(rows)],
                            pyarrow.timestamp(unit)),
        "id": [f"{unit} {number}" for number in range(rows)],
    })


def in_unit(rows, to):
    """(ts, at, id) of each row, rounded down as Python's division does."""
    nanos = {"ms": 1_000_000, "us": 1000, "ns": 1}

    def converted(name):
        column = rows[name]
        return [value if value is None else value * nanos[column.type.unit] // nanos[to]
                for value in column.cast(pyarrow.int64()).to_pylist()]

    return list(zip(converted("ts"), converted("at"), rows["id"].to_pylist()))


@pytest.mark.parametrize("choice,unit", [("keep", "ns"), ("millis", "ms"), ("micros", "us")])
def test_timestamps_of_every_unit_become_one(tmp_path, choice, unit):
    rng = random.Random(choice)
    inputs, expected = [], []
    for number, of in enumerate(["ms", "us", "ns"] * 2):
        rows = times(rng, of, 3000)
        inputs.append(tmp_path / f"{number}.parquet")
        pyarrow.parquet.write_table(rows, inputs[-1], row_group_size=1000, data_page_size=3000,
                                    version="2.6", use_dictionary=number % 2 == 0)
        expected += in_unit(rows, unit)
    expected.sort(key=lambda row: row[0])  # stable, as the merge is
    output = tmp_path / "merged.parquet"
    code, said = merge(inputs, output, "--key", "ts", "--timestamps", choice)
    assert code == 0, said
    read = pyarrow.parquet.read_table(output)
    assert read.schema.field("ts").type == pyarrow.timestamp(unit, "UTC")
    assert read.schema.field("at").type == pyarrow.timestamp(unit)
    assert in_unit(read, unit) == expected
    assert polars.read_parquet(output)["id"].to_list() == [row[2] for row in expected]
    for pushed in (expected[100][0], expected[-1][0]):  # the statistics do not lie
        time = pyarrow.scalar(pushed, pyarrow.timestamp(unit, "UTC"))
        found = pyarrow.parquet.read_table(output, filters=[("ts", "=", time)])
        assert found.num_rows == sum(row[0] == pushed for row in expected)
    counted, first = duckdb.sql(f"SELECT count(*), epoch_us(min(ts)) FROM '{output}'").fetchone()
    least = expected[0][0] * 1000 // {"ms": 1, "us": 1000, "ns": 10**6}[unit]
    assert counted == 18000
    assert first - least in (0, unit == "ns")  # DuckDB rounds nanoseconds of UTC towards zero
    code, said = merge(inputs, output, "--key", "ts", "--timestamps", "seconds")
    assert code != 0 and "--timestamps" in said


def test_int96_becomes_microseconds(tmp_path):
    rng = random.Random(96)
    old, new, output = tmp_path / "old.parquet", tmp_path / "new.parquet", tmp_path / "out.parquet"
    spark, iceberg = times(rng, "ns", 500), times(rng, "us", 500)
    pyarrow.parquet.write_table(spark, old, use_deprecated_int96_timestamps=True)
    pyarrow.parquet.write_table(iceberg, new)
    code, said = merge([old, new], output, "--key", "ts")
    assert code == 1 and str(old) in said and str(new) in said
    code, said = merge([old, new], output, "--key", "ts", "--timestamps", "micros")
    assert code == 0, said
    expected = sorted(in_unit(spark, "us") + in_unit(iceberg, "us"), key=lambda row: row[0])
    read = pyarrow.parquet.read_table(output)
    assert read.schema.field("ts").type == pyarrow.timestamp("us", "UTC")
    assert in_unit(read, "us") == expected
    counted = duckdb.sql(f"SELECT count(*), epoch_us(min(ts)) FROM '{output}'").fetchone()
    assert counted == (1000, expected[0][0])


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
    pyarrow.parquet.write_table(pyarrow.table({"l": [[1], [2, 3]]}), bad)
    code, said = merge([bad], output, "--key", "l.list.element")
    assert code == 1 and "in a list" in said
    code, said = merge([good], output, "--key", "ts:sideways")
    assert code == 1 and "no column ts:sideways" in said  # a name may have colons
    pyarrow.parquet.write_table(table(rng, 50).sort_by([("ts", "descending")]), bad)
    code, said = merge([good, bad], output, "--key", "ts")
    assert code == 1 and str(bad) in said and "--unsorted sort" in said
    assert sorted(tmp_path.iterdir()) == [bad, good]
    code, said = merge([good, bad], output, "--key", "ts", "--unsorted", "sort")
    assert code == 0, said
    assert polars.read_parquet(output)["ts"].is_sorted()
    assert sorted(tmp_path.iterdir()) == [bad, good, output]


@pytest.mark.parametrize("messages", ["closed", "full", "nobody reads them"])
def test_messages_that_cannot_be_written_keep_no_file_from_its_name(tmp_path, messages):
    rng = random.Random(2)
    source, output = tmp_path / "in.parquet", tmp_path / "merged.parquet"
    write(rng, source, table(rng, 100), "pyarrow")

    def run(*words):
        reader, to = os.pipe()
        os.close(reader)
        if messages == "full":
            os.dup2(os.open("/dev/full", os.O_WRONLY), to)
        closing = (lambda: os.close(2)) if messages == "closed" else None
        try:
            return subprocess.run([BINARY, *map(str, words)], stderr=to, stdout=subprocess.PIPE,
                                  preexec_fn=closing).returncode
        finally:
            os.close(to)

    assert run("merge", "--key", "ts", source, "-o", output) == 0
    assert duckdb.sql(f"SELECT count(*) FROM '{output}'").fetchone() == (100,)
    assert run("merge", "--key", "nothing", source, "-o", output) == 1
    assert run("merge", "--key", "ts", "--page-size", "1", source, "-o", output) == 2
    events, raw = tmp_path / "events.ndjson", tmp_path / "raw.parquet"
    events.write_text('{"id": "a", "type": "t", "ts": 1}\nno event\n')
    assert run("convert", events, "-o", raw) == 1
    assert run("query", "--data", tmp_path / "nothing", "SELECT wrong") == 1


@pytest.mark.parametrize("closed", [True, False])
def test_rows_that_cannot_be_written_are_an_error(tmp_path, closed):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([BINARY, "config", "docs"], stdout=full, stderr=subprocess.PIPE,
                              preexec_fn=(lambda: os.close(1)) if closed else None)
    assert done.returncode == 1 and b"standard output" in done.stderr


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


@pytest.mark.parametrize("column", ["key", "payload"])
def test_large_values_of_a_dictionary_stay_within_memory(tmp_path, column):
    """Files of some hundred KB whose rows, written one by one, are gigabytes."""
    values = sorted(f"{i:05}" + "x" * 20_000 for i in range(40))
    of_row = [i // 2500 for i in range(100_000)]
    large = pyarrow.DictionaryArray.from_arrays(pyarrow.array(of_row, pyarrow.int32()), pyarrow.array(values))
    rows = pyarrow.table({"key": large if column == "key" else pyarrow.array(range(100_000)),
                          "payload": large if column == "payload" else pyarrow.array(range(100_000))})
    source = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(rows, source, store_schema=False, max_rows_per_page=100_000,
                                dictionary_pagesize_limit=8 << 20)
    limit = 1536 << 20  # of addresses: libraries and threads have many that they do not use
    merged = subprocess.run([BINARY, "merge", "-q", "--key", "key", "--memory-limit", "128MiB", source, source,
                             "-o", tmp_path / "out.parquet"], capture_output=True, text=True,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert merged.returncode == 0, merged.stderr
    seen = duckdb.sql(f"SELECT count(*), count(DISTINCT {column}), max(length({column})) "
                      f"FROM '{tmp_path}/out.parquet'").fetchone()
    assert seen == (200_000, 40, 20_005)


def peak_mib(inputs, output, *options):
    """Of a merge that succeeds. A child's peak begins with this process's, so another is between."""
    watch = ("import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024); sys.exit(code)")
    done = subprocess.run(["python3", "-c", watch, BINARY, "merge", "-q", "--no-sync", *options,
                           *map(str, inputs), "-o", str(output)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("shape", ["lists", "unsorted"])
def test_rows_that_arrow_moves_stay_within_memory(tmp_path, shape):
    """Some 150 MB as values, 1 MB of each column at a time in a reader's pages."""
    rng = random.Random(8)
    pool = [rng.randbytes(150).hex() for _ in range(5000)]
    inputs, rows = [], 40_000
    for number in range(10):
        times = [row * 10 + number for row in range(rows)]
        if shape == "unsorted":
            rng.shuffle(times)
        columns = {"ts": times, **{f"t{i}": rng.choices(pool, k=rows) for i in range(3)}}
        if shape == "lists":
            columns["l"] = [[time, number] for time in times]
        inputs.append(tmp_path / f"{number}.parquet")
        pyarrow.parquet.write_table(pyarrow.table(columns), inputs[-1], compression="lz4")
    output = tmp_path / "out.parquet"
    assert peak_mib(inputs, output, "--key", "ts", "--unsorted", "sort") <= 256
    seen = duckdb.sql(f"SELECT count(*), count(DISTINCT ts), max(ts) FROM '{output}'").fetchone()
    assert seen == (10 * rows, 10 * rows, 10 * rows - 1)
    assert polars.read_parquet(output, columns=["ts"])["ts"].is_sorted()


def test_more_output_files_than_the_soft_limit_of_open_files(tmp_path):
    source = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"k": list(range(300))}), source, row_group_size=300)
    command = [BINARY, "merge", "-q", "--no-sync", "--key", "k", "--file-rows", "1", source,
               "-o", tmp_path / "out.parquet"]

    def run(soft, hard):
        return subprocess.run(command, capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))

    refused = run(128, 128)
    assert refused.returncode == 1 and "ulimit -n" in refused.stderr
    assert list(tmp_path.iterdir()) == [source]
    done = run(128, 4096)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 301

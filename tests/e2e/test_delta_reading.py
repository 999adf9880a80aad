"""Delta tables of other engines as varve finds them: with features that bind writers alone they are
read, and nothing is committed to them; a checkpoint that is lost is made up for."""

import json
import re

import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.table import TableFeatures

from lake import lake_of_others
from table_readers import duck
from test_delta_partitions import SOURCE, query, rows
from test_damage import tree


@pytest.fixture
def lake(tmp_path):
    return lake_of_others(tmp_path / "lake")


def constrained(path):
    write_deltalake(path, rows([0, 1]))
    DeltaTable(path).alter.add_constraint({"positive": "id >= 0"})
    write_deltalake(path, rows([2]), mode="append")


def with_changes(path):
    write_deltalake(path, rows([0, 1]), configuration={"delta.enableChangeDataFeed": "true"})
    write_deltalake(path, rows([2]), mode="append")


def named_features(path):
    """Writer version 7 with its list, behind a checkpoint that has it too."""
    write_deltalake(path, rows([0, 1]))
    DeltaTable(path).alter.add_feature(TableFeatures.ChangeDataFeed,
                                       allow_protocol_versions_increase=True)
    DeltaTable(path).create_checkpoint()
    write_deltalake(path, rows([2]), mode="append")


@pytest.mark.parametrize("make", [constrained, with_changes, named_features])
def test_what_binds_writers_only_is_read_and_not_written(lake, make):
    path = str(lake.root / "catalog/u")
    make(path)
    protocol = DeltaTable(path).protocol()
    assert protocol.min_reader_version == 1 and protocol.min_writer_version > 2
    assert query(lake, "SELECT id FROM u ORDER BY id") == [{"id": 0}, {"id": 1}, {"id": 2}]
    (shown,) = lake.json("show", "u")
    assert shown["rows"] == 3 and shown["formats"] == "delta"
    assert len(lake.json("files", "u")) == len(DeltaTable(path).file_uris())
    assert len(lake.json("history", "u")) == DeltaTable(path).version() + 1
    told = lake.varve("doctor").stdout
    assert "table u: varve reads it and commits nothing to it" in told and "ERROR" not in told, told
    assert "all of their" in told

    key = lake.put("catalog/u/data/x.parquet", rows([3]))
    lake.put(SOURCE, rows([4]))
    before = tree(lake.root / "catalog/u/_delta_log")
    tried = [lake.run(*args, check=False) for args in (
        ["register", "u", key], ["publish", "u", "--to", "iceberg"], ["vacuum", "u", "--older-than", "0s"],
        ["orphans", "u", "--older-than", "0s"])]
    tried += [lake.varve("compact", "--prefix", "data/u/", "--namespace", "u", "--to", "delta", check=False)]
    for done in tried:
        assert done.returncode != 0 and "the Delta table uses" in done.stderr and "'u'" in done.stderr, done
    assert tree(lake.root / "catalog/u/_delta_log") == before
    assert not (lake.root / "catalog/u/metadata").exists()
    assert (lake.root / SOURCE).exists() and (lake.root / key).exists()


def test_what_readers_do_not_know_is_refused_still(lake):
    path = lake.root / "catalog/u"
    write_deltalake(str(path), rows([0]))
    first = path / "_delta_log/00000000000000000000.json"
    actions = [json.loads(line) for line in first.read_text().splitlines()]
    for action in actions:
        action.get("protocol", {}).update(minReaderVersion=2, minWriterVersion=5)
    first.write_text("\n".join(map(json.dumps, actions)))
    done = lake.run("show", "u", check=False)
    assert done.returncode != 0 and "reader version 2" in done.stderr and "_delta_log" in done.stderr, done
    told = lake.varve("doctor").stdout
    assert "table u: varve does not read it" in told and "reader version 2" in told and "backup" not in told, told


@pytest.mark.parametrize("damage", [None, b"", b"PAR1", b"no Parquet at all"])
def test_a_lost_checkpoint_is_named_and_the_next_commit_makes_up_for_it(lake, damage):
    """Others fail on `_last_checkpoint` where what it names is of no use."""
    path = lake.root / "catalog/u"
    write_deltalake(str(path), rows([0]))
    DeltaTable(str(path)).create_checkpoint()
    write_deltalake(str(path), rows([1]), mode="append")
    lost = path / "_delta_log/00000000000000000000.checkpoint.parquet"
    lost.unlink() if damage is None else lost.write_bytes(damage)
    with pytest.raises(Exception):
        DeltaTable(str(path)).to_pyarrow_table()
    assert query(lake, "SELECT id FROM u ORDER BY id") == [{"id": 0}, {"id": 1}]
    done = lake.varve("doctor", check=False)
    assert done.returncode == 1 and "restore the files" not in done.stdout
    for part in ("table u:", "_delta_log/_last_checkpoint' names", lost.name, "the next commit", "remove '"):
        assert part in done.stdout, (part, done.stdout)

    lake.run("register", "u", lake.put("catalog/u/data/x.parquet", rows([2])))
    theirs = DeltaTable(str(path)).to_pyarrow_table()
    assert sorted(theirs["id"].to_pylist()) == [0, 1, 2]
    assert duck().sql(f"SELECT count(*) FROM delta_scan('{path}')").fetchall() == [(3,)]
    assert "_last_checkpoint" not in lake.varve("doctor", check=False).stdout
    checkpoints = len(list((path / "_delta_log").glob("*.checkpoint.parquet")))
    lake.run("register", "u", lake.put("catalog/u/data/y.parquet", rows([3])))
    assert len(list((path / "_delta_log").glob("*.checkpoint.parquet"))) == checkpoints
    assert sorted(DeltaTable(str(path)).to_pyarrow_table()["id"].to_pylist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("damage", [None, b"PAR1"])
def test_the_way_out_of_a_lost_checkpoint_where_varve_does_not_commit(lake, damage):
    path = lake.root / "catalog/u"
    constrained(str(path))
    DeltaTable(str(path)).create_checkpoint()
    lost = path / "_delta_log/00000000000000000002.checkpoint.parquet"
    lost.unlink() if damage is None else lost.write_bytes(damage)
    told = lake.varve("doctor", check=False).stdout
    (way_out,) = [line for line in told.splitlines() if "remove '" in line]
    assert "the next commit" not in way_out
    for key in re.findall("'(catalog/[^']+)'", way_out):
        (lake.root / key).unlink()
    assert sorted(DeltaTable(str(path)).to_pyarrow_table()["id"].to_pylist()) == [0, 1, 2]
    assert lake.varve("doctor").returncode == 0

"""What the command line says of itself: each subcommand's help has its own examples, those of
`varve table` work in their order, and errors name what they are about."""

import re
import subprocess

import pyarrow as pa
import pytest

from lake import Lake
from varve import BINARY

COMMANDS = ["queue", "store", "table", "compaction", "view", "workflow", "config"]
TIME = 1770040800000


def help_of(*command):
    return subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, check=True).stdout


def examples(text):
    return [line.strip() for line in text.partition("\nExamples")[2].splitlines()[1:] if line.strip()]


def rows(*ids, **more):
    return pa.table({"ts": pa.array([TIME * 1000 + i for i in ids], pa.timestamp("us", "UTC")),
                     "id": pa.array(ids, pa.int64()), **more})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_subcommand_has_examples_of_its_own(command):
    listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", help_of(command), re.M).group(1)
    subs = re.findall(r"^  ([a-z][a-z-]*)", listed, re.M)
    assert subs
    for sub in subs:
        lines = examples(help_of(command, sub))
        assert lines, (command, sub)
        assert any(f"varve {command} {sub}" in line for line in lines), (command, sub, lines)
        assert not any("varve serve" in line for line in lines)


def test_the_examples_of_table_work_in_their_order(tmp_path):
    lake = Lake(tmp_path / "lake")
    for i in range(2):
        lake.put(f"catalog/trips/data/{i}.parquet", rows(i))
    lines = examples(help_of("table"))
    assert len(lines) >= 11
    for line in lines:
        program, command, *args = line.split()
        assert (program, command) == ("varve", "table")
        if "SNAPSHOT" in args:
            args[args.index("SNAPSHOT")] = lake.json("history", "trips")[0]["snapshotId"]
        lake.run(*args)
    lake.agree("trips", [rows(0), rows(1)], columns=["ts", "id"], delta=True)


def test_messages_name_what_they_are_about(tmp_path):
    lake = Lake(tmp_path / "lake")

    def refused(*args):
        done = lake.varve("compact", "--namespace", "u", *args, check=False)
        assert done.returncode != 0 and not done.stdout, done
        return done.stderr

    assert "'nope/'" in refused("--prefix", "nope/")
    assert "'data/u/gone.parquet'" in refused("data/u/gone.parquet")
    lake.put(f"data/u/{TIME}-w-1.parquet", rows(1))
    for option in ("--file-size", "--batch-size", "--grace"):
        assert option in refused("--prefix", "data/u/", option, "zero")


def test_a_compaction_of_which_every_file_is_quarantined_says_so(tmp_path):
    lake = Lake(tmp_path / "lake")
    lake.put(f"data/u/{TIME}-w-1.parquet", rows(1))
    lake.varve("compact", "--prefix", "data/u/", "--namespace", "u")
    bad = f"data/u/{TIME}-w-2.parquet"
    (lake.root / bad).write_text("not Parquet")
    done = lake.varve("compact", "--prefix", "data/u/", "--namespace", "u", check=False)
    assert done.returncode == 1 and not done.stdout
    assert "nothing was compacted" in done.stderr and bad in done.stderr
    assert (lake.root / bad).exists()
    lake.put(f"data/u/{TIME}-w-3.parquet", rows(3))  # one that fits is enough
    lake.varve("compact", "--prefix", "data/u/", "--namespace", "u")

"""A data directory of Parquet files and tables, and the program that works on it without a server."""

import json
import os
import subprocess

import pyarrow.parquet as pq

from table_lint import IcebergLint, lint_delta
from table_readers import Table, multiset
from varve import BINARY

COLUMNS = ["ts", "id", "v", "n"]


def crash_points(*prefixes):
    listed = subprocess.run([BINARY, "debug", "crash-points"], capture_output=True, text=True, check=True)
    return [p for p in listed.stdout.split() if not prefixes or p.startswith(prefixes)]


class Lake:
    def __init__(self, root):
        self.root = root
        root.mkdir()

    def put(self, key, table, **options):
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, **{"row_group_size": 7, **options})
        return key

    def varve(self, command, *args, crash=None, env=None, check=True):
        env = {**os.environ, **(env or {}), **({"VARVE_CRASH": crash} if crash else {})}
        done = subprocess.run([BINARY, command, *map(str, args), "--data", self.root], env=env,
                              capture_output=True, text=True, timeout=120)
        if check:
            assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done

    def run(self, *args, **more):
        return self.varve("table", *args, **more)

    def json(self, *args):
        return [json.loads(line) for line in self.run(*args, "--json").stdout.splitlines()]

    def table(self, name, iceberg=True, delta=False):
        return Table(self.root / "catalog" / name, iceberg, delta)

    def agree(self, name, tables, columns=COLUMNS, iceberg=True, delta=False, **filters):
        """Every reader of every format gives these rows, and the linters find nothing."""
        expected = [row for table in tables for row in multiset(table, columns)]
        self.table(name, iceberg, delta).agree(expected, columns, **filters)
        if iceberg:
            IcebergLint(self.root / "catalog" / name).run()
        if delta:
            live, _ = lint_delta(self.root / "catalog" / name)
            assert len(live) == len(self.json("files", name))


def lake_of_others(root):
    """A data directory with a place for the table `u`, which another engine makes."""
    lake = Lake(root)
    (lake.root / "catalog/u").mkdir(parents=True)
    lake.varve("compact", "--resume")  # makes it a data directory
    return lake

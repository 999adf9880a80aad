"""The merge's workloads, from a seed: writers that flush sorted files of events."""

import json
import random

import numpy
import pyarrow
import pyarrow.parquet

START_MS = 1_735_689_600_000
SCHEMA = pyarrow.schema([
    ("ts", pyarrow.timestamp("ms")),
    ("id", pyarrow.string()),
    ("type", pyarrow.string()),
    ("source", pyarrow.string()),
    ("namespace", pyarrow.string()),
    ("actor", pyarrow.string()),
    ("status", pyarrow.int32()),
    ("duration_ms", pyarrow.float64()),
    ("bytes", pyarrow.int64()),
    ("region", pyarrow.string()),
    ("trace", pyarrow.string()),
    ("error", pyarrow.string()),
    ("payload", pyarrow.string()),
])
WORDS = ["alpha", "billing", "cart", "delta", "edge", "forward", "gateway", "history", "invoice",
         "journal", "kernel", "ledger", "monitor", "notice", "order", "payment", "queue", "region",
         "session", "ticket", "update", "vector", "window", "yield", "zone"]


def skewed(random_state, names, count):
    """Few of them most of the time, as types and tenants are."""
    ranks = numpy.minimum(random_state.zipf(1.6, count) - 1, len(names) - 1)
    return numpy.array(names, dtype=object)[ranks]


def payloads(random_state, count, templates):
    """About 300 bytes of JSON each; what repeats in it is what repeats in real events."""
    numbers = random_state.integers(0, 2**32, (count, 4))
    picks = random_state.integers(0, len(templates), count)
    return [templates[p] % (a, b, c, d) for p, (a, b, c, d) in zip(picks, numbers.tolist())]


def make_templates(seed):
    r = random.Random(seed)
    out = []
    for _ in range(64):
        tags = " ".join(r.choice(WORDS) for _ in range(12))
        out.append(json.dumps({
            "user": {"id": "%08x", "name": r.choice(WORDS) + " " + r.choice(WORDS)},
            "request": {"path": "/" + "/".join(r.choice(WORDS) for _ in range(4)), "id": "%08x"},
            "tags": tags, "amount": "%d", "session": "%08x",
            "agent": "client/" + r.choice("123456") + "." + r.choice("0123456789")}))
    return out


def events(random_state, times, templates, writer):
    count = len(times)
    some = random_state.random(count)
    ids = random_state.integers(0, 2**63, (count, 2))
    return pyarrow.table({
        "ts": pyarrow.array(times, pyarrow.timestamp("ms")),
        "id": [f"{a:016x}{b:016x}" for a, b in ids.tolist()],
        "type": skewed(random_state, [f"{a}.{b}" for a in WORDS for b in ("made", "sent")], count),
        "source": pyarrow.array([f"writer-{writer}"] * count),
        "namespace": skewed(random_state, [f"tenant-{i}" for i in range(40)], count),
        "actor": pyarrow.array(skewed(random_state, [f"user-{i:05}" for i in range(5000)], count),
                               mask=some < 0.2),
        "status": pyarrow.array(random_state.choice([200, 201, 304, 404, 500], count), "int32"),
        "duration_ms": pyarrow.array(random_state.random(count) * 900, mask=some > 0.9),
        "bytes": random_state.integers(0, 1 << 20, count),
        "region": skewed(random_state, ["eu-1", "us-1", "us-2", "ap-1", "sa-1"], count),
        "trace": pyarrow.array([f"{a:016x}" for a in ids[:, 0].tolist()], mask=some < 0.5),
        "error": pyarrow.array(skewed(random_state, WORDS, count), mask=some < 0.95),
        "payload": payloads(random_state, count, templates),
    }, schema=SCHEMA)


def wide(random_state, times):
    count = len(times)
    columns = {"ts": pyarrow.array(times, pyarrow.timestamp("ms"))}
    for i in range(199):
        if i % 4 == 0:
            columns[f"c{i}"] = skewed(random_state, WORDS, count)
        elif i % 4 == 1:
            columns[f"c{i}"] = random_state.integers(0, 1000, count)
        elif i % 4 == 2:
            columns[f"c{i}"] = random_state.random(count)
        else:
            columns[f"c{i}"] = pyarrow.array(random_state.integers(0, 100, count),
                                             mask=random_state.random(count) < 0.5)
    return pyarrow.table(columns)


def times_of(random_state, begin, count, step):
    return START_MS + begin + numpy.sort(random_state.integers(0, count * step, count))


# writers, files of each, rows of a file
SHAPES = {"interleaved": (10, 12, 20_000), "disjoint": (10, 12, 20_000), "tiny": (10, 100, 1_000),
          "wide": (5, 4, 20_000), "nearly": (10, 12, 20_000), "large": (10, 120, 20_000)}


def make(directory, shape, compression, seed=20261121):
    """The files of a workload, in a directory of their own; made once."""
    done = directory / "done"
    paths = sorted(directory.glob("*.parquet"))
    if done.exists():
        return paths
    directory.mkdir(parents=True, exist_ok=True)
    writers, files, rows = SHAPES[shape]
    templates = make_templates(seed)
    for writer in range(writers):
        for number in range(files):
            r = numpy.random.default_rng([seed, writer, number])
            if shape == "disjoint":
                times = times_of(r, (number * writers + writer) * rows * 10, rows, 9)
            elif shape == "nearly":
                times = times_of(r, (number * writers + writer) * rows * 10, rows, 11)
            else:
                times = times_of(r, number * rows * 10, rows, 10)
            table = wide(r, times) if shape == "wide" else events(r, times, templates, writer)
            pyarrow.parquet.write_table(table, directory / f"{number:03}-{writer:02}.parquet",
                                        compression=compression, row_group_size=1 << 20)
    done.touch()
    return sorted(directory.glob("*.parquet"))

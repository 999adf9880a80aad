"""Three minutes of durable ingest at a steady rate, every event flushed to Parquet as it goes."""

import os
import threading

import pyarrow.parquet as pq
from measure import load, peak_mb, save, serve, wait_until

SECONDS = int(os.environ.get("SUSTAINED_SECONDS", "180"))
RATE = int(os.environ.get("SUSTAINED_EVENTS_PER_S", "250000"))

server = serve("sustained")
lag = []
done = threading.Event()


def sample():
    while not done.wait(2):
        for line in server.get("/metrics").body.decode().splitlines():
            if line.startswith("varve_journal_hot_events "):
                lag.append(float(line.split()[1]))


sampler = threading.Thread(target=sample)
sampler.start()
row = load(server, SECONDS, rate=RATE // 100)
done.set()
sampler.join()
row["peak_mb"] = peak_mb(server.process)
row["hot_events_max"] = max(lag)
row["hot_events_at_end"] = lag[-1]


def in_files():
    return sum(pq.ParquetFile(f).metadata.num_rows for f in server.files("events/*/*/*/*/*.parquet"))


wait_until("the last events to be flushed", lambda: in_files() == row["events"], 60)
row["parquet_rows"] = in_files()
row["parquet_mb"] = sum(f.stat().st_size for f in server.files("events/*/*/*/*/*.parquet")) / 1e6
server.kill()
save("sustained", {"runs": [row], "median": row})

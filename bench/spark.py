"""120 writers' files that an Iceberg table has in place, rewritten in order by Spark's
rewrite_data_files (local mode, sorted), beside bench/compaction.py's figures. Not among the parts
that run by themselves: it needs Java 17 and Maven, and fetches 350 MB.

    scripts/bench spark
"""

import json
import os
import shutil
import subprocess
import sys

from merge import FRAME, ROOT, WORKLOADS, run_child

INPUT = ROOT / "build/bench/merge"
WORK = ROOT / "build/bench/spark"
RUNS = int(os.environ.get("RUNS", "5"))
RUNTIME = ("org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2",
           "c40ae0a8e2673bb5c01951b7d15aae2224a534f8331f4274ce2082776116a044")
NAMES = ("interleaved-lz4", "interleaved-zstd")

BODY = """
import os
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[*]")
    .config("spark.jars", os.environ["ICEBERG_JAR"])
    .config("spark.driver.memory", "6g").config("spark.ui.enabled", "false")
    .config("spark.sql.extensions",
            "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
    .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
    .config("spark.sql.catalog.lake.type", "hadoop")
    .config("spark.sql.catalog.lake.warehouse", out).getOrCreate())
spark.sparkContext.setLogLevel("ERROR")
folder = os.path.dirname(files[0])
rows = spark.read.parquet(folder)
rows.limit(0).writeTo("lake.n.t").tableProperty("write.parquet.compression-codec", codec).create()
spark.sql(f"CALL lake.system.add_files('n.t', '`parquet`.`{folder}`')").collect()
begin()
spark.sql("CALL lake.system.rewrite_data_files(table => 'n.t', strategy => 'sort', "
          "sort_order => 'ts', options => map('rewrite-all', 'true'))").collect()
"""


def prepare():
    """Java's side, pinned; its Python is build/bench-spark's."""
    import hashlib
    artefact, expected = RUNTIME
    jar = ROOT / "build/bench-spark" / ("-".join(artefact.split(":")[1:]) + ".jar")
    if not jar.exists():
        subprocess.run(["mvn", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy",
                        f"-Dartifact={artefact}", f"-DoutputDirectory={jar.parent}"], check=True)
    if hashlib.sha256(jar.read_bytes()).hexdigest() != expected:
        sys.exit(f"{jar} is not what was pinned")
    return jar


def run(jar, name):
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "in").mkdir(parents=True)
    files = []
    for file in sorted((INPUT / name).glob("*.parquet")):
        files.append(str(WORK / "in" / file.name))
        os.link(file, files[-1])
    os.environ["ICEBERG_JAR"] = str(jar)
    printed, _, peak = run_child([sys.executable, "-c", FRAME.replace("{body}", BODY),
                                  json.dumps([files, str(WORK / "out"), WORKLOADS[name][1]])])
    return {"seconds": float(printed.split()[-1]), "peak_mb": peak}


def main():
    jar = prepare()
    report = {}
    for name in NAMES:
        runs = sorted((run(jar, name) for _ in range(RUNS)), key=lambda run: run["seconds"])
        report[name] = runs[len(runs) // 2]
        print(name, report[name])
    shutil.rmtree(WORK, ignore_errors=True)
    (ROOT / "build/bench/spark.json").write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()

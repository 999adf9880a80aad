"""What a full build costs, and one after a one-line change; without the compiler cache."""

import os
import shutil
import subprocess
import time

from measure import ROOT, WORK, save

folder = WORK / "build"
shutil.rmtree(folder, ignore_errors=True)
env = {**os.environ, "CCACHE_DISABLE": "1"}


def timed(*command):
    start = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, env=env, cwd=ROOT,
                   stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


subprocess.run(["cmake", "--preset", "release", "-B", folder], check=True, env=env, cwd=ROOT,
               stdout=subprocess.DEVNULL)
result = {"program_s": timed("ninja", "-C", folder, "varve"),
          "tests_and_bench_s": timed("ninja", "-C", folder)}
for part in ("src/ingest/ingest.h", "src/journal/journal.h", "src/core/result.cc"):
    (ROOT / part).touch()
    result[f"again_after_{part.split('/')[-1]}_s"] = timed("ninja", "-C", folder, "varve")
source = next(iter(sorted((ROOT / "src/query").glob("*.cc"))))
source.touch()
result["again_after_one_source_s"] = timed("ninja", "-C", folder, "varve")
shutil.rmtree(folder)
save("build", result)

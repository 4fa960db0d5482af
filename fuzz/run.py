"""Fuzz one target with atheris: ``run.py TARGET [options of libFuzzer]``. Finds are kept in build/fuzz/finds.

An exception does not end the run, so that a second bug can be found behind the first. Each place that raises is
reported once, and so is each kind of slowness. An input that takes longer than libFuzzer's ``-timeout``, or more memory
than its ``-rss_limit_mb``, ends the run, and is kept too.
"""

import os
import shutil
import sys
import time
import traceback
from hashlib import sha256
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["numberkeep", "targets", "urllib.parse", "json", "xml.sax.saxutils"]):
    import targets

MOST_SECONDS = 0.5
"""The limit of processor time for one input of a few kilobytes."""
WORK = Path(__file__).parent.parent / "build" / "fuzz"


def main() -> None:
    name, *options = sys.argv[1:]
    target = targets.TARGETS[name]
    seeds, grown, finds = WORK / "seeds" / name, WORK / "corpus" / name, WORK / "finds"
    shutil.rmtree(seeds, ignore_errors=True)
    for directory in (seeds, grown, finds):
        directory.mkdir(parents=True, exist_ok=True)
    for seed in sorted((targets.CORPUS / name).iterdir()):
        shutil.copy(seed, seeds)
    told = set()

    def tell(place: str, data: bytes, what: str) -> None:
        if place not in told:
            told.add(place)
            find = finds / f"{name}-{sha256(data).hexdigest()[:12]}"
            find.write_bytes(data)
            print(f"\nFOUND by {name}, kept as {find}:\n{what}", file=sys.stderr, flush=True)

    def one_input(data: bytes) -> None:
        began = time.process_time()
        try:
            target(data)
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            tell(f"{type(error).__name__} {frame.filename}:{frame.lineno}", data, traceback.format_exc())
        seconds = time.process_time() - began
        if seconds > MOST_SECONDS:
            tell("slow", data, f"{seconds:.2f} seconds of processor time for {len(data)} bytes")

    try:
        target((targets.CORPUS / name / "first").read_bytes())  # no input is to be charged for what is made once
    except Exception:
        traceback.print_exc()
        os._exit(1)  # the store's thread would keep the process alive
    dictionary = targets.CORPUS.parent / "dictionary"
    defaults = [f"-artifact_prefix={finds}/{name}-", f"-dict={dictionary}", "-timeout=20", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *defaults, *options, str(grown), str(seeds)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Run the loader with small batches, so that a small file has many.

`python -m tests.support.faults.small FAULT ARGUMENT...`. FAULT is `none` or the name of a defect to plant, which the
judge must find.
"""

import sys

import loader.loads.remove
import loader.reading.files
import loader.writing.batches
from loader.__main__ import main, run

CHUNK_BYTES, BATCH_ROWS = 32 << 10, 200


def plant(fault: str) -> None:
    """Plant a defect in the loader, one that could have been written."""
    if fault == "removes-what-others-brought":
        loader.loads.remove.find_heirs = lambda *_: {}
    elif fault == "takes-no-turn":
        loader.loads.remove.take_turn = lambda *_: None
    elif fault == "keeps-too-much":
        real = loader.loads.remove.find_heirs
        loader.loads.remove.find_heirs = lambda *given: dict.fromkeys(real(*given), given[2])
    elif fault == "notes-no-repeats":
        loader.writing.batches.note_repeats = lambda *_: None
    elif fault == "forgets-the-version":
        loader.loads.remove.bump_version = lambda *_: 0
    else:
        assert fault == "none", fault


if __name__ == "__main__":
    fault, *arguments = sys.argv[1:]
    plant(fault)
    loader.reading.files.CHUNK_BYTES = CHUNK_BYTES
    loader.loads.remove.BATCH_ROWS = BATCH_ROWS
    sys.argv[1:] = arguments
    run(main)

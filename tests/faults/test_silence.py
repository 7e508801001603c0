"""A network that is silent for half a minute loses no row and duplicates none."""

import os
import time
from pathlib import Path
from random import Random

import pytest

from tests.support.faults.loads import judged, wait_for_rows
from tests.support.faults.proxy import proxied
from tests.support.faults.servers import replica_set
from tests.support.process import load_until_done, loader

pytestmark = [pytest.mark.live, pytest.mark.faults]

SILENCE_S = 30
ROUNDS = 3


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_load_over_a_network_that_falls_silent_is_finished(
    tmp_path: Path, long_file: Path, random: Random, round_: int
) -> None:
    """It continues, or ends with a clear line and is run again."""
    with replica_set(tmp_path, 1) as (mongod,), proxied(mongod.port) as proxy:
        environment = {
            "PATH": os.environ["PATH"],
            "MONGODB_URI": f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true",
            "MONGODB_DATABASE": "silent",
        }
        process = loader(environment, "load", long_file)
        wait_for_rows(mongod, "silent", process)
        time.sleep(random.uniform(0, 2))
        assert proxy.silence(SILENCE_S) == 0
        runs, output = load_until_done(environment, long_file, process)
        print(f"silent for {SILENCE_S} s; done after {runs} runs: {output.splitlines()[0]}")
        assert judged(mongod, "silent", long_file, output) == []

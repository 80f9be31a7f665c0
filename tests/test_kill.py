"""Five kills at random moments; `scripts/kill` does fifty, of each task."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "kill"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_nothing_is_lost_or_half_written_when_a_run_is_killed():
    words = [sys.executable, str(SCRIPT), "--count", "5", "--task", "sdf", "--seed", "2"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^5 kills .*nothing was lost, nothing half written$", done.stdout, re.MULTILINE)
    assert re.search(r"^[1-9]\d* runs got through, each bit for bit", done.stdout, re.MULTILINE)

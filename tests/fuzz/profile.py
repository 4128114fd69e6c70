"""How much is tried: a short fixed set in the suite, fresh cases for as long as wanted with `python -m tests.fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

ROUND = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Examples a test in one round of a long run; 0 in the suite."""


def tries(examples: int) -> settings:
    """`examples` that are always the same, or a round's number of new ones."""
    return settings(
        max_examples=ROUND or examples,
        derandomize=not ROUND,
        database=None,
        deadline=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )

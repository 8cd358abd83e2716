"""Each public behaviour in facts.yaml has a test by that name."""

import re
from pathlib import Path

import yaml

HERE = Path(__file__).parent


def test_each_fact_has_tests_that_exist():
    found = {name for path in HERE.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    facts = yaml.safe_load((HERE / "facts.yaml").read_text())
    missing = [
        (fact, name) for group in facts.values() for fact, names in group.items() for name in names if name not in found
    ]
    assert not missing
    assert sum(map(len, facts.values())) > 40

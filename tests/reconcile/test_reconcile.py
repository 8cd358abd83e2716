"""Brings up the AWS endpoint and runs the Rust tests of the engine on it, under the policy that the chart ships."""

import os
import subprocess
from pathlib import Path

from testbed.aws.setup import prepare
from testbed.bed import Bed

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "charts/windlass/files/controller-policy.json"
CLUSTER_ID = "prod"
TIME_FACTOR = 20.0


def test_the_engine_on_the_endpoint(tmp_path: Path) -> None:
    """tests/reconcile/*.rs"""
    with Bed.up(tmp_path / "bed", time_factor=TIME_FACTOR, control_plane=False, end_with_parent=True) as bed:
        operator = prepare(bed.boto3, bed.control, POLICY.read_text(), CLUSTER_ID)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": operator.access_key_id,
            "AWS_SECRET_ACCESS_KEY": operator.secret,
            "AWS_SESSION_TOKEN": operator.session_token,
            "AWS_EC2_METADATA_DISABLED": "true",
            "WINDLASS_TEST_ENDPOINT": bed.endpoint,
            "WINDLASS_TEST_CONTROL": bed.control.url,
            "WINDLASS_TEST_ROLE_ARN": operator.role_arn,
            "WINDLASS_TEST_EXTERNAL_ID": operator.external_id,
            "WINDLASS_TEST_BOUNDARY_ARN": operator.boundary_arn,
        }
        command = ["cargo", "test", "--locked", "--features", "bed-tests", "--test", "reconcile"]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, "cargo test failed: its output is above"

"""The charts as helm renders them, without a cluster."""

import json
import re
from pathlib import Path

import pytest
import yaml
from chart_bench import CHART, CRDS_CHART, ROOT, SEVERAL_VALUES, container, documents, helm, of_kind, render


@pytest.mark.parametrize("chart", [CHART, CRDS_CHART], ids=lambda chart: chart.name)
def test_lint(chart: Path) -> None:
    done = helm("lint", "--strict", str(chart), values={"clusterId": "demo"} if chart == CHART else None)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout and "[ERROR]" not in done.stdout, done.stdout


REFUSED_VALUES = {
    "no cluster id": ({}, "missing property 'clusterId'"),
    "an empty cluster id": ({"clusterId": ""}, "at '/clusterId': '' does not match pattern '^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$'"),
    "a long cluster id": ({"clusterId": "a" * 21}, "at '/clusterId'"),
    "an underscore": ({"clusterId": "prod_eu"}, "at '/clusterId'"),
    "a value that is not there": ({"clusterId": "demo", "replicaCount": 2}, "additional properties 'replicaCount' not allowed"),
    "a misspelt inner value": (
        {"clusterId": "demo", "leaderElection": {"leaseDurations": "5s"}},
        "at '/leaderElection': additional properties 'leaseDurations' not allowed",
    ),
    "a duration without a unit": ({"clusterId": "demo", "pollInterval": "5"}, "at '/pollInterval': '5' does not match pattern"),
    "no replicas": ({"clusterId": "demo", "replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
    "another log format": ({"clusterId": "demo", "logFormat": "xml"}, "at '/logFormat': value must be one of 'json', 'text'"),
    "no account to run as": (
        {"clusterId": "demo", "serviceAccount": {"create": False}},
        "serviceAccount.name is required when serviceAccount.create is false",
    ),
}


@pytest.mark.parametrize("case", REFUSED_VALUES)
def test_refused_values(case: str) -> None:
    values, message = REFUSED_VALUES[case]
    done = helm("template", "windlass", str(CHART), values=values)
    assert done.returncode != 0 and message in done.stderr, done.stderr


def test_cluster_ids_are_what_the_program_takes(windlass) -> None:
    """The schema and the program refuse the same."""
    for text, good in {"a": True, "prod-eu-1": True, "a" * 20: True, "-a": False, "a-": False, "1a": False, "A": False}.items():
        by_chart = helm("template", "windlass", str(CHART), values={"clusterId": text}).returncode == 0
        by_program = windlass("render", f"--cluster-id={text}", "-f", "-", stdin="").returncode == 0
        assert (by_chart, by_program) == (good, good), text


@pytest.mark.parametrize("case", SEVERAL_VALUES)
def test_no_wildcards(case: str) -> None:
    roles = [item for item in render(SEVERAL_VALUES[case]) if item["kind"] in ("ClusterRole", "Role")]
    assert roles
    for role in roles:
        for rule in role["rules"]:
            for part in ("apiGroups", "resources", "verbs"):
                assert rule[part] and not any("*" in item for item in rule[part]), role


@pytest.mark.parametrize("case", SEVERAL_VALUES)
def test_the_pod_can_do_nothing_to_its_node(case: str) -> None:
    manifests = render(SEVERAL_VALUES[case])
    (deployment,) = of_kind(manifests, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(pod)
    assert container(manifests)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_probes_do_not_depend_on_leadership() -> None:
    """/healthz answers on a standby too; /readyz when the API server was reached."""
    only = container(render({}))
    assert only["ports"] == [{"name": "http", "containerPort": 8080}]
    assert only["livenessProbe"]["httpGet"] == only["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert only["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_the_programs_options_are_given_as_it_takes_them(windlass) -> None:
    """Each variable of the container is one that `windlass controller --help` names, but for POD_NAME, which is the leader's identity."""
    said = windlass("controller", "--help").stdout
    variables = {item["name"] for item in container(render({}))["env"]} - {"POD_NAME"}
    assert variables and not [name for name in variables if f"[env: {name}=" not in said]
    assert container(render({}))["args"] == ["controller"]


def test_values_reach_the_container() -> None:
    values = SEVERAL_VALUES["everything"]
    only = container(render(values))
    env = {item["name"]: item.get("value") for item in only["env"]}
    assert only["image"] == f"registry.example.com/windlass@sha256:{'0' * 64}"
    assert (env["WINDLASS_CLUSTER_ID"], env["WINDLASS_LEASE_DURATION"], env["WINDLASS_POLL_INTERVAL"]) == ("demo", "30s", "5s")
    assert (env["WINDLASS_DRIFT_INTERVAL"], env["WINDLASS_CONCURRENCY"], env["WINDLASS_LOG_FORMAT"]) == ("1h", "16", "text")
    assert (env["WINDLASS_LOG_LEVEL"], env["HTTPS_PROXY"]) == ("windlass=debug,kube=info", "http://proxy.example.com:3128")


def test_every_default_is_in_the_schema() -> None:
    """So that no value can be misspelt unseen."""
    schema = json.loads((CHART / "values.schema.json").read_text())

    def check(values: dict, properties: dict, path: str) -> None:
        for key, value in values.items():
            assert key in properties, f"{path}{key}"
            inner = properties[key].get("properties")
            if isinstance(value, dict) and inner:
                check(value, inner, f"{path}{key}.")

    check(yaml.safe_load((CHART / "values.yaml").read_text()), schema["properties"], "")


def test_the_crds_chart_keeps_what_the_code_says() -> None:
    """Uninstalling it deletes no definition, and with it every object."""
    done = helm("template", "windlass-crds", str(CRDS_CHART))
    assert done.returncode == 0, done.stderr
    rendered = {item["metadata"]["name"]: item for item in documents(done.stdout)}
    committed = {item["metadata"]["name"]: item for path in (ROOT / "crds").glob("*.yaml") for item in documents(path.read_text())}
    assert len(committed) == 5
    for crd in rendered.values():
        assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        crd["metadata"].pop("labels")
    assert rendered == committed


def test_both_charts_are_of_the_programs_version() -> None:
    cargo = next(line.split('"')[1] for line in (ROOT / "Cargo.toml").read_text().splitlines() if line.startswith("version = "))
    for chart in (CHART, CRDS_CHART):
        about = yaml.safe_load((chart / "Chart.yaml").read_text())
        assert (str(about["appVersion"]), str(about["version"])) == (cargo, cargo)


def test_the_image_is_what_the_chart_runs() -> None:
    """Built from a Rust that is new enough, run as the Pod's user; the default arguments are the chart's."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    cargo = (ROOT / "Cargo.toml").read_text()
    needed = re.search(r'^rust-version = "(\d+)\.(\d+)', cargo, re.MULTILINE)
    built_with = next(re.match(r"FROM rust:(\d+)\.(\d+)-", line) for line in lines if line.startswith("FROM rust:"))
    assert needed and built_with and [int(part) for part in built_with.groups()] >= [int(part) for part in needed.groups()]
    (deployment,) = of_kind(render({}), "Deployment")
    pod = deployment["spec"]["template"]["spec"]["securityContext"]
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}" in lines
    assert f"CMD {json.dumps(container(render({}))['args'])}" in lines

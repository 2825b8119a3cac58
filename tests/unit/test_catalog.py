from __future__ import annotations

import subprocess
import sys

import pytest

from muxi_runtime.catalog.builtin import built_in_manifests
from muxi_runtime.catalog.catalog import load_catalog
from muxi_runtime.catalog.limits import LimitsClassSettings
from muxi_runtime.catalog.settings import NetworkSettings, ServerSettings


@pytest.fixture
def manifest(tmp_path):
    def write(name: str, extra: str = ""):
        path = tmp_path / name / "manifest.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"name: {name}\nimage: some-image\n{extra}")
        return path

    return write


def problem_of(catalog, name):
    assert name not in catalog.servers
    return str(catalog.problems[name])


def test_built_in_servers_come_first_and_say_so(manifest):
    own = {"code": manifest("code")}
    catalog = load_catalog({"mine": ServerSettings(manifest=manifest("mine"))}, own)
    assert {name: server.built_in for name, server in catalog.servers.items()} == {
        "code": True,
        "mine": False,
    }
    assert list(catalog.servers) == ["code", "mine"]
    assert not catalog.problems


def test_one_bad_manifest_hides_only_itself(manifest):
    own = {"code": manifest("code"), "files": manifest("files", "imige: x\n")}
    catalog = load_catalog({}, own)
    assert list(catalog.servers) == ["code"]
    assert "files/manifest.yaml:3: imige: unknown; did you mean 'image'?" in problem_of(catalog, "files")


def test_a_disabled_server_is_neither_offered_nor_read(manifest):
    own = {"code": manifest("code"), "files": manifest("files", "broken: [")}
    catalog = load_catalog({"files": ServerSettings(enabled=False)}, own)
    assert list(catalog.servers) == ["code"]
    assert not catalog.problems
    assert catalog.disabled == {"files"}


def test_the_operator_sets_variables_that_a_built_in_server_names(manifest):
    own = {"code": manifest("code", "environment: {MODE: a, OTHER: b}\n")}
    settings = {"code": ServerSettings(environment={"MODE": "c"})}
    assert load_catalog(settings, own).servers["code"].environment == {"MODE": "c", "OTHER": "b"}
    settings = {"code": ServerSettings(environment={"MOOD": "c"})}
    assert "knows no 'MOOD'" in problem_of(load_catalog(settings, own), "code")


def test_the_operator_sets_any_variable_of_a_server_of_others_but_none_of_a_secret(manifest):
    def load(**more):
        secrets = "profile: {network: {allow: [a.test]}, secrets: {API_KEY: {hosts: [a.test]}}}\n"
        return load_catalog({"mine": ServerSettings(manifest=manifest("mine", secrets), **more)}, {})

    assert load(environment={"MODE": "c"}).servers["mine"].environment == {"MODE": "c"}
    assert "is a secret of this server" in problem_of(load(environment={"API_KEY": "x"}), "mine")
    assert "no name of a variable" in problem_of(load(environment={"A=B": "x"}), "mine")


def test_a_server_elsewhere_has_no_variables(tmp_path):
    path = tmp_path / "manifest.yaml"
    path.write_text("name: far\nurl: https://far.test/mcp\n")
    settings = {"far": ServerSettings(manifest=path, environment={"A": "b"})}
    assert "servers in a sandbox" in problem_of(load_catalog(settings, {}), "far")


def test_a_manifest_lowers_the_limits_of_its_class(manifest):
    own = {"code": manifest("code", "profile: {limits_class: browser, limits: {pids: 64}}\n")}
    profile = load_catalog({}, own).servers["code"].profile
    assert (profile.limits.pids, profile.limits.shm_mib, profile.limits_class) == (64, 512, "browser")


def test_a_manifest_that_asks_for_more_than_its_class_is_refused_with_what_to_do(manifest):
    own = {"code": manifest("code", "profile: {limits: {memory_mib: 4096, pids: 64}}\n")}
    problem = load_catalog({}, own).problems["code"]
    assert "profile.limits.memory_mib: 4096 is more than the 512 of the limits class 'small'" in str(problem)
    assert "servers.code.limits" in problem.remedy


def test_the_operator_chooses_changes_and_makes_classes(manifest):
    own = {"code": manifest("code", "profile: {limits: {pids: 64}}\n")}
    classes = {
        "large": LimitsClassSettings(limits={"memory_mib": 9000}, runtime="runsc"),
        "small": LimitsClassSettings(limits={"pids": 32}),
    }
    settings = {"code": ServerSettings(limits_class="large")}
    profile = load_catalog(settings, own, classes).servers["code"].profile
    assert (profile.limits.memory_mib, profile.limits.pids, profile.runtime) == (9000, 64, "runsc")
    assert "64 is more than the 32" in str(load_catalog({}, own, classes).problems["code"])


def test_an_unknown_class_is_refused_with_those_that_there_are(manifest):
    own = {"code": manifest("code", "profile: {limits_class: brwser}\n")}
    problem = load_catalog({}, own).problems["code"]
    assert "did you mean 'browser'?" in str(problem)
    assert "browser, code, small" in problem.remedy


def test_a_wrong_limit_of_a_class_is_named_by_its_place(manifest):
    classes = {"small": LimitsClassSettings(limits={"memry_mib": 1})}
    assert "limits_classes.small.limits.memry_mib: unknown; did you mean 'memory_mib'?" in problem_of(
        load_catalog({}, {"code": manifest("code")}, classes), "code"
    )


def test_a_manifest_does_not_choose_its_engine_runtime(manifest):
    own = {"code": manifest("code", "profile: {runtime: runc}\n")}
    assert "profile.runtime: not for a manifest to say" in problem_of(load_catalog({}, own), "code")


def test_the_operator_raises_and_lowers_limits(manifest):
    own = {"code": manifest("code", "profile: {limits_class: code, limits: {memory_mib: 1000, pids: 64}}\n")}
    limits = {"memory_mib": 2048, "cpus": 0.5}
    profile = load_catalog({"code": ServerSettings(limits=limits)}, own).servers["code"].profile
    assert (profile.limits.memory_mib, profile.limits.cpus, profile.limits.pids) == (2048, 0.5, 64)


def test_a_limit_that_does_not_exist_or_is_out_of_range_is_named(manifest):
    own = {"code": manifest("code")}
    message = problem_of(load_catalog({"code": ServerSettings(limits={"cpu": 1, "pids": 1})}, own), "code")
    assert "servers.code.limits.cpu: unknown; did you mean 'cpus'?" in message
    assert "servers.code.limits.pids: Input should be greater than or equal to 4" in message


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (
            "profile: {network: {allow: [example.org, '**', 'a b']}}",
            "profile.network.allow: '**' is no host",
        ),
        ("profile: {secrets: [TOKEN]}", "profile.secrets: Input should be a valid dictionary"),
        ("profile: {secrets: {TOKEN: {}}}", "profile.secrets.TOKEN: name the hosts"),
        ("profile: {secrets: {TOKEN: {hosts: [a.test]}}}", "not among the hosts"),
        ("profile: {secrets: {token: {expose: env}}}", "is no name"),
        ("profile: {secrets: {T: {expose: env}}}\nenvironment: {T: x}", "has a variable of that name already"),
        ("profile: {scope: shared}", "profile.scope: `shared` is not available"),
        ("built_in: true", "built_in: not for a manifest to say"),
        ("built_in: false", "built_in: not for a manifest to say"),
        ("environment: {'A=B': c}", "environment: 'A=B' is no name"),
        ("privileged: true", "privileged: unknown"),
        ("profile: {limits: {pids: 0}}", "profile.limits.pids: "),
        ("profile: {workspace: host}", "profile.workspace: "),
    ],
)
def test_what_cannot_be_granted_safely_refuses_the_server(manifest, extra, reason):
    settings = {"mine": ServerSettings(manifest=manifest("mine", extra))}
    assert reason in problem_of(load_catalog(settings, {}), "mine")


def test_a_manifest_may_not_read_the_hosts_environment(manifest, monkeypatch):
    monkeypatch.setenv("HOST_SECRET", "hunter2")
    settings = {"mine": ServerSettings(manifest=manifest("mine", "environment: {A: '${HOST_SECRET}'}"))}
    assert load_catalog(settings, {}).servers["mine"].environment == {"A": "${HOST_SECRET}"}


def test_another_servers_manifest_may_not_stand_in_for_a_built_in_one(manifest):
    settings = {"code": ServerSettings(manifest=manifest("elsewhere"))}
    catalog = load_catalog(settings, {"code": manifest("code")})
    assert "a built-in server has this name" in problem_of(catalog, "code")


def test_a_manifest_may_not_go_by_another_servers_name(manifest):
    settings = {"mine": ServerSettings(manifest=manifest("code"))}
    assert "name: is 'code', but the server is called 'mine'" in problem_of(load_catalog(settings, {}), "mine")


def test_the_runtimes_own_name_is_reserved(manifest):
    settings = {"muxi": ServerSettings(manifest=manifest("muxi"))}
    assert "reserved" in problem_of(load_catalog(settings, {}), "muxi")


def test_a_name_without_server_is_answered_with_those_that_exist(manifest):
    message = problem_of(load_catalog({"cod": ServerSettings()}, {"code": manifest("code")}), "cod")
    assert "there is no built-in server" in message
    assert "code" in message


def test_a_manifest_that_is_not_there_is_named(tmp_path):
    settings = {"mine": ServerSettings(manifest=tmp_path / "none.yaml")}
    assert "none.yaml: cannot be read" in problem_of(load_catalog(settings, {}), "mine")


def test_the_servers_that_ship_are_usable():
    own = built_in_manifests()
    catalog = load_catalog({})
    assert not catalog.problems
    assert list(catalog.servers) == list(own)
    assert all(server.built_in for server in catalog.servers.values())


def test_finding_the_built_in_servers_imports_none_of_them():
    program = (
        "import sys; from muxi_runtime.catalog.builtin import built_in_manifests; built_in_manifests();"
        "sys.exit(any(name.startswith('muxi_servers') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_a_manifest_names_the_hosts_that_it_needs(manifest):
    own = {"code": manifest("code", "profile: {network: {allow: ['*.example.org', 'example.org:8443']}}\n")}
    profile = load_catalog({}, own).servers["code"].profile
    assert profile.network.allow == ("*.example.org", "example.org:8443")


@pytest.mark.parametrize("hosts", [(), ("example.com:443",), ("example.org", "other.example.net")])
def test_the_operator_replaces_the_hosts_that_a_manifest_names(manifest, hosts):
    own = {"code": manifest("code", "profile: {network: {allow: [example.org]}}\n")}
    settings = {"code": ServerSettings(network=NetworkSettings(allow=hosts))}
    assert load_catalog(settings, own).servers["code"].profile.network.allow == hosts


def test_a_host_of_the_operator_s_that_is_none_is_named(manifest):
    settings = {"code": ServerSettings(network=NetworkSettings(allow=("example.org", "https://example.org")))}
    catalog = load_catalog(settings, {"code": manifest("code")})
    assert "servers.code.network.allow: 'https://example.org' is no host" in problem_of(catalog, "code")

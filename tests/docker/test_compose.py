"""The compose stack: valid, pinned, closed to the network, and no password is written down."""

import re
from ipaddress import ip_address, ip_network

import pytest

from fleetmeter.settings import Settings, load_settings
from tests.conftest import Db
from tests.support.docker_files import (
    COMPOSE,
    DOCKER,
    ROLES,
    load_yaml,
    resolved,
    services,
    tool,
    variables,
)

OPTIONAL = {
    *("FLEETMETER_OIDC_ISSUER", "FLEETMETER_OIDC_AUDIENCE", "FLEETMETER_OIDC_SITES_CLAIM"),
    *("FLEETMETER_OIDC_SCOPES_CLAIM", "FLEETMETER_OIDC_SCOPES"),
    *("FLEETMETER_OIDC_CLIENT_ID", "FLEETMETER_OIDC_CLIENT_SECRET"),
    "FLEETMETER_CLIENT_CERT_HEADER",
}
"""Settings that are off unless .env has them."""

_FULL_VERSION = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+(-[\w.]+)?")


def test_the_compose_file_follows_the_compose_specification() -> None:
    check = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_yaml_file_is_clean() -> None:
    check = tool("yamllint", "--strict", "--config-file", DOCKER / ".yamllint", DOCKER)
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_image_is_pinned_to_a_full_version() -> None:
    images = {name: service["image"] for name, service in services().items() if "image" in service}
    assert images.keys() == {"database", "roles", "grafana", "prometheus", "proxy"}
    assert images["roles"] == images["database"]
    for image in images.values():
        assert _FULL_VERSION.fullmatch(image), image


def test_ports_are_published_on_loopback_only_but_the_proxys_and_the_database_on_none() -> None:
    ports = {name: service.get("ports", []) for name, service in services().items()}
    assert ports == {
        "database": [],
        "roles": [],
        "migrate": [],
        "fleetmeter": ["127.0.0.1:${FLEETMETER_PORT:-3000}:3000"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3001}:3000"],
        "prometheus": ["127.0.0.1:${PROMETHEUS_PORT:-9090}:9090"],
        "proxy": ["${PROXY_HTTP_PORT:-80}:80", "${PROXY_HTTPS_PORT:-443}:443"],
    }


def test_no_password_is_written_down() -> None:
    environment = [
        pair for each in services().values() for pair in each.get("environment", {}).items()
    ]
    passwords = [value for name, value in environment if "PASSWORD" in name]
    assert len(passwords) == 6
    for value in passwords:
        assert re.fullmatch(r"\$\{\w+_PASSWORD:\?[^}]+\}", value), value
    for _, value in environment:
        assert "@" not in value or re.search(r"//\w+:\$\{\w+_PASSWORD:\?[^}]+\}@", value), value


def test_every_variable_has_a_default_or_must_be_there() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    assert not re.search(r"\$(?!\{)", text), "a variable without braces"
    assert not re.search(r"\$\{\w+\}", text), "a variable without a default"
    defaults, required = variables()
    assert {name for name, value in defaults.items() if not value} == OPTIONAL
    assert required == {
        *("POSTGRES_PASSWORD", "POSTGRES_SERVICE_PASSWORD"),
        *("GRAFANA_READER_PASSWORD", "GRAFANA_ADMIN_PASSWORD"),
        *("FLEETMETER_ADMIN_KEY", "FLEETMETER_INGEST_KEY", "FLEETMETER_METRICS_KEY"),
    }


def test_what_is_passed_on_to_the_service_defaults_to_what_it_would_be_without_compose() -> None:
    defaults, required = variables()
    passed_on = {
        name: defaults[name]
        for step in ("migrate", "fleetmeter")
        for name in services()[step]["environment"]
        if name
        not in {"FLEETMETER_DATABASE_URL", "FLEETMETER_MIGRATE", "FLEETMETER_PROXIES", *required}
    }
    assert load_settings(passed_on) == Settings()
    assert defaults["FLEETMETER_PORT"] == str(Settings().port)


def test_the_owner_migrates_and_the_service_signs_in_as_another_role() -> None:
    migrate, service = (services()[name]["environment"] for name in ("migrate", "fleetmeter"))
    owner = services()["database"]["environment"]["POSTGRES_USER"]
    assert migrate["FLEETMETER_DATABASE_URL"].startswith(f"postgresql://{owner}:")
    assert service["FLEETMETER_DATABASE_URL"].startswith("postgresql://fleetmeter_service:")
    assert service["FLEETMETER_MIGRATE"] == "false"
    assert "FLEETMETER_MIGRATE" not in variables()[0]  # .env cannot turn it on
    shared = migrate.keys() & service.keys() - {"FLEETMETER_DATABASE_URL"}
    assert {name: migrate[name] for name in shared} == {name: service[name] for name in shared}


def test_every_service_is_hardened_and_what_stays_is_watched_and_restarted() -> None:
    for name, service in services().items():
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["cap_drop"] == ["ALL"]
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
        if name in ("roles", "migrate"):
            assert service["restart"] == "no"
            assert service["read_only"]
        else:
            assert service["healthcheck"]["test"][0] == "CMD"
            assert service["restart"] == "unless-stopped"
            assert "stop_grace_period" in service


def test_each_service_waits_for_what_it_needs() -> None:
    waits = {
        name: {needed: how["condition"] for needed, how in service.get("depends_on", {}).items()}
        for name, service in services().items()
    }
    assert waits == {
        "database": {},
        "roles": {"database": "service_healthy"},
        "migrate": {"roles": "service_completed_successfully"},
        "fleetmeter": {"migrate": "service_completed_successfully"},
        "grafana": {"fleetmeter": "service_healthy"},
        "prometheus": {},
        "proxy": {"fleetmeter": "service_healthy"},
    }


def test_what_the_stack_keeps_is_in_named_volumes() -> None:
    named = {
        volume.split(":")[0]
        for service in services().values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }
    assert named == load_yaml(COMPOSE)["volumes"].keys()
    assert named == {"database", "grafana", "prometheus", "proxy"}


def test_only_what_monitors_and_the_proxy_are_left_out_without_a_profile() -> None:
    profiles = {name: service.get("profiles", []) for name, service in services().items()}
    assert profiles.pop("prometheus") == ["monitoring"]
    assert profiles.pop("proxy") == ["proxy"]
    assert not any(profiles.values())


def test_what_is_mounted_from_the_repository_is_there_and_read_only() -> None:
    mounts = [
        volume.split(":")
        for service in services().values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert DOCKER / mounts[0][0] == ROLES
    for source, _, mode in mounts:
        assert (DOCKER / source).exists(), source
        assert mode == "ro"


def test_every_service_has_its_share_of_memory_processors_and_processes() -> None:
    defaults, _ = variables()
    for name, service in services().items():
        assert bytes_of(resolved(service["mem_limit"])) <= bytes_of("4g"), name
        assert service["pids_limit"] <= 512
        assert {"cpus", "cpu_shares"} <= service.keys(), name
    # One above the machine's cores would not start.
    assert defaults["DATABASE_CPUS"] == defaults["FLEETMETER_CPUS"] == "0"


def test_what_the_database_may_take_fits_into_its_memory() -> None:
    settings = database_settings()
    connections = Settings().pool_size + 12
    taken = (
        bytes_of(settings["shared_buffers"])
        + connections * bytes_of(settings["work_mem"])
        + 2 * bytes_of(settings["maintenance_work_mem"])
    )
    limit = bytes_of(resolved(services()["database"]["mem_limit"]))
    assert taken < 0.6 * limit, "the rest is the file cache"
    assert bytes_of(settings["effective_cache_size"]) < limit


def test_every_background_worker_of_the_database_has_a_process() -> None:
    settings = {name: value for name, value in database_settings().items() if value.isdecimal()}
    assert int(settings["max_worker_processes"]) >= 3 + int(
        settings["timescaledb.max_background_workers"]
    ) + int(settings["max_parallel_workers"])


@pytest.mark.timescaledb
def test_every_setting_of_the_database_is_one_that_it_knows(db: Db) -> None:
    names = list(database_settings())
    known = db.fetch("select name from pg_settings where name = any($1)", names)
    assert {row["name"] for row in known} == set(names)


def test_only_the_proxy_is_believed_about_the_address_of_a_client() -> None:
    address = resolved(services()["fleetmeter"]["environment"]["FLEETMETER_PROXIES"])
    assert address == resolved(services()["proxy"]["networks"]["proxy"]["ipv4_address"])
    (config,) = load_yaml(COMPOSE)["networks"]["proxy"]["ipam"]["config"]
    network = ip_network(resolved(config["subnet"]))
    assert ip_address(address) == list(network.hosts())[-1], "others get the lowest addresses"


def test_the_proxy_reaches_the_service_and_not_the_database() -> None:
    networks = {name: set(each.get("networks", ["default"])) for name, each in services().items()}
    assert networks["proxy"] == {"proxy"}
    assert {name for name, each in networks.items() if "proxy" in each} == {"fleetmeter", "proxy"}


def database_settings() -> dict[str, str]:
    """The settings that the database is started with, as without .env."""
    program, *options = services()["database"]["command"]
    assert program == "postgres"
    assert all(option.startswith("-c") for option in options)
    pairs = (option.removeprefix("-c").split("=", 1) for option in options)
    return {name: resolved(value) for name, value in pairs}


def bytes_of(size: str) -> int:
    """The bytes of a size as Docker or PostgreSQL writes it."""
    match = re.fullmatch(r"(\d+)([mg])b?", size.lower())
    assert match is not None, size
    return int(match[1]) << {"m": 20, "g": 30}[match[2]]

"""A broker's messages become readings, and are acknowledged once these are committed."""

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import COMMAND, Db, eventually, free_port, on_migrated, running_service
from tests.support.mosquitto import Mosquitto, broker, mosquitto, publish, publishing
from tests.support.processes import fleetmeter
from tests.support.proxy import DatabaseProxy

pytestmark = pytest.mark.either

RULES = """
readings = ["fleetmeter/#"]

[[rules]]
topic = "depot/{site}/{charger}/state"
time = "time"
meterId = "{site}{charger}"
[rules.fields]
kwhConsumedAcTotal = { field = "energy", unit = "Wh" }
powerKw = { field = "power", unit = "W" }

[[rules]]
topic = "plain/{meter}/power"
meterId = "{meter}"
[rules.fields]
powerKw = "value"

[[rules]]
topic = "plain/{meter}/energy"
meterId = "{meter}"
[rules.fields]
kwhConsumedAcTotal = "value"
"""
COUNT = "select count(*) from meter_readings where starts_with(meter_id, $1)"


class Depot(NamedTuple):
    broker: Mosquitto
    client: httpx.Client


def told(folder: Path, to: Mosquitto, **settings: str) -> dict[str, str]:
    """Settings of a service that takes what a broker has."""
    (folder / "depot.toml").write_text(RULES)
    return {
        "FLEETMETER_MAPPING": "depot.toml",
        "FLEETMETER_MQTT_URL": to.url,
        "FLEETMETER_MQTT_CLIENT_ID": folder.name,  # its own place among the clients
    } | {f"FLEETMETER_MQTT_{name}": value for name, value in settings.items()}


def connected(client: httpx.Client) -> Any:
    status = client.get("/v1/inputs").json()["mqtt"]
    return status["connected"] and status


def has(client: httpx.Client, metric: str) -> bool:
    return metric in client.get("/metrics").text


def timed(number: int, **values: float) -> str:
    """A message of its own second."""
    at = int(time.time()) - 7200 + number
    return json.dumps({"time": at, "energy": 1000 * number} | values)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, and certificates of a broker and a client."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    names = ("-subj", "/CN=ca", "-addext", "keyUsage=critical,keyCertSign")
    openssl(*new, "-x509", *names, "-keyout", "ca.key", "-out", "ca.crt")
    for name in ("broker", "client"):
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        files = ("-in", f"{name}.csr", "-out", f"{name}.crt", "-extfile", f"{name}.ext")
        openssl("x509", "-req", *signed, *files)
    return folder


@pytest.fixture(scope="module")
def depot(
    database_url: str, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Depot]:
    """A service at a broker by TLS, with a password and a certificate."""
    folder = tmp_path_factory.mktemp("depot")
    port = free_port()
    more = [
        f"listener {port} 127.0.0.1",
        f"cafile {certificates}/ca.crt",
        f"certfile {certificates}/broker.crt",
        f"keyfile {certificates}/broker.key",
        "require_certificate true",
        f"password_file {folder}/passwords",
    ]
    passwords = ["mosquitto_passwd", "-b", "-c", str(folder / "passwords"), "fleet", "secret"]
    mosquitto()
    subprocess.run(passwords, check=True)
    with broker(folder, more) as running:
        publish(running, "plain/retained/power", "7", retain=True)
        (folder / "password").write_text("secret\n")
        settings = told(
            folder,
            running,
            URL=f"mqtts://127.0.0.1:{port}",
            USER="fleet",
            PASSWORD_FILE=str(folder / "password"),
            CA=f"{certificates}/ca.crt",
            CERT=f"{certificates}/client.crt",
            CERT_KEY=f"{certificates}/client.key",
        )
        with (
            running_service(folder, on_migrated(database_url) | settings) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            eventually(connected, client)
            yield Depot(running, client)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_becomes_a_reading(depot: Depot, uid: str, qos: int) -> None:
    command = ["mosquitto_pub", "-p", str(depot.broker.port), "-q", str(qos)]
    topic = f"depot/{uid}/Säule 1/state"
    subprocess.run([*command, "-t", topic, "-m", timed(1, power=7250)], check=True)
    url = f"/v1/meters/{uid}S%25C3%25A4ule 1"
    found = eventually(lambda: (a := depot.client.get(url)).status_code == 200 and a.json())
    assert (found["kwhConsumedAcTotal"], found["powerKw"]) == (1, 7.25)


def test_values_of_one_moment_are_one_reading(depot: Depot, db: Db, uid: str) -> None:
    with publishing(depot.broker) as client:
        for topic, value in (("power", "7.5"), ("energy", "12.5"), ("power", "7.5")):
            client.publish(f"plain/{uid}/{topic}", value, qos=1)
    query = "select register_mwh, power_w from meter_readings where meter_id = $1 order by time"

    def stored() -> set[tuple[int, int]]:
        found = {(row["register_mwh"], row["power_w"]) for row in db.fetch(query, uid)}
        # or two, where a second has passed between them
        return found if found >= {(12_500_000, 7500)} or len(found) > 1 else set()

    assert len(eventually(stored)) <= 2


def test_messages_that_cannot_be_read_block_no_other_and_are_shown(
    depot: Depot, db: Db, uid: str
) -> None:
    topic = f"depot/{uid}/1/state"
    bad: list[str | bytes] = [
        '{"energy": ',
        b"\xff\xfe",
        '{"time": "noon", "energy": 1}',
        "off",
        "[]",
        "{}",
        "",
    ]
    publish(depot.broker, topic, *bad, timed(1), timed(2, energy=-1), timed(3))
    eventually(lambda: db.value(COUNT, uid) == 2)

    def rejected() -> bool:
        items = depot.client.get("/v1/rejections").json()["items"]
        details = [each["example"]["detail"] for each in items]
        return any(f"{topic}: the message is neither JSON" in each for each in details)

    eventually(rejected)
    untaken = depot.client.get("/v1/inputs").json()["untaken"]
    assert {"not_a_number", "no_field"} <= {each["reason"] for each in untaken} | {"not_a_number"}
    metrics = depot.client.get("/metrics").text
    assert 'fleetmeter_mqtt_messages_total{outcome="malformed"}' in metrics
    assert "fleetmeter_mqtt_connected 1.0" in metrics


def test_a_retained_message_is_not_taken_for_a_new_one(depot: Depot) -> None:
    def is_counted() -> bool:
        untaken = depot.client.get("/v1/inputs").json()["untaken"]
        return any(
            (each["reason"], each["what"]) == ("retained", "plain/{meter}/power")
            for each in untaken
        )

    eventually(is_counted)
    assert depot.client.get("/v1/meters/retained").status_code == 404


def test_a_burst_is_stored_over_tls(depot: Depot, db: Db, uid: str) -> None:
    publish(depot.broker, f"depot/{uid}/1/state", *map(timed, range(1500)))
    eventually(lambda: db.value(COUNT, uid) == 1500)


def test_readings_of_the_api_have_a_topic_too(depot: Depot, db: Db, uid: str) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    readings = [{"meterId": f"{uid}{n}", "voltage": 230, "timestamp": at} for n in range(3)]
    publish(depot.broker, "fleetmeter/x", json.dumps(readings), json.dumps(readings[0]))
    eventually(lambda: db.value(COUNT, uid) == 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"URL": "mqtt://127.0.0.1:1"}, "cannot be reached"),
        ({"USER": "fleet", "PASSWORD": "wrong"}, "refuses: Not authorized"),
        ({"CA": "certificates"}, "FLEETMETER_MQTT_CA"),
        ({"URL": "mqtts://127.0.0.1:99999"}, "the port is at most 65535"),
        ({"URL": "mqtt://fleet:secret@127.0.0.1"}, "FLEETMETER_MQTT_USER"),
        ({"SHARE": "depot", "VERSION": "3.1.1"}, "FLEETMETER_MQTT_SHARE needs version 5"),
        ({"URL": "127.0.0.1:1883"}, "it is mqtt://host:1883, or mqtts://host:8883 for TLS"),
    ],
)
def test_what_is_wrong_with_the_broker_is_said(
    database_url: str, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    with broker(tmp_path, ["allow_anonymous false"]) as running:
        environ = on_migrated(database_url) | told(tmp_path, running, **settings)
        if said[0] in "Fti":  # it does not start
            done = fleetmeter(tmp_path, "serve", **environ)
            assert (done.returncode, said in done.stderr) == (1, True)
            return
        with (
            running_service(tmp_path, environ) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            status = eventually(
                lambda: (m := client.get("/v1/inputs").json()["mqtt"])["error"] and m
            )
            assert said in status["error"]
            assert not status["connected"]


@pytest.mark.parametrize("version", ["5", pytest.param("3.1.1", marks=pytest.mark.slow)])
def test_nothing_is_lost_or_stored_twice_when_the_service_is_killed(
    database_url: str, db: Db, tmp_path: Path, uid: str, version: str
) -> None:
    number = 2000

    def is_more(before: int) -> bool:
        return before == number or db.value(COUNT, uid) > before

    with broker(tmp_path) as running:
        environ = on_migrated(database_url) | told(tmp_path, running, VERSION=version)
        with running_service(tmp_path, environ) as service:
            with httpx.Client(base_url=service.base_url) as client:
                eventually(connected, client)
            sender = threading.Thread(
                target=publish,
                args=(running, f"depot/{uid}/1/state", *map(timed, range(number))),
            )
            sender.start()
            eventually(lambda: db.value(COUNT, uid), pause_s=0.002)
            service.process.kill()
            service.process.wait()
        for _ in range(2):
            with running_service(tmp_path, environ) as service:
                before = db.value(COUNT, uid)
                eventually(is_more, before)
                service.process.kill()
                service.process.wait()
        with running_service(tmp_path, environ):
            sender.join()
            eventually(lambda: db.value(COUNT, uid) == number)


@pytest.mark.slow
def test_nothing_is_lost_when_the_broker_is_stopped_and_started(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    with broker(tmp_path) as running:
        environ = on_migrated(database_url) | told(tmp_path, running)
        with (
            running_service(tmp_path, environ) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            eventually(connected, client)
            with publishing(running) as publisher:
                for number in range(600):
                    publisher.publish(f"depot/{uid}/1/state", timed(number), qos=1)
                eventually(lambda: db.value(COUNT, uid), pause_s=0.002)
                running.stop()
                eventually(lambda: not connected(client))
                running.start()
            eventually(lambda: db.value(COUNT, uid) == 600)
            running.stop(signal.SIGKILL)  # it may forget the session, and who is subscribed
            running.start()
            eventually(connected, client)
            publish(running, f"depot/{uid}/1/state", *map(timed, range(600, 610)))
            eventually(lambda: db.value(COUNT, uid) == 610)


@pytest.mark.slow
def test_messages_wait_for_a_database_that_is_away_and_are_not_acknowledged(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    proxy = DatabaseProxy(database_url)
    with proxy.running(), broker(tmp_path) as running:
        environ = on_migrated(proxy.url) | told(tmp_path, running, IN_FLIGHT="20")
        with (
            running_service(tmp_path, environ) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            eventually(connected, client)
            proxy.take_away()
            publish(running, f"depot/{uid}/1/state", *map(timed, range(200)))
            eventually(
                lambda: "fleetmeter_mqtt_waiting_messages 20.0" in client.get("/metrics").text
            )
            service.process.kill()
            service.process.wait()
        assert db.value(COUNT, uid) == 0
        proxy.give_back()
        with (
            running_service(tmp_path, environ) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            eventually(lambda: db.value(COUNT, uid) == 200)
            proxy.take_away()
            publish(running, f"depot/{uid}/1/state", *map(timed, range(200, 250)))
            eventually(lambda: not connected(client))
            proxy.give_back()
            eventually(lambda: db.value(COUNT, uid) == 250)


@pytest.mark.slow
def test_processes_share_what_comes(database_url: str, db: Db, tmp_path: Path, uid: str) -> None:
    topic = f"depot/{uid}/1/state"
    with broker(tmp_path) as running:
        environ = on_migrated(database_url) | told(tmp_path, running, SHARE="depot")
        with (
            running_service(tmp_path, environ, COMMAND, options=("--workers", "2")) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            eventually(lambda: "fleetmeter_mqtt_connected 2.0" in client.get("/metrics").text)
            publish(running, topic, *map(timed, range(1000)))
            eventually(lambda: db.value(COUNT, uid) == 1000)
            log = (tmp_path / "mosquitto.log").read_text()
            assert all(f" as {tmp_path.name}-{n} " in log for n in (0, 1))
            metrics = client.get("/metrics").text
            assert 'fleetmeter_mqtt_messages_total{outcome="taken"} 1000.0' in metrics
        publish(running, topic, *map(timed, range(1000, 1100)))  # while nobody is there
        with running_service(tmp_path, environ):
            eventually(lambda: db.value(COUNT, uid) == 1100)


@pytest.mark.slow
def test_with_a_group_a_session_of_before_it_gets_nothing_twice(
    database_url: str, tmp_path: Path, uid: str
) -> None:
    topic = f"depot/{uid}/1/state"
    with broker(tmp_path) as running:
        environ = on_migrated(database_url) | told(tmp_path, running)
        for share in ({}, {"FLEETMETER_MQTT_SHARE": "depot"}):
            with (
                running_service(tmp_path, environ | share) as service,
                httpx.Client(base_url=service.base_url) as client,
            ):
                eventually(connected, client)
                publish(running, topic, *map(timed, range(10)))
                eventually(has, client, 'fleetmeter_mqtt_messages_total{outcome="taken"} 10.0')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "place"), [({"SHARE": "depot"}, "-1"), ({}, None)], ids=["shared", "alone"]
)
def test_a_replica_that_is_gone_for_good_leaves_its_messages_to_another(
    database_url: str,
    db: Db,
    tmp_path: Path,
    uid: str,
    settings: dict[str, str],
    place: str | None,
) -> None:
    def client_id(client: httpx.Client) -> str:
        return client.get("/v1/inputs").json()["mqtt"]["clientId"] or "stands by"

    topic = f"depot/{uid}/1/state"
    with broker(tmp_path) as running:
        environ = on_migrated(database_url) | told(tmp_path, running, **settings)
        with running_service(tmp_path, environ) as first:
            with httpx.Client(base_url=first.base_url) as client:
                assert eventually(connected, client)["clientId"].endswith("-0")
            with (
                running_service(tmp_path, environ) as second,
                httpx.Client(base_url=second.base_url) as client,
            ):
                if place:
                    assert eventually(connected, client)["clientId"].endswith(place)
                else:
                    assert client_id(client) == "stands by"
                first.process.kill()
                first.process.wait()
                publish(running, topic, *map(timed, range(300)))
                eventually(lambda: client_id(client).endswith("-0"))
                eventually(lambda: db.value(COUNT, uid) == 300)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_each_message_is_stored_once_whatever_is_killed_or_started_again(
    database_url: str, db: Db, tmp_path: Path, uid: str, version: str
) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    with broker(tmp_path) as running:
        environ = on_migrated(database_url) | told(tmp_path, running, VERSION=version)
        with (
            running_service(tmp_path, environ) as service,
            httpx.Client(base_url=service.base_url) as client,
        ):
            eventually(connected, client)
        sent = 0
        with publishing(running) as publisher:
            for number in range(8):
                with running_service(tmp_path, environ) as service:
                    for _ in range(chance.randrange(100, 600)):
                        publisher.publish(f"depot/{uid}/{sent % 5}/state", timed(sent), qos=1)
                        sent += 1
                    if number % 3 == 1:
                        running.stop()
                        running.start()
                    if number % 2:
                        eventually(lambda: db.value(COUNT, uid), pause_s=0.001)
                    if number % 4:
                        service.process.kill()
                        service.process.wait()
        with running_service(tmp_path, environ):
            eventually(lambda: db.value(COUNT, uid) == sent)

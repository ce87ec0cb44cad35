"""The broker that the settings name, and how it is spoken to."""

import ssl
from urllib.parse import urlsplit

import msgspec

from fleetmeter.errors import SettingsError
from fleetmeter.settings import Settings

_PORTS = {"mqtt": 1883, "mqtts": 8883}

_RIGHT = "it is mqtt://host:1883, or mqtts://host:8883 for TLS"


class Broker(msgspec.Struct, frozen=True):
    """A broker, and what is agreed with it."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    user: str | None
    password: str | None
    is_version_5: bool
    client_id: str | None
    """What the client ids of processes begin with; None: with that of the installation."""

    group: str | None
    """The group in which processes share all messages; None: one process takes them."""

    session_s: int
    in_flight: int


def broker_of(settings: Settings) -> Broker | None:
    """Return the broker of the settings, if there is one. Raises SettingsError."""
    if settings.mqtt_url is None:
        return None
    host, port, is_tls = _address(settings.mqtt_url)
    tls = _tls(settings) if is_tls else None
    if tls is None and (settings.mqtt_ca or settings.mqtt_cert):
        raise SettingsError(
            "FLEETMETER_MQTT_CA and _CERT are for TLS: FLEETMETER_MQTT_URL=mqtts://…"
        )
    is_version_5 = settings.mqtt_version == "5"
    if settings.mqtt_share is not None and not is_version_5:
        raise SettingsError("FLEETMETER_MQTT_SHARE needs version 5 of MQTT")
    return Broker(
        host=host,
        port=port,
        tls=tls,
        user=settings.mqtt_user,
        password=settings.mqtt_password,
        is_version_5=is_version_5,
        client_id=settings.mqtt_client_id,
        group=settings.mqtt_share,
        session_s=settings.mqtt_session_s,
        in_flight=settings.mqtt_in_flight,
    )


def _address(text: str) -> tuple[str, int, bool]:
    """Return the host and the port of a URL, and whether it says TLS. Raises SettingsError."""
    url = urlsplit(text)
    try:
        port = url.port or _PORTS[url.scheme]
    except ValueError:
        raise SettingsError("FLEETMETER_MQTT_URL: the port is at most 65535") from None
    except KeyError:
        raise SettingsError(f"FLEETMETER_MQTT_URL: {_RIGHT}") from None
    if url.username is not None or url.password is not None:
        raise SettingsError(
            "FLEETMETER_MQTT_URL: user and password have settings of their own, "
            "FLEETMETER_MQTT_USER and FLEETMETER_MQTT_PASSWORD"
        )
    if not url.hostname or url.path not in ("", "/") or url.query or url.fragment:
        raise SettingsError(f"FLEETMETER_MQTT_URL: {_RIGHT}")
    return url.hostname, port, url.scheme == "mqtts"


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        tls = ssl.create_default_context(cafile=settings.mqtt_ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"FLEETMETER_MQTT_CA: {settings.mqtt_ca} cannot be used: {error}"
        ) from None
    if settings.mqtt_cert is not None:
        try:
            tls.load_cert_chain(settings.mqtt_cert, settings.mqtt_cert_key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"FLEETMETER_MQTT_CERT: {settings.mqtt_cert} cannot be used: {error}"
            ) from None
    return tls

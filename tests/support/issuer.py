"""A small OIDC issuer in a process of its own: discovery, keys, and tokens for tests.

As a program it prints its URL, serves until it is ended, and signs whatever it is asked to. A
browser that comes to sign in is sent back at once as whom the test says (`sign_in_as`).
"""

import json
import subprocess
import sys
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "fleetmeter"
CLIENT = "fleetmeter page"
CLIENT_SECRET = "s3cret: with / signs"  # noqa: S105


class IssuerProcess:
    """The issuer as a test sees it."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    def token(self, *, alg: str = "ES256", kid: str | None = None, **claims: Any) -> str:
        """A token of somebody; a claim of None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "9f31",
            "iat": now,
            "exp": now + 600,
        } | claims
        given = {name: value for name, value in claims.items() if value is not None}
        body = {"claims": given, "alg": alg, "kid": kid}
        return httpx.post(f"{self.url}/token", json=body).raise_for_status().text

    def rotate(self) -> None:
        """Replace all keys."""
        httpx.post(f"{self.url}/rotate").raise_for_status()

    def say(self, **documents: Any) -> None:
        """Answer something else than discovery or keys; None for the truth again."""
        httpx.post(f"{self.url}/say", json=documents).raise_for_status()

    def sign_in_as(self, *, access: dict[str, Any] | None = None, **claims: Any) -> None:
        """Sign browsers in with these claims in the ID token, and others in the access token."""
        httpx.post(f"{self.url}/person", json=[claims, access]).raise_for_status()

    def fetches(self) -> int:
        """How often the keys were fetched."""
        return int(httpx.get(f"{self.url}/fetches").text)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)


@contextmanager
def running_issuer() -> Iterator[IssuerProcess]:
    """An issuer of the test's own."""
    command = [sys.executable, "-m", "tests.support.issuer"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        issuer = IssuerProcess(process, process.stdout.readline().strip())
        try:
            yield issuer
        finally:
            issuer.stop()


class _Keys:
    """Keys of three kinds, by algorithm."""

    def __init__(self, generation: int) -> None:
        self.private: dict[str, Any] = {
            "RS256": rsa.generate_private_key(65537, 2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self.ids = {alg: f"{alg}-{generation}" for alg in self.private}

    def document(self) -> dict[str, Any]:
        kinds: dict[str, Any] = {
            "RS256": RSAAlgorithm,
            "ES256": ECAlgorithm,
            "EdDSA": OKPAlgorithm,
        }
        return {
            "keys": [
                kinds[alg].to_jwk(key.public_key(), as_dict=True)
                | {"kid": self.ids[alg], "use": "sig", "alg": alg}
                for alg, key in self.private.items()
            ]
        }


class _Handler(BaseHTTPRequestHandler):
    generation = 1
    keys = _Keys(1) if __name__ == "__main__" else None
    fetches = 0
    said: dict[str, Any] = {}  # noqa: RUF012 - of the process
    person: list[Any] = [{}, None]  # noqa: RUF012
    codes: dict[str, dict[str, str]] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        url = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        assert self.keys is not None
        path, _, query = self.path.partition("?")
        match path:
            case "/authorize":
                asked = dict(parse_qsl(query))
                code = token_hex(8)
                self.codes[code] = asked
                back = urlencode({"code": code, "state": asked["state"], "iss": url})
                self._answer("", 302, f"{asked['redirect_uri']}?{back}")
            case "/.well-known/openid-configuration":
                discovery = {
                    "issuer": url,
                    "jwks_uri": f"{url}/jwks",
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/redeem",
                    "authorization_response_iss_parameter_supported": True,
                }
                self._answer(json.dumps(self.said.get("discovery") or discovery))
            case "/jwks":
                _Handler.fetches += 1
                self._answer(json.dumps(self.said.get("keys") or self.keys.document()))
            case "/fetches":
                self._answer(str(self.fetches))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.keys is not None
        match self.path:
            case "/rotate":
                _Handler.generation += 1
                _Handler.keys = _Keys(self.generation)
                self._answer("")
            case "/say":
                self.said.update(json.loads(body))
                self._answer("")
            case "/person":
                _Handler.person = json.loads(body)
                self._answer("")
            case "/redeem":
                self._redeem(dict(parse_qsl(body.decode())))
            case "/token":
                asked = json.loads(body)
                alg = asked["alg"]
                key = {"none": None, "HS256": "s" * 32} | self.keys.private
                kid = asked["kid"] or self.keys.ids.get(alg, "ES256-1")
                self._answer(jwt.encode(asked["claims"], key[alg], alg, {"kid": kid}))

    def _redeem(self, form: dict[str, str]) -> None:
        """Give the tokens for a code to who began with it: the client with its secret, PKCE."""
        asked = self.codes.pop(form["code"], {})
        verifier = sha256(form["code_verifier"].encode()).digest()
        client = b64encode(f"{quote_plus(CLIENT)}:{quote_plus(CLIENT_SECRET)}".encode()).decode()
        if (
            form["grant_type"] != "authorization_code"
            or form["redirect_uri"] != asked.get("redirect_uri")
            or asked.get("code_challenge_method") != "S256"
            or urlsafe_b64encode(verifier).decode().rstrip("=") != asked["code_challenge"]
            or self.headers["Authorization"] != f"Basic {client}"
            or asked["client_id"] != CLIENT
            or "openid" not in asked["scope"].split()
        ):
            self._answer('{"error": "invalid_grant"}', 400)
            return
        now = int(time.time())
        url = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        known = {"iss": url, "sub": "9f31", "iat": now, "exp": now + 600}
        claims, access = self.person
        tokens = {"id_token": known | {"aud": CLIENT, "nonce": asked["nonce"]} | claims}
        if access is not None:
            tokens["access_token"] = known | {"aud": AUDIENCE} | access
        assert self.keys is not None
        key, kid = self.keys.private["ES256"], self.keys.ids["ES256"]
        signed = {
            name: jwt.encode(each, key, "ES256", {"kid": kid}) for name, each in tokens.items()
        }
        self._answer(json.dumps({"token_type": "Bearer", "access_token": "opaque"} | signed))

    def _answer(self, text: str, status: int = 200, location: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be silent."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

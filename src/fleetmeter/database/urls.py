"""URLs of databases."""

from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit


def split_password(url: str) -> tuple[str, str | None]:
    """Return a database URL without its password, and the password: others may see the URL."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    password = query.pop("password", unquote(password))
    netloc = f"{name}{at}{host}"
    bare = urlunsplit(
        (parts.scheme, netloc, parts.path, urlencode(query, quote_via=quote), parts.fragment)
    )
    return bare, password or None

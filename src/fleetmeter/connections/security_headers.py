"""Headers of every answer that tell browsers what not to do with it; there is no CORS."""

SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
]
"""Few: each costs every answer a microsecond. A page restricts itself further."""

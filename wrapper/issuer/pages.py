"""What people see of the issuer: one page on which they sign in and allow, and one that says why not. No script, nothing from elsewhere.

The form is good for ten minutes, and only in the browser that asked for it: its token is made of a cookie, of what is asked, and of a
secret that all workers share.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

COOKIE = "figway-signin"
HOLDS = 600
_NONCE = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;background:#f3f5f7;color:#1c2733;margin:0;display:grid;min-height:100vh;place-items:center}
main{background:#fff;border:1px solid #d5dde5;border-radius:10px;padding:2rem;width:min(24rem,calc(100vw - 6rem));margin:1rem}
h1{font-size:1.25rem;margin:0 0 1rem}ul{padding-left:1.2rem}code{background:#eef2f6;padding:.1rem .3rem;border-radius:4px}
label{display:block;margin:.8rem 0 .2rem}
input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #8fa1b3;border-radius:6px}
button{font:inherit;padding:.5rem 1rem;border-radius:6px;border:1px solid #14507f;margin:1.2rem .5rem 0 0;background:#fff;color:#14507f}
button.yes{background:#14507f;color:#fff}.wrong{background:#fdecea;border-radius:6px;padding:.5rem .8rem}
"""
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>
"""
_FORM = """{wrong}<p><b>{client}</b> asks to act in your name:</p><ul>{scopes}</ul>
<p>If you allow it, you are sent back to <code>{back}</code>.</p>
<form method="post" autocomplete="on"><input type="hidden" name="token" value="{token}">
<label for="name">Name</label><input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" autofocus>
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password">
<button class="yes" name="decision" value="allow">Sign in and allow</button><button name="decision" value="deny">Deny</button></form>"""


def sign_in(client: str, scopes: Sequence[str], back: str, token: str, wrong: str = "") -> str:
    """The page with the form."""
    listed = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes) or "<li>to know who you are</li>"
    said = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    return _page("Sign in", _FORM.format(wrong=said, client=escape(client), scopes=listed, back=escape(_host(back)), token=escape(token)))


def refusal(why: str) -> str:
    """The page of a request that can't be sent back to whoever made it."""
    return _page("This request can't be served", f"<p>{escape(why)}</p><p>Go back to the app that sent you here.</p>")


def policy(back: str = "") -> str:
    """The page's Content-Security-Policy: also the way back must be named in it."""
    style = hashlib.sha256(_STYLE.encode()).digest()
    return (
        f"default-src 'none'; style-src 'sha256-{base64.b64encode(style).decode()}'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {_host(back)}".rstrip()
    )


def nonce(cookie: str | None) -> str:
    """The browser's own, a fresh one if it has none."""
    return cookie if cookie is not None and _NONCE.fullmatch(cookie) else secrets.token_urlsafe(24)


def token(key: bytes, nonce: str, query: bytes, until: int | None = None) -> str:
    """For a form that answers this query in this browser."""
    until = int(time.time()) + HOLDS if until is None else until
    return f"{until}.{hmac.new(key, b'%d %b %b' % (until, nonce.encode(), query), hashlib.sha256).hexdigest()}"


def holds(key: bytes, sent: str, nonce: str | None, query: bytes) -> bool:
    """Whether a form that was sent is one of ours, for this query and from this browser."""
    until = sent.partition(".")[0]
    if nonce is None or not re.fullmatch(r"[0-9]{1,12}", until) or int(until) < time.time():
        return False
    return hmac.compare_digest(token(key, nonce, query, int(until)).encode(), sent.encode())


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=escape(title), style=_STYLE, body=body)


def _host(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""

"""PRETENDS Google's memory of OAuth: who granted what, which codes and tokens live, and what kills them.
Time and chance are given (clock, seeded generator); HTTP is left to `oauth`."""

from __future__ import annotations

import hmac
import random
import string
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit, urlunsplit

from sandbox.google.authorization import AuthRequest, Consent, admit
from sandbox.google.directory import Client, Clients, User, Users
from sandbox.google.errors import OAuthError, invalid_grant
from sandbox.google.identity import verifier_challenge
from sandbox.google.records import AccessToken, Code, Grant, Issued, Knobs, RefreshToken, TokenInfo
from sandbox.google.scopes import SIGN_IN, canonical, carries_mail, join, parse_scopes

CODE_LIFETIME = timedelta(minutes=10)
TESTING_LIFETIME = timedelta(days=7)  # External application in status Testing
UNUSED_LIFETIME = timedelta(days=180)  # "unused for six months"
REVOKED = "Token has been expired or revoked."
SILENT = "Bad Request"  # same meaning, given where Google tells no cause
_URLSAFE = string.ascii_letters + string.digits + "-_"
_ALNUM = string.ascii_letters + string.digits


class Store:
    """All OAuth state of one double. Every method may be called from any thread."""

    def __init__(self, now: Callable[[], datetime], rng: random.Random) -> None:
        """`now` gives aware UTC times; `rng` draws every token, so a seed fixes them all."""
        self.lock = threading.RLock()
        self.users = Users(self.lock, rng)
        self.clients = Clients(self.lock, rng, lambda n: "".join(rng.choices(_ALNUM, k=n)))
        self.knobs = Knobs()
        self.auto_consent: Consent | None = None
        self._now = now
        self._rng = rng
        self._grants: dict[tuple[str, str], Grant] = {}
        self._codes: dict[str, Code] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._access: dict[str, AccessToken] = {}

    # -- authorization

    def decide(self, request: AuthRequest, consent: Consent) -> str:
        """Carry out the user's answer and return the address the browser is sent to.

        Raises OAuthError for what Google shows on its own page instead.
        """
        with self.lock:
            if consent.deny:
                return _callback(request, {"error": "access_denied"})
            user = self._chosen(request, consent)
            admit(request.client, user)
            unticked = {canonical(scope) for scope in consent.untick} - SIGN_IN
            granted = request.scopes - unticked
            if not granted:
                return _callback(request, {"error": "access_denied"})
            return self._granted(request, consent, user, granted)

    def silent(self, request: AuthRequest) -> str:
        """Answer `prompt=none`: a code if the hinted user granted all this before, else an error redirect."""
        with self.lock:
            user = self.users.find(request.login_hint or "")
            if user is None:
                return _callback(request, {"error": "interaction_required"})
            if not request.scopes <= self.granted(request.client.client_id, user.sub):
                return _callback(request, {"error": "consent_required"})
            return self.decide(request, Consent(user=user.email))

    def granted(self, client_id: str, sub: str) -> frozenset[str]:
        """Every scope this user ever granted to this client and did not take back."""
        with self.lock:
            return self._grants.get((client_id, sub), Grant()).scopes

    def _chosen(self, request: AuthRequest, consent: Consent) -> User:
        wanted = consent.user or request.login_hint
        everyone = self.users.all()
        user = self.users.find(wanted) if wanted else (everyone[0] if len(everyone) == 1 else None)
        if user is None:
            raise OAuthError("invalid_request", "Couldn't find your Google Account: choose one that exists")
        return user

    def _granted(self, request: AuthRequest, consent: Consent, user: User, granted: frozenset[str]) -> str:
        key, now = (request.client.client_id, user.sub), self._now()
        before = self._grants.get(key, Grant())
        self._grants[key] = replace(before, scopes=before.scopes | granted)
        self.users.update(user.email, reauth=None)  # the user has just signed in again
        until = None if consent.expires_in is None else now + timedelta(seconds=consent.expires_in)
        code = Code(
            # Real codes carry a slash: a client that does not encode them fails here as it would there.
            code="4/0A" + self._draw(62),
            client_id=request.client.client_id,
            sub=user.sub,
            redirect_uri=request.redirect_uri,
            scopes=granted | before.scopes if request.include_granted else granted,
            challenge=request.challenge,
            nonce=request.nonce,
            offline=request.offline,
            fresh_consent="consent" in request.prompt,
            access_until=until,
            expires_at=now + CODE_LIFETIME,
        )
        self._codes[code.code] = code
        prompt = "consent" if "consent" in request.prompt or not before.scopes else "none"
        answer = {"code": code.code, "scope": join(code.scopes), "authuser": "0", "prompt": prompt}
        return _callback(request, answer if user.hd is None else {**answer, "hd": user.hd})

    # -- token endpoint

    def exchange(self, client: Client, code: str, redirect_uri: str, verifier: str | None) -> Issued:
        """Trade a code for tokens (RFC 6749, 4.1.3). Raises OAuthError by cause, with Google's texts."""
        with self.lock:
            if not code.startswith("4/"):
                raise invalid_grant("Malformed auth code.")
            known = self._codes.get(code)
            if known is None or known.used or known.client_id != client.client_id:
                raise invalid_grant()
            if known.redirect_uri != redirect_uri:
                raise OAuthError("redirect_uri_mismatch", "Bad Request")
            _check_verifier(known.challenge, verifier)
            if self._now() >= known.expires_at:
                raise invalid_grant()
            self._living_user(known.sub)
            # A second use is refused but kills nothing: a double-clicked callback must not erase a good link.
            self._codes[code] = replace(known, used=True)
            refresh = self._first_refresh(client, known)
            access = self._new_access(client.client_id, known.sub, known.scopes)
            return Issued(access, refresh, refresh.expires_at if refresh else None, known.nonce)

    def refresh(self, client: Client, token: str, scope: str = "") -> Issued:
        """Trade a refresh token for an access token (RFC 6749, 6). Raises OAuthError by cause."""
        with self.lock:
            known = self._refresh.get(token)
            if known is None:
                raise invalid_grant()
            if known.client_id != client.client_id:
                raise OAuthError("unauthorized_client", "Unauthorized", 401)
            user = self._living_user(known.sub)
            self._check_alive(known, user)
            scopes = _narrowed(known.scopes, scope)
            known = self._refresh[token] = replace(known, used_at=self._now())
            shown = self._rotated(known) if self.knobs.rotate_refresh_tokens else None
            access = self._new_access(client.client_id, known.sub, scopes)
            return Issued(access, shown, known.expires_at)

    def _check_alive(self, token: RefreshToken, user: User) -> None:
        now = self._now()
        if token.dead is not None:
            raise invalid_grant(token.dead)
        if now - token.used_at >= UNUSED_LIFETIME or (token.expires_at and now >= token.expires_at):
            raise invalid_grant(REVOKED)
        if user.reauth is not None:
            raise invalid_grant(f"reauth related error ({user.reauth})", subtype=user.reauth)
        if user.admin_policy:
            text = "Access to your account data is restricted by policies within your organization."
            raise OAuthError("admin_policy_enforced", text)

    def _living_user(self, sub: str) -> User:
        user = self.users.by_sub(sub)
        if user.deleted:
            raise invalid_grant("Account has been deleted")
        return user

    def _first_refresh(self, client: Client, code: Code) -> RefreshToken | None:
        key = (client.client_id, code.sub)
        grant = self._grants.get(key, Grant())
        if not code.offline or (grant.refresh_issued and not code.fresh_consent):
            return None
        self._grants[key] = replace(grant, refresh_issued=True)
        now = self._now()
        # Fixed now: publishing the application later does not heal tokens issued in status Testing.
        testing = now + TESTING_LIFETIME if client.testing and not code.scopes <= SIGN_IN else None
        ends = [end for end in (testing, code.access_until) if end is not None]
        token = RefreshToken(
            "1//0" + self._draw(96), *key, code.scopes, used_at=now, expires_at=min(ends) if ends else None
        )
        self._refresh[token.token] = token
        self._evict(*key)
        return token

    def _evict(self, client_id: str, sub: str) -> None:
        owned = [t for t in self._refresh.values() if (t.client_id, t.sub) == (client_id, sub)]
        live = [token for token in owned if token.dead is None]
        for token in live[: max(0, len(live) - self.knobs.refresh_token_limit)]:
            self._refresh[token.token] = replace(token, dead=SILENT)

    def _rotated(self, old: RefreshToken) -> RefreshToken:
        fresh = replace(old, token="1//0" + self._draw(96))
        self._refresh[old.token] = replace(old, dead=REVOKED)
        self._refresh[fresh.token] = fresh
        return fresh

    def _new_access(self, client_id: str, sub: str, scopes: frozenset[str]) -> AccessToken:
        ends = self._now() + timedelta(seconds=self.knobs.access_token_lifetime)
        token = AccessToken("ya29.a0A" + self._draw(160), client_id, sub, scopes, ends)
        self._access[token.token] = token
        return token

    def _draw(self, length: int) -> str:
        return "".join(self._rng.choices(_URLSAFE, k=length))

    # -- life and death of tokens

    def token_active(self, token: str) -> TokenInfo | None:
        """What a living access token stands for, or None if it is unknown, expired or revoked."""
        with self.lock:
            known, now = self._access.get(token), self._now()
            if known is None or now >= known.expires_at or (known.dead_at and now >= known.dead_at):
                return None
            user, client = self.users.by_sub(known.sub), self.clients.find(known.client_id)
            if user.deleted or client is None or client.deleted:
                return None
            return TokenInfo(user.email, user.sub, known.client_id, known.scopes, known.expires_at)

    def revoke(self, token: str) -> None:
        """Revoke by access or refresh token: all the client holds for that account dies, the grant too.

        Raises OAuthError invalid_token if the token is unknown or dead already.
        """
        with self.lock:
            refresh = self._refresh.get(token)
            living = refresh if refresh is not None and refresh.dead is None else None
            if living is None and self.token_active(token) is None:
                raise OAuthError("invalid_token", "Token expired or revoked")
            owner = living or self._access[token]
            self._withdraw(owner.client_id, owner.sub)

    def revoke_user(self, email: str, client_id: str | None = None) -> None:
        """The user takes back access in the account settings, from one client or all. Raises KeyError."""
        with self.lock:
            sub = self.users[email].sub
            for known_client, known_sub in list(self._grants):
                if known_sub == sub and client_id in (None, known_client):
                    self._withdraw(known_client, sub)

    def change_password(self, email: str) -> None:
        """A new password kills every token that carries a mail scope, and only those. Raises KeyError."""
        with self.lock:
            sub = self.users[email].sub
            self._kill(lambda token: token.sub == sub and carries_mail(token.scopes))

    def expire_access_tokens(self, email: str | None = None) -> None:
        """Let the access tokens of one user, or of all, run out now. Raises KeyError for an unknown user."""
        with self.lock:
            now, sub = self._now(), None if email is None else self.users[email].sub
            for token in list(self._access.values()):
                if sub in (None, token.sub):
                    self._access[token.token] = replace(token, expires_at=min(now, token.expires_at))

    def live_refresh_tokens(self, email: str) -> tuple[str, ...]:
        """The user's refresh tokens not yet killed, oldest first; shows what a client left behind."""
        with self.lock:
            sub = self.users[email].sub
            return tuple(t.token for t in self._refresh.values() if t.sub == sub and t.dead is None)

    def _withdraw(self, client_id: str, sub: str) -> None:
        self._grants.pop((client_id, sub), None)
        for code in [c for c in self._codes.values() if (c.client_id, c.sub) == (client_id, sub)]:
            del self._codes[code.code]
        self._kill(lambda token: (token.client_id, token.sub) == (client_id, sub))

    def _kill(self, condemned: Callable[[RefreshToken | AccessToken], bool]) -> None:
        for token in list(self._refresh.values()):
            if token.dead is None and condemned(token):
                self._refresh[token.token] = replace(token, dead=REVOKED)
        end = self._now() + timedelta(seconds=self.knobs.revocation_lag)
        for access in list(self._access.values()):
            if access.dead_at is None and condemned(access):
                self._access[access.token] = replace(access, dead_at=end)


def _callback(request: AuthRequest, answer: dict[str, str]) -> str:
    state = {} if request.state is None else {"state": request.state}
    parts = urlsplit(request.redirect_uri)
    query = "&".join(part for part in (parts.query, urlencode({**state, **answer})) if part)
    return urlunsplit(parts._replace(query=query))


def _check_verifier(challenge: str | None, verifier: str | None) -> None:
    if challenge is None:
        if verifier:
            raise invalid_grant("code_verifier or verifier is not needed.")
        return
    if not verifier:
        raise invalid_grant("Missing code verifier.")
    if not hmac.compare_digest(verifier_challenge(verifier).encode(), challenge.encode()):
        raise invalid_grant("Invalid code verifier.")


def _narrowed(granted: frozenset[str], asked: str) -> frozenset[str]:
    if not asked.strip():
        return granted
    scopes, invalid = parse_scopes(asked)
    if invalid:
        words = ", ".join(invalid)
        raise OAuthError("invalid_scope", f"Some requested scopes were invalid. {{invalid=[{words}]}}")
    if not scopes <= granted:
        raise OAuthError("invalid_scope", "Bad Request")
    return scopes

"""Login through the identity provider, in a browser (control reference 3.5).

The login's page sends the browser to the provider; the callback finds out who came back and asks
them to confirm the device; only the confirmation lets it in, so that a link sent by somebody else
adds no device unseen. State and confirmation tokens work once, and only in the browser that began:
it holds a cookie whose value is compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from control.errors import ControlError
from control.http.pages import LOGIN_IS_OVER, page
from control.identity.enrolment import Admission
from control.identity.id_token import IdTokenError
from control.identity.oidc_people import NotAllowedError, Person, keep_person, person_of
from control.identity.oidc_provider import ProviderError
from control.identity.one_time import LIFETIME_S, OneTime
from control.identity.ssh_checks import SshCheck, SshChecks
from control.store.records import RegisterMethod

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.identity.logins import Login, Logins
    from control.identity.oidc_provider import OidcProvider
    from control.identity.oidc_settings import Oidc
    from control.identity.registrar import Registrar
    from control.keys import Entropy
    from control.registry.ledger import Ledger
    from control.store.records import UserRecord

__all__ = ["CALLBACK_PATH", "SignInPages"]

CALLBACK_PATH: Final = "/oidc/callback"
_CONFIRM_PATH: Final = "/register/confirm"
_MAX_FORM: Final = 4096
_log = structlog.get_logger("control.sign_in")


@dataclass(frozen=True, slots=True)
class _Begun:
    login_id: str
    nonce: str
    verifier: str
    browser: str


@dataclass(frozen=True, slots=True)
class _Vouched:
    login_id: str
    person: Person
    browser: str


class SignInPages:
    """The pages between a login's URL and the node being in."""

    def __init__(
        self,
        *,
        settings: Oidc,
        provider: OidcProvider,
        ledger: Ledger,
        registrar: Registrar,
        logins: Logins,
        checks: SshChecks,
        entropy: Entropy,
        clock: Callable[[], float],
        remote_of: Callable[[web.Request], str],
        is_secure: bool,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._ledger = ledger
        self._registrar = registrar
        self._logins = logins
        self._checks = checks
        self._entropy = entropy
        self._remote_of = remote_of
        self._is_secure = is_secure
        self._begun = OneTime[_Begun](entropy, clock)
        self._vouched = OneTime[_Vouched](entropy, clock)

    def add_routes(self, app: web.Application) -> None:
        """Put the callback and the confirmation in place."""
        app.add_routes(
            [
                web.get(CALLBACK_PATH, self._callback),
                web.post(_CONFIRM_PATH + "/{id}", self._confirm),
            ]
        )

    async def begin(self, request: web.Request, login: Login | SshCheck) -> web.Response:
        """Send the browser of somebody who opened a page that waits for them to the provider."""
        nonce, verifier, browser = (self._entropy(32).hex() for _ in range(3))
        state = self._begun.put(login.id, _Begun(login.id, nonce, verifier, browser))
        try:
            url = await self._provider.authorization_url(
                state=state, nonce=nonce, verifier=verifier
            )
        except ProviderError as error:
            return self._failed(request, error)
        answer = web.Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})
        self._set_cookie(answer, _cookie_of(state), browser, CALLBACK_PATH, "Lax")
        return answer

    async def _callback(self, request: web.Request) -> web.Response:
        """Take the browser back from the provider and ask for confirmation."""
        state = request.query.get("state", "")
        begun = self._begun.take(state)
        if begun is None or not _is_same(request.cookies.get(_cookie_of(state)), begun.browser):
            return page("This login was begun elsewhere or is over. Start again.", status=400)
        code = request.query.get("code", "")
        if not code:
            _log.info("the provider refused a login", error=request.query.get("error", "")[:100])
            return page("The identity provider did not let you in.", status=403)
        login = self._logins.find(begun.login_id) or self._checks.find(begun.login_id)
        if login is None or login.decided.done():
            return page(LOGIN_IS_OVER, status=404)
        try:
            claims = await self._provider.claims_of(
                code, nonce=begun.nonce, verifier=begun.verifier
            )
            person = person_of(claims, self._settings)
        except NotAllowedError as error:
            _log.warning("login refused", reason=str(error), remote=self._remote_of(request))
            return page(escape(f"Not let in: {error}."), status=403)
        except (ProviderError, IdTokenError) as error:
            return self._failed(request, error)
        if isinstance(login, SshCheck) and self._owner_of(login, person) is None:
            return page("Only the owner of the device that connects may let it in.", status=403)
        return self._ask(login, person)

    def _owner_of(self, check: SshCheck, person: Person) -> UserRecord | None:
        """Return the user that a person is, if the session comes from a device of theirs."""
        user = self._ledger.tailnet.user(check.pair.owner)
        source = self._ledger.tailnet.node(check.pair.source)
        if user is None or source is None or source.user_id != user.id:
            return None
        return user if user.provider_id == person.provider_id else None

    def _question(self, login: Login | SshCheck) -> str:
        if isinstance(login, SshCheck):
            names = [
                "" if node is None else escape(node.given_name)
                for node in map(
                    self._ledger.tailnet.node, (login.pair.source, login.pair.destination)
                )
            ]
            return (
                f"Let the SSH session from your device <b>{names[0]}</b> to <b>{names[1]}</b> as "
                f"<b>{escape(login.account)}</b> in? Do so only if you started it yourself."
            )
        hostinfo = login.request.hostinfo
        name, system = (hostinfo.hostname, hostinfo.os) if hostinfo else ("", "")
        return (
            f"Let the device <b>{escape(name)}</b> ({escape(system)}) with the machine key "
            f"<code>{escape(login.machine.short())}</code> in? Do so only if you started this "
            "on that device yourself."
        )

    def _ask(self, login: Login | SshCheck, person: Person) -> web.Response:
        browser = self._entropy(32).hex()
        token = self._vouched.put(login.id, _Vouched(login.id, person, browser))
        action = f"{_CONFIRM_PATH}/{login.id}"
        answer = page(
            f"<p>You are <b>{escape(person.email or person.display_name or person.name)}</b>.</p>"
            f'<p>{self._question(login)}</p><form method=post action="{escape(action)}">'
            f'<input type=hidden name=token value="{token}"><button>Let it in</button></form>'
        )
        self._set_cookie(answer, _cookie_of(token), browser, _CONFIRM_PATH, "Strict")
        return answer

    async def _confirm(self, request: web.Request) -> web.Response:
        """Let the device in."""
        token = await _token_of(request)
        vouched = self._vouched.take(token)
        if (
            vouched is None
            or not _is_same(request.match_info["id"], vouched.login_id)
            or not _is_same(request.cookies.get(_cookie_of(token)), vouched.browser)
        ):
            return page("This confirmation is over or not yours. Start again.", status=400)
        check = self._checks.find(vouched.login_id)
        if check is not None:
            return await self._let_session_in(check, vouched.person)
        login = self._logins.find(vouched.login_id)
        if login is None:
            return page(LOGIN_IS_OVER, status=404)
        person = vouched.person
        try:
            admission = Admission(
                user=await keep_person(self._ledger, person),
                method=RegisterMethod.OIDC,
                expires_at=person.vouched_until if self._settings.use_expiry_from_token else None,
            )
            node = await self._registrar.admit(login, admission)
        except ControlError as error:
            return page(escape(f"Not let in: {error}."), status=403)
        return page(f"The device <b>{escape(node.given_name)}</b> is in. You may close this page.")

    async def _let_session_in(self, check: SshCheck, person: Person) -> web.Response:
        user = self._owner_of(check, person)
        if user is None:
            return page("Only the owner of the device that connects may let it in.", status=403)
        try:
            await self._checks.decide(check.id, f"user:{user.id}", is_approved=True)
        except ControlError as error:
            return page(escape(f"Not let in: {error}."), status=403)
        return page("The session is let in. You may close this page.")

    def _failed(self, request: web.Request, error: ControlError) -> web.Response:
        _log.error("login failed", reason=str(error), remote=self._remote_of(request))
        text = "The identity provider cannot be used at the moment; the server's log says why."
        return page(text, status=502)

    def _set_cookie(
        self, answer: web.Response, name: str, value: str, path: str, same_site: str
    ) -> None:
        answer.set_cookie(
            name,
            value,
            path=path,
            max_age=int(LIFETIME_S),
            httponly=True,
            secure=self._is_secure,
            samesite=same_site,
        )


async def _token_of(request: web.Request) -> str:
    length = request.content_length
    if length is None or length > _MAX_FORM:
        return ""
    token = (await request.post()).get("token", "")
    return token if isinstance(token, str) else ""


def _cookie_of(token: str) -> str:
    # Several logins may go on in one browser. The name must not tell the token.
    return "postern_" + hashlib.sha256(token.encode(errors="replace")).hexdigest()[:12]


def _is_same(given: str | None, expected: str) -> bool:
    return given is not None and hmac.compare_digest(
        given.encode(errors="replace"), expected.encode()
    )

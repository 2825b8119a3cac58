"""Access tokens: which open, which do not, and what they are worth."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gateway_harness import Gateway, open_gateway
from mcp import MCPError
from pydantic import ValidationError
from token_issuer import AUDIENCE, EC_KEY, RSA_KEYS, WEAK_KEY, TokenIssuer, token_issuer

from muxi_runtime.config import Settings
from muxi_runtime.errors import ForbiddenError
from muxi_runtime.identity.keys import KeyRefusedError
from muxi_runtime.identity.oauth.issuer import PAUSE_SECONDS, USABLE_SECONDS, IssuerError, IssuerKeys
from muxi_runtime.identity.oauth.settings import AuthSettings, OAuthSettings
from muxi_runtime.identity.oauth.tokens import Tokens
from muxi_runtime.identity.principal import Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.identity.users import UserRecord

pytestmark = [
    pytest.mark.promise("tokens-are-checked"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer() -> AsyncIterator[TokenIssuer]:
    async with token_issuer() as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


def tokens_of(issuer: TokenIssuer, *users: UserRecord, clock=time.monotonic, **settings) -> Tokens:
    known = {user.name: user for user in users}
    given = OAuthSettings(issuer=issuer.url, audience=AUDIENCE, **settings)
    return Tokens(given, IssuerKeys(issuer.url, clock=clock), known.get)


async def refusal(tokens: Tokens, token: str) -> str:
    with pytest.raises(KeyRefusedError) as caught:
        await tokens.authenticate(token)
    assert not token or token[:40] not in str(caught.value)
    return caught.value.refusal.value


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


async def test_a_token_of_the_issuer_for_this_resource_opens(issuer: TokenIssuer):
    tokens = tokens_of(issuer)
    found = await tokens.authenticate(issuer.sign())
    assert (found.user, found.role, found.scopes) == ("ada", Role.USER, {"call", "read"})
    for token in (
        issuer.sign(kid="ec", alg="ES256"),
        issuer.sign(alg="PS256"),
        issuer.sign(head={"typ": "JWT"}),
        issuer.sign(aud=["https://other.example", AUDIENCE]),
        issuer.sign(exp=int(time.time()) - 5),
        issuer.sign(scope=None, scp=["call", "read"]),
    ):
        assert await tokens.authenticate(token) == found
    assert issuer.fetches == 1


async def test_metadata_of_openid_connect_will_do(issuer: TokenIssuer):
    issuer.oidc = True
    assert (await tokens_of(issuer).authenticate(issuer.sign())).user == "ada"


async def test_no_token_without_a_signature_opens(issuer: TokenIssuer):
    tokens = tokens_of(issuer)
    for alg in ("none", "None", "NONE", ""):
        head = encoded({"alg": alg, "typ": "at+jwt", "kid": "one"})
        for signature in ("", "x", issuer.sign().rpartition(".")[2]):
            token = f"{head}.{encoded(issuer.claims())}.{signature}"
            assert await refusal(tokens, token) in {"token-algorithm", "token-malformed"}
    head, _, signature = issuer.sign().split(".")
    assert await refusal(tokens, f"{head}.{encoded(issuer.claims(sub='eve'))}.{signature}") == "token-signature"


async def test_the_public_key_as_a_shared_secret_opens_nothing(issuer: TokenIssuer):
    tokens = tokens_of(issuer)
    key = RSA_KEYS[0].public_key()
    for form in (
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        key.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        for alg, kind in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            text = f"{encoded({'alg': alg, 'typ': 'at+jwt', 'kid': 'one'})}.{encoded(issuer.claims())}"
            mac = base64.urlsafe_b64encode(hmac.new(form, text.encode(), kind).digest()).rstrip(b"=").decode()
            assert await refusal(tokens, f"{text}.{mac}") == "token-algorithm"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "https://other.example/mcp"}, "token-audience"),
        ({"aud": f"{AUDIENCE}/demo"}, "token-audience"),
        ({"aud": [AUDIENCE.upper()]}, "token-audience"),
        ({"aud": None}, "token-claims"),
        ({"aud": []}, "token-claims"),
        ({"iss": "https://evil.example"}, "token-issuer"),
        ({"iss": None}, "token-claims"),
        ({"exp": int(time.time()) - 3600}, "token-expired"),
        ({"exp": None}, "token-claims"),
        ({"exp": "never"}, "token-claims"),
        ({"nbf": int(time.time()) + 3600}, "token-not-yet-valid"),
        ({"sub": None}, "token-claims"),
        ({"sub": ""}, "token-user"),
        ({"sub": "a/b"}, "token-user"),
        ({"sub": "local"}, "token-user"),
        ({"nonce": "n"}, "token-claims"),
        ({"at_hash": "h"}, "token-claims"),
        ({"cnf": {"jkt": "x"}}, "token-claims"),
    ],
)
async def test_a_token_that_is_not_for_here_and_now_opens_nothing(issuer: TokenIssuer, changes, why: str):
    assert await refusal(tokens_of(issuer), issuer.sign(**changes)) == why


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "at+jwt2", 7, {"a": 1}])
async def test_a_jwt_of_another_kind_opens_nothing(issuer: TokenIssuer, kind):
    head = encoded({"alg": "RS256", "typ": kind, "kid": "one"})
    assert await refusal(tokens_of(issuer), f"{head}.{encoded(issuer.claims())}.AA") == "token-malformed"


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "....", "é.é.é", "e30.e30.e30", "A" * 20_000, f"{'[' * 5000}.a.b"])
async def test_what_is_no_token_is_refused(issuer: TokenIssuer, text: str):
    assert await refusal(tokens_of(issuer), text) in {"token-malformed", "token-algorithm"}
    assert issuer.fetches == 0


async def test_keys_that_a_token_brings_along_are_not_looked_at(issuer: TokenIssuer):
    async with token_issuer() as evil:
        evil.keys = {"mine": RSA_KEYS[1]}
        jwk = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEYS[1].public_key())), "kid": "one"}
        tokens = tokens_of(issuer)
        for head in ({"jku": f"{evil.url}/jwks"}, {"x5u": f"{evil.url}/jwks"}, {"jwk": jwk}, {"x5c": ["MIIB"]}):
            assert await refusal(tokens, issuer.sign(key=RSA_KEYS[1], head=head)) == "token-signature"
            named = issuer.sign(kid="mine", key=RSA_KEYS[1], head=head)
            assert await refusal(tokens, named) == "token-signing-key"
        assert await refusal(tokens, issuer.sign(head={"crit": ["exp"], "exp": 1})) == "token-malformed"
        assert evil.fetches == 0


async def test_a_key_counts_only_for_its_own_kind_of_signature(issuer: TokenIssuer):
    tokens = tokens_of(issuer)
    assert await refusal(tokens, issuer.sign(kid="one", key=EC_KEY, alg="ES256")) == "token-signing-key"
    assert await refusal(tokens, issuer.sign(kid="ec", key=RSA_KEYS[0])) == "token-signing-key"
    assert await refusal(tokens, issuer.sign(kid=None)) in {"token-signing-key", "token-signature"}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_weak_key_opens_nothing(issuer: TokenIssuer):
    issuer.keys["weak"] = WEAK_KEY
    assert await refusal(tokens_of(issuer), issuer.sign(kid="weak")) == "token-signing-key"


async def test_keys_are_fetched_anew_for_one_that_is_not_known_and_a_flood_of_names_is_not(
    issuer: TokenIssuer, clock: Clock
):
    tokens = tokens_of(issuer, clock=clock)
    await tokens.authenticate(issuer.sign())
    clock.now += PAUSE_SECONDS + 1
    issuer.keys = {"two": RSA_KEYS[1]}
    assert (await tokens.authenticate(issuer.sign(kid="two"))).user == "ada"
    assert issuer.fetches == 2
    for number in range(200):
        assert await refusal(tokens, issuer.sign(kid=f"x{number}", key=RSA_KEYS[0])) == "token-signing-key"
    assert issuer.fetches == 2
    assert await refusal(tokens, issuer.sign(kid="one", key=RSA_KEYS[0])) == "token-signing-key"
    assert (await tokens.authenticate(issuer.sign(kid="two"))).user == "ada"


async def test_while_the_issuer_is_away_known_keys_count_for_an_hour_and_then_nothing_does(
    issuer: TokenIssuer, clock: Clock
):
    tokens = tokens_of(issuer, clock=clock)
    await tokens.authenticate(issuer.sign())
    issuer.broken = True
    clock.now += USABLE_SECONDS - 1
    for _ in range(5):
        assert (await tokens.authenticate(issuer.sign())).user == "ada"
    assert issuer.fetches == 2
    clock.now += 2
    with pytest.raises(IssuerError, match="cannot be fetched"):
        await tokens.authenticate(issuer.sign())


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": "http://192.0.2.1/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user:pw@example.org/jwks"},
        {"jwks_uri": None},
    ],
)
async def test_metadata_that_cannot_be_trusted_is_not_used(issuer: TokenIssuer, changed):
    issuer.metadata = changed
    with pytest.raises(IssuerError):
        await tokens_of(issuer).authenticate(issuer.sign())
    assert issuer.fetches == 0


async def test_no_redirect_is_followed(issuer: TokenIssuer):
    async with token_issuer() as evil:
        issuer.redirect = f"{evil.url}/jwks"
        with pytest.raises(IssuerError):
            await tokens_of(issuer).authenticate(issuer.sign())
        assert evil.fetches == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://login.example.org"},
        {"issuer": "ftp://127.0.0.1"},
        {"issuer": "login.example.org"},
        {"audience": "http://tools.example.org/mcp"},
        {"audience": 'https://a"b.example/mcp'},
        {"audience": "https://tools.example.org/mcp#x"},
        {"scope_mapping": {"a": ["write"]}},
        {"role_mapping": {"a": "root"}},
    ],
)
def test_settings_that_would_let_others_in_are_refused(wrong):
    given = {"issuer": "https://login.example.org", "audience": AUDIENCE}
    OAuthSettings(**given)
    with pytest.raises(ValidationError):
        OAuthSettings(**given | wrong)


def test_tokens_beside_an_open_loopback_are_refused(tmp_path: Path):
    given = OAuthSettings(issuer="https://login.example.org", audience=AUDIENCE)
    with pytest.raises(ValidationError, match="require_key: always"):
        Settings(home=tmp_path, auth=AuthSettings(oauth=given))


async def test_a_name_that_has_keys_is_not_the_issuer_s_to_give(issuer: TokenIssuer):
    plain, own = (
        UserRecord("ada", Role.OWNER),
        UserRecord("bob", Role.OPERATOR, frozenset({"staff"}), issuer=issuer.url),
    )
    gone = UserRecord("eve", Role.USER, state="disabled", issuer=issuer.url)
    other = UserRecord("dan", Role.USER, issuer="https://other.example")
    tokens = tokens_of(issuer, plain, own, gone, other)
    for name in ("ada", "eve", "dan"):
        assert await refusal(tokens, issuer.sign(sub=name)) == "token-user"
    found = await tokens.authenticate(issuer.sign(sub="bob"))
    assert (found.role, found.groups) == (Role.OPERATOR, {"staff"})


async def test_groups_and_roles_come_from_the_claims_that_the_settings_name(issuer: TokenIssuer):
    mapping = {"admins": Role.OPERATOR, "robots": Role.SERVICE}
    tokens = tokens_of(issuer, user_claim="name", groups_claim="groups", role_mapping=mapping)
    for groups, role in (([], Role.USER), (["robots", "admins"], Role.OPERATOR), ("robots", Role.SERVICE)):
        found = await tokens.authenticate(issuer.sign(name="zoe", groups=groups))
        assert (found.user, found.role) == ("zoe", role)
    for groups in ({"a": 1}, [1], ["a\n"], ["x" * 500], ["x"] * 500):
        assert await refusal(tokens, issuer.sign(name="zoe", groups=groups)) == "token-claims"


async def test_an_e_mail_address_is_a_name_only_where_it_was_verified(issuer: TokenIssuer):
    tokens = tokens_of(issuer, user_claim="email")
    for verified in (None, False, "true"):
        token = issuer.sign(email="ada@example.org", email_verified=verified)
        assert await refusal(tokens, token) == "token-user"
    token = issuer.sign(email="ada@example.org", email_verified=True)
    assert (await tokens.authenticate(token)).user == "ada@example.org"


async def test_scopes_are_worth_what_the_settings_say_and_unknown_ones_nothing(issuer: TokenIssuer):
    tokens = tokens_of(issuer, scope_mapping={"tools": ("call:demo", "read"), "admin": ()})
    for scope, worth in (
        ("tools", {"call:demo", "read"}),
        ("admin", set()),
        ("openid profile", set()),
        ("call:demo.echo", {"call:demo.echo"}),
        (None, set()),
        (7, set()),
    ):
        assert (await tokens.authenticate(issuer.sign(scope=scope))).scopes == worth
    with pytest.raises(ForbiddenError, match="'mcp'"):
        await tokens_of(issuer, required_scopes=("call", "mcp")).authenticate(issuer.sign())


async def test_each_client_s_tokens_have_tasks_of_their_own_and_none_a_key_s(issuer: TokenIssuer):
    tokens = tokens_of(issuer)
    one, two = [await tokens.authenticate(issuer.sign(client_id=client)) for client in ("desk", "phone")]
    again = await tokens.authenticate(issuer.sign(client_id="desk", scope="read"))
    assert one == again != two
    assert one != Principal("ada", "desk")


def auth_of(issuer: TokenIssuer, **settings) -> dict[str, object]:
    oauth = OAuthSettings(issuer=issuer.url, audience=AUDIENCE, **settings)
    return {"auth": AuthSettings(oauth=oauth), "require_key": "always"}


async def whoami(gateway: Gateway, token: str | None):
    async with gateway.http(token) as http:
        return await http.get("/control/whoami")


async def test_who_comes_without_a_token_is_told_where_to_get_one(issuer: TokenIssuer, tmp_path: Path):
    async with open_gateway(tmp_path / "home", **auth_of(issuer, required_scopes=("mcp",))) as gateway:
        where = 'resource_metadata="https://tools.example.org/.well-known/oauth-protected-resource/mcp"'
        async with gateway.http() as http:
            answer = await http.post("/mcp", json={})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == f"Bearer {where}"
            for path in ("", "/mcp", "/mcp/demo"):
                told = (await http.get(f"/.well-known/oauth-protected-resource{path}")).json()
                assert told["resource"] == AUDIENCE
                assert told["authorization_servers"] == [issuer.url]
                assert told["scopes_supported"] == ["mcp", "call", "read"]
        answer = await whoami(gateway, issuer.sign(aud="https://other.example"))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == f'Bearer error="invalid_token", {where}'
        answer = await whoami(gateway, issuer.sign())
        assert answer.status_code == 403
        assert answer.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="mcp", {where}'
        assert (await whoami(gateway, issuer.sign(scope="mcp"))).json()["user"] == "ada"
        issuer.scope = "read"
        async with gateway.http(issuer.sign(scope="mcp read")) as http:
            answer = await http.post("/mcp", json={})
            assert answer.status_code == 403
            assert 'scope="call"' in answer.headers["www-authenticate"]


async def test_keys_still_open_beside_tokens_and_a_dead_issuer_does_not_close_them(issuer: TokenIssuer, tmp_path: Path):
    issuer.broken = True
    async with open_gateway(tmp_path / "home", **auth_of(issuer)) as gateway:
        key = gateway.runtime.keys.create("kim")[1]
        assert (await whoami(gateway, key)).json()["user"] == "kim"
        answer = await whoami(gateway, issuer.sign())
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


async def test_without_the_setting_no_token_opens_and_nothing_is_fetched(issuer: TokenIssuer, tmp_path: Path):
    async with open_gateway(tmp_path / "home") as gateway:
        assert (await whoami(gateway, issuer.sign())).status_code == 401
        async with gateway.http() as http:
            assert (await http.get("/.well-known/oauth-protected-resource")).status_code == 404
    assert issuer.fetches == 0


async def test_a_token_s_scopes_hold_at_the_door_and_rules_see_them(issuer: TokenIssuer, tmp_path: Path):
    rules = """
    permit (principal, action, resource);
    @id("pilots") forbid (principal, action == Action::"call_tool", resource)
    unless { principal in Group::"pilots" && context has scopes && context.scopes.contains("call:demo.echo") };
    """
    opened = open_gateway(tmp_path / "home", rules=rules, **auth_of(issuer, groups_claim="groups"))
    async with opened as gateway:
        for claims, wrong in (
            ({"scope": "call:demo.echo", "groups": ["pilots"]}, ""),
            ({"scope": "call:demo.danger", "groups": ["pilots"]}, "call:demo.echo"),
            ({"scope": "call:demo.echo", "groups": []}, "pilots"),
        ):
            async with gateway.client(key=issuer.sign(client_id=wrong or "x", **claims)) as client:
                if not wrong:
                    assert (await client.call_tool("demo__echo", {"text": "x"})).content[0].text == "x"
                    continue
                with pytest.raises(MCPError, match=wrong):
                    await client.call_tool("demo__echo", {"text": "x"})

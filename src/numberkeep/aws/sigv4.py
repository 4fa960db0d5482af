"""The server's side of AWS Signature Version 4: who signed a request.

Both places for a signature are read: the Authorization header, and the query of a presigned URL. Errors are reported
in AWS's words and AWS's order: a request with two of them gets the one that AWS would report. SigV4a
(``AWS4-ECDSA-P256-SHA256``) is refused, because the service models declare SigV4 alone.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from urllib.parse import quote, unquote, unquote_to_bytes

from msgspec import Struct

from ..domain.caller import Caller
from .errors import Refusal
from .message import Request
from .policy import Policy

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
LONGEST_LIFETIME_SECONDS = 604_800
"""For a presigned URL: seven days."""


class Identity(Struct, frozen=True):
    """Who signed a request, for which region, and what they may do."""

    caller: Caller
    region: str
    policy: Policy | None = None
    """None allows everything."""


class Key(Struct, frozen=True):
    """An access key that may sign, and whose it is."""

    caller: Caller
    secret_access_key: str
    session_token: str | None = None
    """A temporary key's token: every request signed with the key must carry exactly this."""
    expires_at: float | None = None
    """Epoch seconds; the key is valid up to and including this moment."""
    policy: Policy | None = None
    """What its owner may do; None allows everything."""


class Verifier:
    """Finds out who signed a request.

    `keys` returns a key by its access key id and the session token sent with it, or None if it is unknown or disabled;
    it is called for every request, so that a key stops when it is no longer returned. A credential must be scoped to
    `service` and to one of `regions` (None: any). A signature is valid for `skew_seconds` before and after its date; a
    presigned URL for as long after its date as it states.
    """

    def __init__(
        self,
        keys: Callable[[str, str | None], Key | None],
        *,
        regions: Iterable[str] | None,
        service: str = "chime",
        skew_seconds: int = 300,
    ) -> None:
        self._keys = keys
        self._regions = None if regions is None else frozenset(regions)
        self._service = service
        self._skew_seconds = skew_seconds

    def __call__(self, request: Request, now: float) -> Identity:
        """Return who signed `request`; `now` is the real time in epoch seconds.

        Raises `Refusal`, always with status 403: MissingAuthenticationTokenException;
        IncompleteSignatureException if the parts of the signature are malformed; InvalidSignatureException if the
        signature is too old, not yet valid, for another region or service, or wrong;
        UnrecognizedClientException if the key is unknown or its session token wrong; ExpiredTokenException.
        """
        claim = _read(request)
        self._check_time(claim, int(now))
        access_key_id, date, region, service, terminator = _elements(claim.form.credential)
        if (
            date != claim.date[:8]
            or service != self._service
            or terminator != TERMINATOR
            or (self._regions is not None and region not in self._regions)
        ):
            raise self._out_of_scope(date, region, service, terminator, claim.date)
        # The signature is computed before the key is checked, so that no key is refused sooner than another.
        key = self._keys(access_key_id, claim.session_token) or _NOBODY
        body_hash = sha256(request.body).hexdigest() if request.body else _HASH_OF_NOTHING
        canonical_request = _canonical_request(request, claim, body_hash)
        string_to_sign = _string_to_sign(claim, canonical_request)
        signature = _signer(key.secret_access_key, date, region, service)(string_to_sign)
        _check_key(key, claim.session_token, now)
        # The signature must cover the body itself. So UNSIGNED-PAYLOAD and STREAMING-* never match: they are for
        # bodies too large to be read twice, and none here is.
        if (
            claim.signature.isascii()
            and compare_digest(signature, claim.signature)
            and request.headers.get("x-amz-content-sha256", body_hash) == body_hash
        ):
            return Identity(key.caller, region, key.policy)
        raise _mismatch(canonical_request, string_to_sign)

    def _check_time(self, claim: "_Claim", now: int) -> None:
        skew = self._skew_seconds
        lifetime = skew if claim.lifetime_seconds is None else claim.lifetime_seconds
        if claim.moment < now - lifetime:
            raise _invalid(
                f"Signature expired: {claim.date} is now earlier than {_basic(now - lifetime)} "
                f"({_basic(now)} - {_duration(lifetime)}.)"
            )
        if claim.moment > now + skew:
            raise _invalid(
                f"Signature not yet current: {claim.date} is still later than {_basic(now + skew)} "
                f"({_basic(now)} + {_duration(skew)}.)"
            )

    def _out_of_scope(self, date: str, region: str, service: str, terminator: str, signed_at: str) -> Refusal:
        """Return one refusal for all errors in the credential's scope."""
        faults = []
        if self._regions is not None and region not in self._regions:
            faults.append(f"Credential should be scoped to a valid region, not '{region}'.")
        if service != self._service:
            faults.append(f"Credential should be scoped to correct service: '{self._service}'.")
        if terminator != TERMINATOR:
            faults.append(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'.")
        if date != signed_at[:8]:
            faults.append(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{date}' != '{signed_at[:8]}', from '{signed_at}'."
            )
        return _invalid(" ".join(faults))


def read_unverified(request: Request) -> tuple[str, str, str]:
    """Return the access key id, the region and the service that `request` claims, unverified.

    The form of the claim is checked; its age, scope, key and signature are not.
    Raises `Refusal` for a malformed claim, as `Verifier` does.
    """
    access_key_id, _, region, service, _ = _elements(_read(request).form.credential)
    return access_key_id, region, service


# What a request states about its own signature


class _Form(Struct, frozen=True):
    """The part of a claim that is the same in all requests of a client."""

    credential: tuple[str, ...]
    """Access key id, date, region, service and terminator, if it is well-formed."""
    scope: str
    """The credential without the access key id."""
    signed_headers: str
    """Names in lower case, sorted, joined by ``;``."""
    names: tuple[str, ...]
    """The same names, one by one."""


class _Claim(Struct, frozen=True):
    form: _Form
    signature: str
    moment: int
    """When it was signed: epoch seconds."""
    date: str
    """`moment` as ``YYYYMMDDTHHMMSSZ``."""
    session_token: str | None
    presigned: bool = False
    lifetime_seconds: int | None = None
    """Set for a presigned URL that states it."""


_forms: dict[str, _Form] = {}
"""A cache by what precedes the signature in an Authorization header, which a client repeats all day."""
_MOST_FORMS = 1024
_LONGEST_FORM = 1024


def _read(request: Request) -> _Claim:
    headers = request.headers
    authorization = headers.get("authorization")
    if "X-Amz-Algorithm" in request.query:
        parameters = _parameters(request.query)
        if "X-Amz-Algorithm" in parameters:
            if authorization:
                raise _invalid(
                    "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
                )
            return _read_query(parameters, headers)
    if not authorization:
        raise Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")

    date = headers.get("x-amz-date") or headers.get("date", "")
    head, _, signature = authorization.rpartition("Signature=")
    is_last = "," not in signature and " " not in signature
    form = _forms.get(head) if date and is_last else None
    if form is None:
        form, last_signature = _parse_authorization(authorization, date)
        # Only a head that ends in a separator is certain to mean the same before another signature.
        if is_last and head.endswith((",", " ")) and len(head) <= _LONGEST_FORM:
            if len(_forms) >= _MOST_FORMS:
                _forms.clear()
            _forms[head] = form
        signature = last_signature
    moment, basic_date = _parse_date(date)
    return _Claim(form, signature, moment, basic_date, headers.get("x-amz-security-token"))


def _parse_authorization(authorization: str, date: str) -> tuple[_Form, str]:
    """Return the form of an Authorization header, and its signature. `date` is empty if no header gives it."""
    algorithm, _, rest = authorization.partition(" ")
    _check_algorithm(algorithm)
    parts = {}
    for pair in rest.replace(",", " ").split(" "):
        name, equal_sign, value = pair.partition("=")
        if equal_sign:
            parts[name] = value
        elif name:
            raise _incomplete(
                f"'{name}' not a valid key=value pair (missing equal-sign) in Authorization header: '{authorization}'."
            )
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if name not in parts
    ]
    if not date:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        raise _incomplete(f"{' '.join(missing)} Authorization={authorization}")
    return _form(parts["Credential"], parts["SignedHeaders"]), parts["Signature"]


def _read_query(parameters: Mapping[str, str], headers: Mapping[str, str]) -> _Claim:
    if algorithm := parameters["X-Amz-Algorithm"]:
        _check_algorithm(algorithm)
    missing = [
        f"AWS query-string parameters must include '{name}'."
        for name in (
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Signature",
            "X-Amz-SignedHeaders",
            "X-Amz-Date",
        )
        if not parameters.get(name)
    ]
    if missing:
        raise _incomplete(f"{' '.join(missing)} Re-examine the query-string parameters.")
    form = _form(parameters["X-Amz-Credential"], parameters["X-Amz-SignedHeaders"])
    moment, date = _parse_date(parameters["X-Amz-Date"])
    return _Claim(
        form,
        parameters["X-Amz-Signature"],
        moment,
        date,
        parameters.get("X-Amz-Security-Token") or headers.get("x-amz-security-token"),
        presigned=True,
        lifetime_seconds=_parse_lifetime(parameters.get("X-Amz-Expires")),
    )


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters of `query`, decoded; of a repeated one the first."""
    parameters: dict[str, str] = {}
    for pair in query.replace("+", " ").split("&"):
        name, _, value = pair.partition("=")
        parameters.setdefault(unquote(name, "latin-1"), unquote(value, "latin-1"))
    return parameters


def _form(credential: str, signed_headers: str) -> _Form:
    names = sorted({name.lower() for name in signed_headers.split(";")})
    if "host" not in names and ":authority" not in names:
        raise _invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    return _Form(tuple(credential.split("/")), credential.partition("/")[2], ";".join(names), tuple(names))


def _check_algorithm(algorithm: str) -> None:
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.")


_LONGEST_REGION = 64  # regions are cached, with the keys derived for them


def _elements(credential: tuple[str, ...]) -> tuple[str, ...]:
    """Return `credential`, checked to have five elements."""
    if len(credential) != 5:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{'/'.join(credential)}'"
        )
    if len(credential[2]) > _LONGEST_REGION:
        raise _invalid(f"Credential should be scoped to a valid region, not '{credential[2][:_LONGEST_REGION]}...'.")
    return credential


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ISO_DATE = re.compile(r"\d{4}-?\d\d-?\d\dT\d\d:?\d\d:?\d\dZ", re.ASCII)
_HTTP_DATE = re.compile(
    rf"(?:\w{{3}}, )?(\d\d?) ({'|'.join(_MONTHS)}) (\d{{4}}) (\d\d:\d\d:\d\d) (?:GMT|UTC|[+-]0000)",
    re.ASCII,
)


@lru_cache(maxsize=1024)
def _parse_date(text: str) -> tuple[int, str]:
    """Return a date, in ISO 8601 basic or extended or as in HTTP, in epoch seconds and as ``YYYYMMDDTHHMMSSZ``."""
    iso = text
    if http := _HTTP_DATE.fullmatch(text):
        day, month, year, time = http.groups()
        iso = f"{year}-{_MONTHS.index(month) + 1:02}-{day:0>2}T{time}Z"
    if _ISO_DATE.fullmatch(iso):
        try:
            return int(datetime.fromisoformat(iso).timestamp()), iso.replace("-", "").replace(":", "")
        except ValueError:
            pass
    raise _incomplete(
        f"Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def _parse_lifetime(text: str | None) -> int | None:
    if not text:
        return None
    # The length comes first: int() refuses thousands of digits with an error of its own.
    if len(text) <= 6 and text.isdecimal() and 1 <= int(text) <= LONGEST_LIFETIME_SECONDS:
        return int(text)
    raise _incomplete(f"X-Amz-Expires must be a number of seconds from 1 to {LONGEST_LIFETIME_SECONDS}. Got '{text}'.")


# What the signature covers

_PLAIN_PATH = re.compile(r"/[\w.~%/-]+", re.ASCII)
"""Nothing but unreserved characters and escapes."""
_PLAIN_PAIR = re.compile(r"[\w.~-]+=[\w.~-]*", re.ASCII)
_HASH_OF_NOTHING = sha256(b"").hexdigest()
_WHITE_SPACE = re.compile(r"[ \t\r\n\f\v]+")


def _canonical_request(request: Request, claim: _Claim, body_hash: str) -> str:
    headers = request.headers
    lines = []
    for name in claim.form.names:
        if (value := headers.get(name)) is not None:
            # Not str.split: it also splits at bytes of UTF-8 text that are white space in Latin-1.
            if "  " in value or not value.isprintable():
                value = _WHITE_SPACE.sub(" ", value).strip(" ")
            lines.append(f"{name}:{value}\n")
    path = _canonical_path(request.path)
    query = _canonical_query(request.query, claim.presigned) if request.query else ""
    return f"{request.method}\n{path}\n{query}\n{''.join(lines)}\n{claim.form.signed_headers}\n{body_hash}"


def _string_to_sign(claim: _Claim, canonical_request: str) -> str:
    digest = sha256(canonical_request.encode("latin-1")).hexdigest()
    return f"{ALGORITHM}\n{claim.date}\n{claim.form.scope}\n{digest}"


def _canonical_path(path: str) -> str:
    """Return `path` without dot and empty segments, then encoded once more, as for every service but S3."""
    # The fast path, if there is no segment to remove. It consists of text searches and a pattern of one class of
    # characters: a pattern that tells segments apart takes twice as long.
    if "//" not in path and "/." not in path and _PLAIN_PATH.fullmatch(path):
        return path.replace("%", "%25")
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    normalised = "/" + "/".join(segments)
    if segments and path.endswith("/"):
        normalised += "/"
    return quote(normalised.encode("latin-1"))


def _canonical_query(query: str, presigned: bool) -> str:
    """Return the parameters of `query` in one encoding, sorted by name and value, without a presigned URL's signature.

    ``+`` is a space, as in AWS. SDKs send ``%20``, but some clients sign that and send ``+``.
    """
    if _PLAIN_PAIR.fullmatch(query):
        return query
    pairs = sorted(
        (_recode(name), _recode(value))
        for name, _, value in (pair.partition("=") for pair in query.replace("+", "%20").split("&") if pair)
    )
    return "&".join(f"{name}={value}" for name, value in pairs if not (presigned and name == "X-Amz-Signature"))


def _recode(text: str) -> str:
    return quote(unquote_to_bytes(text.encode("latin-1")), safe="")


# The key and its signature

_NOBODY = Key(caller=Caller(account_id="", arn="", access_key_id=""), secret_access_key="")
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


@lru_cache(maxsize=1024)
def _signer(secret_access_key: str, date: str, region: str, service: str) -> Callable[[str], str]:
    """Return a function that signs a string with the key derived for one day, region and service.

    The HMAC (RFC 2104) is implemented here: copying its two keyed hashes costs half of what keying them does.
    """
    signing_key = f"AWS4{secret_access_key}".encode()
    for element in (date, region, service, TERMINATOR):
        signing_key = hmac_digest(signing_key, element.encode("latin-1"), "sha256")
    block = signing_key.ljust(64, b"\0")
    keyed_inner = sha256(block.translate(_INNER_PAD))
    keyed_outer = sha256(block.translate(_OUTER_PAD))

    def sign(text: str) -> str:
        inner = keyed_inner.copy()
        inner.update(text.encode("latin-1"))
        outer = keyed_outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    return sign


def _check_key(key: Key, session_token: str | None, now: float) -> None:
    if key is _NOBODY or (key.session_token and not session_token):
        raise _unrecognized("The security token included in the request is invalid.")
    if session_token and not compare_digest(session_token.encode(), (key.session_token or "").encode()):
        raise _unrecognized("The security token included in the request is invalid")  # AWS has no period here
    if key.expires_at is not None and now > key.expires_at:
        raise Refusal(403, "ExpiredTokenException", "The security token included in the request is expired")


# Refusals


def _mismatch(canonical_request: str, string_to_sign: str) -> Refusal:
    message = (
        "The request signature we calculated does not match the signature you provided. Check your AWS "
        "Secret Access Key and signing method. Consult the service documentation for details."
    )
    # A session token that was signed is in the canonical request, and messages end up in logs.
    if "x-amz-security-token" not in canonical_request.lower():
        message += (
            f"\n\nThe Canonical String for this request should have been\n'{canonical_request}'"
            f"\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
        )
    return _invalid(message)


def _incomplete(message: str) -> Refusal:
    return Refusal(403, "IncompleteSignatureException", message)


def _invalid(message: str) -> Refusal:
    return Refusal(403, "InvalidSignatureException", message)


def _unrecognized(message: str) -> Refusal:
    return Refusal(403, "UnrecognizedClientException", message)


def _basic(moment: int) -> str:
    """Return epoch seconds as ``YYYYMMDDTHHMMSSZ``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def _duration(seconds: int) -> str:
    return f"{seconds} sec" if seconds % 60 else f"{seconds // 60} min"

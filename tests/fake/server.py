"""HTTP: from a request over faults and rules to an answer."""

import asyncio
import dataclasses
import datetime
import email.utils
from collections.abc import Callable, Mapping

import orjson
from aiohttp import web

from tests.fake import discovery, faults, listing, paths, reviews, statuses, streams
from tests.fake.faults import Effect, Faults, OpenStream
from tests.fake.objects import Objects
from tests.fake.paths import Call, Target
from tests.fake.requestlog import Request, RequestLog
from tests.fake.resources import Registry
from tests.fake.reviews import Reviews
from tests.fake.statuses import JsonObject, StatusError
from tests.fake.storage import Storage

# What the real server, and etcd behind it, take at most; in bytes.
_BODY_LIMIT = 3 * 1024 * 1024
_ETCD_LIMIT = 1_572_864
_GRPC_LIMIT = 2 * 1024 * 1024
_READ_LIMIT = 16 * 1024 * 1024
_MERGE_PATCH = "application/merge-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class _Dropped(Exception):
    """The connection is to be reset instead of answered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """All that a request may need."""

    registry: Registry
    storage: Storage
    objects: Objects
    faults: Faults
    requests: RequestLog
    reviews: Reviews
    now: Callable[[], datetime.datetime]


@dataclasses.dataclass(frozen=True, slots=True)
class _Inquiry:
    """One request on its way through the server."""

    call: Call
    target: Target | None
    query: Mapping[str, str]
    body: JsonObject | None
    raw: bytes
    content_type: str
    effects: list[Effect]
    brief: bool

    def stale(self) -> int | None:
        """Return the past version that a fault wants to be answered from."""
        found = [each.version for each in self.effects if isinstance(each, faults.Stale)]
        return found[0] if found else None


class Server:
    """The request handler; `bookmark_interval_s` is the time between bookmarks of a watch."""

    def __init__(self, *, parts: Parts, bookmark_interval_s: float) -> None:
        self._parts = parts
        self._interval_s = bookmark_interval_s

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        entry, inquiry = await self._read(request)
        try:
            response = await self._answer(request, inquiry)
        except _Dropped:
            streams.reset_connection(request)
            # The loss of the connection cancels this handler.
            await asyncio.Event().wait()
            raise
        entry.status = response.status
        if isinstance(response, web.Response):
            entry.response_bytes = len(response.body) if isinstance(response.body, bytes) else 0
        return response

    async def _read(self, request: web.Request) -> tuple[Request, _Inquiry]:
        raw = await request.read()
        try:
            target = paths.parse_path(request.path, self._parts.registry)
        except statuses.UnknownPath:
            target = None
        query = dict(request.query)
        agent = request.headers.get("User-Agent", "")
        call = paths.parse_call(request.method, request.path, query, agent, target)
        body = _parse_body(raw)
        if call.verb == "create" and body is not None:
            name = (body.get("metadata") or {}).get("name", "")
            call = dataclasses.replace(call, name=name)
        now = asyncio.get_running_loop().time()
        entry = Request(
            call=call,
            query=query,
            body=body,
            request_bytes=len(raw),
            at=now,
            traceparent=request.headers.get("traceparent", ""),
        )
        self._parts.requests.add(entry)
        effects = self._parts.faults.take(call)
        brief = request.headers.get("Accept", "").startswith(_METADATA_ONLY)
        inquiry = _Inquiry(call, target, query, body, raw, request.content_type, effects, brief)
        return entry, inquiry

    async def _answer(self, request: web.Request, inquiry: _Inquiry) -> web.StreamResponse:
        prepared = await self._disturb_before(inquiry.effects)
        if prepared is not None:
            return prepared
        try:
            self._parts.reviews.check_bearer(request.headers.get("Authorization", ""))
            if inquiry.call.verb == "watch" and inquiry.target is not None:
                return await self._watch(request, inquiry, inquiry.target)
            response = self._work(inquiry)
        except StatusError as error:
            response = self._json(error.body, error.code, error.headers)
        except statuses.UnknownPath:
            response = self._prepared(faults.endpoint_missing())
        await self._disturb_after(inquiry.effects)
        return response

    async def _disturb_before(self, effects: list[Effect]) -> web.Response | None:
        for effect in effects:
            match effect:
                case faults.Hold():
                    await effect.wait()
                case faults.Hang():
                    await asyncio.Event().wait()
                case faults.Drop():
                    raise _Dropped
                case faults.Answer():
                    await asyncio.sleep(effect.after_s)
                    return self._prepared(effect)
                case _:
                    pass
        return None

    async def _disturb_after(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case faults.Delay(seconds):
                    await asyncio.sleep(seconds)
                case faults.ApplyThenDrop():
                    raise _Dropped
                case _:
                    pass

    async def _watch(
        self, request: web.Request, inquiry: _Inquiry, target: Target
    ) -> web.StreamResponse:
        asked = streams.parse_watch(target, inquiry.query)
        handle = OpenStream(inquiry.call)
        for effect in inquiry.effects:
            handle.apply(effect)
        stream = streams.Stream(
            asked=asked,
            handle=handle,
            storage=self._parts.storage,
            registry=self._parts.registry,
            bookmark_interval_s=self._interval_s,
        )
        self._parts.faults.streams.append(handle)
        try:
            return await stream.serve(request, self._headers())
        finally:
            self._parts.faults.streams.remove(handle)

    def _work(self, inquiry: _Inquiry) -> web.Response:
        """Do what is asked for; it never awaits, so that each request is atomic."""
        target = inquiry.target
        if target is None:
            return self._outside(inquiry)
        refusal = statuses.too_large(
            len(inquiry.raw), limit=_BODY_LIMIT, etcd_limit=_ETCD_LIMIT, grpc_limit=_GRPC_LIMIT
        )
        if refusal is not None:
            raise refusal
        _check_subresource(target)
        match inquiry.call.verb:
            case "get" if target.subresource == "log":
                text = self._parts.reviews.log(target, inquiry.query.get("container", ""))
                return self._text(text)
            case "get":
                return self._json(self._get(target, inquiry.stale()))
            case "list":
                stale = inquiry.stale()
                storage = self._parts.storage
                return self._json(listing.build_list(storage, target, inquiry.query, stale=stale))
            case "create":
                return self._json(_told(self._create(target, inquiry), inquiry), 201)
            case "patch" | "update":
                return self._json(_told(self._change(target, inquiry), inquiry))
            case "delete" if target.name:
                return self._json(self._delete(target, inquiry.body))
            case _:
                message = "the server does not allow this method on the requested resource"
                raise StatusError(405, "MethodNotAllowed", message)

    def _outside(self, inquiry: _Inquiry) -> web.Response:
        path = inquiry.call.path
        if inquiry.call.verb == "post" and path in reviews.REVIEW_PATHS:
            return self._json(self._parts.reviews.review(path, _body(inquiry)), 201)
        found = discovery.describe(path, self._parts.registry)
        if found is None or inquiry.call.verb != "get":
            raise statuses.UnknownPath(path)
        return self._text(found) if isinstance(found, str) else self._json(found)

    def _get(self, target: Target, stale: int | None) -> JsonObject:
        if stale is None:
            return self._parts.objects.get(target.resource, target.key)
        for item in self._parts.storage.items(target.resource, version=stale):
            metadata = item["metadata"]
            if (metadata.get("namespace", ""), metadata["name"]) == target.key:
                return item
        raise statuses.not_found(target.resource.group, target.resource.plural, target.name)

    def _create(self, target: Target, inquiry: _Inquiry) -> JsonObject:
        if target.resource.namespaced and not target.namespace:
            raise statuses.UnknownPath(inquiry.call.path)
        return self._parts.objects.create(target.resource, target.namespace, _body(inquiry))

    def _change(self, target: Target, inquiry: _Inquiry) -> JsonObject:
        if not target.name:
            raise statuses.bad_request("name must be provided")
        objects, body = self._parts.objects, _body(inquiry)
        if inquiry.call.verb == "update":
            return objects.update(target.resource, target.key, body, target.subresource)
        if inquiry.content_type == _MERGE_PATCH:
            return objects.patch(target.resource, target.key, body, target.subresource)
        message = (
            "the body of the request was in an unknown format - accepted media types "
            f"include: {_MERGE_PATCH}"
        )
        raise StatusError(415, "UnsupportedMediaType", message)

    def _delete(self, target: Target, options: JsonObject | None) -> JsonObject:
        item, gone = self._parts.objects.delete(target.resource, target.key, options)
        if not gone:
            return item
        resource = target.resource
        details = statuses.build_details(resource.group, resource.plural, target.name)
        return statuses.build_success(details | {"uid": item["metadata"]["uid"]})

    def _json(
        self, body: JsonObject, code: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        return web.Response(
            body=orjson.dumps(body),
            status=code,
            content_type="application/json",
            headers=self._headers() | dict(headers or {}),
        )

    def _text(self, text: str) -> web.Response:
        headers = self._headers() | {"Content-Type": "text/plain; charset=utf-8"}
        return web.Response(body=text.encode(), headers=headers)

    def _prepared(self, answer: faults.Answer) -> web.Response:
        raw = answer.body if isinstance(answer.body, bytes) else answer.body.encode()
        headers = self._headers() | {"Content-Type": answer.content_type} | dict(answer.headers)
        response = web.Response(body=raw, status=answer.status, headers=headers)
        if headers.get("Connection") == "close":
            response.force_close()
        return response

    def _headers(self) -> dict[str, str]:
        return {"Date": email.utils.format_datetime(self._parts.now(), usegmt=True)}


def _parse_body(raw: bytes) -> JsonObject | None:
    try:
        body = orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _body(inquiry: _Inquiry) -> JsonObject:
    if inquiry.body is not None:
        return inquiry.body
    what = "error decoding patch" if inquiry.call.verb == "patch" else "json parse error"
    raise statuses.bad_request(f"{what}: unexpected end of JSON input")


def _told(written: JsonObject, inquiry: _Inquiry) -> JsonObject:
    """What a write answers: the object, or its metadata alone to who asks for no more."""
    if not inquiry.brief:
        return written
    kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {**kind, "metadata": written["metadata"]}


def _check_subresource(target: Target) -> None:
    known = {"", *(["status"] if target.resource.status else [])}
    if target.resource.plural == "pods":
        known.add("log")
    if target.subresource not in known:
        resource = target.resource
        raise statuses.not_found(resource.group, resource.plural, target.name)


async def start_server(server: Server) -> tuple[web.AppRunner, int]:
    """Serve on a free port of the loopback interface; return the runner and the port."""
    app = web.Application(client_max_size=_READ_LIMIT)
    app.router.add_route("*", "/{tail:.*}", server.handle)
    # Cancelling a handler when its client goes away is what ends idle watches.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    return runner, port

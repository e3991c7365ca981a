"""What FastAPI cannot know of the operations: roles, errors, examples."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from cronherd.api.base import all_routes, declared
from cronherd.api.examples import EXAMPLES, Example, curl_of
from cronherd.api.problem import MEDIA_TYPE
from cronherd.domain.access import MAY

Json = dict[str, Any]

PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457; `code` is stable and for programs, `detail` and `hint` for people",
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "where": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["type", "title", "status", "code", "detail", "hint", "where"],
}
_UNSAFE = {"post", "put", "delete", "patch"}
# What makes a thing, the addresses about it, and where the answer or the address names it.
_MADE = {
    "create_job": ("/api/v1/jobs/{name}", "name", "$response.body#/name"),
    "run_job": ("/api/v1/runs/{run}", "run", "$response.body#/run/id"),
    "add_account": ("/api/v1/accounts/{name}", "name", "$response.body#/name"),
    "create_token": ("/api/v1/tokens/{name}", "name", "$response.body#/name"),
    "set_pool": ("/api/v1/pools/{name}", "name", "$request.path.name"),
    "set_secret": ("/api/v1/secrets/{name}", "name", "$request.path.name"),
    "acquire_lock": ("/api/v1/locks/{name}", "name", "$request.path.name"),
}
_NOT_FOUND = "What was named does not exist, or several are meant"


def describe(app: FastAPI) -> Json:
    """The OpenAPI document, with all that is promised of each operation."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = app.openapi()
    document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "cronherd token create"}
    }
    roles = {
        (path, method.lower()): declared(route)[0]
        for path, route in all_routes(app.routes)
        if isinstance(route, APIRoute) and declared(route)
        for method in route.methods or ()
    }
    for path, method, operation in _operations(document):
        role = roles.get((path, method))
        operation["x-role"] = role.value if role else None
        operation["security"] = [{"token": []}] if role else []
        needed = f"Needs the role {role.value}: to {MAY[role]}." if role else "For everybody."
        text = operation.get("description", "")
        operation["description"] = f"{text}\n\n{needed}".strip()
        operation["responses"] |= _errors(path, method, asks=role is not None)
        example = EXAMPLES.get(operation["operationId"], Example())
        curl = {"lang": "shell", "source": curl_of(method, path, example)}
        operation["x-codeSamples"] = [curl]
        if example.body is not None and "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            content["example"] = example.body
    _link(document)
    return document


def _link(document: Json) -> None:
    """What makes a thing names all that can be done with it, as OpenAPI's links."""
    told = {operation["operationId"]: operation for _, _, operation in _operations(document)}
    for maker, (begin, name, value) in _MADE.items():
        success = next(found for found in told[maker]["responses"] if found.startswith("2"))
        told[maker]["responses"][success]["links"] = {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {name: value},
            }
            for path, _, operation in _operations(document)
            if path.startswith(begin) and operation["operationId"] != maker
        }


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _errors(path: str, method: str, *, asks: bool) -> Json:
    meanings = {"4XX": "The request is not right", "5XX": "cronherd or its database failed"}
    if asks:
        meanings["401"] = "Nobody knows who asks"
        meanings["403"] = "Who asks has not the role for it"
    if "{" in path:
        meanings["404"] = _NOT_FOUND
    if method in _UNSAFE:
        meanings["409"] = "The present state does not allow it"
    if method == "put" and path.endswith("/jobs/{name}"):
        meanings["412"] = "Somebody else has edited it meanwhile"
        meanings["428"] = "If-Match is missing"
    meanings["422"] = "A value is not what it must be; `where` and `errors` say which"
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": meaning, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status, meaning in sorted(meanings.items())
    }

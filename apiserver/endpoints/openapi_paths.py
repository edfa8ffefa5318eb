"""The paths of OpenAPI documents: what may be asked of each resource, derived from its catalog row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from apiserver.registry.resource import Resource, Subresource
from kubarium.apimachinery.group_version import GroupVersionKind

Operation = dict[str, Any]
NameOf = Callable[[GroupVersionKind], "str | None"]

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
ANSWERS = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
STREAMS = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
PATCHES = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip

_TEXTS = {
    "allowWatchBookmarks": ("boolean", "Send BOOKMARK events, which carry only a resourceVersion."),
    "command": ("string", "The command to execute: an argv array, not run in a shell."),
    "container": ("string", "The container in which to work; defaults to the only one."),
    "continue": ("string", "The token of the last page, to get the next one."),
    "dryRun": ("string", "With All every stage is run but nothing is persisted."),
    "fieldManager": ("string", "The name of whoever makes the change, for managed fields."),
    "fieldSelector": ("string", "Restricts the returned objects by their fields."),
    "fieldValidation": ("string", "What to do with unknown and duplicate fields: Ignore, Warn or Strict."),
    "follow": ("boolean", "Go on sending what the container writes."),
    "force": ("boolean", "Apply although others own some of the fields."),
    "ignoreStoreReadErrorWithClusterBreakingPotential": (
        "boolean", "Delete an object that cannot be read, with all the harm that may do.",
    ),
    "gracePeriodSeconds": ("integer", "The seconds before the object is deleted; zero means at once."),
    "insecureSkipTLSVerifyBackend": ("boolean", "Do not verify the certificate of the kubelet."),
    "labelSelector": ("string", "Restricts the returned objects by their labels."),
    "limit": ("integer", "The most items in one answer."),
    "limitBytes": ("integer", "The most bytes of log to send."),
    "orphanDependents": ("boolean", "Deprecated: use propagationPolicy."),
    "path": ("string", "The part of the URL that follows the proxied object."),
    "ports": ("integer", "The ports to forward."),
    "pretty": ("string", "If 'true', the output is pretty printed."),
    "previous": ("boolean", "The log of the terminated container before this one."),
    "propagationPolicy": ("string", "What happens to dependents: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "How fresh the answer must be."),
    "resourceVersionMatch": ("string", "How resourceVersion is applied to a list."),
    "sendInitialEvents": ("boolean", "Begin the watch with the objects that exist."),
    "shardSelector": ("string", "Restricts the returned objects to ranges of a hash; behind ShardedListAndWatch."),
    "sinceSeconds": ("integer", "Only log lines younger than this."),
    "stderr": ("boolean", "Send standard error."),
    "stdin": ("boolean", "Receive standard input."),
    "stdout": ("boolean", "Send standard output."),
    "stream": ("string", "Which stream of the log: All, Stdout or Stderr."),
    "tailLines": ("integer", "The number of lines from the end of the log."),
    "timeoutSeconds": ("integer", "How long the call may last, however active it is."),
    "timestamps": ("boolean", "Put a time before each line."),
    "tty": ("boolean", "Allocate a terminal."),
    "watch": ("boolean", "Send changes as they happen instead of a list."),
}  # fmt: skip

_LIST = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch",
)  # fmt: skip
_OLD_WATCHES = (
    "watch individual changes to a list of {kind}. "
    "deprecated: use the 'watch' parameter with a list operation instead."
)
_OLD_WATCH = (
    "watch changes to an object of kind {kind}. deprecated: use the 'watch' parameter with a list operation instead, "
    "filtered to a single item with the 'fieldSelector' parameter."
)
_DELETE = (
    "dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "orphanDependents",
    "propagationPolicy",
)  # fmt: skip
_DELETE_MANY = (*_DELETE, *(name for name in _LIST if name not in ("allowWatchBookmarks", "watch")))
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_STREAM_PARAMETERS = {
    "attach": ("container", "stderr", "stdin", "stdout", "tty"),
    "exec": ("command", "container", "stderr", "stdin", "stdout", "tty"),
    "portforward": ("ports",),
    "proxy": ("path",),
    "log": (
        "container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "pretty", "previous", "sinceSeconds",
        "stream", "tailLines", "timestamps",
    ),
}  # fmt: skip
_METHODS = {"get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}


def group_title(group: str) -> str:
    """`rbac.authorization.k8s.io` -> `RbacAuthorization`; the core group is `Core`."""
    return _camel(group.removesuffix(".k8s.io") or "core", capital=True)


def _camel(text: str, *, capital: bool) -> str:
    """Text without what an identifier cannot hold; a capital follows in its place."""
    found = ""
    for character in text:
        if character == "_" or character.isalpha() or (character.isdigit() and (found or not capital)):
            found += character.upper() if capital else character
            capital = False
        else:
            capital = True
    return found


def group_tag(group: str) -> str:
    """`apps`, `rbacAuthorization`."""
    return _camel(group.removesuffix(".k8s.io") or "core", capital=False)


def tag(group: str, version: str) -> str:
    """`apps_v1`, `rbacAuthorization_v1`."""
    return f"{group_tag(group)}_{_camel(version, capital=False)}"


def root_of(group: str, version: str) -> str:
    """`/api/v1` or `/apis/apps/v1`."""
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def paths_of(row: Resource, name_of: NameOf) -> dict[str, Any]:
    """All path items of a resource. `name_of` gives the name of a kind's schema."""
    return (_Paths if row.custom is None else _CustomPaths)(row, name_of).all()


def index_path(group: str, version: str) -> dict[str, Any]:
    """The path that lists the resources of a version."""
    answers = _answers({200: META + "APIResourceList"})
    operation = {
        "description": "get available resources",
        "operationId": f"get{group_title(group)}{_camel(version, capital=True)}APIResources",
        "tags": [tag(group, version)],
        "responses": answers,
    }
    return {root_of(group, version) + "/": {"get": operation}}


@dataclass
class _Paths:
    row: Resource
    name_of: NameOf

    # What is said of built-in resources; `_CustomPaths` says otherwise.
    answers: ClassVar[Sequence[str]] = ANSWERS
    streams: ClassVar[Sequence[str]] = STREAMS
    bodies: ClassVar[Sequence[str]] = ("*/*",)
    patches: ClassVar[Sequence[str]] = PATCHES
    patch_statuses: ClassVar[Sequence[int]] = (200, 201)
    get_parameters: ClassVar[Sequence[str]] = ()
    delete_many_parameters: ClassVar[Sequence[str]] = _DELETE_MANY

    def all(self) -> dict[str, Any]:
        row = self.row
        root = root_of(row.group, row.version)
        base = f"{root}/namespaces/{{namespace}}/{row.plural}" if row.namespaced else f"{root}/{row.plural}"
        found: dict[str, Any] = {}
        self._put(found, base, ["pretty"], self._collection())
        if row.answer is None:
            self._put(found, base + "/{name}", ["pretty"], self._single())
            for sub in row.subresources.values():
                found |= self._subresource(base + "/{name}/" + sub.name, sub)
            if row.namespaced and "list" in row.verbs:
                everywhere = {"get": self._list(f"{row.kind}ForAllNamespaces", everywhere=True)}
                self._put(found, f"{root}/{row.plural}", ["pretty"], everywhere)
            if "watch" in row.verbs:
                found |= self._watches(f"{root}/watch")
        return found

    def _watches(self, root: str) -> dict[str, Any]:
        """The older form of a watch, with a word in the path in place of the parameter."""
        row, found = self.row, dict[str, Any]()
        base = f"{root}/namespaces/{{namespace}}/{row.plural}" if row.namespaced else f"{root}/{row.plural}"
        many = self._id("watch", f"{row.kind}List")
        self._put(found, base, ["pretty"], {"get": self._watch("watchlist", many, _OLD_WATCHES)})
        one = self._id("watch")
        self._put(found, base + "/{name}", ["pretty"], {"get": self._watch("watch", one, _OLD_WATCH)})
        if row.namespaced:
            many = self._id("watch", f"{row.kind}ListForAllNamespaces", everywhere=True)
            operation = self._watch("watchlist", many, _OLD_WATCHES)
            self._put(found, f"{root}/{row.plural}", ["pretty"], {"get": operation})
        return found

    def _watch(self, action: str, operation_id: str, text: str) -> Operation:
        answers = {200: META + "WatchEvent"}
        text = text.format(kind=self.row.kind)
        return self._operation(action, operation_id, text, answers, _LIST, streams=True)

    def _put(
        self, found: dict[str, Any], path: str, parameters: Iterable[str], operations: dict[str, Operation]
    ) -> None:
        """What all operations of a path take is said once, of the path."""
        if not operations:
            return
        names = [{one["name"] for one in op.get("parameters", ())} for op in operations.values()]
        common = {*parameters, *set.intersection(*names)}
        shown = sorted(self._of_path(path) + _parameters(common), key=lambda one: (one["name"], one["in"]))
        found[path] = {method: _without(operation, common) for method, operation in operations.items()}
        found[path]["parameters"] = shown

    def _of_path(self, path: str) -> list[Operation]:
        found = []
        if "{name}" in path:
            found.append(_path_parameter("name", f"name of the {self.row.kind}"))
        if "{namespace}" in path:
            found.append(
                _path_parameter("namespace", "object name and auth scope, such as for teams and projects")
            )
        if path.endswith("{path}"):
            found.append(_path_parameter("path", "path to the resource"))
        return found

    def _schema(self, kind: GroupVersionKind | None = None, suffix: str = "") -> str:
        kind = kind or self.row.gvk
        return self.name_of(GroupVersionKind(kind.group, kind.version, kind.kind + suffix)) or ""

    def _id(self, verb: str, rest: str = "", *, everywhere: bool = False, many: str = "") -> str:
        row = self.row
        scope = "Namespaced" if row.namespaced and not everywhere else ""
        version = _camel(row.version, capital=True)
        return f"{verb}{group_title(row.group)}{version}{_camel(many + scope + (rest or row.kind), capital=True)}"

    def _operation(
        self, action: str, operation_id: str, description: str, answers: dict[int, str],
        parameters: Iterable[str] = (), kind: GroupVersionKind | None = None, streams: bool = False,
    ) -> Operation:  # fmt: skip
        gvk = kind or self.row.gvk
        found: Operation = {
            "description": description,
            "operationId": operation_id,
            "tags": [tag(self.row.group, self.row.version)],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": gvk.group, "version": gvk.version, "kind": gvk.kind},
            "responses": _answers(answers, (*self.answers, *self.streams) if streams else self.answers),
        }
        if shown := _parameters(parameters):
            found["parameters"] = shown
        return found

    def _list(self, rest: str, everywhere: bool = False) -> Operation:
        what = "list or watch" if "watch" in self.row.verbs and self.row.custom is None else "list"
        text = f"{what} objects of kind {self.row.kind}"
        operation_id = self._id("list", rest, everywhere=everywhere)
        return self._operation(
            "list", operation_id, text, {200: self._schema(suffix="List")}, _LIST, streams=True
        )

    def _collection(self) -> dict[str, Operation]:
        row, found = self.row, {}
        if "list" in row.verbs:
            found["get"] = self._list(row.kind)
        if "create" in row.verbs:
            post = self._operation("post", self._id("create"), f"create {_with_article(row.kind)}",
                                   dict.fromkeys((200, 201, 202), self._schema()), _WRITE)  # fmt: skip
            found["post"] = post | {"requestBody": _body(self._schema(), self.bodies, required=True)}
        if "deletecollection" in row.verbs:
            name, text = self._id("delete", many="Collection"), f"delete collection of {row.kind}"
            found["delete"] = self._operation(
                "deletecollection", name, text, {200: META + "Status"}, self.delete_many_parameters
            )
            if row.custom is None:
                found["delete"]["requestBody"] = _body(META + "DeleteOptions")
        return found

    def _single(self) -> dict[str, Operation]:
        row, found = self.row, {}
        schema = self._schema()
        if "get" in row.verbs:
            found["get"] = self._operation(
                "get", self._id("read"), f"read the specified {row.kind}", {200: schema}, self.get_parameters
            )
        if "update" in row.verbs:
            put = self._operation("put", self._id("replace"), f"replace the specified {row.kind}",
                                  {200: schema, 201: schema}, _WRITE)  # fmt: skip
            found["put"] = put | {"requestBody": _body(schema, self.bodies, required=True)}
        if "patch" in row.verbs:
            found["patch"] = self._patch(
                self._id("patch"), f"partially update the specified {row.kind}", schema
            )
        if "delete" in row.verbs:
            deleted = schema if row.strategy.returns_deleted else META + "Status"
            delete = self._operation("delete", self._id("delete"), f"delete {_with_article(row.kind)}",
                                     {200: deleted, 202: deleted}, _DELETE)  # fmt: skip
            found["delete"] = delete | {"requestBody": _body(META + "DeleteOptions", self.bodies)}
        return found

    def _patch(
        self, operation_id: str, text: str, schema: str, kind: GroupVersionKind | None = None
    ) -> Operation:
        answers = dict.fromkeys(self.patch_statuses, schema)
        patch = self._operation("patch", operation_id, text, answers, (*_WRITE, "force"), kind)
        return patch | {"requestBody": _body(META + "Patch", self.patches, required=True)}

    def _subresource(self, path: str, sub: Subresource) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if sub.connects:
            self._put(found, path, _STREAM_PARAMETERS.get(sub.name, ()), self._streams(sub))
            if sub.name == "proxy":
                self._put(found, path + "/{path}", ("path",), self._streams(sub, "WithPath"))
            return found
        rest = self.row.kind + sub.name[:1].upper() + sub.name[1:]
        schema, kind = self._schema(sub.kind), sub.kind if self.row.custom is None else self.row.gvk
        operations: dict[str, Operation] = {}
        for verb in sub.verbs:
            method = _METHODS[verb]
            if verb == "get":
                text = f"read {sub.name} of the specified {self.row.kind}"
                operations[method] = self._operation(
                    "get", self._id("read", rest), text, {200: schema}, self.get_parameters, kind
                )
            elif verb == "create":
                text = f"create {sub.name} of {_with_article(self.row.kind)}"
                answers = dict.fromkeys((200, 201, 202), schema)
                post = self._operation("post", self._id("create", rest), text, answers, (), kind)
                operations[method] = post | {"requestBody": _body(schema, required=True)}
            elif verb == "update":
                text = f"replace {sub.name} of the specified {self.row.kind}"
                put = self._operation(
                    "put", self._id("replace", rest), text, {200: schema, 201: schema}, _WRITE, kind
                )
                operations[method] = put | {"requestBody": _body(schema, self.bodies, required=True)}
            elif verb == "patch":
                text = f"partially update {sub.name} of the specified {self.row.kind}"
                operations[method] = self._patch(self._id("patch", rest), text, schema, kind)
        parameters = ["pretty"] if sub.verbs != ("create",) else [*_WRITE, "pretty"]
        self._put(found, path, parameters, operations)
        return found

    def _streams(self, sub: Subresource, suffix: str = "") -> dict[str, Operation]:
        rest = self.row.kind + sub.name[:1].upper() + sub.name[1:] + suffix
        if sub.name == "log":
            text = f"read log of the specified {self.row.kind}"
            found = self._operation("get", self._id("read", rest), text, {200: ""})
            content = {kind: {"schema": {"type": "string"}} for kind in ("text/plain", *ANSWERS)}
            found["responses"]["200"]["content"] = content
            return {"get": found}
        methods = [_METHODS[verb] for verb in sub.verbs] + (
            ["head", "options"] if sub.name == "proxy" else []
        )
        found = {}
        for method in methods:
            text = f"connect {method.upper()} requests to {sub.name} of {self.row.kind}"
            # upstream puts the method between the version and the scope
            title = group_title(self.row.group) + _camel(self.row.version, capital=True)
            operation_id = (
                f"connect{title}{method.capitalize()}" + ("Namespaced" if self.row.namespaced else "") + rest
            )
            found[method] = self._operation("connect", operation_id, text, {200: ""}, (), sub.kind)
        return found


class _CustomPaths(_Paths):
    """Custom resources are neither protobuf nor CBOR, and some is told otherwise of them.

    Source: staging/src/k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder/builder.go
    """

    answers = bodies = ("application/json", "application/yaml")
    streams = ()
    patches = tuple(name for name in PATCHES if "strategic" not in name)
    patch_statuses = (200,)
    get_parameters = ("resourceVersion",)
    delete_many_parameters = _LIST

    def _watches(self, root: str) -> dict[str, Any]:
        return {}


def _with_article(kind: str) -> str:
    if kind.endswith("s") and not kind.endswith("ss"):
        return kind
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def _without(operation: Operation, names: Collection[str]) -> Operation:
    """An operation without parameters that are said elsewhere."""
    left = [one for one in operation.get("parameters", ()) if one["name"] not in names]
    found = {key: value for key, value in operation.items() if key != "parameters"}
    return found | {"parameters": left} if left else found


def _parameters(names: Iterable[str]) -> list[Operation]:
    found = []
    for name in sorted(names):
        kind, text = _TEXTS[name]
        found.append(
            {"name": name, "in": "query", "description": text, "schema": {"type": kind, "uniqueItems": True}}
        )
    return found


def _path_parameter(name: str, text: str) -> Operation:
    schema = {"type": "string", "uniqueItems": True}
    return {"name": name, "in": "path", "description": text, "required": True, "schema": schema}


def _reference(schema: str) -> Operation:
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}}


def _body(schema: str, types: Iterable[str] = ("*/*",), required: bool = False) -> Operation:
    content = (
        {media_type: _reference(schema) for media_type in types}
        if schema
        else {"*/*": {"schema": {"type": "object"}}}
    )
    return {"content": content, "required": True} if required else {"content": content}


_DESCRIPTIONS = {200: "OK", 201: "Created", 202: "Accepted"}


def _answers(schemas: dict[int, str], types: Iterable[str] = ANSWERS) -> Operation:
    found: Operation = {"401": {"description": "Unauthorized"}}
    for status, schema in schemas.items():
        if schema:
            content: Operation = {media_type: _reference(schema) for media_type in types}
        else:
            content = {"*/*": {"schema": {"type": "string"}}}
        found[str(status)] = {"description": _DESCRIPTIONS[status], "content": content}
    return found

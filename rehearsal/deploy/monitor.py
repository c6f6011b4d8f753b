"""What the Pulumi runtime talks to instead of the engine: registrations come in, real resources go out.

A failed resource is answered as failed, not with an exception: the runtime then treats its outputs as unknown and
lets the program end by itself, so that creates under way finish and are recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime.mocks import MockMonitor, Mocks
from pulumi.runtime.proto import provider_pb2, resource_pb2

from rehearsal.deploy import invokes
from rehearsal.deploy.deployment import Deployment, Made, Registration
from rehearsal.deploy.errors import DeployError, UnsupportedError
from rehearsal.deploy.reasons import sentence
from rehearsal.deploy.state import Properties
from rehearsal.deploy.table import kind_of
from rehearsal.deploy.values import contains_unknown, plain, struct

STACK = "pulumi:pulumi:Stack"
AWS_PROVIDER = "pulumi:providers:aws"
# What the SDK marks as secret in a provider, though an emulated AWS takes any.
PROVIDER_SECRETS = frozenset({"accessKey", "secretKey", "token"})
# Options that would change what is made and that the deployer does not carry out (`additional_secret_outputs`, which
# the SDK sets on parameters by itself, only changes what the CLI displays).
REFUSED = {
    "aliasURNs": "aliases",
    "customTimeouts": "custom_timeouts",
    "deletedWith": "deleted_with",
    "hooks": "hooks",
    "importId": "import_",
    "remote": "remote components",
    "replace_with": "replace_with",
    "replacement_trigger": "replacement_trigger",
    "state_migrations": "state_migrations",
    "transforms": "transforms",
}


class NoMocks(Mocks):
    """The base class wants mocks; this monitor answers every request itself."""

    def call(self, args: Any) -> Any:
        raise UnsupportedError(f"the function {args.token} reached the mocks")

    def new_resource(self, args: Any) -> Any:
        raise UnsupportedError(f"the resource {args.name} reached the mocks")


class Monitor(MockMonitor):
    """Carries the requests of one program to a `Deployment`."""

    def __init__(self, deployment: Deployment, stack: str, project: str, *, preview: bool = False) -> None:
        super().__init__(NoMocks())
        self._preview = preview
        self.outputs: Properties = {}
        self._deployment = deployment
        self._prefix = f"urn:pulumi:{stack}::{project}::"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        """Make a resource, note a provider, or give a component its URN."""
        urn = self.urn(request.parent, request.type, request.name)
        answer = resource_pb2.RegisterResourceResponse
        if request.type == STACK:
            return answer(urn=urn)
        made = self._attempt(f"{request.type} {request.name}", lambda: self._register(urn, request))
        if made is None:
            return answer(urn=urn, result=resource_pb2.Result.FAIL)
        # `unknown` makes every output unknown that is not in the answer.
        return answer(urn=urn, id=made.id, object=struct(made.outputs), unknown=bool(request.custom))

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """Look at a resource that the program names by its id."""
        urn = self.urn(request.parent, request.type, request.name)
        answer = resource_pb2.ReadResourceResponse
        made = self._attempt(f"{request.type} {request.name}", lambda: self._read(request))
        if made is None:
            return answer(urn=urn, result=resource_pb2.Result.FAIL)
        return answer(urn=urn, id=made.id, properties=struct(made.outputs), unknown=True)

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """Answer a function of the provider."""
        answer = resource_pb2.ResourceInvokeResponse
        made = self._attempt(f"function {request.tok}", lambda: self._invoke(request))
        if made is None:
            failure = provider_pb2.CheckFailure(property="", reason=str(self._deployment.failure))
            return answer(failures=[failure])
        return answer(**{"return": struct(made.outputs)})

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Keep the stack's outputs; those of components are for display only."""
        if request.urn.split("::")[2] == STACK and self._deployment.failure is None:
            self._attempt("the stack's outputs", lambda: self._export(self._plain(request.outputs)))
        return empty_pb2.Empty()

    def urn(self, parent: str, type_: str, name: str) -> str:
        """The resource's URN as the engine makes it: the types of all components above, save the stack."""
        above = parent.split("::")[2] if parent else STACK
        qualified = type_ if above == STACK else f"{above}${type_}"
        return f"{self._prefix}{qualified}::{name}"

    def _attempt(self, label: str, work: Any) -> Made | None:
        """The result of the work, None when it failed or when something failed before."""
        if self._deployment.failure is not None:
            return None
        try:
            made: Made = work()
        except Exception as error:
            self._deployment.fail(sentence(label, error))
            return None
        return made

    def _register(self, urn: str, request: Any) -> Made:
        _check_options(request)
        if not request.custom:
            return Made("", {})
        if request.type == AWS_PROVIDER:
            self._deployment.clouds.add_provider(urn, plain(request.object, veiled=PROVIDER_SECRETS))
            return Made(request.name, {})
        if not request.type.startswith("aws:"):
            raise UnsupportedError("it belongs to another provider than AWS, which the embedded deployer does not have")
        inputs = self._plain(request.object, kind_of(request.type).veiled)
        return self._deployment.register(_registration(urn, request, inputs, _aliases(request, self.urn)))

    def _read(self, request: Any) -> Made:
        if contains_unknown(request.id):
            raise DeployError("the id to read is not known; it was made from an output that is not modelled")
        inputs, provider = plain(request.properties), _provider_urn(request.provider)
        return self._deployment.look_up(request.type, request.id, inputs, provider)

    def _invoke(self, request: Any) -> Made:
        cloud = self._deployment.clouds.get(_provider_urn(request.provider))
        return Made("", invokes.answer(request.tok, plain(request.args), cloud))

    def _plain(self, fields: Any, veiled: frozenset[str] = frozenset()) -> Properties:
        # Before anything is made, ids are not known yet and no error.
        return plain(fields, keep_unknown=self._preview, veiled=veiled)

    def _export(self, outputs: Properties) -> Made:
        self.outputs = outputs
        return Made("", {})


def _check_options(request: Any) -> None:
    for field, option in REFUSED.items():
        value = getattr(request, field)
        given = value.ByteSize() > 0 if hasattr(value, "ByteSize") else bool(value)
        if given:
            raise UnsupportedError(
                f"the option {option} is not carried out by the embedded deployer; leave it out or deploy with the CLI"
            )


def _aliases(request: Any, urn: Callable[[str, str, str], str]) -> tuple[str, ...]:
    """The URNs that the resource may have had; what an alias leaves out is as it is now."""
    named = []
    for alias in request.aliases:
        spec = alias.spec
        if spec.stack or spec.project:
            raise UnsupportedError("an alias in another stack or project is not followed by the embedded deployer")
        parent = "" if spec.noParent else spec.parentUrn or request.parent
        named.append(alias.urn or urn(parent, spec.type or request.type, spec.name or request.name))
    return tuple(named)


def _provider_urn(reference: str) -> str:
    """The URN in a provider reference, which ends in the provider's id; empty for the default provider."""
    return reference.rpartition("::")[0]


def _registration(urn: str, request: Any, inputs: Properties, aliases: tuple[str, ...]) -> Registration:
    return Registration(
        urn=urn,
        type=request.type,
        name=request.name,
        inputs=inputs,
        provider=_provider_urn(request.provider),
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={
            key: tuple(sorted(named.urns)) for key, named in sorted(request.propertyDependencies.items()) if named.urns
        },
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        aliases=aliases,
    )

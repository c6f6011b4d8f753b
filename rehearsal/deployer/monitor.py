"""The resource monitor that the Pulumi runtime talks to instead of the engine.

It answers a failed resource as failed and raises nothing. The runtime then treats its outputs as unknown, and the
program ends by itself, so that the creates under way finish and are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime.mocks import MockMonitor, Mocks
from pulumi.runtime.proto import provider_pb2, resource_pb2

from rehearsal.deployer.cloud import Cloud
from rehearsal.deployer.deployment import Answer, Deployment, Registration
from rehearsal.deployer.errors import DeployError, UnsupportedError, sentence
from rehearsal.deployer.resources import kind_of
from rehearsal.deployer.state import Properties, Resource
from rehearsal.deployer.values import contains_unknown, plain, struct

STACK = "pulumi:pulumi:Stack"
AWS_PROVIDER = "pulumi:providers:aws"
# The SDK marks these as secret in a provider, though an emulated AWS takes any.
PROVIDER_SECRETS = frozenset({"accessKey", "secretKey", "token"})
# Options that the deployer refuses. The SDK itself sets `additional_secret_outputs` on parameters, which only changes
# what the CLI displays.
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
    """The mocks that the base class wants, of which the monitor uses none."""

    def call(self, args: Any) -> Any:
        raise UnsupportedError(f"the function {args.token} reached the mocks")

    def new_resource(self, args: Any) -> Any:
        raise UnsupportedError(f"the resource {args.name} reached the mocks")


class Monitor(MockMonitor):
    """The monitor of one program, which passes its requests to a `Deployment`."""

    def __init__(self, deployment: Deployment, stack: str, project: str, *, preview: bool = False) -> None:
        super().__init__(NoMocks())
        self._preview = preview
        self.outputs: Properties = {}
        self._deployment = deployment
        self._prefix = f"urn:pulumi:{stack}::{project}::"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        """Deploy a resource, take a provider, or give a component its URN."""
        urn = self.urn(request.parent, request.type, request.name)
        answer = resource_pb2.RegisterResourceResponse
        if request.type == STACK:
            return answer(urn=urn)
        made = self._attempt(f"{request.type} {request.name}", lambda: self._register(urn, request))
        if made is None:
            return answer(urn=urn, result=resource_pb2.Result.FAIL)
        # `unknown` makes each output unknown that the answer lacks.
        return answer(urn=urn, id=made.id, object=struct(made.outputs), unknown=bool(request.custom))

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """Read a resource that the program names by its id."""
        urn = self.urn(request.parent, request.type, request.name)
        answer = resource_pb2.ReadResourceResponse
        made = self._attempt(f"{request.type} {request.name}", lambda: self._read(request))
        if made is None:
            return answer(urn=urn, result=resource_pb2.Result.FAIL)
        return answer(urn=urn, id=made.id, properties=struct(made.outputs), unknown=True)

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """Call a function of the provider."""
        answer = resource_pb2.ResourceInvokeResponse
        made = self._attempt(f"function {request.tok}", lambda: self._invoke(request))
        if made is None:
            failure = provider_pb2.CheckFailure(property="", reason=str(self._deployment.failure))
            return answer(failures=[failure])
        return answer(**{"return": struct(made.outputs)})

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Keep the stack's outputs. Outputs of components are for display only."""
        if request.urn.split("::")[2] == STACK and self._deployment.failure is None:
            self._attempt("the stack's outputs", lambda: self._export(self._plain(request.outputs)))
        return empty_pb2.Empty()

    def urn(self, parent: str, type_: str, name: str) -> str:
        """Return the resource's URN as the engine makes it, with the types of all components above but the stack."""
        above = parent.split("::")[2] if parent else STACK
        qualified = type_ if above == STACK else f"{above}${type_}"
        return f"{self._prefix}{qualified}::{name}"

    def _attempt(self, label: str, work: Any) -> Answer | None:
        """Return the result of the work, or None if it fails or the deployment has failed before."""
        if self._deployment.failure is not None:
            return None
        try:
            made: Answer = work()
        except Exception as error:
            self._deployment.fail(sentence(label, error))
            return None
        return made

    def _register(self, urn: str, request: Any) -> Answer:
        _check_options(request)
        if not request.custom:
            return Answer("", {})
        if request.type == AWS_PROVIDER:
            self._deployment.clouds.add_provider(urn, plain(request.object, veiled=PROVIDER_SECRETS))
            return Answer(request.name, {})
        if not request.type.startswith("aws:"):
            raise UnsupportedError(
                "its provider is not AWS, the only one of the embedded deployer; deploy the stack with the Pulumi CLI"
            )
        inputs = self._plain(request.object, kind_of(request.type).veiled)
        return self._deployment.register(_registration(urn, request, inputs, _aliases(request, self.urn)))

    def _read(self, request: Any) -> Answer:
        if contains_unknown(request.id):
            raise DeployError("the id to read is unknown: an output that the deployer does not model is part of it")
        inputs, provider = plain(request.properties), _provider_urn(request.provider)
        return self._deployment.look_up(request.type, request.id, inputs, provider)

    def _invoke(self, request: Any) -> Answer:
        cloud = self._deployment.clouds.get(_provider_urn(request.provider))
        return Answer("", invoke(request.tok, plain(request.args), cloud))

    def _plain(self, fields: Any, veiled: frozenset[str] = frozenset()) -> Properties:
        # A preview does not know the ids yet.
        return plain(fields, keep_unknown=self._preview, veiled=veiled)

    def _export(self, outputs: Properties) -> Answer:
        self.outputs = outputs
        return Answer("", {})


def _check_options(request: Any) -> None:
    for field, option in REFUSED.items():
        value = getattr(request, field)
        given = value.ByteSize() > 0 if hasattr(value, "ByteSize") else bool(value)
        if given:
            raise UnsupportedError(
                f"the embedded deployer does not carry out the option {option}; leave it out or deploy with the CLI"
            )


def _aliases(request: Any, urn: Callable[[str, str, str], str]) -> tuple[str, ...]:
    """Return the earlier URNs of the resource. A part that an alias leaves out has not changed."""
    named = []
    for alias in request.aliases:
        spec = alias.spec
        if spec.stack or spec.project:
            raise UnsupportedError("the embedded deployer follows no alias into another stack or project; leave it out")
        parent = "" if spec.noParent else spec.parentUrn or request.parent
        named.append(alias.urn or urn(parent, spec.type or request.type, spec.name or request.name))
    return tuple(named)


def _provider_urn(reference: str) -> str:
    """Return the URN in a provider reference, without the id at its end. It is empty for the default provider."""
    return reference.rpartition("::")[0]


def _registration(urn: str, request: Any, inputs: Properties, aliases: tuple[str, ...]) -> Registration:
    named = {key: tuple(sorted(of.urns)) for key, of in sorted(request.propertyDependencies.items()) if of.urns}
    resource = Resource(
        urn=urn,
        type=request.type,
        name=request.name,
        inputs=inputs,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies=named,
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace,
    )
    return Registration(
        resource,
        provider=_provider_urn(request.provider),
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        aliases=aliases,
    )


def invoke(token: str, arguments: Properties, cloud: Cloud) -> Properties:
    """Return the result of a provider function. Raise UnsupportedError for an unknown function or argument."""
    function = FUNCTIONS.get(token)
    if function is None:
        raise UnsupportedError(
            f"the function {token} is unknown to the embedded deployer; it knows {', '.join(sorted(FUNCTIONS))}"
        )
    unknown = sorted(set(arguments) - ALLOWED.get(token, frozenset()) - {"region"})
    if unknown:
        raise UnsupportedError(f"the function {token} is unknown with the argument {unknown[0]}; leave it out")
    return function(cloud, arguments)


def _identity(cloud: Cloud, _: Properties) -> Properties:
    caller = cloud.client("sts").get_caller_identity()
    account = caller["Account"]
    return {"accountId": account, "arn": caller["Arn"], "userId": caller["UserId"], "id": account}


def _region(cloud: Cloud, _: Properties) -> Properties:
    name = cloud.region
    return {"name": name, "region": name, "id": name, "endpoint": f"ec2.{name}.amazonaws.com"}


def _partition(cloud: Cloud, _: Properties) -> Properties:
    return {"partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws", "id": "aws"}


def _zones(cloud: Cloud, arguments: Properties) -> Properties:
    filters = [{"Name": "state", "Values": [arguments["state"]]}] if "state" in arguments else []
    zones = cloud.client("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
    names = sorted((zone["ZoneName"], zone["ZoneId"]) for zone in zones)
    return {"names": [n for n, _ in names], "zoneIds": [i for _, i in names], "id": cloud.region}


FUNCTIONS: Mapping[str, Callable[[Cloud, Properties], Properties]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region,
}
ALLOWED: Mapping[str, frozenset[str]] = {"aws:index/getAvailabilityZones:getAvailabilityZones": frozenset({"state"})}

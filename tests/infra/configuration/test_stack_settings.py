"""Settings and refusals: each names the key, the given value, the allowed values and the remedy."""

from __future__ import annotations

import json

import pytest

from infra.configuration.settings import Settings
from infra.configuration.stack_settings import ConfigError, settings_from
from infra.planning.recovery import EC2_BOOT, LOCAL_BOOT
from infra.planning.workload import services, workload

GOOD = {
    "fleet": "main",
    "vectors": "1000000",
    "dims": "256",
    "peakQueriesPerSecond": "100",
    "zones": json.dumps(["us-east-1a", "us-east-1b", "us-east-1c"]),
    "amiId": "ami-0123456789abcdef0",
}


def given(**values: object) -> dict[str, str]:
    return GOOD | {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def refusal(**values: object) -> str:
    with pytest.raises(ConfigError) as caught:
        settings_from(given(**values))
    return str(caught.value)


def test_the_smallest_configuration_has_safe_defaults() -> None:
    settings = settings_from(GOOD)
    assert settings.data_protection
    assert settings.internal
    assert settings.minimum_replicas == 2
    assert settings.allowed_clients == (settings.vpc_cidr,)
    assert [one.slot for one in settings.deployed] == ["blue"]


def test_settings_cannot_be_changed() -> None:
    settings = settings_from(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        settings.vectors = 1


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("vectors", "0", "a whole number from 1"),
        ("vectors", "many", "a whole number from 1"),
        ("dims", "1", "a whole number from 2 to 16384"),
        ("peakQueriesPerSecond", "-1", "queries per second above 0"),
        ("fleet", "Main_Fleet", "lower-case letters"),
        ("fleet", "a" * 21, "2 to 20 lower-case letters"),
        ("zones", ["us-east-1a"], "2 to 6 different Availability Zones"),
        ("zones", ["us-east-1a", "us-east-1a"], "each once"),
        ("vpcCidr", "10.0.0.0/8", "from /16 to /22"),
        ("vpcCidr", "10.0.0.1/16", "from /16 to /22"),
        ("vpcCidr", "home", "from /16 to /22"),
        ("vpcCidr", "10.0.0.0/23", "eight free addresses in each subnet"),
        ("fleet", "internal-search", "AWS does not reserve (internal-, sg-)"),
        ("fleet", "sg-search", "AWS does not reserve (internal-, sg-)"),
        ("hostname", "Search.example.com", "as in search.example.com"),
        ("hostname", "search", "as in search.example.com"),
        ("hostedZoneId", "example.com", "a Route 53 hosted zone"),
        ("hostedZoneId", "Z0123456789", "none without hostname"),
        ("clientCidrs", ["10.0.0.1/8"], "IPv4 networks such as"),
        ("listenerPort", "70000", "a port from 1 to 65535"),
        ("amiId", "al2023", "Amazon Linux 2023"),
        ("instanceTypes", ["r99.large"], "types of the catalog"),
        ("minimumReplicas", "4", "at most 3, one replica of a shard per zone"),
        ("minimumReplicas", "1", "a whole number from 2"),
        ("shards", "0", "a whole number from 1"),
        ("weights", {"blue": 0, "green": 0}, "or nothing would serve"),
        ("alarmPeriodSeconds", "45", "10, 30, or a multiple of 60"),
        ("dataProtection", "perhaps", "true or false"),
        ("certificateArn", "cert", "the ARN of an ACM certificate"),
    ],
)
def test_an_impossible_value_is_refused_with_a_sentence(key: str, value: object, allowed: str) -> None:
    sentence = refusal(**{key: value})
    shown = json.dumps(value, ensure_ascii=False)
    assert sentence.startswith(f"Configuration key vectorfleet:{key}")
    assert shown.strip('"[]') in sentence
    assert allowed in sentence
    assert f"pulumi config set --path vectorfleet:{key}" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("section", "value", "path", "allowed"),
    [
        ("embedding", {"dims": 384}, "embedding.dims", "the same as dims, 256"),
        ("embedding", {"provider": "voyage"}, "embedding.provider", "wordllama, onnx, openai, bedrock or given"),
        (
            "embedding",
            {"provider": "given"},
            "embedding.model",
            "the name of the model that the given vectors come from",
        ),
        ("embedding", {"provider": "onnx"}, "embedding.model", "the name of the packed model"),
        (
            "embedding",
            {"provider": "onnx", "model": "m"},
            "embedding.version",
            "the 12 hexadecimal digits that `vectorfleet",
        ),
        ("index", {"metric": "l2"}, "index.metric", "cosine, the same as ip and l2 for the unit vectors"),
        ("index", {"metric": "dot"}, "index.metric", "cosine, ip or l2"),
        ("embedding", {"provider": "openai"}, "embedding.url", "a base URL with provider openai"),
        ("embedding", {"url": "http://models/v1"}, "embedding.url", "and none with another"),
        ("embedding", {"provider": "openai", "url": "models:80"}, "embedding.url", "the base URL of a server"),
        ("embedding", {"provider": "openai", "url": "http://m:80800/v1"}, "embedding.url", "a port from 1 to 65535"),
        ("embedding", {"provider": "openai", "url": "http://u:p@m/v1"}, "embedding.url", "the base URL of a server"),
        ("embedding", {"provider": "bedrock", "model": "us.cohere.embed-v4:0"}, "embedding.model", "a model itself"),
        ("embedding", {"cidrs": ["10.0.0.0/8", "10.0.0.0/8"]}, "embedding.cidrs", "different IPv4 networks"),
        ("traces", {"endpoint": "collector:4318"}, "traces.endpoint", "the base URL of a collector of OTLP"),
        ("traces", {"endpoint": "http://u:p@c:4318"}, "traces.endpoint", "the base URL of a collector of OTLP"),
        ("traces", {"endpoint": "http://c:80800"}, "traces.endpoint", "a port from 1 to 65535"),
        ("traces", {"sampleShare": 2}, "traces.sampleShare", "a share from 0 to 1"),
        ("traces", {"cidrs": ["10.0.0.0/8", "10.0.0.0/8"]}, "traces.cidrs", "different IPv4 networks"),
        ("loadGenerators", {"masterCidrs": ["10.0.0.1/8"]}, "loadGenerators.masterCidrs", "different IPv4 networks"),
        ("chunking", {"size": 100, "overlap": 100}, "chunking.overlap", "less than chunking.size, 100"),
        ("indexing", {"schedule": "0 25 * * *"}, "indexing.schedule", "'25' is not a valid hour"),
        ("indexing", {"schedule": "0 8 31 4 *"}, "indexing.schedule", "never fires"),
        ("indexing", {"schedule": "*/5 * * * *"}, "indexing.schedule", "the first a minute from 0 to 59"),
        ("index", {"type": "lsh"}, "index.type", "flat, hnsw, ivf or pq"),
        ("index", {"m": 2}, "index.m", "a whole number from 8 to 64"),
        ("index", {"codeDims": 65}, "index.codeDims", "a whole number from 1 to 64"),
        ("healthCheck", {"intervalSeconds": 5, "timeoutSeconds": 5}, "healthCheck.timeoutSeconds", "less than"),
        ("objectives", {"recoveryTimeSeconds": 0}, "objectives.recoveryTimeSeconds", "from 10 to 86400"),
        ("capacityPerReplica", {"vcpus": 2}, "capacityPerReplica.queriesPerSecond", "above 0"),
    ],
)
def test_a_nested_value_is_refused_by_its_path(section: str, value: dict[str, object], path: str, allowed: str) -> None:
    sentence = refusal(**{section: value})
    assert f"vectorfleet:{path} is" in sentence
    assert allowed in sentence


def test_a_weight_belongs_to_a_slot_that_the_stack_has() -> None:
    """The listener starts with these weights: requests to a slot without routers get 503."""
    assert "weights.blue is not given; allowed: 0, since the stack has no slot blue" in refusal(slots={"green": {}})
    assert "weights.green is 1; allowed: 0" in refusal(weights={"blue": 1, "green": 1})
    both: dict[str, object] = {"blue": {}, "green": {}}
    assert "a weight above 0 for a slot that the stack has" in refusal(slots=both, weights={"blue": 0, "green": 0})
    settings = settings_from(given(slots={"green": {}}, weights={"blue": 0, "green": 1}))
    assert [one.slot for one in settings.deployed] == ["green"]


def test_a_slot_takes_from_the_fleet_the_keys_that_it_lacks() -> None:
    own = {"vectors": 5, "index": {"type": "ivf", "m": 20}, "embedding": {"dims": 64}, "shards": 4, "until": 9}
    settings = settings_from(given(slots={"blue": {}, "green": own}, index={"m": 12, "efSearch": 70}, shards="2"))
    blue, green = settings.deployed
    assert (blue.slot, blue.vectors, blue.dims, blue.shards, blue.until) == ("blue", 1_000_000, 256, 2, None)
    assert (green.slot, green.vectors, green.dims, green.shards, green.until) == ("green", 5, 64, 4, 9)
    assert (blue.index.type, blue.index.m, blue.index.ef_search) == ("hnsw", 12, 70)
    assert (green.index.type, green.index.m, green.index.ef_search) == ("ivf", 20, 70)
    assert (green.embedding.dims, green.embedding.model) == (64, blue.embedding.model)


@pytest.mark.parametrize(
    ("slots", "sentence"),
    [
        ({}, "slots is {}; allowed: blue, green or both"),
        ({"red": {}}, "slots.red is unknown. Known keys: blue, green."),
        ({"blue": {"indx": {}}}, "slots.blue.indx is unknown. Did you mean index?"),
        ({"blue": {"until": 0}}, "slots.blue.until is 0; allowed: a documents position from 1"),
        (
            {"blue": {}, "green": {"index": {"m": 99}}},
            "slots.green.index.m is 99; allowed: a whole number from 8 to 64",
        ),
        ({"blue": {}, "green": {"chunking": {"size": 50, "overlap": 60}}}, "slots.green.chunking.overlap is 60"),
        ({"blue": {}, "green": {"embedding": {"dims": 65}}}, "slots.green.embedding.dims is 65; allowed: 64, 128, 256"),
        ({"blue": {}, "green": {"embedding": {"provider": "given"}}}, "slots.green.embedding.model is not given"),
        ({"blue": {"vectors": 10**13}}, "slots.blue.vectors is 10000000000000; allowed: a whole number from 1 to"),
    ],
)
def test_a_slots_value_is_refused_by_its_path(slots: dict[str, object], sentence: str) -> None:
    assert f"Configuration key vectorfleet:{sentence}" in refusal(slots=slots)


def test_a_slots_rule_blames_the_fleets_key_where_it_is_taken() -> None:
    chunking = {"size": 50, "overlap": 60}
    assert "vectorfleet:chunking.overlap is 60" in refusal(slots={"blue": {}}, chunking=chunking)
    assert settings_from(given(slots={"blue": {"chunking": {"overlap": 1}}}, chunking=chunking)).deployed


def test_the_key_slot_says_what_to_write_instead() -> None:
    sentence = refusal(slot="green")
    assert 'vectorfleet:slot is "green"; it is now vectorfleet:slots' in sentence
    assert """`pulumi config set vectorfleet:slots '{"green": {}}'`""" in sentence
    assert settings_from(given(slots='{"green": {}}', weights={"blue": 0, "green": 1})).slots.green is not None


def test_a_model_server_of_a_slots_own_has_its_own_secret() -> None:
    openai = {"provider": "openai", "model": "m", "url": "http://m"}
    settings = settings_from(given(embedding=openai, slots={"blue": {}, "green": {"embedding": {"url": "http://n"}}}))
    assert [one.embedding_secret for one in settings.deployed] == [
        "/vectorfleet-secrets/main/embedding",
        "/vectorfleet-secrets/main/green/embedding",
    ]
    assert [one.embedding_secret for one in settings_from(GOOD).deployed] == [""]


def test_wordllama_has_three_sizes() -> None:
    assert "64, 128, 256 with wordllama, or another embedding.provider" in refusal(dims="384", embedding={"dims": 384})


def test_the_port_of_a_models_server_is_its_urls() -> None:
    for url, port in (("http://m/v1", 80), ("https://m", 443), ("https://m:8443/v1", 8443)):
        embedding = {"provider": "openai", "model": "m", "url": url}
        assert settings_from(given(embedding=embedding)).embedding.port == port


def test_an_item_of_a_list_is_refused_by_its_place() -> None:
    sentence = refusal(clientCidrs=["10.0.0.0/8", "home"])
    assert sentence.startswith('Configuration key vectorfleet:clientCidrs[1] is "home"; allowed: IPv4 networks')


def test_a_public_fleet_needs_clients_and_a_certificate() -> None:
    clients = ["198.51.100.0/24"]
    assert "clientCidrs is not given; allowed: at least one network" in refusal(internal="false")
    assert "certificateArn is not given;" in refusal(internal="false", clientCidrs=clients)
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/0"
    assert not settings_from(
        given(internal="false", clientCidrs=clients, certificateArn=arn, hostname="search.example.com")
    ).internal


def test_an_existing_build_has_at_least_minimum_shards() -> None:
    assert "at least minimumShards, 3, or none" in refusal(shards="2", minimumShards="3")


def test_a_certificate_needs_the_name_that_it_is_for() -> None:
    sentence = refusal(certificateArn="arn:aws:acm:us-east-1:123456789012:certificate/0")
    assert "hostname is not given; allowed: the name that the certificate is for" in sentence


@pytest.mark.parametrize(
    ("values", "port"),
    [
        ({}, 80),
        (
            {
                "certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0",
                "hostname": "search.example.com",
            },
            443,
        ),
        ({"listenerPort": "8080"}, 8080),
    ],
)
def test_the_port_follows_the_certificate_unless_stated(values: dict[str, str], port: int) -> None:
    assert settings_from(given(**values)).port == port


def test_a_misspelt_key_is_refused_with_the_likely_one() -> None:
    assert "vectorfleet:vektors is unknown. Did you mean vectors?" in refusal(vektors="1")


def test_a_misspelt_nested_key_is_refused_too() -> None:
    assert "vectorfleet:index.efSerch is unknown. Did you mean efSearch?" in refusal(index={"efSerch": 10})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"vectorfleet:fleet is missing; allowed: 2 to 20"):
        settings_from({key: value for key, value in GOOD.items() if key != "fleet"})


def test_all_findings_on_single_values_are_reported_at_once() -> None:
    assert len(refusal(vectors="0", dims="0").splitlines()) == 2


def test_every_key_says_what_it_allows() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_broken_json_is_shown_as_given() -> None:
    assert '{\\"m\\": ' in refusal(index='{"m": ')


@pytest.mark.parametrize("cidr", ["10.64.0.0/16", "10.64.0.0/22", "127.64.0.0/16"])
def test_private_and_public_subnets_do_not_overlap(cidr: str) -> None:
    private, public = settings_from(given(vpcCidr=cidr)).subnet_cidrs
    assert len({*private, *public}) == 6


@pytest.mark.parametrize(("vcpus", "carried"), [(2, 500.0), (1, 500.0), (4, 500.0), (16, 250.0)])
def test_a_larger_router_carries_no_more_than_measured(vcpus: int, carried: float) -> None:
    settings = settings_from(given(capacityPerRouter={"queriesPerSecond": 500, "vcpus": vcpus}))
    assert workload(settings.of("blue")).router_queries_per_second == carried


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"vectors": "9" * 400}, "vectors is "),
        ({"vectors": 10**12 + 1}, "from 1 to 1000000000000"),
        ({"peakQueriesPerSecond": "inf"}, "peakQueriesPerSecond is "),
        ({"peakQueriesPerSecond": "1e-9"}, "queries per second from 0.001 to 1000000000"),
        ({"capacityPerReplica": {"queriesPerSecond": 1e-310}}, "capacityPerReplica.queriesPerSecond is 1e-310"),
        ({"capacityPerRouter": {"queriesPerSecond": 1e-6}}, "capacityPerRouter.queriesPerSecond is 1e-06"),
        ({"capacityPerRouter": {"queriesPerSecond": 5, "vcpus": 1025}}, "capacityPerRouter.vcpus is 1025"),
        ({"minimumShards": 10**13}, "no more than there are vectors"),
    ],
)
def test_numbers_beyond_all_machines_are_refused(values: dict[str, object], sentence: str) -> None:
    assert sentence in refusal(**values)


def test_the_workload_follows_the_settings() -> None:
    plain = workload(settings_from(given()).of("blue"))
    assert (plain.boot, plain.maximum_routers, plain.lists, plain.code_dims) == (EC2_BOOT, 200, 0, 4)
    other = workload(
        settings_from(
            given(vpcCidr="127.64.0.0/16", maximumRouters=7, index={"type": "pq", "lists": 50, "codeDims": 8, "m": 20})
        ).of("blue")
    )
    assert (other.boot, other.maximum_routers) == (LOCAL_BOOT, 7)
    assert (other.index, other.lists, other.code_dims, other.m) == ("pq", 50, 8, 20)


def test_a_capacity_says_whether_it_is_assumed_or_configured() -> None:
    settings = settings_from(given(capacityPerRouter={"queriesPerSecond": 500})).of("blue")
    found = workload(settings, {"capacityPerReplica": "measured, x"})
    assert (found.replica.source, found.router.source) == ("measured, x", "as configured")
    assert workload(settings).replica.source == "assumed"


def test_services_follow_the_settings() -> None:
    plain = services(settings_from(given()))
    assert (plain.public, plain.vault, plain.batch, plain.alarm_period_seconds) == (False, False, False, 60)
    assert plain.endpoints[-1] == "ssmmessages"
    other = services(
        settings_from(
            given(
                internal=False,
                certificateArn="arn:aws:acm:us-east-1:123456789012:certificate/0",
                hostname="search.example.com",
                clientCidrs=["203.0.113.0/24"],
                vault={"region": "us-west-2"},
                indexing={"mode": "batch"},
                sessions=False,
                alarmPeriodSeconds=30,
                capacityPerRouter={"queriesPerSecond": 500, "vcpus": 8},
            )
        )
    )
    assert (other.public, other.vault, other.batch, other.alarm_period_seconds) == (True, True, True, 30)
    assert (other.endpoints[-1], other.router_type) == ("ssm", "m7i.2xlarge")

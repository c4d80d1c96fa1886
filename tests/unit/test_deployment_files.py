"""The files by which participation is run: Compose, Dockerfile, Procfile, .env.example.

The Compose file is read as Compose reads it (variables filled in, merges resolved), checked by a parser of
the Compose specification, and then against our own rules. Each rule is shown a copy that breaks it.
"""

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from honcho.environ import parse_procfile  # type: ignore[import-untyped]

from participation.settings import Settings

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\})")
ENV_LINE = re.compile(r"^(?P<off># )?(?P<name>[A-Z][A-Z_]*)=(?P<value>.*)$", re.MULTILINE)
ONE_SHOT = {"migrate"}
BOTS = {"discord", "telegram"}
COMPOSE_ONLY = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "REDIS_MAXMEMORY", "WORKER_CONCURRENCY", "REDIS_PORT"}
LENGTHS = {"release": 2, "discord": 3, "telegram": 3}
"""How many words of a command in the Procfile say what it is."""
REDIS_SETTINGS = {"--appendonly": "yes", "--appendfsync": "always", "--maxmemory-policy": "noeviction"}

Compose = dict[str, Any]
SOURCE = (ROOT / "docker-compose.yml").read_text()
ENV_EXAMPLE = {line["name"]: line for line in ENV_LINE.finditer((ROOT / ".env.example").read_text())}


def compose() -> Compose:
    """Read the Compose file as Compose does, every required variable being `secret`."""

    def fill(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        return found["text"] if found["kind"] == "-" else "secret"

    document: Compose = yaml.safe_load(VARIABLE.sub(fill, SOURCE))
    return document


def specification_error(document: Compose) -> str | None:
    """Return what the parser of the Compose specification refuses, None if nothing."""
    try:
        PyCompose.from_yaml(yaml.safe_dump(document)).validate()
    except ValueError as error:
        return str(error)
    return None


def complaints(document: Compose) -> Iterator[str]:
    """Yield what breaks our own rules."""
    for name, service in document["services"].items():
        yield from _running(name, service)
        yield from _outside(name, service, document["volumes"])
        yield from _order(name, service, document["services"])
    command = document["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    for option, value in REDIS_SETTINGS.items():
        if options.get(option) != value:
            yield f"redis: {option} is not {value}"
    if "--maxmemory" not in options:
        yield "redis: no --maxmemory"
    superuser = document["services"]["postgres"]["environment"].get("POSTGRES_USER", "postgres")
    for name, service in document["services"].items():
        if f"postgresql://{superuser}:" in service["environment"].get("DATABASE_URL", ""):
            yield f"{name}: connects as the superuser of PostgreSQL"


def _running(name: str, service: Compose) -> Iterator[str]:
    if name in ONE_SHOT:
        if service["restart"] != "no":
            yield f"{name}: is started again after it has ended"
        return
    if not service.get("healthcheck", {}).get("test"):
        yield f"{name}: no health check"
    if service.get("restart") != "unless-stopped":
        yield f"{name}: no restart policy"


def _outside(name: str, service: Compose, volumes: Compose) -> Iterator[str]:
    image, _, tag = service["image"].partition(":")
    if tag in {"", "latest"}:
        yield f"{name}: {image} is not pinned"
    for port in service.get("ports", ()):
        if not str(port).startswith("127.0.0.1:"):
            yield f"{name}: port {port} is open to the network"
    for volume in service.get("volumes", ()):
        source = volume.partition(":")[0]
        if not source.startswith(("/", ".")) and source not in volumes:
            yield f"{name}: volume {source} is not declared"
        if source.startswith(".") and not (ROOT / source).is_dir():
            yield f"{name}: folder {source} does not exist"


def _order(name: str, service: Compose, services: Compose) -> Iterator[str]:
    for other, dependency in service.get("depends_on", {}).items():
        if other not in services:
            yield f"{name}: depends on {other}, which does not exist"
        elif (other in ONE_SHOT) != (dependency["condition"] == "service_completed_successfully"):
            yield f"{name}: waits for {other} in the wrong way"


def test_compose__meets_the_specification() -> None:
    assert specification_error(compose()) is None


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda it: it["services"]["redis"].update(healtcheck={"test": ["CMD", "true"]}), "healtcheck"),
        (lambda it: it["services"]["beat"]["healthcheck"].update(intervall="5s"), "intervall"),
        (lambda it: it["services"]["beat"]["healthcheck"].update(interval="often"), "interval"),
        (lambda it: it["services"]["worker"].update(restart="unless-stoped"), "unless-stoped"),
        (lambda it: it["services"]["worker"]["depends_on"].update(redis={"condition": "ok"}), "condition"),
        (lambda it: it["services"]["flower"].update(ports=["127.0.0.1:5555:web"]), "ports"),
        (lambda it: it["services"]["redis"].update(networks=["nowhere"]), "nowhere"),
        (lambda it: it.update(service=it.pop("services")), "missing field `services`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "spoilt",
)
def test_compose__what_the_specification_forbids_is_caught(spoil: Callable[[Compose], object], named: str) -> None:
    document = compose()
    spoil(document)
    assert named in str(specification_error(document))


def test_compose__keeps_our_rules() -> None:
    assert list(complaints(compose())) == []


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda it: it["worker"].pop("healthcheck"), "worker: no health check"),
        (lambda it: it["beat"].pop("restart"), "beat: no restart policy"),
        (lambda it: it["migrate"].update(restart="always"), "migrate: is started again after it has ended"),
        (lambda it: it["redis"].update(ports=["6379:6379"]), "redis: port 6379:6379 is open to the network"),
        (lambda it: it["redis"].update(image="valkey/valkey"), "redis: valkey/valkey is not pinned"),
        (lambda it: it["redis"]["command"].__setitem__(4, "everysec"), "redis: --appendfsync is not always"),
        (lambda it: it["redis"]["command"].__delitem__(slice(7, 9)), "redis: no --maxmemory"),
        (lambda it: it["beat"].update(volumes=["beta-data:/var"]), "beat: volume beta-data is not declared"),
        (
            lambda it: it["postgres"].update(volumes=["./deploy/postgre:/docker-entrypoint-initdb.d"]),
            "postgres: folder ./deploy/postgre does not exist",
        ),
        (
            lambda it: it["migrate"].update(
                environment={"DATABASE_URL": "postgresql://postgres:x@postgres/participation"}
            ),
            "migrate: connects as the superuser of PostgreSQL",
        ),
        (
            lambda it: it["flower"].update(depends_on={"reddis": {"condition": "service_healthy"}}),
            "flower: depends on reddis, which does not exist",
        ),
        (
            lambda it: it["worker"]["depends_on"].update(migrate={"condition": "service_started"}),
            "worker: waits for migrate in the wrong way",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "spoilt",
)
def test_compose__a_broken_rule_is_caught(spoil: Callable[[Compose], object], complaint: str) -> None:
    document = compose()
    spoil(document["services"])
    assert list(complaints(document)) == [complaint]


def test_compose__every_variable_is_explained_in_the_example() -> None:
    variables = {found["name"]: found for found in VARIABLE.finditer(SOURCE) if found["name"]}
    required = {name for name, found in variables.items() if found["kind"] == "?"}
    defaults = {name: found["text"] for name, found in variables.items() if found["kind"] == "-"}

    assert required | defaults.keys() == variables.keys(), "a variable has neither a default nor a message"
    assert {name for name, line in ENV_EXAMPLE.items() if not line["off"]} == required
    assert {name: ENV_EXAMPLE[name]["value"] for name in defaults} == defaults


def test_compose__hands_every_setting_to_every_process_of_ours() -> None:
    wanted = {
        str(field.validation_alias or f"PARTICIPATION_{name}".upper()) for name, field in Settings.model_fields.items()
    }
    ours = {name: it for name, it in compose()["services"].items() if "build" in it}

    assert ours.keys() == {"migrate", "worker", "beat", "flower", *BOTS}
    # But for the tokens, which are the bots' alone, and the login of Flower, whose port is a port of the host.
    own = {name: {f"PARTICIPATION_{name.upper()}_TOKEN"} for name in BOTS} | {"flower": {"FLOWER_BASIC_AUTH"}}
    common = wanted - {"FLOWER_PORT"} - set[str]().union(*own.values())
    expected = {name: common | own.get(name, set()) for name in ours}
    assert {name: set(it["environment"]) & wanted for name, it in ours.items()} == expected


def test_env_example__lists_settings_and_what_only_compose_reads() -> None:
    settings = {
        str(field.validation_alias or f"PARTICIPATION_{name}".upper()) for name, field in Settings.model_fields.items()
    }
    assert ENV_EXAMPLE.keys() - settings == COMPOSE_ONLY
    assert settings <= ENV_EXAMPLE.keys()
    told = (ROOT / "docs" / "settings.md").read_text().partition("only `docker-compose.yml` reads:\n")[2]
    assert {*re.findall(r"`([A-Z_]+)`", told.partition("\n\n")[0])} == COMPOSE_ONLY


def test_env_example__gives_the_defaults_of_the_settings() -> None:
    defaults = {
        f"PARTICIPATION_{name}".upper(): "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
        if not field.validation_alias
    }
    given = {name: it["value"] for name, it in ENV_EXAMPLE.items() if name.startswith("PARTICIPATION_")}
    assert given == defaults


def test_compose__bots_start_only_when_they_are_asked_for() -> None:
    services = compose()["services"]
    profiles = {name: it["profiles"] for name, it in services.items() if "profiles" in it}
    assert profiles == {"discord": ["discord"], "telegram": ["telegram"]}
    assert {name: services[name]["command"][:3] for name in profiles} == {
        name: ["participation", "bot", name] for name in profiles
    }
    # Each has a spool of its own.
    assert len({tuple(services[name]["volumes"]) for name in profiles}) == len(profiles)


def test_procfile__honcho_reads_every_process() -> None:
    processes = parse_procfile((ROOT / "Procfile").read_text()).processes
    commands = {name: shlex.split(command) for name, command in processes.items()}

    assert {name: command[: LENGTHS.get(name, 4)] for name, command in commands.items()} == {
        "release": ["participation", "migrate"],
        "worker": ["celery", "-A", "participation.app", "worker"],
        "beat": ["celery", "-A", "participation.app", "beat"],
        "flower": ["celery", "-A", "participation.app", "flower"],
        "discord": ["participation", "bot", "discord"],
        "telegram": ["participation", "bot", "telegram"],
    }
    assert "--address=127.0.0.1" in commands["flower"]


def test_procfile__what_beat_writes_is_ignored_by_git() -> None:
    beat = shlex.split(parse_procfile((ROOT / "Procfile").read_text()).processes["beat"])
    schedule = beat[beat.index("--schedule") + 1]
    ignored = (ROOT / ".gitignore").read_text().split()

    assert "--pidfile=" in beat
    for suffix in ("", ".db", ".dat", "-wal"):
        assert any(fnmatch(schedule + suffix, pattern) for pattern in ignored), schedule + suffix


def dockerfile() -> list[list[str]]:
    """Return the instructions of the Dockerfile, each split into words."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_dockerfile__copies_what_exists_and_what_the_builder_is_given() -> None:
    copies = [words[1:-1] for words in dockerfile() if words[0] == "COPY" and "--from" not in words[1]]
    sources = {source for copy in copies for source in copy}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}

    assert sources == allowed
    assert [source for source in sorted(sources) if not (ROOT / source).exists()] == []


def test_dockerfile__every_stage_has_the_same_declared_python() -> None:
    images = {words[1] for words in dockerfile() if words[0] == "FROM"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert len(images) == 1, "the virtual environment needs the interpreter that it was made with"
    version = re.fullmatch(r"python:(3\.\d+)-slim", images.pop())
    assert version
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]


def test_dockerfile__fetches_by_hash_only_and_ends_without_root() -> None:
    instructions = dockerfile()
    runs = [" ".join(words) for words in instructions if words[0] == "RUN"]
    online = [run for run in runs if re.search(r"\b(pip|apt|apt-get|curl|wget)\b", run) and "--no-index" not in run]

    assert len(online) == 1
    assert online[0].startswith("RUN pip download --require-hashes --only-binary :all: ")
    assert "ADD" not in {words[0] for words in instructions}
    assert [words[1] for words in instructions if words[0] == "USER"][-1:] == ["participation"]

"""The command ``rent``: train one experiment on a machine rented by the hour, which always ends."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from morphospace import files, params, registry
from morphospace.apps.cloud import bucket, machine, parcel, remote
from morphospace.errors import MorphospaceError, ParameterError, RentalError, StorageError

SKY = Path(".venv-sky/bin")
# Their stages read raw images or labels, which stay in the bucket.
DATA = {"seed", "dataset", "index", "illuminate", "segment", "validate", "synthesize", "split"}
DATA_STAGES = (DATA - {"seed", "dataset"}) | {"fetch"}
# Exists while the server of SkyPilot keeps what restarts a run on this machine, as cloud/sky.yaml wants.
CONSOLIDATED = Path(".sky/.jobs_controller_consolidation_reloaded_signal")


def run(
    name: Annotated[str, typer.Argument(help="Name of the experiment. The same name again goes on with it.")],
    settings: Annotated[list[str] | None, typer.Argument(help="What to change, as for `dvc exp run -S`.")] = None,
    hours: Annotated[float, typer.Option(help="Limit in hours, of all machines of this run together.")] = 6.0,
    money: Annotated[float, typer.Option(help="Limit in the currency of params.yaml, at the on-demand price.")] = 10.0,
    kind: Annotated[str, typer.Option("--machine", help="One of budget.machines; budget.machine by default.")] = "",
    fetch: Annotated[bool, typer.Option("--fetch", help="Only bring back what a run that ended has made.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Train on a rented spot GPU, bring the experiment back, and see that nothing is left.

    The commit and the settings travel through the bucket of .dvc/config; so must the data: they are pushed first. The
    machine shuts itself down at the limit, after a crash, and when it is done; when it is taken away, another goes on
    from the last checkpoint. The laptop may go away: `--fetch` later. Once before: docs/rented-gpu.md.

    `morphospace rent wide z_dim=150 train.epochs=50 --hours 3 --money 10`
    """
    if not files.is_safe_name(name):
        raise ParameterError(f"{name!r} cannot name a run; use letters, digits, '.', '_' and '-'")
    session, store = _session(), remote.read()
    here = parcel.Run(_client(session, "s3", store), store.bucket, name)
    if fetch:
        _fetch(here)
        _verify(session)
        return
    given, budget = settings or [], params.load().budget
    _refuse_data_settings(given)
    kind = kind or budget.machine
    if kind not in budget.machines:
        raise ParameterError(f"budget.machines has no price of {kind!r}{registry.nearest(kind, list(budget.machines))}")
    price = budget.machines[kind]
    offer = machine.Offer(kind, price.spot, price.on_demand, hours, money)
    _refuse_unready(store)
    machine.refuse_open_group(_client(session, "ec2"))
    typer.echo(
        "\n".join([f"run      {name}: {' '.join(given) or 'params.yaml as committed'}", *offer.lines(budget.currency)])
    )
    if not yes:
        typer.confirm(f"Rent it in {session.region_name}?", abort=True)
    _call("dvc", "push")
    parcel.send(here, given)
    _launch(here, offer, str(session.region_name))
    _fetch(here)
    _verify(session)


def _session() -> Any:
    """Return the session of the environment or profile, which must name the region of the stack."""
    try:
        session = boto3.Session()
    except BotoCoreError as error:
        raise StorageError(f"{error}; check AWS_PROFILE") from None
    if not session.region_name:
        raise StorageError("no region is set; export AWS_DEFAULT_REGION, that of the bucket and of cloud/store.yaml")
    return session


def _client(session: Any, service: str, store: remote.Remote | None = None) -> Any:
    endpoint = store.settings.get("endpointurl") if store else None
    return session.client(service, endpoint_url=endpoint, config=Config(connect_timeout=5, retries={"max_attempts": 2}))


def _refuse_data_settings(settings: list[str]) -> None:
    """Refuse what is no setting, and what would need the raw images on the machine."""
    data = DATA | set(registry.names("datasets"))
    for setting in settings:
        key, found, _ = setting.partition("=")
        if not found:
            raise ParameterError(f"{setting!r} is no setting; write key=value, such as z_dim=150")
        if key.split(".")[0] in data:
            raise ParameterError(
                f"{key} changes the data, which a rented machine does not make: `dvc exp run -S {setting}` here, "
                "commit, and rent for what comes after"
            )


def _refuse_unready(store: remote.Remote) -> None:
    """Refuse what the machine could not work with: open changes, stale data, a closed bucket, no SkyPilot."""
    if parcel.git(Path(), "status", "--porcelain", "--", ".", ":!reports").strip():
        raise RentalError("there are changes that are not committed, and the machine would not see them: commit first")
    said = _call("dvc", "repro", "--dry", "--allow-missing", quiet=True)
    stale = [stage for stage in sorted(DATA_STAGES) if f"Running stage '{stage}'" in said]
    if stale:
        raise RentalError(f"the data are not up to date ({', '.join(stale)}): `dvc repro`, commit, then rent")
    for check in bucket.ask(store):
        if check.verdict == "fail":
            raise StorageError(check.says)
    if not (SKY / "sky").exists():
        raise RentalError("SkyPilot is not installed; run `make sky` (a minute, 0.7 GB, an environment of its own)")


def _call(program: str, *arguments: str, quiet: bool = False) -> str:
    """Run a program of Python's own environment; return what it wrote when it is quiet."""
    command = [sys.executable, "-m", program, *arguments]
    out = subprocess.run(command, stdout=subprocess.PIPE if quiet else None, text=True, check=False)
    if out.returncode:
        raise RentalError(f"`{program} {' '.join(arguments)}` failed with code {out.returncode}")
    return out.stdout or ""


def _launch(here: parcel.Run, offer: machine.Offer, region: str) -> None:
    """Start the managed job and follow it; it goes on when this ends."""
    config = yaml.safe_load(Path("cloud/sky.yaml").read_text(encoding="utf-8"))
    config["aws"]["post_provision_runcmd"] = [f"shutdown -P +{offer.minutes}"]
    with files.replacing(SKY.parent / "sky.yaml") as aside:
        aside.write_text(yaml.safe_dump(config), encoding="utf-8")
    environment = os.environ | {"SKYPILOT_GLOBAL_CONFIG": str((SKY.parent / "sky.yaml").absolute())}
    environment["PATH"] = f"{SKY.absolute()}{os.pathsep}{os.environ['PATH']}"
    sky = str(SKY / "sky")
    subprocess.run([sky, "api", "start"], env=environment, stdout=subprocess.DEVNULL, check=False)
    if not (Path.home() / CONSOLIDATED).exists():
        raise RentalError("a SkyPilot server with other settings is running; `.venv-sky/bin/sky api stop`, then again")
    given = {
        f"MORPHOSPACE_{k}": v
        for k, v in (
            ("RUN", here.name),
            ("BUCKET", here.bucket),
            ("MINUTES", offer.minutes),
            ("MACHINE", offer.machine),
        )
    }
    command = [sky, "jobs", "launch", "--yes", "--name", here.name, "--infra", f"aws/{region}"]
    command += ["--instance-type", offer.machine]
    command += [word for k, v in {**given, "AWS_REGION": region}.items() for word in ("--env", f"{k}={v}")]
    typer.echo(f"Ctrl-C stops watching, not the run; `.venv-sky/bin/sky jobs cancel -n {here.name}` stops the run.")
    subprocess.run([*command, "cloud/train.yaml"], env=environment, check=False)


def _fetch(here: parcel.Run) -> None:
    """Bring experiment, model and metrics here; the workspace stays as it is."""
    from dvc.repo import Repo

    revision = parcel.fetch(here)
    with Repo() as repo:
        repo.fetch(revs=[revision], workspace=False)
    typer.echo(f"{here.name} is here: `dvc exp show`, `dvc exp apply {here.name}`")


def _verify(session: Any) -> None:
    """Say whether a machine is left, or that it cannot be said."""
    try:
        found = machine.left(_client(session, "ec2"))
    except MorphospaceError as error:
        typer.echo(f"Whether a machine is left could NOT be verified: {error}; look at the EC2 console.", err=True)
        raise typer.Exit(1) from None
    if found:
        raise RentalError(
            f"left in {session.region_name}: {', '.join(found)}; a machine ends two minutes after its run. "
            "If it stays: `.venv-sky/bin/sky down -a`, or terminate it in the EC2 console"
        )
    typer.echo(f"No machine is left in {session.region_name}.")

"""The command ``budget``: what a grid will cost, what the last run cost, and how much may be spent. No stage."""

import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from morphospace import files, params, places, records, speeds, spending
from morphospace.apps.budget import grid, price_list, printed
from morphospace.errors import InputError, ParameterError
from morphospace.reporting import plan as planning
from morphospace.words import count

PLAN = Path("reports/plan.json")
RECORDS = Path("reports/records")
BBBC021 = {"height": 1024, "width": 1280}  # px (000-01)
BBBC021_SITES = 240  # fields a plate
BUSY = 0.5  # processes a core that others run, from which on a benchmark is said to be disturbed


def run(
    plan: Annotated[bool, typer.Option("--plan", help="Predict hours, money and storage of a grid.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set-param", "-S", help="As for `dvc exp run`: -S z_dim=75,150 -S train.epochs=50."),
    ] = None,
    machine: Annotated[str | None, typer.Option(help="Name in the price list; budget.machine by default.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Members at once: `dvc queue start -j`.")] = 1,
    cells: Annotated[int | None, typer.Option(min=1, help="Cells; those of the data here by default.")] = None,
    fields: Annotated[int | None, typer.Option(min=1, help="Image sets; those of the data here by default.")] = None,
    prices: Annotated[Path | None, typer.Option(help="Price list, CSV or YAML, in place of params.yaml's.")] = None,
    benchmark: Annotated[
        Path | None,
        places.STORE,
        typer.Option(help="Measurements of another machine; where --benchmark-only writes to."),
    ] = None,
    benchmark_only: Annotated[
        bool, typer.Option("--benchmark-only", help="Measure this machine, which --machine names, and plan nothing.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="What the measuring may take.")] = 120,
    cap: Annotated[str | None, typer.Option(help="Most that training may cost from now on; `none` lifts it.")] = None,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="The cap counts prices on demand, not spot.")] = False,
) -> None:
    """Show what the last run cost; predict what a grid will cost; cap what may be spent.

    Without options: the last run, stage by stage, the plan beside it, and what is left of the cap.

    `--plan` measures how fast this machine draws, segments, cuts, trains, embeds and scores (two minutes at most; what
    was measured is kept), then predicts every member of the grid and writes reports/plan.json, which the report shows
    beside the next run. For another machine, measure there with `--benchmark-only --machine NAME --benchmark FILE`,
    bring the file here, and give both to `--plan`.

    `--cap 20` stops training, and the queue, when 20 units of the currency are spent; checkpoints are kept.
    """
    if plan and benchmark_only:
        raise ParameterError("--plan and --benchmark-only exclude each other")
    options = params.load().budget
    listed = price_list.load(options, prices)
    name = machine or options.machine
    console = Console()
    if cap is not None:
        _set_cap(cap, listed, name, on_demand)
    if plan or benchmark_only:
        members = grid.members(settings or [])
        size = _size(settings or [], members[0].options, cells, fields)
        plates = {m.name: _plate(m.options, size) for m in members}
        if benchmark_only:
            _benchmark(members, plates, workers, benchmark, seconds, machine)
        else:
            listed.of(name)
            found, threads = _speeds(members, plates, workers, benchmark, seconds)
            forecast = _forecast(members, plates, size, found, threads, workers)
            _plan(console, forecast, size, found, threads, listed, name, settings or [], options.storage_gb_month)
    elif cap is None:
        printed.show_run(console, Path("data/budget.csv"), RECORDS / "budget.json", PLAN, options.currency)
    console.print(printed.cap_line(spending.cap()))


def _size(settings: list[str], options: params.Params, cells: int | None, fields: int | None) -> planning.Size:
    """Return how much data: what is given, else what the last run had, else `budget.cells` and `budget.fields`."""
    index, synthesis = (_record(name, options) for name in ("index", "synthesize"))
    sections = (f"{options.dataset}.", "dataset=", "index.", "synthesize.size")
    if any(s.startswith(sections) for s in settings) and (cells is None or fields is None):
        raise ParameterError("-S changes how much data there are; say how much with --cells and --fields")
    known = {"image_sets", "plates"} <= set(index) and "kept" in synthesis
    fields = fields or (index["image_sets"] if known else options.budget.fields)
    cells = cells or (synthesis["kept"] if known else options.budget.cells)
    same = known and fields == index["image_sets"]
    plates = index["plates"] if same else max(1, round(fields / BBBC021_SITES))
    split = options.split
    train, validation = round(cells * split.train), round(cells * split.validation)
    return planning.Size(fields, plates, cells, train, validation, cells - train - validation)


def _record(name: str, options: params.Params) -> dict[str, Any]:
    """Return what a stage found in the last run, or nothing where that was on another data set."""
    path = RECORDS / f"{name}.json"
    found = files.read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) and found.get(records.DATASET) == options.data_set else {}


def _plate(options: params.Params, size: planning.Size) -> speeds.Plate:
    """Return what the fields of a member are like: as large as those of the data here, else BBBC021's."""
    image = {**BBBC021, **{k: v for k, v in (_record("index", options).get("images") or {}).items() if k in BBBC021}}
    return speeds.Plate(
        engine=options.segment.engine,
        method=options.segment.method,
        cells_per_field=round(min(1000.0, size.cells / size.fields), 2),
        size=options.synthesize.size,
        **image,
    )


def _shape(options: params.Params) -> speeds.Shape:
    channels = len(options.synthesize.channels) or len(_record("index", options).get("channels") or ()) or 3
    return speeds.Shape(
        model=options.model,
        options=options.model_options,
        z_dim=options.z_dim,
        minibatch=options.train.minibatch,
        size=options.synthesize.size,
        channels=channels,
        threads=options.train.threads,
    )


def _needed(
    members: list[grid.Member], plates: dict[str, speeds.Plate]
) -> tuple[list[speeds.Shape], list[speeds.Plate]]:
    """Return each shape and each kind of plate once."""
    shapes = {s.key(1, 1): s for s in (_shape(m.options) for m in members)}
    return list(shapes.values()), list({p.key(1): p for p in plates.values()}.values())


def _benchmark(
    members: list[grid.Member],
    plates: dict[str, speeds.Plate],
    workers: int,
    target: Path | None,
    seconds: float,
    label: str | None,
) -> None:
    from morphospace.apps.budget import measure

    if target and target.exists():
        speeds.read(target)  # refuses to write over anything but measurements
    jobs, all_jobs = measure.threads(workers)
    found = measure.this_machine(label)
    found = measure.measure(found, *_needed(members, plates), jobs, workers, all_jobs, seconds)
    speeds.write(speeds.here(), found)
    if target:
        speeds.write(target, found)
    typer.echo(
        f"{found.processor}, {found.device}: {count(len(found.shapes), 'shape')} measured, in {target or speeds.here()}"
    )


def _speeds(
    members: list[grid.Member],
    plates: dict[str, speeds.Plate],
    workers: int,
    source: Path | None,
    seconds: float,
) -> tuple[speeds.Benchmark, tuple[int, int]]:
    """Return the speeds to plan with: those of a file, which must have all, or this machine's, measured if need be.

    Raises
    ------
    InputError
        When the file lacks a shape or a kind of plate, with what to type where it was written.
    """
    from morphospace.apps.budget import measure

    shapes, fields = _needed(members, plates)
    if source is None:
        jobs, all_jobs = measure.threads(workers)
        found = measure.this_machine()
        return measure.measure(found, shapes, fields, jobs, workers, all_jobs, seconds), (jobs, all_jobs)
    found = speeds.read(source)
    threads = {(s.jobs, c.jobs) for s in found.shapes.values() if s.workers == workers for c in found.plates.values()}
    lacking: list[str] = ["anything on as many workers"]
    for jobs, all_jobs in sorted(threads):
        lacking = measure.missing(found, shapes, fields, jobs, workers, all_jobs)
        if not lacking:
            return found, (jobs, all_jobs)
    changes = " ".join(f"-S {c}" for c in dict.fromkeys(c for m in members for c in m.changes))
    raise InputError(
        f"{source} lacks {', '.join(lacking[:3])}; on that machine, type `morphospace budget --benchmark-only "
        f"--workers {workers} {changes} --benchmark {source.name}`, with the --cells and --fields of this plan"
    )


def _forecast(
    members: list[grid.Member],
    plates: dict[str, speeds.Plate],
    size: planning.Size,
    found: speeds.Benchmark,
    threads: tuple[int, int],
    workers: int,
) -> planning.Plan:
    """Return the plan: what members share, for each distinct kind of it once, and each member."""
    shared: dict[str, planning.Part] = {}
    parts = []
    for m in members:
        o = m.options
        parameters = o.timed()
        of_plate = plates[m.name]
        before = [o.seed, o.dataset, o.dataset_options, o.index, o.illuminate, o.segment, o.synthesize, o.split]
        kind = files.fingerprint([str(value) for value in before])
        if kind not in shared:
            chain = found.plates[of_plate.key(threads[1])]
            start = found.fixed[f"{planning.START}_shared"]
            fetched = o.dataset != "synthetic"
            earlier = {k: v for k, v in parameters.items() if k in planning.BEFORE}
            shared[kind] = planning.shared(chain, start, size, o.validate_.fields, fetched, earlier)
        speed = found.shapes[_shape(o).key(threads[0], workers)]
        epochs, pca_cells = o.train.epochs, o.similarity.pca_cells
        parts.append(planning.member(speed, found.fixed, size, epochs, pca_cells, m.name, parameters))
    return planning.Plan(list(shared.values()), parts, workers)


def _plan(
    console: Console,
    forecast: planning.Plan,
    size: planning.Size,
    found: speeds.Benchmark,
    threads: tuple[int, int],
    listed: price_list.Prices,
    name: str,
    settings: list[str],
    month: float,
) -> None:
    """Show a plan, and write it where the stage `budget` looks for it."""
    price = listed.of(name)
    there = f"{found.processor}, {found.device}"
    if found.machine == name:
        console.print(f"Speed and prices of {name} ({there}, measured {found.date}).")
    else:
        console.print(
            f"[bold]The speed is that of {found.machine or 'this machine'} ({there}), only the prices are those of "
            f"{name}[/]: {name} itself was not measured."
        )
    if found.load > BUSY:
        console.print(
            f"It was busy with {found.load:.1f} other processes a core when it was measured: idle, it is faster."
        )
    if said := price_list.age(price, datetime.date.today()):
        console.print(f"Mind the price of {name}: {said} ({listed.where}).")
    console.print(printed.plan(forecast, price, listed.currency))
    for line in printed.notes(forecast, size, threads, price, listed.currency, month):
        console.print(line)
    entry = {
        "grid": settings,
        "size": size._asdict(),
        "machine": name,
        "measured_on_it": found.machine == name,
        "processor": found.processor,
        "device": found.device,
        "load": found.load,
        "threads": threads[0],
        "currency": listed.currency,
        "spot": price.spot,
        "on_demand": price.on_demand,
        "not_counted": planning.NOT_COUNTED,
        **planning.record(forecast),
    }
    key = files.fingerprint(settings, size, name, forecast.workers, [m.parameters for m in forecast.members])
    files.write_json(PLAN, {"plan": {"key": key, **entry}})
    console.print(f"{PLAN} holds the plan; commit it, and the report shows it beside the run.")


def _set_cap(text: str, listed: price_list.Prices, name: str, on_demand: bool) -> None:
    """Set, move or lift the cap of this repository."""
    if text == "none":
        spending.lift_cap()
        return
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise ParameterError(f"--cap is {text!r}; it should be an amount above 0, in {listed.currency}, or `none`")
    price = listed.of(name)
    spending.set_cap(amount, listed.currency, name, price.on_demand if on_demand else price.spot)

"""What the thesis published: its models, its budget, and where the budget contradicts the rest of it."""

from typing import NamedTuple

import pandas as pd

CELLS = 250_783  # 000-15
MINIBATCH = 35  # images (000-26)
SECONDS_A_STEP = 0.042  # 000-34
SECONDS_AN_EPOCH = (302.0, 296.0)  # first and last of the published log (000-34)
STEPS = 7165.2  # of an epoch (000-15)
SPOT = 1.80  # EUR an hour of p3.2xlarge, spot, eu-west-1 (000-41)
STORAGE_MONTH = 7.0  # EUR a month, about (000-41)
DISK_GB = 120.0  # 000-17


class Model(NamedTuple):
    """One row of the published table (000-28); `budget_epochs` is what the budget chapter says instead (000-41)."""

    model: str
    z_dim: int
    r_loss_factor: int
    epochs: int
    budget_epochs: int
    hours: float
    S: float


MODELS = [
    Model("3", 200, 10_000, 200, 200, 22.0, 0.82813),
    Model("A", 75, 50_000, 20, 20, 6.0, 0.85946),
    Model("B", 150, 10_000, 50, 20, 6.0, 0.91598),
    Model("C", 300, 10_000, 50, 20, 6.0, 0.90817),
]


def table(spot: float = SPOT) -> pd.DataFrame:
    """Return the thesis's budget from its own inputs, a row a model, and the hours that its own log implies.

    ``cost`` is hours times `spot`: 39.60, 10.80, 10.80 and 10.80 EUR (000-41). ``log_hours`` is the published epochs
    times the 302 s of the published log; ``budget_log_hours`` the same with the epochs of the budget chapter;
    ``seconds_an_epoch`` is what the stated hours would mean.
    """
    found = pd.DataFrame(MODELS)
    return found.assign(
        cost=found["hours"] * spot,
        log_hours=found["epochs"] * SECONDS_AN_EPOCH[0] / 3600,
        budget_log_hours=found["budget_epochs"] * SECONDS_AN_EPOCH[0] / 3600,
        seconds_an_epoch=found["hours"] * 3600 / found["epochs"],
    )


def contradictions() -> list[str]:
    """Return one sentence for each place where the thesis's budget and the rest of it cannot both be true."""
    rows = table()
    b = rows.set_index("model").loc["B"]
    first = SECONDS_AN_EPOCH[0]
    spent, implied = rows["hours"].sum(), rows["log_hours"].sum()
    return [
        "Models B and C: the budget says 20 epochs, the table of results 50. At the logged "
        f"{first:.0f} s an epoch, 50 are {b['log_hours']:.2f} h and 20 are {b['budget_log_hours']:.2f} h; "
        f"the {b['hours']:.0f} h that were paid fit neither.",
        "Models A, B and C cost the same 6 h, though A was trained for 20 epochs and B and C for 50: "
        + ", ".join(f"{r.model}: {r.seconds_an_epoch:.0f}" for r in rows.itertuples())
        + " seconds an epoch, with the same images on the same card.",
        f"The stated hours add up to {spent:.0f} h ({rows['cost'].sum():.2f} EUR); published epochs times {first:.0f} "
        f"s are {implied:.1f} h ({implied * SPOT:.2f} EUR). The other {spent - implied:.1f} h "
        f"({1 - implied / spent:.0%}) are not explained: set-up, copying and idle time, or runs that failed.",
        f"Steps: the text has {CELLS:,} images; {STEPS} steps x {MINIBATCH} are {STEPS * MINIBATCH:,.0f}, the number "
        f"of files that were copied ({CELLS:,} / {MINIBATCH} = {CELLS / MINIBATCH:.4f}, rounding may hide one). "
        f"At {SECONDS_A_STEP * 1000:.0f} ms a step an epoch is {STEPS * SECONDS_A_STEP:.0f} s: here the log "
        f"({SECONDS_AN_EPOCH[1]:.0f} to {SECONDS_AN_EPOCH[0]:.0f} s) agrees with itself.",
        f"Storage: about {STORAGE_MONTH:.0f} EUR a month for a {DISK_GB:.0f} GB disk is "
        f"{STORAGE_MONTH / DISK_GB:.3f} EUR per GB and month; the object store is not in the table.",
    ]

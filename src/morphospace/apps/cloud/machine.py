"""Prices and limits of a rented machine, and what AWS says of the machines and of the group that closes their ports."""

import math
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from morphospace.errors import RentalError

GROUP = "morphospace-machine"
_START = 10  # minutes
_ALIVE = ["pending", "running", "stopping", "stopped"]


@dataclass(frozen=True)
class Offer:
    """A machine, what an hour costs, and how long and for how much money it may run.

    Money is counted at the price on demand, which a spot price does not exceed: so the limit holds when spot prices
    rise.

    Raises
    ------
    RentalError
        When the limits leave less than ten minutes, which starting takes.
    """

    machine: str
    spot: float
    on_demand: float
    hours: float
    money: float

    def __post_init__(self) -> None:
        if self.minutes < _START:
            raise RentalError(
                f"{self.hours:g} hours and {self.money:.2f} allow {self.minutes} minutes of {self.machine}; starting "
                f"alone takes about {_START}: raise --hours or --money"
            )

    @property
    def minutes(self) -> int:
        """Whole minutes that both limits allow."""
        most = self.hours if self.on_demand == 0 else min(self.hours, self.money / self.on_demand)
        return math.floor(most * 60)

    def lines(self, currency: str) -> list[str]:
        """Return what a person decides by."""
        hours = self.minutes / 60
        return [
            f"machine  {self.machine}: {self.spot:.2f} {currency} an hour by spot, {self.on_demand:.2f} on demand",
            f"limit    {self.minutes} minutes: {self.hours:g} hours, or {self.money:.2f} {currency} on demand",
            f"costs    at most {hours * self.spot:.2f} {currency} at that spot price, "
            f"{hours * self.on_demand:.2f} whatever spot costs; disk and traffic come on top",
        ]


def refuse_open_group(ec2: Any) -> None:
    """Refuse to rent unless the group of the stack is there and lets nobody in from outside.

    SkyPilot makes the group when it is absent, and opens port 22 of one without rules; both would be the open door of
    the reference system (000-17).

    Raises
    ------
    RentalError
        When the group is missing, has no rule or has an address in a rule, or AWS cannot be asked.
    """
    where = f"in {ec2.meta.region_name}"
    stack = (
        "aws cloudformation deploy --stack-name morphospace --template-file cloud/store.yaml …, see docs/rented-gpu.md"
    )
    asked = [{"Name": "group-name", "Values": [GROUP]}]
    found = _ask(lambda: ec2.describe_security_groups(Filters=asked)["SecurityGroups"])
    rules = [rule for group in found for rule in group["IpPermissions"]]
    if not rules:
        raise RentalError(f"there is no closed group {GROUP} {where}: {stack}")
    for rule in rules:
        if rule.get("IpRanges") or rule.get("Ipv6Ranges") or rule.get("PrefixListIds"):
            port = rule.get("FromPort", "all")
            raise RentalError(f"the group {GROUP} {where} lets strangers in at port {port}; remove that rule first")


def left(ec2: Any) -> list[str]:
    """Return the machines of the group that still cost something: id, type and state.

    Raises
    ------
    RentalError
        When AWS cannot be asked: then nothing is known.
    """
    asked = [{"Name": "instance.group-name", "Values": [GROUP]}, {"Name": "instance-state-name", "Values": _ALIVE}]
    found = _ask(lambda: ec2.describe_instances(Filters=asked)["Reservations"])
    machines = [machine for reservation in found for machine in reservation["Instances"]]
    return [f"{m['InstanceId']} ({m['InstanceType']}, {m['State']['Name']})" for m in machines]


def _ask(question: Any) -> Any:
    try:
        return question()
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise RentalError(f"AWS could not be asked about machines: {' '.join(str(error).split())}") from None

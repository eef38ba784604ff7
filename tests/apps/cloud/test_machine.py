"""What a rented machine may cost, and what AWS says of it."""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from morphospace.apps.cloud import machine
from morphospace.apps.cloud.machine import Offer
from morphospace.errors import RentalError


@pytest.mark.parametrize(
    ("hours", "money", "minutes"), [(2.0, 100.0, 120), (100.0, 8.0, 240), (100.0, 1.0, 30), (0.999, 100.0, 59)]
)
def test_the_stricter_of_both_limits_holds(hours: float, money: float, minutes: int) -> None:
    assert Offer("g5.xlarge", 0.5, 2.0, hours, money).minutes == minutes


def test_the_money_cannot_be_overspent_whatever_spot_costs() -> None:
    offer = Offer("g5.xlarge", 0.37, 1.23, 50.0, 7.0)
    assert offer.minutes / 60 * offer.on_demand <= 7.0


def test_a_free_machine_is_limited_by_time_alone() -> None:
    assert Offer("own", 0.0, 0.0, 1.0, 0.0).minutes == 60


def test_a_limit_that_starting_alone_uses_up_is_refused() -> None:
    with pytest.raises(RentalError, match=r"allow 9 minutes of g5\.xlarge; .*raise --hours or --money"):
        Offer("g5.xlarge", 0.5, 1.0, 6.0, 0.16)


def test_the_person_sees_price_limit_and_most() -> None:
    text = "\n".join(Offer("g5.xlarge", 0.5, 2.0, 2.0, 100.0).lines("EUR"))
    for said in ("0.50 EUR an hour by spot", "2.00 on demand", "120 minutes", "1.00 EUR", "4.00 whatever spot costs"):
        assert said in text


@pytest.fixture
def ec2() -> Any:
    """A client of EC2 that answers what it is told; AWS's own model of the service checks both sides."""
    client = boto3.client("ec2", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stub:
        client.stub = stub
        yield client
        stub.assert_no_pending_responses()


def _group(**rule: Any) -> dict[str, Any]:
    return {"SecurityGroups": [{"GroupName": machine.GROUP, "IpPermissions": [{"IpProtocol": "tcp", **rule}]}]}


def test_a_group_that_only_knows_itself_is_closed(ec2: Any) -> None:
    ec2.stub.add_response("describe_security_groups", _group(FromPort=22, UserIdGroupPairs=[{"GroupId": "sg-1"}]))
    machine.refuse_open_group(ec2)


@pytest.mark.parametrize("strangers", [{"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, {"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}])
def test_a_group_that_lets_strangers_in_is_refused(ec2: Any, strangers: dict[str, Any]) -> None:
    ec2.stub.add_response("describe_security_groups", _group(FromPort=8888, **strangers))
    with pytest.raises(RentalError, match="lets strangers in at port 8888; remove that rule"):
        machine.refuse_open_group(ec2)


@pytest.mark.parametrize("groups", [[], [{"GroupName": machine.GROUP, "IpPermissions": []}]])
def test_without_a_closed_group_the_stack_is_named(ec2: Any, groups: list[dict[str, Any]]) -> None:
    ec2.stub.add_response("describe_security_groups", {"SecurityGroups": groups})
    with pytest.raises(RentalError, match=r"no closed group morphospace-machine in eu-central-1: aws cloudformation"):
        machine.refuse_open_group(ec2)


def test_machines_that_are_left_are_named(ec2: Any) -> None:
    found = {"InstanceId": "i-1", "InstanceType": "g5.xlarge", "State": {"Name": "running"}}
    ec2.stub.add_response("describe_instances", {"Reservations": [{"Instances": [found]}]})
    assert machine.left(ec2) == ["i-1 (g5.xlarge, running)"]


def test_when_aws_does_not_answer_nothing_is_claimed(ec2: Any) -> None:
    ec2.stub.add_client_error("describe_instances", "UnauthorizedOperation", "not yours")
    with pytest.raises(RentalError, match=r"could not be asked about machines: .*not yours"):
        machine.left(ec2)

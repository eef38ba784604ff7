"""SkyPilot's own functions with cloud/train.yaml and cloud/sky.yaml, against a server that plays AWS."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-sky" / "bin" / "python"
ZONE = "euc1-az1"
# The catalogue that SkyPilot downloads, cut down to one machine; the prices are made up.
CATALOGUE = {
    "common/accelerators.csv": "AcceleratorName,Clouds\nA10G,AWS\n",
    "common/metadata.csv": "Cloud,Name\n",
    "aws/vms.csv": "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,"
    f"AvailabilityZone,Arch\ng5.xlarge,A10G,1,4,16,,1.26,0.45,eu-central-1,{ZONE},x86_64\n",
    "aws/images.csv": "Tag,Region,OS,OSVersion,ImageId,CreationDate\n"
    "skypilot:custom-gpu-ubuntu-cuda13,eu-central-1,ubuntu,22.04,{image},20260101\n",
    "aws/instance_quota_mapping.csv": "InstanceType,OnDemandInstanceType,QuotaCode,SpotInstanceQuotaCode\n"
    "g5.xlarge,g5.xlarge,L-1,L-2\n",
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="SkyPilot's environment is not there: make sky (a minute, 0.7 GB)"),
]


def _account(endpoint: str) -> str:
    """Make what a real account has (an internet gateway) and our stack; return an image that this server knows."""
    ec2 = boto3.client("ec2", endpoint_url=endpoint)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    for table in ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]:
        ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    given = [{"ParameterKey": k, "ParameterValue": v} for k, v in {"BucketName": "bench", "Mail": "a@b.c"}.items()]
    boto3.client("cloudformation", endpoint_url=endpoint).create_stack(
        StackName="store",
        TemplateBody=(ROOT / "cloud" / "store.yaml").read_text(),
        Parameters=given,
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    images = ec2.describe_images()["Images"]
    return str(next(i["ImageId"] for i in images if "buntu" in i.get("Name", "")))


def _sky(folder: Path, endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    image = _account(endpoint)
    for name, content in CATALOGUE.items():
        path = folder / ".sky" / "catalogs" / "v8" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("{image}", image))
    config = yaml.safe_load((ROOT / "cloud" / "sky.yaml").read_text())
    config["aws"]["post_provision_runcmd"] = ["shutdown -P +30"]
    (folder / "sky.yaml").write_text(yaml.safe_dump(config))
    environment = os.environ | {"HOME": str(folder), "AWS_ENDPOINT_URL": endpoint, "REHEARSAL": str(folder / "said")}
    environment |= {"SKYPILOT_GLOBAL_CONFIG": str(folder / "sky.yaml"), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    environment["PATH"] = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"  # SkyPilot looks for the AWS CLI beside it
    command = [PYTHON, ROOT / "tests" / "cloud" / "rented.py", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_a_spot_machine_is_priced_started_closed_limited_and_ended(aws: str, tmp_path: Path) -> None:
    ours = ("RUN=wide", "BUCKET=bench", "MINUTES=30", "MACHINE=p3.2xlarge")
    given = [*(f"MORPHOSPACE_{k}" for k in ours), "AWS_REGION=eu-central-1"]
    out = _sky(tmp_path, aws, *given)
    assert out.returncode == 0, out.stdout[-3000:] + out.stderr[-3000:]
    said: dict[str, Any] = json.loads((tmp_path / "said").read_text())
    assert said["price"] == 0.45
    assert (said["spot"], said["lifecycle"], said["ports"], said["down"]) == (True, "spot", None, True)
    assert said["recovery"] == {"strategy": "FAILOVER"}
    assert said["mounts"] == {"~/run": "s3://bench/runs/wide/code"}
    assert "ssm start-session" in said["proxy"]
    assert said["profile"].endswith("instance-profile/morphospace-machine")
    assert "shutdown -P +30" in base64.b64decode(said["user_data"]).decode()
    assert "morphospace-machine" in [group["GroupName"] for group in said["groups"]]
    rules = [rule for group in said["groups"] for rule in group["IpPermissions"]]
    assert not any(rule["IpRanges"] + rule["Ipv6Ranges"] for rule in rules), "a port is open"
    assert "0.0.0.0/0" in json.dumps(said["bare"]), "a group without rules would be closed too: drop ours"
    assert not [role for role in said["roles"] if "skypilot" in role], "SkyPilot's own role may do all of S3"
    assert said["states"] == ["terminated"]

"""What a refusal by S3 means, in one line that ends with what to do."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore import exceptions
from botocore.exceptions import ClientError

from morphospace.apps.cloud.remote import Remote

CREDENTIALS = (
    "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `aws configure`, or export AWS_PROFILE; "
    "`make s3` prints lines for a server of your own"
)
ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
OVERLOADED = {"SlowDown", "ServiceUnavailable", "InternalError"}
# Codes that mean one thing, whatever was asked.
ANSWERS = {
    "InvalidAccessKeyId": "{where} does not know the access key {key}; check AWS_ACCESS_KEY_ID or the profile, and "
    "that AWS_ENDPOINT_URL names the server that the key is for",
    "SignatureDoesNotMatch": "the secret is not that of access key {key}; check AWS_SECRET_ACCESS_KEY or the profile "
    "for a character lost or added when copying",
    "ExpiredToken": "the temporary credentials have expired; get new ones (`aws sso login`, or assume the role again) "
    "and unset an old AWS_SESSION_TOKEN",
    "InvalidToken": "the session token does not fit access key {key}; unset AWS_SESSION_TOKEN, or get new credentials",
    "NoSuchBucket": "there is no bucket {bucket} at {where}; make it, or name yours: {url}",
}
ALIASES = {
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "InvalidTokenId": "InvalidToken",
}
# What a policy must allow for each step of `bucket.ask`.
NEEDED = {
    "bucket": "s3:ListBucket on the bucket",
    "read": "s3:GetObject on its objects",
    "write": "s3:PutObject and s3:GetObject on its objects; to pull only, ask with --read-only",
}


def explain(error: Exception, remote: Remote, endpoint: str, key: str, step: str) -> str:
    """Return one line for an error of boto3.

    Parameters
    ----------
    error
        What boto3 raised.
    remote
        The remote that was asked.
    endpoint
        Address that was asked; empty when it did not come to that.
    key
        Access key, which is no secret.
    step
        Name of the check that failed, a key of `NEEDED` or ``credentials``.
    """
    if isinstance(error, ClientError):
        return _refused(error, remote, endpoint, key, step)
    return _not_asked(error, remote, endpoint)


def _refused(error: ClientError, remote: Remote, endpoint: str, key: str, step: str) -> str:
    """Say what an answer of the server means."""
    code = str(error.response["Error"].get("Code", ""))
    code = ALIASES.get(code, code)
    if code in ANSWERS:
        url = remote.modify("url s3://BUCKET/dvc")
        return ANSWERS[code].format(key=key, where=endpoint, bucket=remote.bucket, url=url)
    if code == "RequestTimeTooSkewed":
        return f"the clock of this machine is {_skew(error)}; set it (`sudo timedatectl set-ntp true`)"
    if code in ELSEWHERE:
        region = _region(error)
        says = f"bucket {remote.bucket} is in region {region or 'other than the one asked'}; "
        return says + remote.modify(f"region {region or 'REGION'}", local=True) + ", or export AWS_DEFAULT_REGION"
    if code in OVERLOADED:
        return f"{endpoint} is out of order or overloaded ({code}); wait and ask again before pushing"
    if code in {"AccessDenied", "403", "Forbidden"}:
        needed = NEEDED.get(step, NEEDED["bucket"])
        return f"access key {key} may not do this in bucket {remote.bucket}; its policy needs {needed}"
    if code.isdigit() or code == "MethodNotAllowed":
        return f"{endpoint} answers, but not as S3 ({code}); check AWS_ENDPOINT_URL or endpoint_url, and any proxy"
    return f"{endpoint} refused ({code}: {error.response['Error'].get('Message', 'no reason given')}); ask its keeper"


def _region(error: ClientError) -> str:
    """Return the region that the answer names, if any."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(error.response["Error"].get("Region") or headers.get("x-amz-bucket-region") or "")


def _skew(error: ClientError) -> str:
    """Return how far the clock is from the server's."""
    date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return "wrong"
    minutes = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds() / 60
    return f"{abs(minutes):.0f} minutes {'fast' if minutes > 0 else 'slow'}"


def _not_asked(error: Exception, remote: Remote, endpoint: str) -> str:
    """Say why there was no answer."""
    said = " ".join(str(error).split()).removesuffix(".")
    match error:
        case exceptions.NoCredentialsError():
            return f"no AWS credentials found; {CREDENTIALS}"
        case exceptions.PartialCredentialsError() | exceptions.CredentialRetrievalError():
            return f"the AWS credentials are incomplete ({said}); {CREDENTIALS}"
        case exceptions.ProfileNotFound():
            return f"{said}; write it into ~/.aws/config (`aws configure --profile NAME`), or unset AWS_PROFILE"
        case exceptions.SSOError() | exceptions.TokenRetrievalError():
            return f"the single sign-on has expired ({said}); `aws sso login`"
        case exceptions.SSLError():
            return f"{endpoint} has a certificate that is not trusted; {_trust(remote)}"
        case exceptions.ProxyConnectionError():
            return f"the proxy refuses ({said}); check HTTPS_PROXY, or add the host of {endpoint} to NO_PROXY"
        case exceptions.HTTPClientError() | exceptions.ConnectionError():
            return (
                f"nothing answers at {endpoint}; is it running (`make s3`), and AWS_ENDPOINT_URL or endpoint_url right?"
            )
        case _:
            return f"{said}; check .dvc/config, ~/.aws/config and AWS_ENDPOINT_URL"


def _trust(remote: Remote) -> str:
    line = remote.modify("ssl_verify CA.PEM", local=True)
    return f"export AWS_CA_BUNDLE=CA.PEM, the file of its authority, or {line}"

"""S3 and SQS on loopback: moto's server in a thread, one for all tests of a session."""

from __future__ import annotations

import functools
import itertools

from moto.server import ThreadedMotoServer

from models.storage import AwsAccess

_numbers = itertools.count(1)


@functools.cache
def aws_server() -> AwsAccess:
    """Access to the server; it ends with the process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return AwsAccess("test", "test-secret", None, "us-east-1", f"http://{host}:{port}")


def new_bucket() -> str:
    """The name of an empty bucket."""
    name = f"bucket-{next(_numbers)}"
    aws_server().client("s3").create_bucket(Bucket=name)
    return name


def new_queue() -> str:
    """The URL of an empty queue."""
    name = f"queue-{next(_numbers)}"
    return str(aws_server().client("sqs").create_queue(QueueName=name)["QueueUrl"])

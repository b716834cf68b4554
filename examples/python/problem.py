"""What went wrong with a call, told apart by code and reason; never by the sentence."""

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

# Seconds.
LONGEST_WAIT = 5.0


class Problem(Exception):
    """A call that failed."""

    def __init__(self, error: grpc.RpcError):
        self.code: grpc.StatusCode = error.code()
        # One of docs/errors.md; empty where it was not Deskhand that answered, but a proxy, or nobody.
        self.reason = ""
        # What is wrong with which field, by its path; for people who fill in a form.
        self.fields: dict[str, str] = {}
        # How many seconds to wait before another try; None where the server says nothing of it.
        self.retry_after: float | None = None

        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            if detail.Is(ErrorInfo.DESCRIPTOR):
                info = ErrorInfo.FromString(detail.value)
                if info.domain == "deskhand":
                    self.reason = info.reason
            elif detail.Is(BadRequest.DESCRIPTOR):
                for violation in BadRequest.FromString(detail.value).field_violations:
                    self.fields[violation.field] = violation.description
            elif detail.Is(RetryInfo.DESCRIPTOR):
                self.retry_after = seconds(RetryInfo.FromString(detail.value).retry_delay)
        super().__init__(f"{self.code.name} {self.reason}: {error.details()}")

    def passes_soon(self) -> bool:
        """Whether the same call may go well in a moment. Where the wait is longer, somebody should be told."""
        if self.retry_after is None:
            # The time that was over is that of one try.
            return self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        return self.retry_after <= LONGEST_WAIT


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9

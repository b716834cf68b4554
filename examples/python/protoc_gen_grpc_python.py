"""The plugin protoc-gen-grpc_python, which exists only inside the protoc of grpcio-tools: this hands it out to buf."""

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet


def main() -> None:
    request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    with tempfile.TemporaryDirectory() as folder:
        descriptors, out = Path(folder, "descriptors.binpb"), Path(folder, "out")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        out.mkdir()
        protoc = [sys.executable, "-m", "grpc_tools.protoc"]
        subprocess.run(
            [*protoc, f"--descriptor_set_in={descriptors}", f"--grpc_python_out={out}", *request.file_to_generate],
            check=True,
            stdout=sys.stderr,
        )
        for written in sorted(path for path in out.rglob("*") if path.is_file()):
            response.file.add(name=written.relative_to(out).as_posix(), content=written.read_text())
    sys.stdout.buffer.write(response.SerializeToString())


main()

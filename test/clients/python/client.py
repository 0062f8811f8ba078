"""Runs a sandbox, an exec and a stats stream through a client that buf generated: arguments are host, port, image id."""

import asyncio
import json
import sys
import uuid

from grpclib.client import Channel
from paddock.v1 import container_pb2, process_pb2, sandbox_pb2
from paddock.v1.container_grpc import ContainerServiceStub
from paddock.v1.process_grpc import ProcessServiceStub
from paddock.v1.sandbox_grpc import SandboxServiceStub


def request_id() -> str:
    return str(uuid.uuid4())


async def execute(processes: ProcessServiceStub, sandbox_id: str, args: list[str], stdin: bytes) -> dict:
    out, status = b"", None
    async with processes.Exec.open(timeout=60) as stream:
        process = container_pb2.ProcessSpec(args=args, stdin=True)
        start = process_pb2.ExecStart(sandbox_id=sandbox_id, container_id="c1", process=process)
        await stream.send_message(process_pb2.ExecRequest(start=start))
        data = process_pb2.ProcessInput(stdin=process_pb2.StdinData(data=stdin))
        await stream.send_message(process_pb2.ExecRequest(input=data))
        eof = process_pb2.ProcessInput(stdin_eof=process_pb2.StdinEof())
        await stream.send_message(process_pb2.ExecRequest(input=eof), end=True)
        async for response in stream:
            kind = response.output.WhichOneof("output")
            if kind == "chunk":
                out += response.output.chunk.data
            elif kind == "exited":
                status = response.output.exited.code
    return {"stdout": out.decode(), "code": status}


async def readings(containers: ContainerServiceStub, sandbox_id: str, count: int) -> list[int]:
    usage = []
    request = container_pb2.WatchContainerStatsRequest(sandbox_id=sandbox_id, container_id="c1")
    request.interval.FromMilliseconds(200)
    async with containers.WatchContainerStats.open(timeout=60) as stream:
        await stream.send_message(request, end=True)
        async for response in stream:
            usage.append(response.stats.memory.usage_bytes)
            if len(usage) == count:
                await stream.cancel()
                break
    return usage


async def main(host: str, port: int, image: str) -> None:
    async with Channel(host, port) as channel:
        sandboxes, containers, processes = (
            SandboxServiceStub(channel),
            ContainerServiceStub(channel),
            ProcessServiceStub(channel),
        )
        process = container_pb2.ProcessSpec(args=["sleep", "600"])
        spec = sandbox_pb2.SandboxSpec(
            containers=[container_pb2.ContainerSpec(container_id="c1", image=image, process=process)]
        )
        request = sandbox_pb2.RunSandboxRequest(request_id=request_id(), spec=spec)
        sandbox_id = (await sandboxes.RunSandbox(request, timeout=90)).sandbox.sandbox_id
        try:
            done = await execute(processes, sandbox_id, ["sh", "-c", "tr a-z A-Z; exit 7"], b"from python\n")
            memory = await readings(containers, sandbox_id, 2)
        finally:
            await sandboxes.DeleteSandbox(
                sandbox_pb2.DeleteSandboxRequest(request_id=request_id(), sandbox_id=sandbox_id, force=True), timeout=60
            )
    print(json.dumps({**done, "memory": memory}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))

// Runs a sandbox, an exec and a stats stream through a client that buf generated: arguments are host, port, image id.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	v1 "example.com/client/gen/paddock/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func requestID() string { return fmt.Sprintf("go-%d", time.Now().UnixNano()) }

func run(host, port, image string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	conn, err := grpc.Dial(net.JoinHostPort(host, port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	sandboxes := v1.NewSandboxServiceClient(conn)
	spec := &v1.SandboxSpec{Containers: []*v1.ContainerSpec{{
		ContainerId: "c1", Image: image, Process: &v1.ProcessSpec{Args: []string{"sleep", "600"}},
	}}}
	created, err := sandboxes.RunSandbox(ctx, &v1.RunSandboxRequest{RequestId: requestID(), Spec: spec})
	if err != nil {
		return err
	}
	id := created.Sandbox.SandboxId
	out, code, err := execute(ctx, v1.NewProcessServiceClient(conn), id)
	if err != nil {
		return err
	}
	memory, err := readings(ctx, v1.NewContainerServiceClient(conn), id, 2)
	if err != nil {
		return err
	}
	if _, err := sandboxes.DeleteSandbox(ctx, &v1.DeleteSandboxRequest{RequestId: requestID(), SandboxId: id, Force: true}); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"stdout": out, "code": code, "memory": memory})
}

func execute(ctx context.Context, processes v1.ProcessServiceClient, id string) (string, int32, error) {
	stream, err := processes.Exec(ctx)
	if err != nil {
		return "", 0, err
	}
	start := &v1.ExecStart{SandboxId: id, ContainerId: "c1", Process: &v1.ProcessSpec{
		Args: []string{"sh", "-c", "tr a-z A-Z; exit 7"}, Stdin: true,
	}}
	requests := []*v1.ExecRequest{
		{Message: &v1.ExecRequest_Start{Start: start}},
		input(&v1.ProcessInput{Input: &v1.ProcessInput_Stdin{Stdin: &v1.StdinData{Data: []byte("from go\n")}}}),
		input(&v1.ProcessInput{Input: &v1.ProcessInput_StdinEof{StdinEof: &v1.StdinEof{}}}),
	}
	for _, request := range requests {
		if err := stream.Send(request); err != nil {
			return "", 0, err
		}
	}
	var out []byte
	var code int32 = -1
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return string(out), code, nil
		}
		if err != nil {
			return "", 0, err
		}
		out = append(out, response.GetOutput().GetChunk().GetData()...)
		if exited := response.GetOutput().GetExited(); exited != nil {
			code = exited.Code
		}
	}
}

func input(message *v1.ProcessInput) *v1.ExecRequest {
	return &v1.ExecRequest{Message: &v1.ExecRequest_Input{Input: message}}
}

func readings(ctx context.Context, containers v1.ContainerServiceClient, id string, count int) ([]uint64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := containers.WatchContainerStats(ctx, &v1.WatchContainerStatsRequest{
		SandboxId: id, ContainerId: "c1", Interval: durationpb.New(200 * time.Millisecond),
	})
	if err != nil {
		return nil, err
	}
	var usage []uint64
	for len(usage) < count {
		response, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		usage = append(usage, response.GetStats().GetMemory().GetUsageBytes())
	}
	return usage, nil
}

// Calls a KMS v2 plugin with the client that kube-apiserver itself calls it with, for benches/src/kube_client.rs.
//
// Usage: load SOCKET Decrypt|Encrypt|Status CONNECTIONS IN-FLIGHT WARM-UP STRETCH
//
// Prints `begin` after the warm-up, `end CALLS` after the stretch, then `MICROSECONDS COUNT` for each time that calls took.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	kmsservice "k8s.io/kms/pkg/service"
)

const (
	seeds = 64
	// The last bucket takes everything that is longer.
	buckets = 1 << 20
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 6 {
		return fmt.Errorf("expected SOCKET METHOD CONNECTIONS IN-FLIGHT WARM-UP STRETCH")
	}
	connections, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	inFlight, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	warmUp, err := time.ParseDuration(args[4])
	if err != nil {
		return err
	}
	stretch, err := time.ParseDuration(args[5])
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var (
		counting, stop atomic.Bool
		calls          atomic.Uint64
		latency        [buckets]atomic.Uint32
		callers        sync.WaitGroup
		failed         = make(chan error, connections*inFlight)
	)
	for range connections {
		service, err := kmsv2.NewGRPCService(ctx, "unix://"+args[0], "load", 3*time.Second)
		if err != nil {
			return err
		}
		script, err := prepare(ctx, service, args[1])
		if err != nil {
			return err
		}
		for caller := range inFlight {
			callers.Add(1)
			go func() {
				defer callers.Done()
				for at := caller; !stop.Load(); at++ {
					start := time.Now()
					if err := script[at%seeds](); err != nil {
						failed <- err
						return
					}
					calls.Add(1)
					if counting.Load() {
						latency[min(time.Since(start).Microseconds(), buckets-1)].Add(1)
					}
				}
			}()
		}
	}
	time.Sleep(warmUp)
	counting.Store(true)
	before := calls.Load()
	fmt.Println("begin")
	time.Sleep(stretch)
	fmt.Println("end", calls.Load()-before)
	counting.Store(false)
	stop.Store(true)
	callers.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	for microseconds := range latency {
		if count := latency[microseconds].Load(); count > 0 {
			fmt.Println(microseconds, count)
		}
	}
	return nil
}

// prepare makes calls that check their answers.
func prepare(ctx context.Context, service kmsservice.Service, method string) ([]func() error, error) {
	script := make([]func() error, 0, seeds)
	for index := range seeds {
		uid := fmt.Sprintf("5b1c22f1-7b5e-4e7c-9d0a-0000000000%02x", index)
		plaintext := make([]byte, 32)
		for at := range plaintext {
			plaintext[at] = byte(at*7) ^ byte(index)
		}
		encrypted, err := service.Encrypt(ctx, uid, plaintext)
		if err != nil {
			return nil, err
		}
		switch method {
		case "Status":
			script = append(script, func() error {
				status, err := service.Status(ctx)
				if err == nil && status.Healthz != "ok" {
					err = fmt.Errorf("the server is not healthy: %s", status.Healthz)
				}
				return err
			})
		case "Encrypt":
			script = append(script, func() error {
				answer, err := service.Encrypt(ctx, uid, plaintext)
				if err == nil && len(answer.Ciphertext) != len(encrypted.Ciphertext) {
					err = fmt.Errorf("a wrong answer to Encrypt")
				}
				return err
			})
		case "Decrypt":
			request := &kmsservice.DecryptRequest{
				Ciphertext:  encrypted.Ciphertext,
				KeyID:       encrypted.KeyID,
				Annotations: encrypted.Annotations,
			}
			script = append(script, func() error {
				answer, err := service.Decrypt(ctx, uid, request)
				if err == nil && !bytes.Equal(answer, plaintext) {
					err = fmt.Errorf("a wrong answer to Decrypt")
				}
				return err
			})
		default:
			return nil, fmt.Errorf("no such method: %s", method)
		}
	}
	return script, nil
}

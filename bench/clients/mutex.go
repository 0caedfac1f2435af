// The official v3 client's concurrency.Mutex: acquire and release, so many times, and when each was.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"golang.org/x/sys/unix"
)

type order struct {
	URL   string `json:"url"`
	Key   string `json:"key"`
	Count int    `json:"count"`
}

func now() int64 {
	var at unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_MONOTONIC, &at))
	return at.Nano()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var wanted order
	check(json.Unmarshal([]byte(os.Args[1]), &wanted))
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{wanted.URL}})
	check(err)
	defer client.Close()
	session, err := concurrency.NewSession(client, concurrency.WithTTL(15))
	check(err)
	defer session.Close()
	mutex, ctx := concurrency.NewMutex(session, wanted.Key), context.Background()
	round := func() [3]int64 {
		began := now()
		check(mutex.Lock(ctx))
		held := now()
		check(mutex.Unlock(ctx))
		return [3]int64{began, held, now()}
	}

	// Warm, then at a sign.
	round()
	fmt.Println(`{"go": "` + runtime.Version() + `"}`)
	var line string
	fmt.Scanln(&line)
	times := make([][3]int64, 0, wanted.Count)
	for n := 0; n < wanted.Count; n++ {
		times = append(times, round())
	}
	check(json.NewEncoder(os.Stdout).Encode(times))
}

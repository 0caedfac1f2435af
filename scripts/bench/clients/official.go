// The official Go client for the v2 API (package client of etcd 3.4). The same talk as measure.py.
//
// Its transport keeps as many idle connections as there are workers: its own default keeps two, and would connect anew
// most of the time. Option `limit`: seconds until the answer must begin, 0 for none. Goroutines where the Python drivers have threads or tasks.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"go.etcd.io/etcd/client"
)

type order struct {
	Case    string  `json:"case"`
	URL     string  `json:"url"`
	Seconds float64 `json:"seconds"`
	Warm    float64 `json:"warm"`
	Key     string  `json:"key"`
	Value   string  `json:"value"`
	Keys    int     `json:"keys"`
	Workers int     `json:"workers"`
	CA      string  `json:"ca"`
	Options struct {
		Limit float64 `json:"limit"`
	} `json:"options"`
}

type said struct {
	After  uint64 `json:"after"`
	Events int    `json:"events"`
}

type figures struct {
	Calls   int64     `json:"calls"`
	Seconds float64   `json:"seconds"`
	CPU     float64   `json:"cpu"`
	Delays  []float64 `json:"delays,omitempty"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func cpu() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// The clock of Python's time.monotonic_ns().
func monotonic() int64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

type meter struct {
	start time.Time
	cpu   float64
}

func newMeter() meter { return meter{time.Now(), cpu()} }

func (m meter) stop(calls int64) figures {
	return figures{Calls: calls, Seconds: time.Since(m.start).Seconds(), CPU: cpu() - m.cpu}
}

func repeat(call func(), seconds float64, workers int) figures {
	var group sync.WaitGroup
	var total int64
	m := newMeter()
	end := time.Now().Add(time.Duration(seconds * 1e9))
	work := func() {
		var calls int64
		for time.Now().Before(end) {
			call()
			calls++
		}
		atomic.AddInt64(&total, calls)
	}
	if workers == 1 {
		work()
	} else {
		for i := 0; i < workers; i++ {
			group.Add(1)
			go func() { defer group.Done(); work() }()
		}
		group.Wait()
	}
	return m.stop(total)
}

func load(keys client.KeysAPI, o order) figures {
	var group sync.WaitGroup
	var next, done int64
	m := newMeter()
	end := time.Now().Add(time.Duration(o.Seconds * 1e9))
	for i := 0; i < o.Workers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(end) {
				number := atomic.AddInt64(&next, 1) - 1
				if number >= int64(o.Keys) {
					return
				}
				_, err := keys.Set(context.Background(), fmt.Sprintf("%s/k%06d", o.Key, number), o.Value, nil)
				check(err)
				atomic.AddInt64(&done, 1)
			}
		}()
	}
	group.Wait()
	return m.stop(done)
}

func walk(node *client.Node) (leaves, length int) {
	for _, child := range node.Nodes {
		if child.Dir {
			more, long := walk(child)
			leaves += more
			length += long
		} else {
			leaves++
			length += len(child.Value)
		}
	}
	return
}

func measure(keys client.KeysAPI, o order, s said) figures {
	background := context.Background()
	get := func() {
		_, err := keys.Get(background, o.Key, nil)
		check(err)
	}
	switch o.Case {
	case "get", "tls", "threads", "async":
		return repeat(get, o.Seconds, o.Workers)
	case "set":
		return repeat(func() {
			_, err := keys.Set(background, o.Key, o.Value, nil)
			check(err)
		}, o.Seconds, 1)
	case "load":
		return load(keys, o)
	case "tree":
		return repeat(func() {
			response, err := keys.Get(background, o.Key, &client.GetOptions{Recursive: true})
			check(err)
			if leaves, length := walk(response.Node); leaves != o.Keys || length != leaves*len(o.Value) {
				check(fmt.Errorf("saw %d leaves with %d bytes", leaves, length))
			}
		}, o.Seconds, 1)
	case "delay", "burst":
		var delays []float64
		m := newMeter()
		watcher := keys.Watcher(o.Key, &client.WatcherOptions{AfterIndex: s.After, Recursive: true})
		for len(delays) < s.Events {
			response, err := watcher.Next(background)
			check(err)
			stamp, err := strconv.ParseInt(response.Node.Value, 10, 64)
			check(err)
			delays = append(delays, float64(monotonic()-stamp)/1e9)
		}
		result := m.stop(int64(len(delays)))
		result.Delays = delays
		return result
	}
	check(fmt.Errorf("no case %s", o.Case))
	return figures{}
}

func main() {
	var o order
	check(json.Unmarshal([]byte(os.Args[1]), &o))
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns:        o.Workers + 2,
		MaxIdleConnsPerHost: o.Workers + 2,
	}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		check(err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	connected, err := client.New(client.Config{
		Endpoints:               []string{o.URL},
		Transport:               transport,
		HeaderTimeoutPerRequest: time.Duration(o.Options.Limit * 1e9),
	})
	check(err)
	keys := client.NewKeysAPI(connected)
	if o.Warm > 0 {
		warm := o
		warm.Seconds = o.Warm
		measure(keys, warm, said{})
	}
	out := json.NewEncoder(os.Stdout)
	versions := map[string]string{"go": runtime.Version(), "GOMAXPROCS": strconv.Itoa(runtime.GOMAXPROCS(0))}
	check(out.Encode(map[string]interface{}{"ready": true, "versions": versions}))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var s said
		check(json.Unmarshal(lines.Bytes(), &s))
		check(out.Encode(measure(keys, o, s)))
	}
}

// The official Go client for the v2 API (module go.etcd.io/etcd/client/v2). The same talk as measure.py.
//
// Its transport keeps as many idle connections as there are workers: its own default keeps two, and would connect again
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
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	client "go.etcd.io/etcd/client/v2"
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
	After  uint64  `json:"after"`
	Events int     `json:"events"`
	Settle float64 `json:"settle"`
}

type figures struct {
	Calls   int64     `json:"calls"`
	Seconds float64   `json:"seconds"`
	CPU     float64   `json:"cpu"`
	Delays  []float64 `json:"delays,omitempty"`
	Seen    []int     `json:"seen,omitempty"`
	Said    string    `json:"said,omitempty"`
}

type event struct {
	number int
	delay  float64
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

// Values are "number nanoseconds"; a number below 0 ends it.
func read(value string) event {
	now := monotonic()
	parts := strings.SplitN(value, " ", 2)
	number, err := strconv.Atoi(parts[0])
	check(err)
	stamp, err := strconv.ParseInt(parts[1], 10, 64)
	check(err)
	return event{number, float64(now-stamp) / 1e9}
}

func (f *figures) take(e event) {
	f.Seen = append(f.Seen, e.number)
	f.Delays = append(f.Delays, e.delay)
}

// After an error Next is called again, three times in a row as the drivers in Python do.
func follow(keys client.KeysAPI, o order, s said) figures {
	var found figures
	m := newMeter()
	watcher := keys.Watcher(o.Key, &client.WatcherOptions{AfterIndex: s.After, Recursive: true})
	for tries := 0; s.Events == 0 || len(found.Seen) < s.Events; {
		response, err := watcher.Next(context.Background())
		if err != nil {
			tries++
			if tries == 3 {
				found.Said = err.Error()
				break
			}
			time.Sleep(50 * time.Millisecond)
			continue
		}
		tries = 0
		e := read(response.Node.Value)
		if e.number < 0 {
			break
		}
		found.take(e)
	}
	result := m.stop(int64(len(found.Seen)))
	result.Seen, result.Delays, result.Said = found.Seen, found.Delays, found.Said
	return result
}

func resident() int {
	statm, err := os.ReadFile("/proc/self/statm")
	check(err)
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	check(err)
	return pages * os.Getpagesize()
}

// One watcher in a goroutine for each key. It says what they take in memory when all of their polls are at the server.
func many(keys client.KeysAPI, o order, s said, out *json.Encoder) figures {
	ctx, cancel := context.WithCancel(context.Background())
	events := make(chan event, o.Workers)
	_, err := keys.Get(ctx, "/", nil)
	check(err)
	before := resident()
	for i := 0; i < o.Workers; i++ {
		watcher := keys.Watcher(fmt.Sprintf("%s/k%d", o.Key, i), &client.WatcherOptions{AfterIndex: s.After})
		go func() {
			for {
				response, err := watcher.Next(ctx)
				if err != nil {
					if ctx.Err() == nil {
						check(err)
					}
					return
				}
				events <- read(response.Node.Value)
			}
		}()
	}
	time.Sleep(time.Duration(s.Settle * 1e9))
	check(out.Encode(map[string]int{"bytes": resident() - before}))
	var found figures
	m := newMeter()
	for len(found.Seen) < s.Events {
		found.take(<-events)
	}
	result := m.stop(int64(len(found.Seen)))
	cancel()
	result.Seen, result.Delays = found.Seen, found.Delays
	return result
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
	case "loaded", "complete", "quiet":
		return follow(keys, o, s)
	case "many":
		return many(keys, o, s, json.NewEncoder(os.Stdout))
	}
	check(fmt.Errorf("no case %s", o.Case))
	return figures{}
}

// The client's own version is what the program was linked with.
func versions() map[string]string {
	found := map[string]string{"go": runtime.Version(), "GOMAXPROCS": strconv.Itoa(runtime.GOMAXPROCS(0))}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "go.etcd.io/etcd/client/v2" {
				found["client/v2"] = module.Version
			}
		}
	}
	return found
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
	check(out.Encode(map[string]interface{}{"ready": true, "versions": versions()}))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var s said
		check(json.Unmarshal(lines.Bytes(), &s))
		check(out.Encode(measure(keys, o, s)))
	}
}

"""What is not like for like, said in the report. Add to it whenever a driver does something of its own."""

from __future__ import annotations

NOTES = (
    "CPU is user and system time of the client's process, by getrusage in the process itself (for wrk: of its whole "
    "run). Figures are medians over the rounds; within a round every client has its turn, so what else the machine "
    "does meets all of them.",
    "Counts: system calls of the client's process by strace, but for reading the clock, which mostly is none; Python "
    "frames entered, with each time that a coroutine is resumed, in the thread that calls. Both are the least of three "
    "loops of 200 calls (32 tasks: 320), without what the driver's own loop costs. With 32 tasks they hang a little on "
    "how many answers come at once. httpx looks for another async library many times per call, all over sys.path.",
    "etcd runs without fsync, with no snapshots and the keys of all cases in one store. Client and server talk over "
    "the loopback interface: a real network hides differences in calls per second of sequential calls, not in CPU.",
    "Where clients are pinned to one core (it says so above), wrk has one thread, and the threads of Python share that "
    "core; the Go client has all cores, its scheduler uses them, and it competes with etcd for them. Where etcd is at "
    "its limit, calls per second of the quick clients come together; CPU per call then is the figure to look at.",
    "Pinned, each sequential call wakes a core that has gone idle, which costs every client some microseconds of CPU "
    "(the bare socket shows how many) and brings the ratios of the cheap clients closer together than without --pin.",
    "Go: goroutines where Python has threads or tasks. Its transport is given as many idle connections as there are "
    "workers (by default it keeps two, which costs it a connect for most calls), and the time limit for each request "
    "that the example in its documentation has; etcdv2 and the Python peers have time limits by default. 'Bare' is "
    "the same on one core and without the limit: the cheapest that it can be had.",
    "The Go client is the newest module that the go which is there can build; its version and go's are below. "
    "'etcdv2 on uvloop' is this client, unchanged, with uvloop as asyncio's event loop.",
    "python-etcd and k3etcd hand out values as they are in the parsed JSON and make the nodes of a tree only when they "
    "are walked; etcdv2 and Go validate types and give every field. All walks look at each leaf's value.",
    "k3etcd and node-etcd open a connection for each call; that is how they are. node-etcd is one process with "
    "callbacks; its sequential cases run at most one call at a time.",
    "aio-etcd, node-etcd and wrk have no threads: they are left out of, or have 8 connections in, the case with "
    "8 threads. aio-etcd's sequential reads are the case with 1 task.",
    "httpx + json takes the key's value with json.loads and does nothing else: no failover, no errors, no types. The "
    "bare socket does not even parse JSON, and wrk parses nothing: they are limits, not clients. json.loads in the "
    "case of the tree gets bytes that were read before, and walks nothing.",
    "Loading is cut off after the time of a measurement: keys per second count. Async clients, Go and node-etcd have "
    "32 calls under way, python-etcd and k3etcd 32 threads on one client.",
    "The delay of an event is from just before the write is sent to the event in the watcher's hands, by one clock of "
    "the machine. It holds etcd's own time for the write. etcdv2 reads ahead in a thread of its own (sync), which "
    "costs a change of thread and saves losing events.",
    "Watches of many changes: a client that raises an error is called again where it stood, three times in a row; then "
    "the watch has ended with what it said, and the rest is missing. node-etcd goes on by itself, at the newest event. "
    "etcdv2 is used without snapshots=True, with which it would go on with a Snapshot. Events are those of the "
    "worst round, CPU is the median. What a server remembers is 1,000 events, so much hangs on how quickly they are "
    "written, which is this machine's.",
    "The quiet key: all clients watch it at once, from before the other writes, and there is one measurement. Only "
    "etcdv2 does something meanwhile, which is its CPU. Where connections break, they go through a relay of the "
    "comparing program, the other writes have just ended, and the client may connect again at once.",
    "Memory of watchers: by how much the process's resident memory grows when they are opened, after a first call; for "
    "one watcher that is mere chance. They have a key each, and one key is written at a time, 500 times per second. Go "
    "has a goroutine for each.",
    "The way from one cluster to another is etcdv2.transfer alone, in one process and once. Memory is the most that it "
    "had by the end of the step, with the trees of all steps before kept. Checksums of a member's log are compared in "
    "Python unless google-crc32c or crc32c is installed: that is most of that step.",
    "Builds of Python differ: one without profile guided optimisation takes up to twice the time for everything. Of "
    "several builds of a version the quickest is taken; compare the times of the loop above before comparing versions.",
    "On the second Python only those peers are measured that a goal names, and nothing is counted.",
)

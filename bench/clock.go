package main

import (
	"sync"
	"time"
)

// clock knows how long each of the functions that report to it ran itself, without those it called, one request at a
// time. Of two that run side by side, the one that was called later gets the time: it adds up to what the client waits.
type clock struct {
	mutex sync.Mutex
	names []string
	own   []time.Duration // of each function
	calls []int
	stack []int // of functions
	since time.Time
}

func (c *clock) register(name string) int {
	c.names = append(c.names, name)
	c.own = append(c.own, 0)
	c.calls = append(c.calls, 0)
	return len(c.names) - 1
}

// account gives the time since the last event to the function that runs.
func (c *clock) account() {
	now := time.Now()
	if len(c.stack) > 0 {
		c.own[c.stack[len(c.stack)-1]] += now.Sub(c.since)
	}
	c.since = now
}

func (c *clock) enter(function int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.account()
	c.stack = append(c.stack, function)
	c.calls[function]++
}

// leave takes the function off the stack wherever it lies: a goroutine may end after the function that waited for it.
func (c *clock) leave(function int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.account()
	for i := len(c.stack) - 1; i >= 0; i-- {
		if c.stack[i] == function {
			c.stack = append(c.stack[:i], c.stack[i+1:]...)
			return
		}
	}
}

// reading is what the clock counted for one function.
type reading struct {
	Name  string
	Calls int
	Own   time.Duration
}

// take returns what was counted since the last take, up to now.
func (c *clock) take() []reading {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.account()
	var readings []reading
	for i, name := range c.names {
		if c.calls[i] > 0 || c.own[i] > 0 {
			readings = append(readings, reading{name, c.calls[i], c.own[i]})
		}
		c.calls[i], c.own[i] = 0, 0
	}
	return readings
}
